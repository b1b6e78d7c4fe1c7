"""Recency, frequency and monetary value as scores from 1 to 5, and a name for each combination."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from audience_pipeline.customers.arrays import Ints, ordered, whole

FIFTHS = 5
RFM_SCHEMA = pl.Schema(
    {
        "customer_id": pl.String,
        "recency_score": pl.Int64,
        "frequency_score": pl.Int64,
        "monetary_score": pl.Int64,
        "rfm_group": pl.String,
    }
)

GROUPS: Mapping[int, tuple[str, str, str, str, str]] = {
    # recency: by (frequency + monetary) / 2, halves rounded up: 1, 2, 3, 4, 5
    5: ("new", "promising", "promising", "champion", "champion"),
    4: ("new", "promising", "promising", "loyal", "loyal"),
    3: ("about_to_sleep", "about_to_sleep", "needs_attention", "loyal", "loyal"),
    2: ("hibernating", "hibernating", "at_risk", "at_risk", "at_risk"),
    1: ("lost", "lost", "hibernating", "cannot_lose", "cannot_lose"),
}
"""The name of each combination of scores.

========  ==============  ==============  ===============  ===========  ===========
recency   frequency and monetary score, mean of both
--------  -------------------------------------------------------------------------
..        1               2               3                4            5
========  ==============  ==============  ===============  ===========  ===========
5         new             promising       promising        champion     champion
4         new             promising       promising        loyal        loyal
3         about_to_sleep  about_to_sleep  needs_attention  loyal        loyal
2         hibernating     hibernating     at_risk          at_risk      at_risk
1         lost            lost            hibernating      cannot_lose  cannot_lose
========  ==============  ==============  ===============  ===========  ===========
"""


def rfm(features: pl.DataFrame) -> pl.DataFrame:
    """Scores of every customer: a rank in the whole base, a fifth of it each; 5 is the best fifth.

    Recency is the days since the latest order (fewer is better), frequency the number of orders, monetary
    the net revenue so far. Of customers with the same number the one who is better by the other two measures
    (in that order) ranks higher, and at last the one whose id comes first: nothing else can move a customer.

    Args:
        features: ``customer_id, recency_days, orders, observed_minor``, one row per customer.

    Returns:
        ``RFM_SCHEMA``, sorted by ``customer_id``.
    """
    rows = features.select("customer_id", "recency_days", "orders", "observed_minor").sort("customer_id")
    recency = whole(rows["recency_days"])
    orders, money = -whole(rows["orders"]), -whole(rows["observed_minor"])
    scores = {
        "recency_score": _scores(recency, orders, money),
        "frequency_score": _scores(orders, recency, money),
        "monetary_score": _scores(money, recency, orders),
    }
    both = (scores["frequency_score"] + scores["monetary_score"] + 1) // 2
    names = np.array([GROUPS[score] for score in range(1, FIFTHS + 1)], dtype=np.str_)
    group = pl.Series("rfm_group", names[scores["recency_score"] - 1, both - 1], dtype=pl.String)
    return pl.DataFrame({"customer_id": rows["customer_id"], **scores, "rfm_group": group}, RFM_SCHEMA)


def _scores(*best_first: Ints) -> Ints:
    """Fifths of the rows in ascending order of the columns, the first counting most; equal rows in turn."""
    count = len(best_first[0])
    found = np.empty(count, dtype=np.int64)
    found[ordered(*best_first)] = FIFTHS - np.arange(count) * FIFTHS // max(count, 1)
    return found
