"""Pictures of a model's quality, as small PNG files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from audience_pipeline.ltv.report import Report
from audience_pipeline.ltv.report_tables import CONSTANT, LAST_12M, PURCHASE_MODEL, Tables

SIZE = (6.4, 3.6)
DPI = 110
IMPORTANT_FEATURES = 12
FEW = 20
"""Customers below which a share says nothing."""
_LIGHT, _DARK, _ORANGE, _GREEN, _GREY = "#9db8d9", "#1f4e8c", "#c05a00", "#3d7a4b", "#8a8a8a"
_QUINTILES = {1: "1 (top 20 %)", 5: "5 (bottom 20 %)"}
_CURVES = (
    ("model", "model", _DARK, "-", 2.0),
    ("bg_nbd_gamma_gamma", PURCHASE_MODEL, _GREEN, "--", 1.4),
    ("spend_so_far", "spend so far", _ORANGE, "-.", 1.4),
    ("last_12_months", LAST_12M, _GREY, ":", 1.4),
)


def pictures(report: Report) -> dict[str, bytes]:
    """All pictures of a report at its headline age, by name."""
    return {
        "quintiles": quintile_chart(report),
        "calibration": calibration_chart(report),
        "calibration_next_12m": calibration_chart(report, "next_12m"),
        "reliability": reliability_chart(report),
        "coverage": coverage_chart(report),
        "gain": gain_chart(report),
        "importance": importance_chart(report),
    }


def calibration_chart(tables: Tables, target: str = "ltv", age_days: int | None = None) -> bytes:
    """Mean predicted against mean actual value of each decile: on the line, money is where it is said.

    Args:
        tables: Of a report.
        target: ``ltv`` or ``next_12m``.
        age_days: Days after the first order at which customers were predicted, by default those of the
            headline; not looked at for ``next_12m``.
    """
    age = None if target == "next_12m" else _age(tables, age_days)
    table = tables.deciles.filter((pl.col("target") == target) & pl.col("age_days").eq_missing(age))
    figure, axes = _figure()
    if table.is_empty():
        return _nothing(figure, axes)
    predicted, actual = table["predicted"].to_numpy(), table["actual"].to_numpy()
    values = np.concatenate([predicted, actual])
    if values.max() <= 0:
        return _nothing(figure, axes)
    low, high = float(values[values > 0].min()), float(values.max())
    left = min(float(values.min()), 0.0) if (values <= 0).any() else low * 0.7
    line = np.geomspace(low * 0.7, high * 1.4, 50)
    axes.fill_between(line, line * 0.8, line * 1.2, color="#e8eef6", linewidth=0, label="within 20 %")
    axes.plot(line, line, color=_GREY, linewidth=1, linestyle="--", label="predicted = actual")
    axes.plot(predicted, actual, color=_DARK, marker="o", markersize=5, linewidth=1, label="a tenth each")
    for scale, limit in ((axes.set_xscale, axes.set_xlim), (axes.set_yscale, axes.set_ylim)):
        # Linear below the least positive mean: a tenth may spend nothing net.
        scale("symlog", linthresh=low, linscale=0.3)
        limit(left, high * 1.4)
    for axis in (axes.xaxis, axes.yaxis):
        _plain_ticks(axis, left, low * 0.7, high * 1.4)
    axes.set_xlabel("predicted, mean of a tenth of the customers")
    axes.set_ylabel("actual, mean")
    axes.set_title(f"{_what(target, age)}: predicted against actual", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return _png(figure)


def quintile_chart(tables: Tables, age_days: int | None = None) -> bytes:
    """Mean predicted and actual 12-month LTV of each quintile side by side; 1 is the top fifth."""
    age = _age(tables, age_days)
    table = tables.quintile_table(age)
    figure, axes = _figure()
    if table.is_empty():
        return _nothing(figure, axes)
    places = table["ltv_quintile"].to_numpy()
    for shift, name, colour in ((-0.2, "predicted_ltv", _LIGHT), (0.2, "actual_ltv", _DARK)):
        heights = table[name].to_list()
        bars = axes.bar(places + shift, heights, width=0.38, color=colour, label=name[:-4])
        axes.bar_label(bars, [_money(height) for height in heights], fontsize=7, padding=2)
    axes.margins(y=0.12)
    axes.set_xticks(places, [_QUINTILES.get(int(place), str(place)) for place in places])
    axes.set_ylabel("12-month LTV, mean")
    axes.yaxis.set_major_formatter(lambda value, _place: _money(value))
    axes.set_title(f"Quintiles, predicted {_when(age)}", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def reliability_chart(tables: Tables, age_days: int | None = None) -> bytes:
    """How often the likely value was within 30 %, by how probable that was said to be."""
    age = _age(tables, age_days)
    table = tables.reliability.filter(
        (pl.col("probability") == "within_30_probability") & (pl.col("age_days") == age)
    )
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    _quiet(axes)
    _quiet(below)
    if table.is_empty():
        return _nothing(figure, axes)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--", label="stated = realised")
    stated, size = table["stated"].to_numpy(), table["customers"].to_numpy()
    share, enough = table["realised"].to_numpy(), size >= FEW
    # One in twenty would lie outside these bounds by chance.
    error = 1.96 * np.sqrt(np.clip(share * (1 - share), 1e-4, None) / size)
    axes.errorbar(
        stated[enough], share[enough], yerr=error[enough], color=_DARK, marker="o", markersize=5, linewidth=1,
        capsize=2, label="measured",
    )  # fmt: skip
    if not enough.all():
        axes.plot(stated[~enough], share[~enough], color=_LIGHT, marker="o", markersize=3, linestyle="",
                  label=f"fewer than {FEW} customers")  # fmt: skip
    axes.set_ylim(0, 1)
    axes.set_xlim(0, 1)
    axes.set_ylabel("came true")
    axes.set_title(f"Probability of being within 30 %, {_when(age)}", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    middle = (table["low"].to_numpy() + table["high"].to_numpy()) / 2
    below.bar(middle, size / size.sum(), width=0.09, color=_LIGHT)
    below.set_ylabel("share of\ncustomers")
    below.set_xlabel("stated probability")
    for axis in (axes.yaxis, axes.xaxis, below.yaxis):
        axis.set_major_formatter(_percent)
    return _png(figure)


def coverage_chart(tables: Tables, age_days: int | None = None) -> bytes:
    """Share within 30 % among the surest customers, beside an ordering by number of orders."""
    age = _age(tables, age_days)
    table = tables.coverage.filter(pl.col("age_days") == age)
    figure, axes = _figure()
    if table.is_empty():
        return _nothing(figure, axes)
    shares = table["share"].to_list()
    surest, grouped = table["most_confident_first"].to_list(), table["by_number_of_orders"].to_list()
    axes.axhline(0.7, color=_GREY, linewidth=1, linestyle=":", label="70 %, promised for high confidence")
    axes.plot(shares, grouped, color=_ORANGE, linestyle="--", label="grouped by number of orders")
    axes.plot(shares, surest, color=_DARK, linewidth=2, label="most confident first")
    lowest = min(*grouped, *surest, 0.65)
    axes.set_ylim(max(0.0, lowest - 0.05), min(1.0, max(*grouped, *surest, 0.75) + 0.1))
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(_percent)
    axes.yaxis.set_major_formatter(_percent)
    axes.set_xlabel("share of customers, surest first")
    axes.set_ylabel("within 30 %")
    axes.set_title(f"How sure for how many, {_when(age)}", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def gain_chart(tables: Tables, target: str = "ltv", age_days: int | None = None) -> bytes:
    """Share of all value that the best customers brought, by the order of each forecast (a gain curve)."""
    age = None if target == "next_12m" else _age(tables, age_days)
    table = tables.gain.filter((pl.col("target") == target) & pl.col("age_days").eq_missing(age)).sort(
        "share"
    )
    figure, axes = _figure()
    if table.is_empty():
        return _nothing(figure, axes)
    shares = table["share"].to_list()
    axes.plot(shares, table["perfect"].to_list(), color="#bbbbbb", linewidth=1, label="perfect order")
    drawn: list[list[float]] = []
    for column, label, colour, style, width in _CURVES:
        curve = table[column].to_list()
        # Within the first year what was spent in 12 months is what was spent so far: one curve is enough.
        if None not in curve and curve not in drawn:
            drawn.append(curve)
            axes.plot(shares, curve, color=colour, linestyle=style, linewidth=width, label=label)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8, linestyle=(0, (1, 3)), label=CONSTANT)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_major_formatter(_percent)
    axes.yaxis.set_major_formatter(_percent)
    axes.set_xlabel("share of customers, the greatest forecast first")
    axes.set_ylabel("share of actual value")
    axes.set_title(f"{_what(target, age)}: who brings it", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return _png(figure)


def importance_chart(report: Report, model: str | None = None) -> bytes:
    """The features that the trees of one of the models (by default the first) gained most from."""
    figure, axes = _figure()
    if report.importances.is_empty():
        return _nothing(figure, axes)
    model = model or str(report.importances["model"][0])
    table = report.importances.filter(pl.col("model") == model).head(IMPORTANT_FEATURES).reverse()
    # A dollar sign would begin a formula.
    names = [
        name.removesuffix("_minor").replace("_", " ").replace("$", r"\$")
        for name in table["feature"].to_list()
    ]
    bars = axes.barh(range(len(names)), table["gain"].to_list(), color=_DARK, height=0.65)
    axes.set_yticks(range(len(names)), names)
    axes.bar_label(bars, [f"{gain:.1%}" for gain in table["gain"].to_list()], fontsize=7, padding=3)
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter(_percent)
    axes.set_xlabel("share of the total gain of splits")
    axes.set_title(f"What it rests on: {model}", fontsize=10, loc="left")
    return _png(figure)


def _age(tables: Tables, age_days: int | None) -> int:
    return tables.headline_age if age_days is None else age_days


def _what(target: str, age: int | None) -> str:
    return "Next-12-month value" if target == "next_12m" else f"12-month LTV {_when(age or 0)}"


def _when(age: int) -> str:
    return "on the day of the first order" if age == 0 else f"{age} days after the first order"


def _money(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}".removesuffix(".00")


def _percent(value: float, _place: int | None = None) -> str:
    return f"{value:.0%}"


def _plain_ticks(axis: Any, left: float, low: float, high: float) -> None:
    """Ticks at 1, 2 and 5 times powers of ten; powers alone where those would be many."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    steps: Sequence[int] = (1, 2, 5) if high / low < 300 else (1,)
    ticks = np.sort(np.concatenate([powers * step for step in steps]))
    axis.set_ticks([*([0.0] if left <= 0 else []), *ticks[(ticks >= low) & (ticks <= high)]])
    axis.set_ticks([], minor=True)
    axis.set_major_formatter(lambda value, _place: _money(value))


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    _quiet(axes)
    return figure, axes


def _quiet(axes: Any) -> None:
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_fontsize(8)
    axes.yaxis.label.set_fontsize(8)
    axes.spines[["top", "right"]].set_visible(False)


def _nothing(figure: Any, axes: Any) -> bytes:
    axes.set_axis_off()
    axes.text(0.5, 0.5, "nothing was measured", ha="center", va="center", color=_GREY)
    return _png(figure)


def _png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    picture = io.BytesIO()
    # Without the version of the library in it, the same figures give the same bytes.
    FigureCanvasAgg(figure).print_png(picture, metadata={"Software": None})
    return picture.getvalue()
