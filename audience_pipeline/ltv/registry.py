"""Models in MLflow: a version for each recipe, one of them the champion, the newest other the challenger."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from audience_pipeline.ltv.drift import Reference
from audience_pipeline.ltv.files import HTML, MODEL, REFERENCE, REPORT, flat_metrics, write_files
from audience_pipeline.ltv.model import LtvModel
from audience_pipeline.ltv.promotion import VERDICT_APPLIED, WITHDRAWN, apply_verdict
from audience_pipeline.ltv.recipe import Recipe
from audience_pipeline.ltv.store import CHAMPION, MODEL_NAME, client_of
from audience_pipeline.ltv.store import aliases as aliases_of
from audience_pipeline.ltv.training import Trained
from audience_pipeline.ltv.verdict import Verdict


class UnusableModelError(Exception):
    """A registered version cannot be read by this code; the message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A model version in the registry."""

    version: str
    run_id: str
    created: bool
    """False where the same recipe had been registered before."""


@dataclass(frozen=True, slots=True)
class Version:
    """What the registry says of a version, without its files."""

    version: str
    run_id: str
    as_of: date
    """The last day whose data it was trained on; a version that does not say has seen everything."""
    aliases: tuple[str, ...]
    withdrawn: bool
    """Whether somebody rolled back from it."""
    verdict: Verdict | None
    metrics: Mapping[str, float]
    """Of :func:`audience_pipeline.ltv.files.flat_metrics`."""


@dataclass(frozen=True, slots=True)
class Known:
    """A registered model, ready to predict."""

    model: LtvModel
    version: str
    report: Mapping[str, Any]
    """What training found out, as :meth:`Report.as_dict` gives it."""
    reference: Reference | None
    """What customers looked like in training; None in versions that do not hold it."""
    verdict: Verdict | None
    folder: Path
    """Where its files lie on this machine."""


def find(tracking_uri: str, recipe: Recipe) -> Registered | None:
    """The version that was registered for a recipe, so that it need not be trained again.

    It is given no alias: a version that was rolled back from stays where it is. Only what an interrupted
    :func:`register` had decided and not done is done now.
    """
    client = client_of(tracking_uri)
    versions = client.search_model_versions(f"name = '{MODEL_NAME}' and tags.recipe = '{recipe.digest}'")
    ready = [version for version in versions if version.tags.get("recipe") == recipe.digest]
    if not ready:
        return None
    oldest = min(ready, key=lambda version: int(version.version))
    if "verdict" in oldest.tags and VERDICT_APPLIED not in oldest.tags:
        apply_verdict(client, str(oldest.version), Verdict.from_dict(json.loads(oldest.tags["verdict"])))
    return Registered(str(oldest.version), str(oldest.run_id), created=False)


def register(
    trained: Trained,
    recipe: Recipe,
    verdict: Verdict,
    *,
    tracking_uri: str,
    artifacts: Path | None = None,
    reference: Reference | None = None,
    html: str | None = None,
) -> Registered:
    """Log a run, register its model folder as a version and give it the alias of its verdict.

    Args:
        trained: What :func:`audience_pipeline.ltv.training.train` returned.
        recipe: Of ``recipe_of``; a version that it has already is used again and nothing is created.
        verdict: Of ``challenge``. A promoted model is the champion, another one the challenger, unless it
            is of older data than the champion: then it is neither.
        tracking_uri: Of MLflow: a database or a server.
        artifacts: Folder for the files of a new experiment; MLflow's own default without it.
        reference: What customers looked like, for watching drift.
        html: The report for people.
    """
    from mlflow.exceptions import MlflowException

    known = find(tracking_uri, recipe)
    if known is not None:
        return known
    client = client_of(tracking_uri)
    experiment = client.get_experiment_by_name(MODEL_NAME)
    location = None if artifacts is None else artifacts.resolve().as_uri()
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(MODEL_NAME, location)
    run = client.create_run(experiment_id, run_name=f"{MODEL_NAME} {recipe.as_of}")
    run_id = str(run.info.run_id)
    try:
        _log(client, run_id, trained, recipe, verdict)
        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder), trained, verdict, reference, html)
            client.log_artifacts(run_id, folder)
        with contextlib.suppress(MlflowException):
            client.create_registered_model(MODEL_NAME)
        version = client.create_model_version(
            MODEL_NAME,
            source=f"runs:/{run_id}/{MODEL}",
            run_id=run_id,
            tags={
                "recipe": recipe.digest,
                "as_of": recipe.as_of.isoformat(),
                "verdict": json.dumps(verdict.as_dict()),
            },
        )
        apply_verdict(client, str(version.version), verdict)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
    return Registered(str(version.version), run_id, created=True)


def champion(tracking_uri: str, cache: Path) -> Known | None:
    """The champion, or None where no model has been registered.

    Args:
        tracking_uri: Of MLflow.
        cache: Folder that keeps the files of a version, so that they are fetched once.

    Raises:
        UnusableModelError: This code cannot read it.
    """
    client = client_of(tracking_uri)
    version = aliases_of(client).get(CHAMPION)
    return None if version is None else read(tracking_uri, cache, version)


def known_on(tracking_uri: str, cache: Path, as_of: date) -> Known | None:
    """The model that predicts a date, see :func:`version_on`. Arguments, errors: see :func:`champion`."""
    version = version_on(tracking_uri, as_of)
    return None if version is None else read(tracking_uri, cache, version)


def version_on(tracking_uri: str, as_of: date) -> str | None:
    """The champion where it saw no data after ``as_of``; else the newest version that did not, or None.

    Versions that somebody rolled back from come last.
    """
    client = client_of(tracking_uri)
    current = aliases_of(client).get(CHAMPION)
    versions = client.search_model_versions(f"name = '{MODEL_NAME}'")
    earlier = [version for version in versions if _seen(version) <= as_of]
    if any(str(version.version) == current for version in earlier):
        return current
    best = max(
        earlier, key=lambda one: (WITHDRAWN not in one.tags, _seen(one), int(one.version)), default=None
    )
    return None if best is None else str(best.version)


def read(tracking_uri: str, cache: Path, version: str) -> Known:
    """One version. Arguments and errors as for :func:`champion`."""
    return _load(tracking_uri, cache, client_of(tracking_uri).get_model_version(MODEL_NAME, version))


def current_champion(tracking_uri: str) -> Version | None:
    """What the registry says of the champion."""
    client = client_of(tracking_uri)
    names = aliases_of(client)
    if CHAMPION not in names:
        return None
    return _version(client, client.get_model_version(MODEL_NAME, names[CHAMPION]), names)


def versions(tracking_uri: str) -> list[Version]:
    """All versions, the newest first."""
    client = client_of(tracking_uri)
    names = aliases_of(client)
    found = client.search_model_versions(f"name = '{MODEL_NAME}'")
    ordered = sorted(found, key=lambda one: int(one.version), reverse=True)
    return [_version(client, one, names) for one in ordered]


def newest_as_of(tracking_uri: str) -> date | None:
    """The newest day whose data some version was trained on; None before the first."""
    found = client_of(tracking_uri).search_model_versions(f"name = '{MODEL_NAME}'")
    return max((_seen(version) for version in found), default=None)


def _version(client: Any, one: Any, names: Mapping[str, str]) -> Version:
    return Version(
        version=str(one.version),
        run_id=str(one.run_id),
        as_of=_seen(one),
        aliases=tuple(sorted(alias for alias, version in names.items() if version == str(one.version))),
        withdrawn=WITHDRAWN in one.tags,
        verdict=_verdict(one),
        metrics=dict(client.get_run(one.run_id).data.metrics),
    )


def _seen(version: Any) -> date:
    return date.fromisoformat(version.tags.get("as_of", date.max.isoformat()))


def _verdict(version: Any) -> Verdict | None:
    text = version.tags.get("verdict")
    return None if text is None else Verdict.from_dict(json.loads(text))


def _load(tracking_uri: str, cache: Path, found: Any) -> Known:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    version = str(found.version)
    folder = cache / f"{MODEL_NAME}-{version}-{found.run_id}"
    try:
        if not (folder / MODEL / "model.json").is_file():
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as fresh:
                there = {file.path for file in client_of(tracking_uri).list_artifacts(found.run_id)}
                for part in (MODEL, REPORT, *({REFERENCE, HTML} & there)):
                    download_artifacts(
                        run_id=found.run_id, artifact_path=part, dst_path=fresh, tracking_uri=tracking_uri
                    )
                # Another process may have been quicker, with the same files.
                with contextlib.suppress(OSError):
                    Path(fresh).rename(folder)
                    Path(fresh).mkdir()
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        kept = folder / REFERENCE
        return Known(
            model=LtvModel.load(folder / MODEL),
            version=version,
            report=report,
            reference=Reference.from_json(kept.read_text(encoding="utf-8")) if kept.is_file() else None,
            verdict=_verdict(found),
            folder=folder,
        )
    except (MlflowException, OSError, ValueError, KeyError, TypeError) as error:
        raise UnusableModelError(
            f"model version {version} cannot be read ({type(error).__name__}: {error}). "
            "audience-pipeline train trains a new one"
        ) from error


def _log(client: Any, run_id: str, trained: Trained, recipe: Recipe, verdict: Verdict) -> None:
    from mlflow.entities import Metric, Param, RunTag

    parameters = {**recipe.parameters, "as_of": recipe.as_of, "data": recipe.data, "code": recipe.code}
    client.log_batch(
        run_id,
        metrics=[Metric(key, value, 0, 0) for key, value in flat_metrics(trained).items()],
        params=[Param(key, str(value)) for key, value in sorted(parameters.items())],
        tags=[
            RunTag("recipe", recipe.digest),
            RunTag("as_of", recipe.as_of.isoformat()),
            RunTag("promoted", str(verdict.promoted).lower()),
            RunTag("verdict", verdict.reason),
        ],
    )
