"""Pictures of segments."""

from __future__ import annotations

import io

import polars as pl


def segment_sizes(cards: pl.DataFrame) -> bytes:
    """A bar per segment, the largest on top, with its customers and their mean observed value, as PNG.

    Args:
        cards: what :func:`audience_pipeline.segments.scorecards.scorecards` returns.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = cards.sort(["customers", "segment_id"], descending=[False, True])
    figure = Figure(figsize=(9, 1.2 + 0.5 * max(1, rows.height)), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    bars = axes.barh(rows["segment"].to_list(), rows["customers"].to_list(), color="#4c72b0", height=0.65)
    labels = [
        f"{customers:,} ({share:.0%}), {value:,.0f} each"
        if value is not None
        else f"{customers:,} ({share:.0%})"
        for customers, share, value in rows.select("customers", "share", "observed_value").iter_rows()
    ]
    axes.bar_label(bars, labels, padding=4, fontsize=9)
    axes.margins(x=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("customers")
    axes.set_title("Segments: customers and mean value so far", loc="left")
    picture = io.BytesIO()
    # Without the version of matplotlib in it, the same table is the same picture.
    FigureCanvasAgg(figure).print_png(picture, metadata={"Software": None})
    return picture.getvalue()
