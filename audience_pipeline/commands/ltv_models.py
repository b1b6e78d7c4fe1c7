"""``ltv models``, ``ltv rollback``, ``ltv promote``: which model predicts, and which else there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from audience_pipeline.commands.console import (
    DirOption,
    JsonOption,
    fail,
    note,
    out,
    print_json,
    table,
    workspace,
)
from audience_pipeline.commands.tables import number, percent
from audience_pipeline.settings import Settings

if TYPE_CHECKING:
    from audience_pipeline.ltv.registry import Version

HEADLINES = {
    "mae": "ltv_30d_predicted_ltv_mae",
    "gini": "ltv_30d_predicted_ltv_gini",
    "within_30": "ltv_30d_likely_ltv_within_30",
}
"""Figures of a listing: customers whom the model never saw, predicted 30 days after their first order."""


def models(directory: DirOption = None, as_json: JsonOption = False) -> None:
    """The trained value models of a workspace: which one is champion, how good each is, what was decided.

    Example: audience-pipeline ltv models
    """
    from audience_pipeline.ltv import registry

    settings = _with_models(directory)
    rows = [_row(version) for version in registry.versions(settings.mlflow_uri)]
    if as_json:
        print_json(rows)
        return
    out.print(
        table(
            "Value models",
            {
                "version": "right",
                "as of": "left",
                "state": "left",
                "customers": "right",
                "error": "right",
                "Gini": "right",
                "within 30 %": "right",
                "verdict": "left",
            },
            [
                (
                    str(row["version"]),
                    str(row["as_of"] or "unknown"),
                    str(row["state"]),
                    number(row["customers"]),
                    number(row["mae"], 2),
                    number(row["gini"], 3),
                    percent(row["within_30"]),
                    str(row["verdict"] or ""),
                )
                for row in rows
            ],
            caption="Errors are of customers whom the model never saw, 30 days after their first order; "
            "those of different days are of different customers. Verdicts compare on the same ones.",
        )
    )


def rollback(
    directory: DirOption = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="VERSION", help="An earlier champion; without it, the one before."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the champion before champion again. No training takes the other one up again by itself.

    Example: audience-pipeline ltv rollback
    """
    from audience_pipeline.ltv import promotion
    from audience_pipeline.ltv.champion_history import NoSuchChampionError

    settings = _with_models(directory)
    try:
        left, champion = promotion.roll_back(settings.mlflow_uri, to)
    except NoSuchChampionError as error:
        fail(str(error))
    _tell(settings, left, champion, as_json=as_json)


def promote(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version, as ltv models lists it.")],
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a version the champion, whatever was decided about it. ltv rollback takes it back.

    Example: audience-pipeline ltv promote 3
    """
    from audience_pipeline.ltv import promotion
    from audience_pipeline.ltv.champion_history import NoSuchChampionError

    settings = _with_models(directory)
    try:
        left, champion = promotion.promote(settings.mlflow_uri, version)
    except NoSuchChampionError as error:
        fail(str(error))
    _tell(settings, left, champion, as_json=as_json)


def _with_models(directory: Any) -> Settings:
    from audience_pipeline.commands.runner import prepare_instance
    from audience_pipeline.ltv.store import exists

    settings = workspace(directory)
    if not exists(settings.mlflow_uri):
        fail(f"{settings.home}: no value model has been trained here yet; audience-pipeline train does")
    prepare_instance(settings)
    return settings


def _row(version: Version) -> dict[str, Any]:
    from audience_pipeline.ltv.store import CHALLENGER, CHAMPION

    state = next((alias for alias in (CHAMPION, CHALLENGER) if alias in version.aliases), None)
    verdict = version.verdict
    return {
        "version": version.version,
        "as_of": None if version.as_of.year == 9999 else version.as_of.isoformat(),
        "aliases": list(version.aliases),
        "state": state or ("rolled back" if version.withdrawn else "former"),
        "customers": int(version.metrics.get("customers", 0)) or None,
        **{name: version.metrics.get(key) for name, key in HEADLINES.items()},
        "promoted": verdict.promoted if verdict else None,
        "verdict": verdict.reason if verdict else None,
        "figures": verdict.as_dict()["figures"] if verdict else [],
    }


def _tell(settings: Settings, left: str | None, champion: str, *, as_json: bool) -> None:
    """What was done, and what it means for the predictions that are there."""
    made_by = _predicted_by(settings)
    behind = [day for day, version in made_by.items() if version != champion][-1:]
    if as_json:
        print_json(
            {"before": left, "champion": champion, "changed": left != champion, "to_predict_again": behind}
        )
        return
    if left == champion:
        out.print(f"Version {champion} is the champion already; nothing was changed.", highlight=False)
    else:
        was = f"; it was version {left}" if left else ""
        out.print(f"Version {champion} is the champion now{was}.", highlight=False)
    for day in behind:
        note(
            f"The newest predictions, of {day}, are of version {made_by[day]}. Dagster's daemon predicts and "
            "selects that date again within minutes where it runs; here audience-pipeline refresh does."
        )


def _predicted_by(settings: Settings) -> dict[str, str | None]:
    """The newest date that was predicted, and the version that did."""
    import json

    from audience_pipeline.defs.storage import table_path

    folder = table_path(settings.lake, "ltv_predictions", "any").parent
    notes = sorted(folder.glob("*.json"))[-1:]
    return {path.stem: json.loads(path.read_text(encoding="utf-8")).get("model_version") for path in notes}
