"""What starts work when the champion changes, or when customers have moved away from it."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.cohorts import calibration_note
from audience_pipeline.defs.jobs import daily_refresh, monthly_retraining
from audience_pipeline.defs.ltv import drift_note, model_note
from audience_pipeline.ltv import registry
from audience_pipeline.ltv.store import exists
from audience_pipeline.results.cohorts import RECENT_DAYS
from audience_pipeline.settings import Settings

LEAST_NEW_DAYS = 14
"""Days of data that no model has seen yet, below which another training would say the same."""


def build_model_sensors(settings: Settings, calendar: AsOfCalendar) -> list[dg.SensorDefinition]:
    """The sensors of the value model."""

    @dg.sensor(
        name="new_champion",
        job=daily_refresh,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Predicts and selects the newest date again, once, when another model is champion than the one "
            "that predicted it: after a retraining, a promotion, a rollback, or a change by hand in MLflow."
        ),
    )
    def new_champion(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        newest = calendar.newest_day()
        if newest is None or not exists(settings.mlflow_uri):
            return dg.SkipReason("there is no model yet")
        note = model_note(settings, newest)
        if not note.is_file():
            return dg.SkipReason(f"{newest} has not been predicted yet; its refresh takes the champion")
        wanted = registry.version_on(settings.mlflow_uri, newest)
        made_by = _read(note).get("model_version")
        if wanted is None or wanted == made_by:
            context.update_cursor("")
            return dg.SkipReason(f"{newest} was predicted by the champion, version {made_by}")
        asked = f"{wanted} for {newest}"
        if asked == context.cursor:
            return dg.SkipReason(f"{newest} is being predicted again by version {wanted}, or that has failed")
        context.update_cursor(asked)
        # No run key: a version that was left and taken up again is to predict again.
        return dg.RunRequest(partition_key=newest.isoformat())

    @dg.sensor(
        name="drift",
        job=monthly_retraining,
        minimum_interval_seconds=3600,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Asks for a training before the month is over when customers no longer look or spend like those "
            f"of the training. Once a month at most, and only with {LEAST_NEW_DAYS} days of new data."
        ),
    )
    def drift(_context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        newest, month = calendar.newest_day(), calendar.newest_month()
        if newest is None or month is None or not exists(settings.mlflow_uri):
            return dg.SkipReason("there is no model yet")
        moved = _moved(settings, newest)
        if not moved:
            return dg.SkipReason(f"no drift is known as of {newest}")
        seen = registry.newest_as_of(settings.mlflow_uri)
        if seen is not None and (newest - seen).days < LEAST_NEW_DAYS:
            return dg.SkipReason(f"{' and '.join(moved)}, and the newest model has seen data up to {seen}")
        return early_training(newest, month)

    return [new_champion, drift]


def _moved(settings: Settings, newest: date) -> list[str]:
    """What speaks against the model that predicted the newest date."""
    noted = _read(drift_note(settings, newest))
    moved = ["features or predictions have moved"] if noted.get("act") else []
    trained = date.fromisoformat(noted.get("model_as_of", date.max.isoformat()))
    # A model that was trained since has learned from these customers already.
    unseen = trained <= newest - timedelta(days=RECENT_DAYS)
    if unseen and _read(calibration_note(settings, newest)).get("act"):
        moved.append("customers do not spend as predicted")
    return moved


def early_training(newest: date, month: date) -> dg.RunRequest:
    """A training of the newest complete month that learns from the days after it as well."""
    return dg.RunRequest(
        run_key=f"drift:{newest:%Y-%m}",
        partition_key=month.isoformat(),
        run_config={"ops": {"ltv_model": {"config": {"as_of": newest.isoformat()}}}},
        asset_selection=[dg.AssetKey("ltv_model")],
    )


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
