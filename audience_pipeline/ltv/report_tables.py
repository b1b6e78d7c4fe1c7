"""The tables of a report: some hundred rows in which there is no customer any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import polars as pl

from audience_pipeline.ltv.evaluation import FIGURES

HEADLINE_AGE = 30
"""Days after the first order of the figures that are shown first, where they were measured."""
RULE_FACTOR = 1.29
"""Not 1.3, which floating point would count as a miss for customers who never return."""
RULE = f"spend so far x {RULE_FACTOR}"
LAST_12M, PURCHASE_MODEL, CONSTANT = "last 12 months", "BG/NBD + Gamma-Gamma", "global mean"
BASELINES = (RULE, LAST_12M, PURCHASE_MODEL, CONSTANT)
"""The naive forecasts beside which every figure stands."""
HIGH, MEDIUM = 0.7, 0.4
"""Least probabilities of ``high`` and ``medium`` confidence."""
MOST_MONTHS = 36

_ERRORS = ("within_30", "gini", "spearman", "decile_mape", "total_ratio")
_DIFFERENT = (
    "mae", "rmse", "gini", "spearman", "decile_mape", "within_30", "value_within_30", "top_decile_capture",
)  # fmt: skip
GAIN_SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
GAINS = {
    "perfect": "actual", "model": "predicted", "spend_so_far": "observed_value",
    "last_12_months": "last_12m", "bg_nbd_gamma_gamma": "purchase_model",
}  # fmt: skip
_KEYS = {"target": pl.String, "age_days": pl.Int64}


def _schema(keys: Mapping[str, Any], figures: Iterable[str]) -> pl.Schema:
    return pl.Schema({**keys, **dict.fromkeys(figures, pl.Float64)})


SCHEMAS: Mapping[str, pl.Schema] = {
    "metrics": _schema(
        _KEYS | {"forecast": pl.String, "customers": pl.Int64},
        (*FIGURES, "thousand_within_20", "thousand_error", *(f"{name}_se" for name in _ERRORS)),
    ),
    "differences": _schema(
        _KEYS | {"forecast": pl.String, "baseline": pl.String},
        (one for name in _DIFFERENT for one in (name, f"{name}_se")),
    ),
    "probabilities": _schema(
        {"age_days": pl.Int64, "customers": pl.Int64, "window_days": pl.Int64},
        (
            "within_30_stated", "within_30_realised", "within_30_rule", "skill", "calibration_error",
            "calibration_error_by_chance",
            "above_p90", "below_p10", "high_share", "high_within_30", "medium_share", "medium_within_30",
            "low_share", "low_within_30", "coverage", "coverage_by_orders", "best_multiple",
            "best_multiple_within_30", "returners", "future_log_sd", "future_ceiling", "future_within_30",
        ),
    ),
    "reliability": _schema(
        {"probability": pl.String, "age_days": pl.Int64, "customers": pl.Int64},
        ("low", "high", "stated", "realised"),
    ),
    "coverage": _schema({"age_days": pl.Int64}, ("share", "most_confident_first", "by_number_of_orders")),
    "quintiles": _schema(
        {"age_days": pl.Int64, "ltv_quintile": pl.Int64, "customers": pl.Int64},
        ("predicted_ltv", "actual_ltv", "total_ratio", "within_30", "within_20", "value_within_30"),
    ),
    "deciles": _schema(
        _KEYS | {"decile": pl.Int64, "customers": pl.Int64}, ("predicted", "actual")
    ),
    "gain": _schema(_KEYS, ("share", *GAINS)),
    "months": _schema(
        {"month": pl.String, "age_days": pl.Int64, "customers": pl.Int64},
        ("predicted_ltv", "actual_ltv", "within_30"),
    ),
    "importances": _schema({"model": pl.String, "feature": pl.String}, ("gain",)),
}  # fmt: skip
"""Columns of every table of a report; money in major units."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Quality of predictions of customers that the model never saw; columns as in :data:`SCHEMAS`."""

    metrics: pl.DataFrame
    """Figures of each forecast and each naive one beside it, by target and age (see
    :class:`audience_pipeline.ltv.evaluation.Judge` and :class:`audience_pipeline.ltv.comparison.Compared`).
    Targets are ``ltv`` (forecasts ``predicted_ltv`` and ``likely_ltv``) and ``next_12m`` (``next_12m_value``,
    age null)."""
    differences: pl.DataFrame
    """Forecast minus naive forecast on the same customers, with standard errors."""
    probabilities: pl.DataFrame
    """By age: ``within_30_probability`` stated and realised, its calibration error (and what that would be by
    chance, were every probability right), the tails of the 80 % interval, the levels of confidence,
    ``coverage`` (mean share of hits over all coverages, most confident first) beside that by number of
    orders, and how much could have been known: ``within_30_stated`` is the ceiling by the model's own
    distribution, ``best_multiple_within_30`` that of constant multiples of the spend so far in hindsight,
    ``future_ceiling`` that of the value still to come of customers who return, were it log-normal around its
    forecast."""
    reliability: pl.DataFrame
    """Ten bins of ``within_30_probability`` (by age) and ``repeat_probability``: stated and realised."""
    coverage: pl.DataFrame
    """Share of hits among the surest share of customers, beside the same by number of orders."""
    quintiles: pl.DataFrame
    """Means of predicted and actual 12-month LTV by age, quintile 1 on top; hits are those of the likely
    value."""
    deciles: pl.DataFrame
    """Means of forecast and actual value by target and age, decile 1 on top."""
    gain: pl.DataFrame
    """Share of all value that a share of the customers brought, in the order of each forecast."""
    months: pl.DataFrame
    """By month of the first order, at the headline age."""

    @property
    def ages(self) -> list[int]:
        """The ages that were measured, youngest first."""
        return self.probabilities["age_days"].to_list()

    @property
    def headline_age(self) -> int:
        """The measured age that is nearest to 30 days."""
        return min(self.ages, key=lambda age: (abs(age - HEADLINE_AGE), age), default=HEADLINE_AGE)

    def quintile_table(self, age_days: int | None = None) -> pl.DataFrame:
        """The quintiles at one age (by default the headline's), without the age."""
        age = self.headline_age if age_days is None else age_days
        return self.quintiles.filter(pl.col("age_days") == age).drop("age_days")

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """The tables as JSON-safe rows."""
        return {name: getattr(self, name).to_dicts() for name in TABLES}

    @classmethod
    def from_tables(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`tables`; what an older report does not know is empty or null."""
        return cls(**{name: table_of(name, values.get(name, [])) for name in TABLES})


TABLES = tuple(field.name for field in fields(Tables))


def table_of(name: str, rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows as one of the tables of a report, to six digits: the rest is noise."""
    schema = SCHEMAS[name]
    known = [{column: row.get(column) for column in schema} for row in rows]
    return pl.DataFrame(known, schema=schema, orient="row").with_columns(pl.col(pl.Float64).round_sig_figs(6))
