"""How often customers will come back and how much they will spend then: BG/NBD and Gamma-Gamma.

Fader, Hardie and Lee 2005 ("Counting your customers the easy way", Marketing Science 24) for orders;
Fader and Hardie 2013 ("The Gamma-Gamma model of monetary value") for order values. Times are days in the
interface and are scaled inside; money is in minor units.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from audience_pipeline.ltv.matrix import Floats
from audience_pipeline.ltv.seasons import Seasons

_UNIT = 30.0
"""Days in the unit of time of the likelihood: keeps all parameters near 1."""
_STARTS = ((0.5, 4.0, 0.8, 2.0), (0.25, 1.0, 0.4, 1.2), (1.0, 8.0, 0.6, 4.0), (0.7, 2.0, 1.5, 1.5))
_PULL = 1.0
"""Weight of the squared logarithms of the parameters, in customers: holds them where data say nothing."""
_MOST = 15_000
"""Distinct histories beyond these are thinned evenly; parameters of millions and of these agree."""


@dataclass(frozen=True, slots=True)
class OrderRate:
    """BG/NBD: customers buy at their own rate until, after some order, they drop out."""

    r: float
    alpha: float
    """In units of 30 days."""
    a: float
    b: float

    @classmethod
    def fit(cls, repeats: Floats, recency_days: Floats, age_days: Floats) -> Self:
        """Maximum likelihood with a small pull of the log parameters to zero, from four starts.

        Args:
            repeats: Purchase days after the first.
            recency_days: Days from the first to the last purchase day; 0 without repeats.
            age_days: Days observed since the first purchase; customers of day 0 tell nothing.
        """
        from scipy.optimize import minimize

        rows = np.column_stack([repeats, recency_days, age_days])[age_days > 0]
        if not len(rows):
            return cls(*_STARTS[0])
        pull = _PULL / len(rows)
        rows, weight = np.unique(rows, axis=0, return_counts=True)
        step = -(-len(rows) // _MOST)
        rows, weight = rows[::step], weight[::step] / weight[::step].sum()
        x, recency, age = rows[:, 0], rows[:, 1] / _UNIT, rows[:, 2] / _UNIT

        def loss(logs: Floats) -> float:
            value = -float(weight @ _log_likelihood(np.exp(logs), x, recency, age))
            return value + pull * float(logs @ logs) if np.isfinite(value) else 1e9

        fits = [
            minimize(loss, np.log(start), method="L-BFGS-B", bounds=[(-6.0, 6.0)] * 4) for start in _STARTS
        ]
        best = min(fits, key=lambda fit: float(fit.fun))
        return cls(*(float(value) for value in np.exp(best.x)))

    def alive(self, repeats: Floats, recency_days: Floats, age_days: Floats) -> Floats:
        """Probability that a customer has not dropped out (equation of Fader, Hardie and Lee 2008)."""
        log_odds = np.log(self.a) - np.log(self.b + np.maximum(repeats, 1) - 1)
        log_odds = log_odds + (self.r + repeats) * np.log(
            (self.alpha + age_days / _UNIT) / (self.alpha + recency_days / _UNIT)
        )
        gone = np.where(repeats > 0, np.exp(np.minimum(log_odds, 700.0)), 0.0)
        probability: Floats = 1.0 / (1.0 + gone)
        return probability

    def expected(self, repeats: Floats, recency_days: Floats, age_days: Floats, days: Floats) -> Floats:
        """Expected purchase days in the next ``days`` (equation 10 of Fader, Hardie and Lee 2005).

        Where the hypergeometric function leaves the range of floating point (hundreds of orders), the
        customer's rate times the days that it will be alive for stands in.
        """
        from scipy.special import hyp2f1

        # The formula has a pole at a = 1; its limit is finite and close by on both sides.
        a = self.a if abs(self.a - 1.0) > 1e-3 else 1.001
        future, age = days / _UNIT, age_days / _UNIT
        shape, rest = self.r + repeats, self.b + repeats
        until = self.alpha + age + future
        with np.errstate(all="ignore"):
            reached = np.exp(shape * (np.log(self.alpha + age) - np.log(until)))
            series = hyp2f1(shape, rest, a + rest - 1.0, future / until)
            count = (a + rest - 1.0) / (a - 1.0) * (1.0 - reached * series)
        rate = shape / (self.alpha + age)
        leaving = rate * a / (a + rest)
        plain = rate * -np.expm1(-leaving * future) / leaving
        usable = np.isfinite(count) & (count >= 0) & (count <= rate * future * 1.000001)
        expected: Floats = np.where(usable, count, plain) * self.alive(repeats, recency_days, age_days)
        return expected


@dataclass(frozen=True, slots=True)
class OrderValue:
    """Gamma-Gamma: the mean value of a customer's orders, shrunk towards that of all."""

    p: float
    q: float
    level: float
    """Scale of the prior in minor units; the prior mean is ``p * level / (q - 1)``."""
    ceiling: float
    """Greatest mean order value that counts, minor units: a giant order bends nothing."""

    @classmethod
    def fit(cls, count: Floats, mean: Floats) -> Self:
        """Maximum likelihood with a small pull, on means cut at a robust ceiling.

        Args:
            count: Purchase days of each customer, at least 1.
            mean: Mean net revenue of them in minor units; those of 0 (all came back) are left out.
        """
        from scipy.optimize import minimize
        from scipy.special import gammaln

        keep = (mean > 0) & (count > 0)
        count, mean = count[keep], mean[keep]
        if not len(mean):
            return cls(1.0, 2.0, 1.0, 1.0)
        ceiling = robust_ceiling(mean)
        pull = _PULL / len(mean)
        step = -(-len(mean) // _MOST)
        unit = float(np.median(mean))
        n, m = count[::step], np.minimum(mean, ceiling)[::step] / unit

        def loss(logs: Floats) -> float:
            p, over, v = np.exp(logs)
            q = over + 1.0
            value = -float(
                np.mean(
                    gammaln(p * n + q) - gammaln(p * n) - gammaln(q) + q * np.log(v)
                    + (p * n - 1) * np.log(m) + p * n * np.log(n) - (p * n + q) * np.log(v + n * m)
                )
            )  # fmt: skip
            return value + pull * float(logs @ logs) if np.isfinite(value) else 1e9

        fits = [
            minimize(loss, np.log(start), method="L-BFGS-B", bounds=[(-6.0, 6.0)] * 3)
            for start in ((2.0, 2.0, 2.0), (6.0, 3.0, 15.0))
        ]
        best = min(fits, key=lambda fit: float(fit.fun))
        p, over, v = (float(value) for value in np.exp(best.x))
        return cls(p, over + 1.0, v * unit, ceiling)

    def expected(self, count: Floats, mean: Floats) -> Floats:
        """Expected mean value of a customer's further orders, minor units."""
        seen = np.clip(mean, 0.0, self.ceiling)
        value: Floats = self.p * (self.level + count * seen) / (self.p * count + self.q - 1.0)
        return value


@dataclass(frozen=True, slots=True)
class PurchaseModel:
    """Expected net revenue of a customer in the days to come, without any boosting."""

    rate: OrderRate
    value: OrderValue
    seasons: Seasons
    """How much more or less is ordered in the days ahead than on ordinary ones."""

    def as_json(self) -> dict[str, Any]:
        """For the model folder."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of :meth:`as_json`."""
        return cls(OrderRate(**data["rate"]), OrderValue(**data["value"]), Seasons.from_json(data["seasons"]))


def robust_ceiling(values: Floats) -> float:
    """Above this a value is an outlier: far above both the 99 % quantile and the log-normal centre.

    Thirty times the 99 % quantile, or five robust standard deviations of the logarithm above the median
    (1.4826 times the median absolute deviation, Rousseeuw and Croux 1993), whichever is greater.
    """
    positive = values[values > 0]
    if not len(positive):
        return 0.0
    logs = np.log(positive)
    centre = float(np.median(logs))
    spread = 1.4826 * float(np.median(np.abs(logs - centre)))
    return float(max(30.0 * np.quantile(positive, 0.99), np.exp(centre + 5.0 * spread)))


def _log_likelihood(parameters: Floats, x: Floats, recency: Floats, age: Floats) -> Floats:
    from scipy.special import gammaln, logsumexp

    r, alpha, a, b = parameters
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    common = common + gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    stays = -(r + x) * np.log(alpha + age)
    leaves = np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + recency)
    both: Floats = common + logsumexp([stays, np.where(x > 0, leaves, -np.inf)], axis=0)
    return both
