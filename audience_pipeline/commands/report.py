"""What a marketer wants to see, read from what the pipeline has stored: nothing is computed anew."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl

from audience_pipeline.settings import Settings

if TYPE_CHECKING:
    from audience_pipeline.ledger.database import Ledger


def gather(settings: Settings) -> dict[str, Any]:
    """Sources, model, quintiles, segments and audiences of the newest complete as-of date, JSON-safe."""
    from audience_pipeline.defs.storage import table_path
    from audience_pipeline.ledger import landings, refreshes
    from audience_pipeline.ledger.database import Ledger

    with Ledger.open(settings.ledger_url) as ledger:
        landed = [dict(landing.report) for landing in landings.committed(ledger)]
        complete = refreshes.completed(ledger)
        stale = refreshes.stale(ledger)
        deliveries = _deliveries(settings, ledger)
    as_of = complete[-1].as_of if complete else None
    report: dict[str, Any] = {
        "as_of": as_of.isoformat() if as_of else None,
        "currency": settings.config.shop.currency
        or next((one["currency"] for one in reversed(landed) if one["currency"]), None),
        "landings": landed,
        "stale_as_of_dates": [day.isoformat() for day in stale],
        "model": _model(settings, as_of.isoformat()) if as_of else None,
        "checked_since": [],
        "segments": [],
        "audiences": _audiences(settings, as_of) if as_of else [],
        "deliveries": deliveries,
    }
    if as_of is None:
        return report
    quintiles = table_path(settings.lake, "ltv_quintiles", as_of.isoformat())
    if quintiles.is_file():
        checked = pl.read_parquet(quintiles).filter(pl.col("checked_customers") > 0)
        report["checked_since"] = checked.to_dicts()
    cards = table_path(settings.lake, "segment_scorecards", as_of.isoformat())
    if cards.is_file():
        report["segments"] = pl.read_parquet(cards).drop("segment_id").to_dicts()
    return report


def delivered(settings: Settings) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The sizes of all audiences on the newest complete date, and how each stands on its platforms, problems
    first: a part of :func:`gather` that reads little.
    """
    from audience_pipeline.ledger import refreshes
    from audience_pipeline.ledger.database import Ledger

    with Ledger.open(settings.ledger_url) as ledger:
        complete = refreshes.completed(ledger)
        deliveries = _deliveries(settings, ledger)
    return (_audiences(settings, complete[-1].as_of) if complete else []), deliveries


def _deliveries(settings: Settings, ledger: Ledger) -> list[dict[str, Any]]:
    from audience_pipeline.delivery.status import problems_first, status
    from audience_pipeline.ledger.members import MemberStore

    rows = problems_first(status(MemberStore(ledger, settings.delivered)))
    return [row.as_dict() | {"matched_text": row.matched, "rate_text": row.match_rate} for row in rows]


def _audiences(settings: Settings, as_of: date) -> list[dict[str, Any]]:
    from audience_pipeline.audiences.stored import stored_sizes

    # As defs.storage has it, without loading Dagster for it.
    members = settings.lake / "audience_memberships" / f"{as_of.isoformat()}.parquet"
    if not members.is_file():
        return []
    sizes = stored_sizes(members).select("audience", members="size", holdout="held_out")
    defined = pl.DataFrame({"audience": _defined(settings)}, schema={"audience": pl.String})
    return defined.join(sizes, on="audience", how="full", coalesce=True).sort("audience").to_dicts()


def _defined(settings: Settings) -> list[str]:
    """The names of the audiences, also of those whose definitions have mistakes: their deliveries count."""
    from audience_pipeline.audiences.definition import audience_names

    return sorted(audience_names(settings.audiences))


def _model(settings: Settings, as_of: str) -> dict[str, Any] | None:
    """The model that the as-of date was predicted with, and what its training found out."""
    import json

    from audience_pipeline.defs.storage import table_path

    note = table_path(settings.lake, "ltv_predictions", as_of).with_suffix(".json")
    return dict(json.loads(note.read_text(encoding="utf-8"))) if note.is_file() else None
