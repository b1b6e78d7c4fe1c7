"""The LTV model: one predictive answer for each row of customer features."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from audience_pipeline.ltv.boosters import MoneyModel, RepeatModel, Start, remaining_share
from audience_pipeline.ltv.distribution import Distribution
from audience_pipeline.ltv.matrix import Encoder, Floats
from audience_pipeline.ltv.snapshots import LAST_AGE

FORMAT = 1
"""Of the model folder; a folder of another format is refused."""

FIRST_YEAR_SPENT = "first_year_minor"
NEXT_12M_SPENT = "net_365d_minor"
_HIGH_FROM, _MEDIUM_FROM = 0.7, 0.4
_MAJOR = 0.01
_FILES = ("remaining.txt", "next_12m.txt", "repeat.txt")


@dataclass(frozen=True, slots=True)
class LtvModel:
    """Everything that is needed to score; see :meth:`predict`."""

    as_of: date
    """The last day whose data the model has seen."""
    encoder: Encoder
    remaining: MoneyModel
    next_12m: MoneyModel
    repeat: RepeatModel
    distribution: Distribution
    cuts: tuple[float, ...] = ()
    """Least predicted LTV of quintiles 1 to 4 in the base that the model was trained on."""

    def predict(self, features: pl.DataFrame) -> pl.DataFrame:
        """Values of each row of customer features, row by row and in their order.

        Args:
            features: As made by ``features.customer_features``.

        Returns:
            ``predicted_ltv, likely_ltv, ltv_p10, ltv_p90, next_12m_value`` in major units,
            ``within_30_probability, confidence, repeat_probability``. Once the first year is over the
            four LTV columns equal what was spent in it and the probability is 1.
        """
        matrix = self.encoder.matrix(features)
        age = floats(features, "age_days")
        observed = floats(features, FIRST_YEAR_SPENT)
        predicted = observed + self.remaining.predict(matrix, observed, remaining_share(age), age)
        forecast = self.distribution.predict(age, observed, predicted)
        over = age >= LAST_AGE
        next_12m = self.next_12m.predict(matrix, floats(features, NEXT_12M_SPENT), np.ones(len(age)), age)
        probability = np.where(over, 1.0, forecast.within_30)
        table = pl.DataFrame(
            {
                "predicted_ltv": np.where(over, observed, predicted) * _MAJOR,
                "likely_ltv": np.where(over, observed, forecast.likely) * _MAJOR,
                "ltv_p10": np.where(over, observed, forecast.p10) * _MAJOR,
                "ltv_p90": np.where(over, observed, forecast.p90) * _MAJOR,
                "within_30_probability": probability,
                "next_12m_value": next_12m * _MAJOR,
                "repeat_probability": self.repeat.predict(matrix),
            }
        )
        return table.with_columns(confidence(pl.col("within_30_probability")).alias("confidence"))

    def save(self, folder: Path) -> None:
        """Write the model as LightGBM's text files and one JSON file."""
        folder.mkdir(parents=True, exist_ok=True)
        boosters = (self.remaining.booster, self.next_12m.booster, self.repeat.booster)
        for name, booster in zip(_FILES, boosters, strict=True):
            text = "" if booster is None else booster.model_to_string(num_iteration=-1)
            (folder / name).write_text(text, encoding="utf-8")
        data = {
            "format": FORMAT,
            "as_of": self.as_of.isoformat(),
            "encoder": self.encoder.as_json(),
            "remaining": {"start": asdict(self.remaining.start), "factors": self.remaining.factors},
            "next_12m": {"start": asdict(self.next_12m.start), "factors": self.next_12m.factors},
            "repeat": {"constant": self.repeat.constant},
            "distribution": self.distribution.as_json(),
            "cuts": self.cuts,
        }
        (folder / "model.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> LtvModel:
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: The folder holds no model, or one of another format.
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
        remaining, next_12m, repeat = (_booster(folder / name) for name in _FILES)
        return cls(
            as_of=date.fromisoformat(data["as_of"]),
            encoder=Encoder.from_json(data["encoder"]),
            remaining=_money(data["remaining"], remaining),
            next_12m=_money(data["next_12m"], next_12m),
            repeat=RepeatModel(repeat, data["repeat"]["constant"]),
            distribution=Distribution.from_json(data["distribution"]),
            cuts=tuple(data["cuts"]),
        )


def floats(frame: pl.DataFrame, name: str) -> Floats:
    """A column as floating-point numbers."""
    return frame[name].cast(pl.Float64).to_numpy()


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


def _booster(path: Path) -> Any | None:
    import lightgbm

    text = path.read_text(encoding="utf-8")
    return lightgbm.Booster(model_str=text) if text else None


def _money(data: dict[str, Any], booster: Any | None) -> MoneyModel:
    return MoneyModel(Start(**data["start"]), booster, tuple(data["factors"]))
