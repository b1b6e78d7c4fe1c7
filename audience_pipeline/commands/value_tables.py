"""How good customer values are, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from audience_pipeline.commands.console import table
from audience_pipeline.commands.tables import number, percent

CONSTANT = "global mean"
_SHORT = {
    "predicted_ltv": "mean",
    "likely_ltv": "likely",
    "next_12m_value": "mean",
    "spend so far x 1.29": "spend x 1.29",
    "last 12 months": "last 12 m",
    "BG/NBD + Gamma-Gamma": "BG/NBD + GG",
    CONSTANT: "constant",
}


def model_tables(model: Mapping[str, Any] | None, currency: str | None) -> Iterator[Table | str]:
    """How good the predictions are beside naive ones, and the quintiles."""
    if model is None or "metrics" not in model:
        yield f"[bold]No predictions.[/] {model['no_model'] if model else 'No as-of date is complete yet.'}"
        return
    unit = currency or "the file's currency"
    summary = model["summary"]
    age = summary["headline_age_days"]
    yield _words(summary)
    yield table(
        f"How good the predictions are: 12-month LTV, {age} days after the first order",
        {
            "forecast": "left",
            "mean absolute error": "right",
            "within 30 %": "right",
            "ranking (Gini)": "right",
            "error per decile": "right",
            "sum, predicted / actual": "right",
        },
        [
            (
                str(row["forecast"]),
                number(row["mae"], 2),
                percent(row["within_30"], 1),
                *_ranks(row, "gini"),
                # A constant has no deciles; what its folds differ by is no skill.
                percent(None if row["forecast"] == CONSTANT else row["decile_mape"], 1),
                number(row["total_ratio"], 3),
            )
            for row in model["metrics"]
            if row["target"] == "ltv" and row["age_days"] == age
        ],
        caption=(
            f"{summary['evaluated_customers']:,} customers whose first {_window(summary)} over, each "
            "predicted by models that never saw them (who first appears in the first 90 days may have bought "
            f"before, and is left out where enough others remain); amounts in {unit}. predicted_ltv is the "
            "mean (for sums and bids), likely_ltv the value most often within 30 %."
        ),
    )
    caption = f"Means in {unit}. Model {model['model_version']}, trained as of {summary['as_of']}."
    yield _quintiles(model["quintiles"], age, caption)


def evaluation_tables(report: Mapping[str, Any]) -> Iterator[Table | str]:
    """Everything that a check on held-out customers found out, as :meth:`Report.as_dict` gives it."""
    summary = report["summary"]
    yield _words(summary)
    yield from _checked(report, summary["headline_age_days"], "customers held out of training")
    if report["later"]:
        cohort = summary["later_cohort"]
        yield (
            f"\n[bold]A later cohort:[/] {cohort['customers']:,} customers who first ordered from "
            f"{cohort['first_order_from']} to {cohort['first_order_to']}, predicted by a model that had seen "
            "nothing of that time."
        )
        yield _words(cohort)
        asked = {row["age_days"] for row in report["probabilities"]}
        ages = [row["age_days"] for row in report["later"]["probabilities"]]
        age = min(ages, key=lambda one: (abs(one - summary["headline_age_days"]), one))
        yield from _checked(_at(report["later"], asked & set(ages) or {age}), age, "the later cohort")


def _checked(tables: Mapping[str, Any], age: int, who: str) -> Iterator[Table]:
    yield _quintiles(tables["quintiles"], age, f"Means in the file's currency, {who}.")
    yield _expected(tables)
    yield _forecasts(tables, who)
    yield _honest(tables)


def _at(tables: Mapping[str, Any], ages: set[int]) -> dict[str, Any]:
    """The rows of some ages, and those without one."""
    wanted = {*ages, None}
    return {name: [row for row in rows if row.get("age_days") in wanted] for name, rows in tables.items()}


def _window(summary: Mapping[str, Any]) -> str:
    days = summary.get("window_days") or 365
    return "year is" if days >= 365 else f"{days} days are"


def _words(summary: Mapping[str, Any]) -> str:
    said = [f"  {escape(sentence)}" for sentence in summary.get("headlines", [])]
    loud = [f"[bold yellow]![/] {escape(sentence)}" for sentence in summary.get("warnings", [])]
    return "\n".join([*said, *loud])


def _quintiles(rows: Sequence[Mapping[str, Any]], age: int, caption: str) -> Table:
    return table(
        f"LTV quintiles, {age} days after the first order: predicted beside what was really spent",
        {"quintile": "right", "customers": "right", "predicted LTV": "right", "actual LTV": "right",
         "within 30 %": "right"},
        [
            (
                str(row["ltv_quintile"]),
                number(row["customers"]),
                number(row["predicted_ltv"], 2),
                number(row["actual_ltv"], 2),
                percent(row.get("within_30"), 1),
            )
            for row in rows
            if row["age_days"] == age
        ],
        caption=caption,
    )  # fmt: skip


def _expected(tables: Mapping[str, Any]) -> Table:
    rule = {row["age_days"]: row for row in tables["differences"] if _of_rule(row)}
    mean = {row["age_days"]: row for row in tables["metrics"] if row["forecast"] == "predicted_ltv"}
    likely = {row["age_days"]: row for row in tables["metrics"] if row["forecast"] == "likely_ltv"}
    return table(
        "What to expect, by days since the first order",
        {"days": "right", "customers": "right", "within 30 %": "right", "+/-": "right", "rule": "right",
         "gain": "right", "+/- ": "right", "high": "right", "right": "right", "thousands right": "right"},
        [
            (
                str(row["age_days"]),
                number(row["customers"]),
                percent(row["within_30_realised"], 1),
                _points(likely[row["age_days"]]["within_30_se"], 2),
                percent(row["within_30_rule"], 1),
                _points(rule.get(row["age_days"], {}).get("within_30")),
                _points(rule.get(row["age_days"], {}).get("within_30_se"), 2),
                percent(row["high_share"], 1),
                percent(row["high_within_30"], 1),
                percent(mean[row["age_days"]]["thousand_within_20"], 1),
            )
            for row in tables["probabilities"]
        ],
        caption=(
            "within 30 %: of the likely value. rule: the same of 1.29 x spend so far; gain: model minus "
            "rule, in points; +/-: two standard errors. high: customers of high confidence, and how many of "
            "them were within 30 %. thousands right: random groups of 1,000 whose predicted total is within "
            "20 %."
        ),
    )  # fmt: skip


def _forecasts(tables: Mapping[str, Any], who: str) -> Table:
    return table(
        f"Every forecast beside the naive ones: {who}",
        {"days": "right", "forecast": "left", "RMSE": "right", "MAE": "right", "R2": "right",
         "in 30 %": "right", "in 20 %": "right", "by value": "right", "Gini": "right", "Spearman": "right",
         "decile": "right", "sum": "right", "top 10 %": "right"},
        [
            (
                "next" if row["target"] == "next_12m" else str(row["age_days"]),
                _SHORT.get(row["forecast"], str(row["forecast"])),
                number(row["rmse"], 2),
                number(row["mae"], 2),
                number(row["r2"], 3),
                percent(row["within_30"], 1),
                percent(row["within_20"], 1),
                percent(row["value_within_30"], 1),
                *_ranks(row, "gini", "spearman"),
                percent(None if row["forecast"] == CONSTANT else row["decile_mape"], 1),
                number(row["total_ratio"], 2),
                percent(row["top_decile_capture"], 1),
            )
            for row in tables["metrics"]
        ],
        caption=(
            "days: since the first order, of 12-month LTV; next: next-12-month value. by value: share of the "
            "value within 30 %. decile: mean error per decile. sum: predicted over actual total. top 10 %: "
            "value of the predicted top tenth over that of the real one."
        ),
    )  # fmt: skip


def _honest(tables: Mapping[str, Any]) -> Table:
    return table(
        "Is it as sure as it says, and how much could be known",
        {"days": "right", "stated": "right", "came true": "right", "error": "right", "above p90": "right",
         "below p10": "right", "sorted": "right", "by orders": "right", "best multiple": "right",
         "to come": "right", "log-normal": "right"},
        [
            (
                str(row["age_days"]),
                percent(row["within_30_stated"], 1),
                percent(row["within_30_realised"], 1),
                percent(row["calibration_error"], 1),
                percent(row["above_p90"], 1),
                percent(row["below_p10"], 1),
                percent(row["coverage"], 1),
                percent(row["coverage_by_orders"], 1),
                percent(row["best_multiple_within_30"], 1),
                percent(row["future_within_30"], 1),
                percent(row["future_ceiling"], 1),
            )
            for row in tables["probabilities"]
        ],
        caption=(
            "error: calibration error over ten bins. sorted: mean hit rate over all coverages, surest first, "
            "beside grouping by number of orders. best multiple: of the spend so far, in hindsight. to come: "
            "share within 30 % of what returning customers still spend, and the most that a log-normal "
            "spread as wide as measured allows."
        ),
    )  # fmt: skip


def checked_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """What was predicted on earlier dates, beside what has been spent since."""
    return table(
        "The check that counts: predicted on earlier dates, and what was really spent since",
        {"quintile then": "right", "customers": "right", "predicted LTV": "right", "actual LTV": "right"},
        [
            (
                number(row["ltv_quintile"]),
                number(row["checked_customers"]),
                number(row["predicted_then"], 2),
                number(row["actual_since"], 2),
            )
            for row in rows
        ],
        caption="Models of those dates, which saw nothing later; customers whose first year has ended since.",
    )


def _ranks(row: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    """A constant ranks nobody; what its folds differ by is no skill."""
    return tuple(number(None if row["forecast"] == CONSTANT else row[name], 3) for name in names)


def _of_rule(row: Mapping[str, Any]) -> bool:
    return row["forecast"] == "likely_ltv" and str(row["baseline"]).startswith("spend so far")


def _points(value: float | None, times: int = 1) -> str:
    return "-" if value is None else f"{100 * times * value:.1f}"
