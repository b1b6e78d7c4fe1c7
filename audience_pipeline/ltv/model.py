"""The LTV model: one predictive answer for each row of customer features."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from audience_pipeline.ltv.boosters import is_whole
from audience_pipeline.ltv.calibration import Level, Odds, age_bucket
from audience_pipeline.ltv.distribution import Distribution, Prospects
from audience_pipeline.ltv.matrix import Customers, Floats, Ints
from audience_pipeline.ltv.outlook import KINDS, Outlook, OutlookModel, Weights
from audience_pipeline.ltv.snapshots import HORIZON_DAYS

FORMAT = 3
"""Of the model folder; a folder of another format is refused."""

_HIGH_FROM, _MEDIUM_FROM = 0.7, 0.4
_MINOR = 100.0
"""Minor units in a major one. A quotient is the nearest number to what was meant; a product is not."""
_CHUNK = 50_000
"""Rows that are predicted at once: bounds memory."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What brings outlooks to the level of what happened, learnt on customers that no model had seen."""

    first_year: tuple[Level, ...]
    """Of the value that remains of the first year, for each age bucket."""
    next_12m: Level
    first_year_weights: tuple[Weights, ...]
    """Of the value that remains of the first year, for each age bucket."""
    next_12m_weights: Weights
    again: Odds
    """Of the probability of an order in the rest of the first year."""
    repeat: Odds
    """Of the probability of an order in the next year."""

    def remaining(self, outlook: Outlook, bucket: Ints) -> Floats:
        """Expected net revenue of the rest of the first year, minor units."""
        blended = outlook.blended(np.asarray(self.first_year_weights)[bucket].T)
        logs = np.log(np.maximum(blended, 1e-9))
        shift = np.empty(len(logs))
        for number in np.flatnonzero(np.bincount(bucket)):
            rows = bucket == number
            shift[rows] = self.first_year[number].shift(logs[rows])
        value: Floats = np.exp(logs + shift)
        return value

    def next_year(self, outlook: Outlook) -> Floats:
        """Expected net revenue of the next year, minor units."""
        return self.next_12m.applied(outlook.blended(self.next_12m_weights))

    def prospects(self, outlook: Outlook, observed: Floats, bucket: Ints) -> Prospects:
        """What the distribution of the first year is made from."""
        return Prospects(bucket, observed, self.again.applied(outlook.again, bucket), outlook.log_value)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Calibration:
        """From a dictionary of the fields."""

        def level(one: dict[str, Any]) -> Level:
            return Level(tuple(one["at"]), tuple(one["to"]))

        return cls(
            first_year=tuple(level(one) for one in data["first_year"]),
            next_12m=level(data["next_12m"]),
            first_year_weights=tuple(_weights(one) for one in data["first_year_weights"]),
            next_12m_weights=_weights(data["next_12m_weights"]),
            again=Odds.from_json(data["again"]),
            repeat=Odds.from_json(data["repeat"]),
        )


@dataclass(frozen=True, slots=True)
class LtvModel:
    """Everything that is needed to score; see :meth:`predict`."""

    as_of: date
    """The last day whose data the model has seen."""
    horizon_days: int
    """Days of the windows that it has learnt from: 365, or fewer where no year was complete."""
    outlook: OutlookModel
    calibration: Calibration
    distribution: Distribution
    cuts: tuple[float, ...] = ()
    """Least predicted LTV of quintiles 1 to 4 in the base that the model was trained on."""

    def predict(self, features: pl.DataFrame, *, threads: int = 1, days: int = HORIZON_DAYS) -> pl.DataFrame:
        """Values of each row of customer features, row by row and in their order.

        Args:
            features: As made by ``features.customer_features``.
            threads: Parts of the rows that are predicted at once; changes nothing but the time.
            days: Length of the first window of a customer, and of the next one; 365 but where
                predictions are held against a shorter time.

        Returns:
            ``predicted_ltv, likely_ltv, ltv_p10, ltv_p90, next_12m_value`` in major units,
            ``within_30_probability, confidence, repeat_probability``. Once the first year is over the
            four LTV columns equal what was spent in it and the probability is 1.
        """
        parts = [features.slice(begin, _CHUNK) for begin in range(0, max(features.height, 1), _CHUNK)]

        def predicted(part: pl.DataFrame) -> pl.DataFrame:
            return pl.DataFrame(self.values(self.outlook.encoder.customers(part), days=days))

        if threads > 1 and len(parts) > 1:
            with ThreadPoolExecutor(threads) as pool:
                tables = list(pool.map(predicted, parts))
        else:
            tables = [predicted(part) for part in parts]
        table = pl.concat(tables)
        return table.with_columns(confidence(pl.col("within_30_probability")).alias("confidence"))

    def reasons(self, features: pl.DataFrame, count: int = 3) -> pl.Series:
        """Why the values are what they are: for each row the greatest reasons in plain words.

        Of customers whose first year is over they are those of ``next_12m_value``, else of what remains of
        the first year; see :mod:`audience_pipeline.ltv.reasons`.

        Returns:
            A list of at most ``count`` sentences for each row, such as ``ordered 4 times in 90 days, the
            last 6 days ago: +45 %``, the greatest effect first.
        """
        from audience_pipeline.ltv.reasons import reasons

        return reasons(self, features, count)

    def values(self, customers: Customers, *, days: int = HORIZON_DAYS) -> dict[str, Floats]:
        """The numbers of :meth:`predict`, row by row."""
        window = float(days)
        young = np.flatnonzero(customers.age < window - 1)
        year, rest = self._both_windows(customers, young, window)
        some = customers.take(young)
        bucket, observed = age_bucket(some.age), some.first_year
        remaining = self.calibration.remaining(rest, bucket)
        forecast = self.distribution.predict(self.calibration.prospects(rest, observed, bucket))
        fact = customers.first_year
        return {
            "predicted_ltv": _put(fact, young, observed + remaining) / _MINOR,
            "likely_ltv": _put(fact, young, forecast.likely) / _MINOR,
            "ltv_p10": _put(fact, young, forecast.p10) / _MINOR,
            "ltv_p90": _put(fact, young, forecast.p90) / _MINOR,
            "within_30_probability": _put(np.ones(len(fact)), young, forecast.within_30),
            "next_12m_value": self.calibration.next_year(year) / _MINOR,
            "repeat_probability": self.calibration.repeat.applied(year.again, age_bucket(customers.age)),
        }

    def _both_windows(self, customers: Customers, young: Ints, window: float) -> tuple[Outlook, Outlook]:
        """Outlooks of all for the next year, and of the young for the rest of their first one."""
        count = len(customers)
        rows = np.concatenate([np.arange(count), young])
        days = np.concatenate([np.full(count, window), window - 1.0 - customers.age[young]])
        outlook = self.outlook.predict(customers.take(rows), days)
        return outlook.take(slice(0, count)), outlook.take(slice(count, None))

    def save(self, folder: Path) -> None:
        """Write the model as LightGBM's text files and one JSON file."""
        folder.mkdir(parents=True, exist_ok=True)
        counts = {}
        for kind in KINDS:
            texts = getattr(self.outlook, kind).as_texts()
            counts[kind] = len(texts)
            for number, text in enumerate(texts):
                (folder / f"{kind}-{number}.txt").write_text(text, encoding="utf-8")
        data = {
            "format": FORMAT,
            "as_of": self.as_of.isoformat(),
            "horizon_days": self.horizon_days,
            "boosters": counts,
            "outlook": self.outlook.as_json(),
            "calibration": asdict(self.calibration),
            "distribution": self.distribution.as_json(),
            "cuts": self.cuts,
        }
        (folder / "model.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> LtvModel:
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: The folder holds no model, one of another format, or trees that are cut off.
        """
        path = folder / "model.json"
        if not path.is_file():
            raise ValueError(f"{folder} holds no LTV model: model.json is missing. Train one into it first.")
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.get("format") != FORMAT:
            raise ValueError(
                f"{folder} holds an LTV model of format {data.get('format')}; this version reads {FORMAT}. "
                "Train it again."
            )
        texts = {
            kind: [(folder / f"{kind}-{n}.txt").read_text(encoding="utf-8") for n in range(count)]
            for kind, count in data["boosters"].items()
        }
        if not all(is_whole(text) for several in texts.values() for text in several):
            raise ValueError(f"{folder} holds an LTV model whose trees are cut off. Train it again.")
        return cls(
            as_of=date.fromisoformat(data["as_of"]),
            horizon_days=data["horizon_days"],
            outlook=OutlookModel.from_json(data["outlook"], texts),
            calibration=Calibration.from_json(data["calibration"]),
            distribution=Distribution.from_json(data["distribution"]),
            cuts=tuple(data["cuts"]),
        )


def _weights(values: list[float]) -> Weights:
    purchase, hurdle, money = values
    return purchase, hurdle, money


def _put(values: Floats, rows: Ints, others: Floats) -> Floats:
    changed = values.copy()
    changed[rows] = others
    return changed


def confidence_of(probability: float) -> str:
    """:func:`confidence` of one customer."""
    if probability >= _HIGH_FROM:
        return "high"
    return "medium" if probability >= _MEDIUM_FROM else "low"


def confidence(probability: pl.Expr) -> pl.Expr:
    """``high`` from a probability of 0.7 on, ``medium`` from 0.4, else ``low``."""
    return (
        pl.when(probability >= _HIGH_FROM)
        .then(pl.lit("high"))
        .when(probability >= _MEDIUM_FROM)
        .then(pl.lit("medium"))
        .when(probability.is_not_null())
        .then(pl.lit("low"))
    )
