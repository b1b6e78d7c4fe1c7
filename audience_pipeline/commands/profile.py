"""``audience-pipeline profile``: what an audience may ask of a customer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime
from pathlib import Path
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
from audience_pipeline.commands.tables import percent
from audience_pipeline.settings import Settings

if TYPE_CHECKING:
    from audience_pipeline.audiences.fields import Field
    from audience_pipeline.audiences.fill import Fill

app = typer.Typer(no_args_is_help=True, help="The profile: what an audience may ask of a customer.")


@app.callback()
def profile() -> None:
    """The profile: what an audience may ask of a customer."""


@app.command()
def fields(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Fields; all without it.")
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], metavar="DATE", help="Fill rates of this date; without it, of the newest."
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="TABLE", help="Only fields that come from this table.")
    ] = None,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Every field: type, unit, meaning, source, example, and for how many people it is known.

    Values are shown where a text has few of them and at least 50 people share each.

    Example: audience-pipeline profile fields predicted_ltv visits_30d
    """
    from audience_pipeline.audiences.fill import fills
    from audience_pipeline.defs.vocabulary import vocabulary

    settings = workspace(directory)
    try:
        known = vocabulary(settings, with_segments=False)["fields"]
    except ValueError as error:
        fail(f"audience.yaml: {error}", 2)
    chosen = _chosen(known, names or [], source)
    path = _profile(settings, as_of.date() if as_of else None)
    found: Mapping[str, Fill] = {}
    if path is not None:
        import polars as pl

        found = fills(pl.scan_parquet(path), chosen)
    rows = [_described(field, found.get(field.name)) for field in chosen]
    if as_json:
        print_json({"as_of": path.stem if path else None, "fields": rows})
        return
    _show(rows, f"as of {path.stem}" if path else "")
    if path is None:
        note("No profile has been made yet, so nobody knows how full it is: run audience-pipeline refresh.")


def _chosen(known: Mapping[str, Field], names: Collection[str], source: str | None) -> list[Field]:
    from audience_pipeline.audiences.words import nearest, shown

    if unknown := [name for name in names if name not in known]:
        said = "; ".join(f"no field is called {shown(name)}{nearest(name, known)}" for name in unknown)
        fail(f"{said}; audience-pipeline profile fields lists them all", 2)
    sources = sorted({field.source for field in known.values()})
    if source is not None and source not in sources:
        fail(
            f"no field comes from {shown(source)}{nearest(source, sources)}; fields come from "
            f"{', '.join(sources)}",
            2,
        )
    return [
        field
        for field in known.values()
        if (not names or field.name in names) and (source is None or field.source == source)
    ]


def _profile(settings: Settings, as_of: date | None) -> Path | None:
    """The file of the profile of a date, or of the newest one; None before the first."""
    folder = settings.lake / "customer_profile"
    if as_of is None:
        there = sorted(folder.glob("????-??-??.parquet"))
        return there[-1] if there else None
    path = folder / f"{as_of}.parquet"
    if not path.is_file():
        fail(f"there is no profile of {as_of}; run audience-pipeline refresh --as-of {as_of}")
    return path


def _described(field: Field, fill: Fill | None) -> dict[str, Any]:
    return {
        "name": field.name,
        "type": field.type,
        "unit": field.unit,
        "meaning": field.meaning,
        "source": field.source,
        "example": field.example,
        "allowed": list(field.allowed),
        "fill_rate": fill.rate if fill else None,
        "values": dict(fill.values) if fill else {},
    }


def _show(rows: list[dict[str, Any]], when: str) -> None:
    def values(row: dict[str, Any]) -> str:
        if row["values"]:
            return ", ".join(f"{value} {percent(share)}" for value, share in row["values"].items())
        return ", ".join(row["allowed"])

    shown = table(
        " ".join(["Fields of the profile", when]).strip(),
        {
            "field": "left",
            "type": "left",
            "meaning": "left",
            "source": "left",
            "example": "left",
            "filled": "right",
            "values": "left",
        },
        [
            (
                row["name"],
                ", ".join(filter(None, (row["type"], row["unit"]))),
                row["meaning"],
                row["source"],
                row["example"],
                percent(row["fill_rate"]),
                values(row),
            )
            for row in rows
        ],
        caption=f"{len(rows)} fields. Every window ends with the as-of date and includes it.",
    )
    # Names are there to be copied.
    shown.columns[0].no_wrap = True
    out.print(shown)
