"""Held-out predictions that need no model: customers whose future is known, and forecasts of it."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from audience_pipeline.ltv.held import HELD_SCHEMA, HeldOut
from audience_pipeline.ltv.intervals import ceiling

BEGIN = date(2024, 1, 1)


def make_held(
    customers: int = 600,
    ages: tuple[int, ...] = (0, 30, 90, 180),
    *,
    seed: int = 3,
    noise: float = 0.5,
    days: int = 365,
) -> HeldOut:
    """Forecasts around log-normal truth, spread ``noise`` at age 0 and less later; honest about it."""
    draw = np.random.default_rng(seed)
    first = [BEGIN + timedelta(days=int(day)) for day in draw.integers(0, 300, customers)]
    final = draw.lognormal(4, 0.8, customers)
    parts = []
    for age in ages:
        left = noise * (1 - age / 365)
        forecast = final * draw.lognormal(0, left, customers)
        observed = final * (0.3 + 0.7 * age / 365)
        parts.append(
            {
                "as_of": [day + timedelta(days=age) for day in first],
                "age_days": [age] * customers,
                "observed_value": observed,
                "predicted": forecast * np.exp(-(left**2) / 2),
                "likely": 0.954 * forecast,
                "p10": forecast * np.exp(-1.2816 * left),
                "p90": forecast * np.exp(1.2816 * left),
                "within_30_probability": np.full(customers, ceiling(left)),
                "actual": final,
            }
        )
    again = draw.random(customers)
    parts_next = {
        "as_of": [date(2024, 12, 31)] * customers,
        "age_days": [(date(2024, 12, 31) - day).days for day in first],
        "observed_value": final,
        "predicted": final * again,
        "repeat_probability": again,
        "repeated": draw.random(customers) < again,
        "actual": final * np.clip(again + draw.normal(0, 0.1, customers), 0, None),
    }
    ltv = pl.concat([_frame(part, first, draw, days) for part in parts])
    return HeldOut(ltv=ltv, next_12m=_frame(parts_next, first, draw, days))


def _frame(
    columns: dict[str, object], first: list[date], draw: np.random.Generator, days: int
) -> pl.DataFrame:
    actual, observed = np.asarray(columns["actual"]), np.asarray(columns["observed_value"])
    frame = pl.DataFrame(
        {
            "customer_id": [f"c{number:05d}" for number in range(len(first))],
            "first_order": first,
            "orders": 1 + draw.poisson(1.0, len(first)),
            "last_12m": observed,
            "purchase_model": observed * 1.6,
            "global_mean": np.full(len(first), actual.mean()),
            "days": [days] * len(first),
            **columns,
        }
    )
    return frame.select(
        pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in HELD_SCHEMA.items()
    )


IMPORTANCES = pl.DataFrame(
    {
        "model": ["predicted_ltv", "predicted_ltv", "next_12m_value"],
        "feature": ["recency_days", "<script>alert('$1$')</script>", "orders"],
        "gain": [0.3, 0.7, 1.0],
    }
)
