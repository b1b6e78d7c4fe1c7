"""What training or a check found out about a model: tables small enough to read, plot and keep."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from audience_pipeline.ltv.expectations import alarms, expected_accuracy, headlines, promise_day, warnings
from audience_pipeline.ltv.held import HeldOut
from audience_pipeline.ltv.measured import measure, repeat_calibration
from audience_pipeline.ltv.report_tables import HEADLINE_AGE, TABLES, Tables, table_of

__all__ = ["HEADLINE_AGE", "Report", "build_report"]


@dataclass(frozen=True, slots=True)
class Report(Tables):
    """Quality of a model on customers it never saw; money in major units."""

    importances: pl.DataFrame
    """``model, feature, gain`` (share of the model's total gain), greatest first."""
    later: Tables | None
    """The same tables for a later cohort, predicted by a model that had seen nothing of its time."""
    summary: dict[str, Any]
    """JSON-safe: what was trained on what, the headline figures, ``headlines`` and ``warnings``."""

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON-safe values."""
        return {
            "summary": self.summary,
            **self.tables(),
            "importances": self.importances.to_dicts(),
            "later": None if self.later is None else self.later.tables(),
        }

    def as_json(self) -> str:
        """The same as text, stable from run to run."""
        return json.dumps(self.as_dict(), indent=1, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Report:
        """The report that :meth:`as_dict` gave; what an older one does not know is empty or null."""
        later = values.get("later")
        return cls(
            **{name: table_of(name, values.get(name, [])) for name in TABLES},
            importances=table_of("importances", values.get("importances", [])),
            later=None if later is None else Tables.from_tables(later),
            summary=dict(values["summary"]),
        )


def build_report(
    *, held: HeldOut, later: HeldOut | None, importances: pl.DataFrame, summary: Mapping[str, Any]
) -> Report:
    """Measure held-out predictions; only customers whose windows are over take part.

    Args:
        held: Predictions of customers by models that never saw them.
        later: Predictions of a later cohort by a model that had seen nothing of its time, where the data
            are long enough.
        importances: ``model, feature, gain``.
        summary: What was trained on what; JSON-safe but for dates, which become text. The headline figures
            are added.
    """
    tables = measure(held)
    newest = None if later is None or later.ltv.is_empty() else measure(later)
    expected = expected_accuracy(tables)
    at_headline = expected.filter(pl.col("age_days") == tables.headline_age)
    measured = {
        "evaluated_customers": int(at_headline["customers"][0]) if at_headline.height else 0,
        "headline_age_days": tables.headline_age,
        "window_days": int(held.ltv["days"].min() or 0),  # type: ignore[arg-type]
        "next_12m_snapshot": str(held.next_12m["as_of"].max()) if held.next_12m.height else None,
        "promise_from_day": promise_day(expected["age_days"].to_list(), expected["within_30"].to_list()),
        "headlines": headlines(tables),
        "warnings": [
            *warnings(tables),
            *(f"Later cohort: {sentence}" for sentence in ([] if newest is None else alarms(newest))),
        ],
        "later_cohort": None if later is None or newest is None else _cohort(later, newest),
        **repeat_calibration(held),
    }
    return Report(
        **{name: getattr(tables, name) for name in TABLES},
        importances=table_of(
            "importances",
            importances.sort(["model", "gain", "feature"], descending=[False, True, False]).to_dicts(),
        ),
        later=newest,
        summary=json.loads(json.dumps({**summary, **measured}, default=str, allow_nan=False)),
    )


def _cohort(later: HeldOut, tables: Tables) -> dict[str, Any]:
    """Who the later cohort are, and what is said of them."""
    return {
        "customers": later.ltv["customer_id"].n_unique(),
        "first_order_from": str(later.ltv["first_order"].min()),
        "first_order_to": str(later.ltv["first_order"].max()),
        "headlines": headlines(tables)[:1],
        "warnings": warnings(tables),
    }
