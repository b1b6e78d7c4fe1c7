"""Pictures of a model's quality, as small PNG files."""

from __future__ import annotations

import io
from typing import Any

import polars as pl

from audience_pipeline.ltv.report import HEADLINE_AGE, Report

_PREDICTED, _ACTUAL, _GREY = "#9db8d9", "#1f4e8c", "#888888"


def calibration_chart(report: Report, target: str = "ltv", age_days: int | None = HEADLINE_AGE) -> bytes:
    """Mean predicted against mean actual value of each decile: on the line, money is where it is said.

    Args:
        report: Of a trained model.
        target: ``ltv``, or ``next_12m`` (with ``age_days`` None).
        age_days: Days after the first order at which customers were predicted.
    """
    chosen = (pl.col("target") == target) & pl.col("age_days").eq_missing(pl.lit(age_days, dtype=pl.Int64))
    table = report.deciles.filter(chosen)
    figure, axes = _figure()
    low = max(float(min(table["predicted"].min(), table["actual"].min(), 1e9)), 0.01)  # type: ignore[type-var, arg-type]
    high = max(float(max(table["predicted"].max(), table["actual"].max())), low * 10)  # type: ignore[type-var, arg-type]
    axes.plot([low, high], [low, high], color=_GREY, linewidth=1, linestyle="--")
    axes.plot(
        table["predicted"].to_list(), table["actual"].to_list(), color=_ACTUAL, marker="o", markersize=4
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("predicted, mean of decile")
    axes.set_ylabel("actual")
    when = "next 12 months" if age_days is None else f"12-month LTV, predicted on day {age_days}"
    axes.set_title(when, fontsize=9)
    return _png(figure)


def quintile_chart(report: Report, age_days: int = HEADLINE_AGE) -> bytes:
    """Mean predicted and actual 12-month LTV of each quintile side by side; 1 is the top fifth."""
    table = report.quintile_table(age_days)
    figure, axes = _figure()
    places = table["ltv_quintile"].to_list()
    for shift, name, colour in ((-0.2, "predicted_ltv", _PREDICTED), (0.2, "actual_ltv", _ACTUAL)):
        heights = table[name].to_list()
        axes.bar([place + shift for place in places], heights, width=0.38, color=colour, label=name[:-4])
    axes.set_xticks(places)
    axes.set_xlabel("LTV quintile")
    axes.set_ylabel("12-month LTV")
    axes.set_title(f"Predicted on day {age_days} against actual", fontsize=9)
    axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 2.6), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_fontsize(8)
    axes.yaxis.label.set_fontsize(8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    picture = io.BytesIO()
    # Without the version of the library in it, the same figures give the same bytes.
    FigureCanvasAgg(figure).print_png(picture, metadata={"Software": None})
    return picture.getvalue()
