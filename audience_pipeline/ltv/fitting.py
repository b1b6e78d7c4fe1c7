"""Outlook models fitted on some customers, and held-out outlooks of all."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from audience_pipeline.ltv.boosters import Boosters, Ground, bag, bags_for
from audience_pipeline.ltv.matrix import Bools, Customers, Encoder, Floats, Ints
from audience_pipeline.ltv.outlook import KINDS, Expectation, Outlook, OutlookModel, expect
from audience_pipeline.ltv.purchases import OrderRate, OrderValue, PurchaseModel
from audience_pipeline.ltv.rows import FOLDS, Rows
from audience_pipeline.ltv.seasons import Seasons
from audience_pipeline.ltv.typical import Typical

_WINSORISED_AT = 0.995
_LEAST_VALUE = 0.05
"""Net revenue below this share of the median counts as so much, where logarithms are learnt."""


@dataclass(frozen=True, slots=True)
class Base:
    """Customers at the end of the data, from their first order on: what the purchase model is fitted on."""

    customers: Customers
    fold: Ints
    seasons: Seasons


def fit_purchases(base: Base, inside: Bools) -> PurchaseModel:
    """BG/NBD and Gamma-Gamma of some customers."""
    from threadpoolctl import threadpool_limits

    some = base.customers.take(inside)
    # The searches are over four numbers: threads of linear algebra would only wait for each other.
    with threadpool_limits(1, user_api="blas"):
        rate = OrderRate.fit(some.repeats, some.recency, some.age)
        value = OrderValue.fit(some.repeats + 1.0, some.mean)
    return PurchaseModel(rate, value, base.seasons)


def fit_outlook(
    rows: Rows,
    inside: Bools,
    purchases: PurchaseModel,
    encoder: Encoder,
    *,
    bags: int,
    seed: int,
    threads: int,
) -> OutlookModel:
    """Grow the trees on some rows.

    Args:
        rows: Training rows of all customers.
        inside: Which of them to learn from.
        purchases: Fitted on the same customers or fewer.
        encoder: Knows the levels; learns their effects here.
        bags: Parts of the customers that trees are grown on.
        seed: Of features and thresholds.
        threads: Boosters that grow at once; changes nothing but the time.
    """
    some = rows.take(inside)
    customers = some.customers.take(some.snapshot)
    expected = expect(purchases, customers, some.days)
    spent = np.clip(some.spent, 0.0, _high(some.spent))
    encoder, effects = encoder.fit_effects(customers.levels, spent, expected.money, some.part)
    matrix = np.column_stack([customers.numbers, effects, expected.columns(some.days)])
    jobs = _jobs(some, spent, expected)
    ground = Ground(matrix, seed)
    del matrix

    def grow(job: tuple[str, int]) -> object:
        kind, number = job
        at, label, start = jobs[kind]
        chosen = bag(some.part[at], number) if bags > 1 else np.ones(len(at), dtype=bool)
        return ground.grow(kind, at[chosen], label[chosen], start[chosen], seed + number)

    with ThreadPoolExecutor(max(1, threads)) as pool:
        grown = list(pool.map(grow, [(kind, number) for kind in KINDS for number in range(bags)]))
    trees = {
        kind: Boosters(tuple(tree for tree in grown[first : first + bags] if tree is not None))
        for kind, first in zip(KINDS, range(0, 3 * bags, bags), strict=True)
    }
    season = purchases.seasons.ahead(customers.day, some.days)
    typical = Typical.fit(expected, some.days, some.age, some.first_window, season)
    longest = float(rows.days.max())
    return OutlookModel(purchases, encoder, smear=1.0, longest=longest, typical=typical, **trees)


def _high(spent: Floats) -> float:
    return max(float(np.quantile(spent, _WINSORISED_AT)), 0.0)


def _jobs(rows: Rows, spent: Floats, expected: Expectation) -> dict[str, tuple[Ints, Floats, Floats]]:
    """For each kind of booster: rows, labels and starting scores."""
    everybody = np.arange(len(rows))
    buyers = np.flatnonzero(rows.ordered & (rows.spent > 0))
    logs = log_spent(spent[buyers])
    return {
        "again": (everybody, rows.ordered.astype(np.float64), expected.again_start),
        "value": (buyers, logs, expected.value_start[buyers]),
        "money": (everybody, spent, expected.money_start),
    }


def log_spent(spent: Floats) -> Floats:
    """Logarithms of positive net revenues, tiny ones raised."""
    if not len(spent):
        return spent
    logs: Floats = np.log(np.maximum(spent, max(_LEAST_VALUE * float(np.median(spent)), 1.0)))
    return logs


@dataclass(frozen=True, slots=True)
class HeldOutlook:
    """Outlooks of every row by models that saw none of the customer."""

    outlook: Outlook
    smear: float


def hold_out_folds(
    rows: Rows, base: Base, encoder: Encoder, *, seed: int, threads: int, tell: Callable[[float], None]
) -> HeldOutlook:
    """Predict each fold by models of the others."""
    size = len(rows)
    starts = {kind: np.zeros(size) for kind in KINDS}
    corrections = {kind: np.zeros(size) for kind in KINDS}
    purchase = np.zeros(size)
    for number in range(FOLDS):
        out = rows.fold == number
        if not out.any():
            continue
        purchases = fit_purchases(base, base.fold != number)
        model = fit_outlook(rows, ~out, purchases, encoder, bags=1, seed=seed, threads=threads)
        held = rows.take(out)
        customers = held.customers.take(held.snapshot)
        expected = expect(purchases, customers, held.days)
        matrix = model.matrix(customers, expected, held.days)
        for kind, start in zip(
            KINDS, (expected.again_start, expected.value_start, expected.money_start), strict=True
        ):
            starts[kind][out] = start
            corrections[kind][out] = getattr(model, kind).correction(matrix)
        purchase[out] = expected.money
        tell((number + 1) / FOLDS)
    spent = np.clip(rows.spent, 0.0, _high(rows.spent))
    buyers = rows.ordered & (rows.spent > 0)
    logs = log_spent(spent[buyers])
    scores = {kind: starts[kind] + corrections[kind] for kind in KINDS}
    smear = float(np.mean(np.exp(logs - scores["value"][buyers]))) if buyers.any() else 1.0
    again = 1.0 / (1.0 + np.exp(-scores["again"]))
    hurdle = again * np.exp(scores["value"]) * smear
    outlook = Outlook(purchase, again, scores["value"], hurdle, np.exp(scores["money"]))
    return HeldOutlook(outlook, smear)


def fit_final(
    rows: Rows, base: Base, encoder: Encoder, smear: float, *, seed: int, threads: int
) -> OutlookModel:
    """The model of all customers; ``smear`` is that of held-out outlooks."""
    everybody = np.ones(len(rows), dtype=bool)
    purchases = fit_purchases(base, np.ones(len(base.fold), dtype=bool))
    model = fit_outlook(
        rows, everybody, purchases, encoder, bags=bags_for(len(rows)), seed=seed, threads=threads
    )
    return replace(model, smear=smear)
