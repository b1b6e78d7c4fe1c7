"""From customers of requests to their predictions, with the functions of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from audience_pipeline.features.columns import Texts, feature_frame
from audience_pipeline.features.customer_features import few_customers_features
from audience_pipeline.ltv.model import LtvModel, confidence_of
from audience_pipeline.ltv.quintiles import of_one
from audience_pipeline.ltv.reasons import told
from audience_pipeline.ltv.scoring import PREDICTIONS_SCHEMA
from audience_pipeline.ltv.service.lines import EPOCH, orders_of
from audience_pipeline.ltv.service.requests import Customer

_NAMES = tuple(PREDICTIONS_SCHEMA)
_MINOR = 100.0


def predictions(model: LtvModel, version: str, customers: Sequence[Customer]) -> list[dict[str, Any]]:
    """The columns of ``PREDICTIONS_SCHEMA`` for each customer, in their order; dates as ISO text.

    A list of ``reasons`` follows for those who are asked for them.

    Args:
        model: The model.
        version: Stated beside each prediction.
        customers: Of any requests, each with an order on or before its ``as_of``. Names may repeat.
    """
    days = np.array([customer.as_of.toordinal() - EPOCH for customer in customers])
    features = few_customers_features(orders_of(customers), days)
    encoded = model.outlook.encoder.few_customers(features, len(customers))
    values = model.values(encoded)
    age, observed = features["age_days"], features["observed_minor"]
    assert not isinstance(age, Texts)  # noqa: S101 - both are numbers
    assert not isinstance(observed, Texts)  # noqa: S101
    columns: dict[str, Sequence[Any]] = {name: column.tolist() for name, column in values.items()}
    columns |= {
        "customer_id": [customer.customer_id for customer in customers],
        "prediction_date": [customer.as_of.isoformat() for customer in customers],
        "model_version": [version] * len(customers),
        "age_days": age.tolist(),
        "observed_value": (observed / _MINOR).tolist(),
        "confidence": [confidence_of(value) for value in columns["within_30_probability"]],
        "ltv_quintile": [of_one(value, model.cuts) for value in columns["predicted_ltv"]],
    }
    answers: list[dict[str, Any]] = [
        dict(zip(_NAMES, row, strict=True)) for row in zip(*(columns[name] for name in _NAMES), strict=True)
    ]
    asked = [number for number, customer in enumerate(customers) if customer.reasons]
    if asked:
        rows = feature_frame(pl.Series(columns["customer_id"]), days, features)[asked].iter_rows(named=True)
        for number, reasons in zip(asked, told(model, encoded.take(np.array(asked)), rows), strict=True):
            answers[number]["reasons"] = [sentence for _, sentence, _ in reasons]
    return answers
