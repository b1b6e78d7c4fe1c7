"""What customers will do in a window of days: order again or not, and for how much.

A purchase model (BG/NBD and Gamma-Gamma) says what to expect; boosted trees correct it in three ways:
the probability of an order, the logarithm of the net revenue if there is one (together a hurdle model),
and the expected net revenue at once (Tweedie). Where the trees know nothing, the purchase model stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from audience_pipeline.ltv.boosters import Boosters, Joined
from audience_pipeline.ltv.matrix import Customers, Encoder, Floats
from audience_pipeline.ltv.purchases import PurchaseModel
from audience_pipeline.ltv.typical import Typical

WINDOW_COLUMNS = ("window_days", "expected_orders", "alive", "expected_order_value", "expected_value")
"""Columns of the matrix after the encoded features; all but the first from the purchase model."""
_RARE = 1e-4
_FEW = 256
"""Up to so many rows are corrected by all trees in one call."""

Weights = tuple[float, float, float]
"""Shares of the purchase model, the hurdle model and the Tweedie trees in a forecast; they sum to 1."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the purchase model expects of each row in its window."""

    orders: Floats
    alive: Floats
    order_value: Floats
    """Net, minor units."""

    @property
    def money(self) -> Floats:
        """Net revenue, minor units."""
        return self.orders * self.order_value

    def columns(self, days: Floats) -> Floats:
        """:data:`WINDOW_COLUMNS` of each row."""
        return np.column_stack(
            [
                days,
                np.log(self.orders + 1e-6),
                self.alive,
                np.log(self.order_value + 1.0),
                self.money_start,
            ]
        )

    @property
    def money_start(self) -> Floats:
        """Logarithm of the expected net revenue."""
        start: Floats = np.log(self.money + 1.0)
        return start

    @property
    def again_start(self) -> Floats:
        """Log-odds of an order, were orders a Poisson process of the expected number."""
        probability = self._again
        start: Floats = np.log(probability) - np.log1p(-probability)
        return start

    @property
    def value_start(self) -> Floats:
        """Logarithm of the net revenue expected if there is an order."""
        start: Floats = np.log(np.maximum(self.orders / self._again, 1.0) * self.order_value + 1.0)
        return start

    @property
    def _again(self) -> Floats:
        probability: Floats = np.clip(-np.expm1(-self.orders), _RARE, 1.0 - _RARE)
        return probability


def expect(purchases: PurchaseModel, customers: Customers, days: Floats) -> Expectation:
    """What the purchase model says of each row in the ``days`` after it."""
    history = (customers.repeats, customers.recency, customers.age)
    return Expectation(
        orders=purchases.rate.expected(*history, days) * purchases.seasons.ahead(customers.day, days),
        alive=purchases.rate.alive(*history),
        order_value=purchases.value.expected(customers.repeats + 1.0, customers.mean),
    )


@dataclass(frozen=True, slots=True)
class Outlook:
    """Forecasts of each row for its window; money in minor units, not yet calibrated."""

    purchase: Floats
    """Net revenue by the purchase model alone."""
    again: Floats
    """Probability of at least one order."""
    log_value: Floats
    """Mean logarithm of the net revenue if there is one."""
    hurdle: Floats
    """Net revenue by the hurdle model."""
    money: Floats
    """Net revenue by the Tweedie trees."""

    def blended(self, weights: Weights | Floats) -> Floats:
        """Geometric mean of the purchase model, the hurdle model and the Tweedie trees.

        ``weights`` are three numbers, or a row of them for each of the three.
        """
        purchase, hurdle, money = weights
        logs = purchase * np.log(self.purchase + 1.0) + hurdle * np.log(self.hurdle + 1.0)
        mixed: Floats = np.exp(logs + money * np.log(self.money + 1.0))
        return mixed

    def take(self, rows: Any) -> Outlook:
        """Some of the rows."""
        return Outlook(
            self.purchase[rows], self.again[rows], self.log_value[rows], self.hurdle[rows], self.money[rows]
        )


@dataclass(frozen=True)
class OutlookModel:
    """Everything that is needed for an :class:`Outlook`."""

    purchases: PurchaseModel
    encoder: Encoder
    again: Boosters
    value: Boosters
    money: Boosters
    smear: float
    """Mean of exp(residual) of the logarithms: turns the mean logarithm into a mean (Duan 1983)."""
    longest: float
    """Days of the longest window that the trees have seen; they take a longer one for it."""
    typical: Typical
    """What the reasons of a customer compare it with."""

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the matrix."""
        return (*self.encoder.names, *WINDOW_COLUMNS)

    def matrix(self, customers: Customers, expected: Expectation, days: Floats) -> Floats:
        """Rows and columns as the trees know them."""
        return np.column_stack(
            [self.encoder.encoded(customers), expected.columns(np.minimum(days, self.longest))]
        )

    def predict(self, customers: Customers, days: Floats) -> Outlook:
        """Forecasts for the ``days`` after each row."""
        expected = expect(self.purchases, customers, days)
        return self.outlook(expected, self.matrix(customers, expected, days))

    def outlook(self, expected: Expectation, matrix: Floats) -> Outlook:
        """The same from a matrix that is there already."""
        if len(matrix) <= _FEW:
            corrections = self._joined.corrections(matrix)
        else:
            corrections = [getattr(self, kind).correction(matrix) for kind in KINDS]
        for_again, for_value, for_money = corrections
        again = 1.0 / (1.0 + np.exp(-(expected.again_start + for_again)))
        log_value = expected.value_start + for_value
        money = np.exp(expected.money_start + for_money)
        return Outlook(expected.money, again, log_value, again * np.exp(log_value) * self.smear, money)

    @cached_property
    def _joined(self) -> Joined:
        return Joined([getattr(self, kind) for kind in KINDS])

    def as_json(self) -> dict[str, Any]:
        """For the model folder, without the trees."""
        return {
            "purchases": self.purchases.as_json(),
            "encoder": self.encoder.as_json(),
            "smear": self.smear,
            "longest": self.longest,
            "typical": self.typical.as_json(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], texts: dict[str, list[str]]) -> Self:
        """The inverse of :meth:`as_json`; ``texts`` are the trees by name."""
        trees = {name: Boosters.from_texts(texts[name]) for name in KINDS}
        return cls(
            purchases=PurchaseModel.from_json(data["purchases"]),
            encoder=Encoder.from_json(data["encoder"]),
            smear=data["smear"],
            longest=data["longest"],
            typical=Typical.from_json(data["typical"]),
            **trees,
        )


KINDS = ("again", "value", "money")
"""The boosters of an :class:`OutlookModel` by name."""
