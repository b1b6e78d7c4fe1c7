"""The sections of the report for people: sentences, tables of text, pictures."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from audience_pipeline.ltv import charts
from audience_pipeline.ltv.report import Report
from audience_pipeline.ltv.report_grids import (
    Grid,
    beside_grid,
    ceiling_grid,
    confidence_grid,
    count,
    coverage_grid,
    decile_grid,
    differences_grid,
    expected_grid,
    money,
    quintile_grid,
    reliability_grids,
    share,
    when,
)
from audience_pipeline.ltv.topics import described


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG, and what it shows for who cannot see it."""

    data: str
    alt: str

    @classmethod
    def of(cls, png: bytes, alt: str) -> Picture:
        """From a file's bytes."""
        return cls(base64.b64encode(png).decode(), alt)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page."""

    name: str
    title: str
    text: Sequence[str] = ()
    grids: Sequence[Grid] = ()
    pictures: Sequence[Picture] = field(default=())


def sections(report: Report, unit: str) -> list[Section]:
    """All sections of a report that have something to show.

    Args:
        report: Of a trained model or of a check.
        unit: What amounts are in, such as ``EUR``.
    """
    found = [
        _trained(report),
        _quintiles(report, unit),
        _expected(report),
        _beside(report, unit),
        _honest(report),
        _money(report, unit),
        _knowable(report),
        _later(report, unit),
        _months(report, unit),
        _importance(report),
    ]
    return [section for section in found if section is not None]


def _trained(report: Report) -> Section:
    summary = report.summary
    named = {
        "as_of": "Last day that was seen",
        "first_order": "First order in the data",
        "customers": "Customers",
        "training_customers": "Customers to learn from",
        "training_rows": "Looks at them on past days",
        "holdout_customers": "Customers held out",
        "evaluated_customers": "Customers checked at the headline's age",
        "window_days": "Days of the checked windows",
        "next_12m_snapshot": "Day from which the next 12 months were predicted",
    }
    rows = [
        [label, f"{summary[key]:,}" if isinstance(summary[key], int) else str(summary[key])]
        for key, label in named.items()
        if summary.get(key) is not None
    ]
    return Section(
        "trained",
        "What was trained on what",
        ["Every customer below was predicted by a model that had never seen it."],
        [Grid("Data", ["what", "how much"], rows)],
    )


def _quintiles(report: Report, unit: str) -> Section:
    age = report.headline_age
    return Section(
        "quintiles",
        "Predicted and actual spend by quintile",
        ["Customers in order of predicted 12-month LTV, a fifth each, beside what they really spent."],
        [quintile_grid(report, unit)],
        [
            Picture.of(
                charts.quintile_chart(report),
                f"Bars of predicted and actual mean LTV of the five quintiles, predicted {when(age)}; the "
                "numbers stand in the table above.",
            )
        ],
    )


def _expected(report: Report) -> Section:
    return Section(
        "accuracy",
        "Expected accuracy",
        ["The longer a customer has been seen, the surer its value."],
        [expected_grid(report)],
    )


def _beside(report: Report, unit: str) -> Section:
    age = report.headline_age
    grids = [beside_grid(report, unit, "ltv", age)]
    if report.metrics.filter(pl.col("target") == "next_12m").height:
        grids.append(beside_grid(report, unit, "next_12m", None))
    grids.append(differences_grid(report))
    pictures = [
        Picture.of(
            charts.gain_chart(report),
            "Gain curves: the share of all value that the customers with the greatest forecasts brought, for "
            "the model and the naive forecasts; the normalised Gini in the table above measures their area.",
        )
    ]
    return Section(
        "beside",
        "Beside forecasts that need no model",
        [
            "predicted_ltv is the mean: for sums, bids and ranking.",
            "likely_ltv is the value that is most often within 30 %. One number cannot be both.",
        ],
        grids,
        pictures,
    )


def _honest(report: Report) -> Section:
    grids = [confidence_grid(report), *reliability_grids(report), coverage_grid(report)]
    pictures = [
        Picture.of(
            charts.reliability_chart(report),
            "Stated probability against the share that came true; the numbers stand in the table above.",
        ),
        Picture.of(
            charts.coverage_chart(report),
            "Share within 30 % among the surest customers, from few to all, beside the same for customers "
            "grouped by their number of orders.",
        ),
    ]
    return Section("honest", "Is it as sure as it says?", [], grids, pictures)


def _money(report: Report, unit: str) -> Section:
    grids, pictures = [], []
    for target, age in (("ltv", report.headline_age), ("next_12m", None)):
        grid = decile_grid(report, unit, target, age)
        if grid.rows:
            grids.append(grid)
            alt = f"Mean predicted against mean actual value of each tenth of the customers. {grid.caption}."
            pictures.append(Picture.of(charts.calibration_chart(report, target), alt))
    return Section("calibration", "Is the money where it is said to be?", [], grids, pictures)


def _knowable(report: Report) -> Section:
    return Section(
        "knowable",
        "How much could be known at all",
        [
            "What one customer will spend is partly chance.",
            "Where the ceiling is near the figure, only more or other data help: no better model would.",
        ],
        [ceiling_grid(report)],
    )


def _later(report: Report, unit: str) -> Section | None:
    tables, cohort = report.later, report.summary.get("later_cohort")
    if tables is None or not isinstance(cohort, Mapping):
        return None
    who = (
        f"{cohort['customers']:,} customers who came from {cohort['first_order_from']} to "
        f"{cohort['first_order_to']}, predicted by a model that had seen nothing of that time: so a model "
        "fares in use, season and drift included."
    )
    return Section(
        "later",
        "A later cohort",
        [
            who,
            *cohort["headlines"],
            *cohort["warnings"],
        ],
        [
            quintile_grid(tables, unit),
            expected_grid(tables),
            beside_grid(tables, unit, "ltv", tables.headline_age),
        ],
        [
            Picture.of(
                charts.quintile_chart(tables),
                "Bars of predicted and actual mean LTV of the five quintiles of the later cohort; the "
                "numbers stand in the table above.",
            )
        ],
    )


def _months(report: Report, unit: str) -> Section | None:
    if report.months.is_empty():
        return None
    rows = [
        [str(row["month"]), count(row["customers"]), money(row["predicted_ltv"]), money(row["actual_ltv"]),
         share(row["within_30"])]
        for row in report.months.to_dicts()
    ]  # fmt: skip
    columns = ["month", "customers", "predicted LTV", "actual LTV", "within 30 %"]
    caption = (
        f"Customers by month of their first order, predicted {when(report.headline_age)}: means in {unit}"
    )
    return Section("months", "By month of the first order", [], [Grid(caption, columns, rows)])


def _importance(report: Report) -> Section | None:
    if report.importances.is_empty():
        return None
    grids = [
        Grid(
            f"Features of {model} that its trees gained most from",
            ["feature", "what it is", "share of the gain"],
            [
                [str(row["feature"]), described(row["feature"]), share(row["gain"])]
                for row in report.importances.filter(pl.col("model") == model).head(15).to_dicts()
            ],
        )
        for model in report.importances["model"].unique(maintain_order=True).to_list()
    ]
    alt = "Bars of the features' shares of the gain; the numbers stand in the table above."
    text = "What the model looked at most. It does not say in which direction, nor what causes what."
    return Section(
        "importance",
        "What the predictions rest on",
        [text],
        grids,
        [Picture.of(charts.importance_chart(report), alt)],
    )
