"""Which features the trees of a model gained most from."""

from __future__ import annotations

import numpy as np
import polars as pl

from audience_pipeline.ltv.model import LtvModel
from audience_pipeline.ltv.topics import described

_NAMES = {
    "money": "expected value",
    "again": "probability of another order",
    "value": "value of what follows",
}


def importances(model: LtvModel) -> pl.DataFrame:
    """``model, feature, gain``: the share of the total gain of its splits, greatest first."""
    parts = []
    for kind, name in _NAMES.items():
        trees = getattr(model.outlook, kind).boosters
        if not trees:
            continue
        gain = np.sum([tree.feature_importance("gain") for tree in trees], axis=0)
        shares = {"feature": model.outlook.names, "gain": gain / max(float(gain.sum()), 1e-12)}
        parts.append(pl.DataFrame(shares).select(pl.lit(name).alias("model"), "feature", "gain"))
    schema = {"model": pl.String, "feature": pl.String, "gain": pl.Float64}
    table = pl.concat(parts) if parts else pl.DataFrame(schema=schema)
    return table.sort(["model", "gain", "feature"], descending=[False, True, False])


def with_descriptions(table: pl.DataFrame) -> pl.DataFrame:
    """``model, feature, description, gain`` of what :func:`importances` found."""
    said = pl.Series("description", [described(name) for name in table["feature"]], dtype=pl.String)
    return table.with_columns(said).select("model", "feature", "description", "gain")
