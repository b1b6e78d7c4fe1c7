"""Training: models that never saw a customer predict it, and from that everything else is measured.

Customers are parted into folds by a stable hash. Each fold is predicted by models of the others; these
held-out predictions say how far to trust the trees, calibrate, give the distribution and are evaluated.
The model that is returned is grown on all customers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv import quintiles
from audience_pipeline.ltv.boosters import BAG_PERCENT, BAGS, BAGS_OF_FEW, PARAMETERS, ROUNDS, TWEEDIE_POWER
from audience_pipeline.ltv.calibrating import calibrate, held_tables
from audience_pipeline.ltv.fitting import Base, fit_final, hold_out_folds
from audience_pipeline.ltv.held import HeldOut
from audience_pipeline.ltv.importances import importances
from audience_pipeline.ltv.matrix import Encoder
from audience_pipeline.ltv.minimum import check_history
from audience_pipeline.ltv.model import LtvModel
from audience_pipeline.ltv.outliers import Ordinary
from audience_pipeline.ltv.report import Report, build_report
from audience_pipeline.ltv.rows import FOLDS, Rows, as_they_were, build_rows
from audience_pipeline.ltv.seasons import Seasons
from audience_pipeline.ltv.snapshots import (
    AGES,
    HORIZON_DAYS,
    Horizon,
    calendar_days,
    first_orders,
    folds,
    labels,
    snapshot_days,
)

MAX_SNAPSHOTS = 150_000
"""More snapshots than these are thinned, which keeps training at a minute or so."""

RECIPE: Mapping[str, Any] = {
    **PARAMETERS,
    "rounds": ROUNDS,
    "bags": [BAGS, BAGS_OF_FEW],
    "bag_percent": BAG_PERCENT,
    "tweedie_variance_power": TWEEDIE_POWER,
    "folds": FOLDS,
    "ages": list(AGES),
    "max_snapshots": MAX_SNAPSHOTS,
}
"""Every parameter of training."""

Progress = Callable[[str, float], None]
"""Called with what is being done and the share that is done."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model, and what its quality can be measured on."""

    model: LtvModel
    held: HeldOut
    """Predictions of customers by models that never saw them, beside what they spent."""
    outliers: pl.DataFrame
    """Giant orders and returns that were set to an ordinary size in training: ``OUTLIERS_SCHEMA``."""
    summary: Mapping[str, Any]
    """What was trained on what."""


@dataclass(frozen=True, slots=True)
class Trained(Fitted):
    """A model and what is known of its quality."""

    report: Report


def train(
    orders: pl.LazyFrame,
    as_of: date,
    activity: pl.LazyFrame | None = None,
    *,
    seed: int = 7,
    threads: int = 2,
    progress: Progress | None = None,
    later: HeldOut | None = None,
) -> Trained:
    """:func:`fit` a model and measure it on the customers that its folds held out.

    Args:
        orders: As in :func:`fit`.
        as_of: As in :func:`fit`.
        activity: As in :func:`fit`.
        seed: As in :func:`fit`.
        threads: As in :func:`fit`.
        progress: As in :func:`fit`.
        later: Predictions of a later cohort, to be reported beside those of held-out customers.

    Raises:
        TooLittleHistory: See :func:`audience_pipeline.ltv.minimum.check_history`.
    """
    tell = progress or _silent
    fitted = fit(orders, as_of, activity, seed=seed, threads=threads, progress=progress)
    tell("evaluation", 0.9)
    report = build_report(
        held=fitted.held, later=later, importances=importances(fitted.model), summary=fitted.summary
    )
    tell("done", 1.0)
    return Trained(fitted.model, fitted.held, fitted.outliers, fitted.summary, report)


def fit(
    orders: pl.LazyFrame,
    as_of: date,
    activity: pl.LazyFrame | None = None,
    *,
    seed: int = 7,
    threads: int = 2,
    progress: Progress | None = None,
) -> Fitted:
    """Fit a model to what was known at the end of ``as_of``.

    Args:
        orders: The orders table; later rows are not read.
        as_of: The last day whose data may be used.
        activity: The customer activity table, if there is one; later rows are not read.
        seed: Of folds and trees: the same data and seed give the same model, bit for bit.
        threads: Boosters that grow at once, each on one core; changes nothing but the time.
        progress: Told of each step.

    Raises:
        TooLittleHistory: See :func:`audience_pipeline.ltv.minimum.check_history`.
    """
    tell = progress or _silent
    tell("looking at past days", 0.0)
    orders = orders.filter(pl.col("order_date") <= as_of)
    first = first_orders(orders, as_of)
    horizon = check_history(first, as_of)
    ordinary = Ordinary.of(orders)
    tamed = ordinary.tamed(orders)
    giants = ordinary.outliers(orders)
    rows, encoder = _rows(orders, tamed, giants, first, as_of, activity, horizon, seed)
    tell("looking at everybody today", 0.15)
    features = customer_features(tamed, as_of, activity).collect(engine="streaming").sort("customer_id")
    base = _base(features, encoder, horizon, Seasons.fit(orders, as_of), seed)

    held = hold_out_folds(
        rows, base, encoder, seed=seed, threads=threads,
        tell=lambda share: tell("models of some customers predict the others", 0.2 + 0.4 * share),
    )  # fmt: skip
    newest = calendar_days(first, as_of, horizon.days)[0]
    calibration, distribution, forecasts = calibrate(
        rows, held.outlook, newest, by_rule=horizon.days < HORIZON_DAYS
    )
    tell("model of all customers", 0.65)
    outlook = fit_final(rows, base, encoder, held.smear, seed=seed, threads=threads)
    uncut = LtvModel(as_of, horizon.days, outlook, calibration, distribution)
    cuts = quintiles.cut_points(uncut.predict(features, threads=threads)["predicted_ltv"])
    model = LtvModel(as_of, horizon.days, outlook, calibration, distribution, cuts)

    held_out = held_tables(rows, held.outlook, forecasts, newest, horizon.days)
    summary = {
        "as_of": as_of,
        "first_order": first["first_order"].min(),
        "customers": first.height,
        "training_customers": rows.frame["customer_id"].n_unique(),
        "training_rows": len(rows),
        "horizon_days": horizon.days,
        "first_orders_known_from": horizon.fresh_from or first["first_order"].min(),
        "outliers": giants.height,
        "outlier_above": ordinary.ceiling_minor * 0.01,
        "trust_in_trees": [1.0 - purchase for purchase, _, _ in calibration.first_year_weights],
        "other_multiples_from": list(distribution.margins),
        "parameters": {**RECIPE, "seed": seed},
    }
    return Fitted(model, held_out, giants, summary)


def _silent(_step: str, _share: float) -> None:
    """Progress that nobody wants to hear of."""


def _rows(
    orders: pl.LazyFrame,
    tamed: pl.LazyFrame,
    giants: pl.DataFrame,
    first: pl.DataFrame,
    as_of: date,
    activity: pl.LazyFrame | None,
    horizon: Horizon,
    seed: int,
) -> tuple[Rows, Encoder]:
    days = _thinned(snapshot_days(first, as_of, horizon.days), seed)
    features = customer_features(tamed, days.lazy(), activity).collect(engine="streaming")
    features = features.sort("customer_id", "as_of")
    is_giant = pl.col("customer_id").is_in(giants["customer_id"].unique().implode())
    raw = customer_features(orders.filter(is_giant), days.filter(is_giant).lazy())
    frame = as_they_were(features, raw.collect(engine="streaming"))
    encoder = Encoder.fit(features)
    learnt = labels(tamed, features, as_of, horizon.days)
    actual = learnt if giants.is_empty() else labels(orders, features, as_of, horizon.days)
    return build_rows(features, frame, learnt, actual, encoder, horizon, seed), encoder


def _base(features: pl.DataFrame, encoder: Encoder, horizon: Horizon, seasons: Seasons, seed: int) -> Base:
    known = features
    if horizon.fresh_from is not None:
        known = features.filter(pl.col("first_order") >= horizon.fresh_from)
    return Base(encoder.customers(known), folds(known["customer_id"], FOLDS, seed).to_numpy(), seasons)


def _thinned(days: pl.DataFrame, seed: int) -> pl.DataFrame:
    """As many snapshots as fit, chosen by a stable hash: some of every customer say more than all of some."""
    if days.height <= MAX_SNAPSHOTS:
        return days
    parts = 1000
    kept = MAX_SNAPSHOTS * parts // days.height
    spread = days["as_of"].to_physical().cast(pl.Int64) * 389
    return days.filter((folds(days["customer_id"], parts, seed + 2) + spread) % parts < kept)
