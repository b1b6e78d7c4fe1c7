"""Models in MLflow: one version for each recipe (data, parameters, code), the newest one called champion."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from filelock import FileLock

import audience_pipeline
from audience_pipeline.ltv.boosters import PARAMETERS, ROUNDS, TWEEDIE_POWER
from audience_pipeline.ltv.charts import calibration_chart, quintile_chart
from audience_pipeline.ltv.model import LtvModel
from audience_pipeline.ltv.training import Trained

MODEL_NAME = "ltv"
CHAMPION = "champion"
_FOLDER, _REPORT = "model", "report.json"
_CODE = ("customers/orders.py", "features", "ltv")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a model is made of; the same recipe gives the same model."""

    as_of: date
    data: str
    """Of :func:`fingerprint`."""
    code: str
    """Of :func:`code_version`."""
    parameters: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """A short name for the recipe."""
        parts = [self.as_of.isoformat(), self.data, self.code, dict(self.parameters)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def recipe_of(
    orders: pl.LazyFrame, as_of: date, activity: pl.LazyFrame | None = None, *, seed: int = 7
) -> Recipe:
    """The recipe of a model before it is trained."""
    parameters = {**PARAMETERS, "rounds": ROUNDS, "tweedie_variance_power": TWEEDIE_POWER, "seed": seed}
    return Recipe(as_of, fingerprint(orders, as_of, activity), code_version(), parameters)


@dataclass(frozen=True, slots=True)
class Registered:
    """A model version in the registry."""

    version: str
    run_id: str
    created: bool
    """False where the same recipe had been registered before."""


def fingerprint(orders: pl.LazyFrame, as_of: date, activity: pl.LazyFrame | None = None) -> str:
    """A digest of the rows up to ``as_of``, whatever their order."""
    frames = [orders.filter(pl.col("order_date") <= as_of).drop("categories")]
    if activity is not None:
        frames.append(activity.filter(pl.col("activity_date") <= as_of))
    parts: list[int] = []
    for frame in frames:
        names = sorted(frame.collect_schema().names())
        row = pl.struct(names).hash(seed=7)
        # Sums of both halves of the hash: a sum of the whole would overflow, and xor forgets pairs.
        parts += frame.select(
            pl.len().alias("rows"),
            (row % 2**32).sum().alias("low"),
            (row // 2**32).sum().alias("high"),
        ).collect(engine="streaming").row(0)  # fmt: skip
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def code_version() -> str:
    """A digest of the source that decides what a model says."""
    root = Path(audience_pipeline.__file__).parent
    files = sorted(
        file for name in _CODE for file in [root / name, *(root / name).glob("*.py")] if file.is_file()
    )
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def prepare(tracking_uri: str) -> None:
    """Make the embedded registry's database, whole or not at all.

    MLflow migrates an empty database step by step, and cannot go on from where a killed process stopped.
    """
    path = Path(tracking_uri.removeprefix("sqlite:///"))
    if not tracking_uri.startswith("sqlite:///") or path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(path.name + ".lock")):
        if path.is_file():
            return
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            fresh, copy = Path(folder) / "fresh.db", Path(folder) / "copy.db"
            _client(f"sqlite:///{fresh}").search_experiments(max_results=1)
            # MLflow keeps its connection open, so the file itself is not moved.
            with (
                contextlib.closing(sqlite3.connect(fresh)) as source,
                contextlib.closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
            copy.replace(path)


def find(tracking_uri: str, recipe: Recipe) -> Registered | None:
    """The version that was registered for a recipe, so that it need not be trained again."""
    client = _client(tracking_uri)
    versions = client.search_model_versions(f"name = '{MODEL_NAME}' and tags.recipe = '{recipe.digest}'")
    ready = [version for version in versions if version.tags.get("recipe") == recipe.digest]
    if not ready:
        return None
    oldest = min(ready, key=lambda version: int(version.version))
    return Registered(str(oldest.version), str(oldest.run_id), created=False)


def adopt(tracking_uri: str, recipe: Recipe) -> Registered | None:
    """The version that was registered for a recipe, made the champion (see :func:`register`), or None."""
    known = find(tracking_uri, recipe)
    if known is not None:
        _crown(_client(tracking_uri), known.version, recipe.as_of)
    return known


def register(
    trained: Trained,
    recipe: Recipe,
    *,
    tracking_uri: str,
    artifacts: Path | None = None,
) -> Registered:
    """Log a run, register its model folder as a version and call it champion (see :func:`find`).

    Args:
        trained: What :func:`audience_pipeline.ltv.training.train` returned.
        recipe: Of :func:`recipe_of`; a version that it has already is used again and nothing is created.
        tracking_uri: Of MLflow: a database or a server.
        artifacts: Folder for the files of a new experiment; MLflow's own default without it.
    """
    from mlflow.exceptions import MlflowException

    client = _client(tracking_uri)
    known = adopt(tracking_uri, recipe)
    if known is not None:
        return known
    experiment = client.get_experiment_by_name(MODEL_NAME)
    location = None if artifacts is None else artifacts.resolve().as_uri()
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(MODEL_NAME, location)
    run = client.create_run(experiment_id, run_name=f"{MODEL_NAME} {recipe.as_of}")
    run_id = str(run.info.run_id)
    try:
        _log(client, run_id, trained, recipe)
        with contextlib.suppress(MlflowException):
            client.create_registered_model(MODEL_NAME)
        version = client.create_model_version(
            MODEL_NAME,
            source=f"runs:/{run_id}/{_FOLDER}",
            run_id=run_id,
            tags={"recipe": recipe.digest, "as_of": recipe.as_of.isoformat()},
        )
        _crown(client, str(version.version), recipe.as_of)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
    return Registered(str(version.version), run_id, created=True)


@dataclass(frozen=True, slots=True)
class Known:
    """A registered model, ready to predict."""

    model: LtvModel
    version: str
    report: Mapping[str, Any]
    """What training found out, as :meth:`Report.as_dict` gives it."""


def champion(tracking_uri: str, cache: Path) -> Known | None:
    """The champion, or None where no model has been registered.

    Args:
        tracking_uri: Of MLflow.
        cache: Folder that keeps the files of a version, so that they are fetched once.
    """
    found = _champion(_client(tracking_uri))
    return None if found is None else _load(tracking_uri, cache, found)


def known_on(tracking_uri: str, cache: Path, as_of: date) -> Known | None:
    """The champion where it saw no data after ``as_of``; else the newest version that did not, or None.

    Arguments as for :func:`champion`.
    """
    client = _client(tracking_uri)
    found = _champion(client)
    if found is None or _seen(found) > as_of:
        versions = client.search_model_versions(f"name = '{MODEL_NAME}'")
        earlier = [version for version in versions if _seen(version) <= as_of]
        found = max(earlier, key=lambda one: (_seen(one), int(one.version)), default=None)
    return None if found is None else _load(tracking_uri, cache, found)


def read(tracking_uri: str, cache: Path, version: str) -> Known:
    """One version. Arguments as for :func:`champion`."""
    return _load(tracking_uri, cache, _client(tracking_uri).get_model_version(MODEL_NAME, version))


def _champion(client: Any) -> Any | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(MODEL_NAME, CHAMPION)
    except MlflowException:
        return None


def _seen(version: Any) -> date:
    """The last day whose data a version was trained on; one that does not say has seen everything."""
    return date.fromisoformat(version.tags.get("as_of", date.max.isoformat()))


def _crown(client: Any, version: str, as_of: date) -> None:
    """Make a version the champion, unless the champion has seen newer data: a backfill dethrones nobody."""
    reigning = _champion(client)
    if reigning is None or _seen(reigning) <= as_of:
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)


def _load(tracking_uri: str, cache: Path, found: Any) -> Known:
    from mlflow.artifacts import download_artifacts

    version = str(found.version)
    folder = cache / f"{MODEL_NAME}-{version}-{found.run_id}"
    if not (folder / _FOLDER / "model.json").is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as fresh:
            for part in (_FOLDER, _REPORT):
                download_artifacts(
                    run_id=found.run_id, artifact_path=part, dst_path=fresh, tracking_uri=tracking_uri
                )
            # Another process may have been quicker, with the same files.
            with contextlib.suppress(OSError):
                Path(fresh).rename(folder)
                Path(fresh).mkdir()
    report = json.loads((folder / _REPORT).read_text(encoding="utf-8"))
    return Known(LtvModel.load(folder / _FOLDER), version, report)


def _client(tracking_uri: str) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def _log(client: Any, run_id: str, trained: Trained, recipe: Recipe) -> None:
    from mlflow.entities import Metric, Param, RunTag

    report = trained.report
    parameters = {**recipe.parameters, "as_of": recipe.as_of, "data": recipe.data, "code": recipe.code}
    client.log_batch(
        run_id,
        metrics=[Metric(key, value, 0, 0) for key, value in flat_metrics(trained).items()],
        params=[Param(key, str(value)) for key, value in sorted(parameters.items())],
        tags=[RunTag("recipe", recipe.digest), RunTag("as_of", recipe.as_of.isoformat())],
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        trained.model.save(root / _FOLDER)
        (root / _REPORT).write_text(report.as_json(), encoding="utf-8")
        report.importances.write_csv(root / "feature_importance.csv")
        (root / "calibration.png").write_bytes(calibration_chart(report))
        (root / "quintiles.png").write_bytes(quintile_chart(report))
        client.log_artifacts(run_id, folder)


def flat_metrics(trained: Trained) -> dict[str, float]:
    """The report's figures under stable names, such as ``ltv_30d_predicted_ltv_gini``."""
    report = trained.report
    named: dict[str, float] = {
        key: float(report.summary[key])
        for key in ("customers", "training_customers", "training_rows", "evaluated_customers")
    }
    for row in report.metrics.to_dicts():
        days = "" if row["age_days"] is None else f"_{row['age_days']}d"
        forecast = row["forecast"].replace(" ", "_")
        for key in ("mae", "rmse", "r2", "gini", "spearman", "decile_mape", "total_ratio", "within_30"):
            if row[key] is not None:
                named[f"{row['target']}{days}_{forecast}_{key}"] = row[key]
    for row in report.probabilities.to_dicts():
        for key in ("calibration_error", "above_p90", "below_p10", "high_share"):
            named[f"ltv_{row['age_days']}d_{key}"] = row[key]
    return named
