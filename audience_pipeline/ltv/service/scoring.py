"""From customers of requests to their predictions, with the functions of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from audience_pipeline.customers.orders import orders
from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv.model import LtvModel
from audience_pipeline.ltv.scoring import score
from audience_pipeline.ltv.service.requests import Customer
from audience_pipeline.sources.contract import LANDED, Kind

_SCHEMA = LANDED[Kind.TRANSACTIONS]
_LINE = [name for name in _SCHEMA if name != "customer_id"]


def predictions(model: LtvModel, version: str, customers: Sequence[Customer]) -> list[dict[str, Any]]:
    """The columns of ``PREDICTIONS_SCHEMA`` for each customer, in their order; dates as ISO text.

    Args:
        model: The model.
        version: Stated beside each prediction.
        customers: Of any requests, each with an order on or before its ``as_of``. Names may repeat.
    """
    # Rows are told apart by position: two requests may name the same customer. Text sorts like the number.
    keys = [f"{number:09}" for number in range(len(customers))]
    columns = zip(*(line for customer in customers for line in customer.lines), strict=True)
    lines = pl.DataFrame(
        {
            "customer_id": [
                key for key, customer in zip(keys, customers, strict=True) for _ in customer.lines
            ],
            **dict(zip(_LINE, columns, strict=True)),
        },
        schema=_SCHEMA,
    )
    days = {customer.as_of for customer in customers}
    day = next(iter(days))
    seen = (
        pl.LazyFrame({"customer_id": keys, "as_of": [customer.as_of for customer in customers]})
        if len(days) > 1
        else day
    )
    features = customer_features(orders(lines.lazy()), seen).collect()
    scored = score(model, features, prediction_date=day, model_version=version, quintile_by="cut_points")
    if scored["customer_id"].to_list() != keys:
        raise RuntimeError("predictions are not those of the customers that were asked for")
    answers = scored.to_dicts()
    for answer, customer in zip(answers, customers, strict=True):
        answer["customer_id"] = customer.customer_id
        answer["prediction_date"] = customer.as_of.isoformat()
    return answers
