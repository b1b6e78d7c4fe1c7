"""Which features the trees of a model gained most from."""

from __future__ import annotations

import polars as pl

from audience_pipeline.ltv.model import LtvModel


def importances(model: LtvModel) -> pl.DataFrame:
    """``model, feature, gain``: the share of the total gain of its splits, greatest first."""
    parts = []
    for name, part in (
        ("predicted_ltv", model.remaining),
        ("next_12m_value", model.next_12m),
        ("repeat_probability", model.repeat),
    ):
        if part.booster is None:
            continue
        gain = part.booster.feature_importance("gain")
        shares = {"feature": model.encoder.names, "gain": gain / max(float(gain.sum()), 1e-12)}
        parts.append(pl.DataFrame(shares).select(pl.lit(name).alias("model"), "feature", "gain"))
    schema = {"model": pl.String, "feature": pl.String, "gain": pl.Float64}
    table = pl.concat(parts) if parts else pl.DataFrame(schema=schema)
    return table.sort(["model", "gain", "feature"], descending=[False, True, False])
