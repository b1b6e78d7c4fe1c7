"""Pictures of results."""

from __future__ import annotations

import io

import polars as pl


def cohort_chart(table: pl.DataFrame) -> bytes:
    """Mean predicted and actual 12-month LTV of each month of first orders, as PNG.

    Args:
        table: what :func:`audience_pipeline.results.cohorts.cohorts` returns.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.2), dpi=100, layout="constrained")
    axes = figure.subplots()
    months = table["cohort"].dt.strftime("%Y-%m").to_list()
    at = list(range(len(months)))
    axes.bar(
        at, _heights(table, "actual_so_far"), color="#d8d8d8", width=0.8, label="spent so far, everybody"
    )
    for name, colour, label in (
        ("predicted", "#9db8d9", "predicted, at the earliest prediction"),
        ("predicted_of_complete", "#5b8cc4", "the same, first year over"),
        ("actual", "#1f4e8c", "actual, first year over"),
    ):
        axes.plot(
            at, _heights(table, name), color=colour, marker="o", markersize=3, linewidth=1.2, label=label
        )
    step = max(1, len(months) // 12)
    axes.set_xticks(at[::step], months[::step], rotation=45, ha="right")
    axes.tick_params(labelsize=8)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("12-month LTV, mean", fontsize=8)
    axes.set_title("Predicted against actual, by month of the first order", fontsize=9, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=7)
    picture = io.BytesIO()
    # Without the version of matplotlib in it, the same table is the same picture.
    FigureCanvasAgg(figure).print_png(picture, metadata={"Software": None})
    return picture.getvalue()


def _heights(table: pl.DataFrame, name: str) -> list[float]:
    return table[name].fill_null(float("nan")).to_list()
