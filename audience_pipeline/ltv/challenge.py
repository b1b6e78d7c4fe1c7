"""Whether a newly trained model replaces the champion.

Both are asked for the 12-month LTV of customers whose first year ended after the champion's last day of
data, so that the champion has not seen what they spent; the challenger answers with models that never saw
the customer. (It has seen others of the same weeks. That is what newer data are for.)

One figure rules: the Tweedie deviance of ``predicted_ltv`` with power 1.5. It is least, on average, for
the true mean (Gneiting 2011, "Making and evaluating point forecasts"), so no forecast gains by being low,
as it does with the absolute error of skewed values; it sees both order and level, of which the Gini sees
the order alone; and with forecasts and values above the 99th percentile cut there, giant orders do not
decide it, as they do with squared errors. The other figures are shown beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from audience_pipeline.ltv.model import LtvModel
from audience_pipeline.ltv.paired import compare
from audience_pipeline.ltv.snapshots import HORIZON_DAYS, folds
from audience_pipeline.ltv.verdict import Figure, Verdict, cannot_score

LEAST_CUSTOMERS = 200
"""Customers whom a champion has not seen, below which others are looked at beside them."""
LEAST_WHEN_OLD = 30
"""The same for a champion that is due, else a small shop would keep its first model for ever."""
MOST_CUSTOMERS = 20_000
"""More are thinned by a stable hash, which keeps a comparison to seconds."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """The customers that two models are compared on."""

    rows: pl.DataFrame
    """Held-out predictions of the challenger, as in ``held.HELD_SCHEMA``."""
    unseen: bool
    """Whether all their outcomes lie after the champion's last day of data."""

    @property
    def customers(self) -> int:
        """How many different ones."""
        return self.rows["customer_id"].n_unique()


def is_due(champion_as_of: date, as_of: date, champion_days: int | None) -> bool:
    """Whether a champion is so old that an equally good model replaces it; never with None."""
    return champion_days is not None and (as_of - champion_as_of).days >= champion_days


def newest_cohort(
    held: pl.DataFrame, champion_as_of: date, *, giants: pl.Series | None = None, due: bool = False
) -> Cohort:
    """The complete customers whose first year ended after the champion's last day of data.

    Where they are fewer than 200 (30 when the champion is :func:`due <is_due>`), the newest quarter of all
    complete customers.

    Args:
        held: The challenger's ``HeldOut.ltv``; rows of windows shorter than a year are left out.
        champion_as_of: The last day whose data the champion has seen.
        giants: Ids of customers with giant orders, who are left out: training took these orders for ordinary
            ones, so that the challenger was shown another past than the champion.
        due: Of :func:`is_due`.
    """
    complete = held.filter(pl.col("days") == HORIZON_DAYS)
    if giants is not None:
        complete = complete.filter(~pl.col("customer_id").is_in(giants.implode()))
    over = pl.col("first_order") + pl.duration(days=HORIZON_DAYS - 1)
    rows = complete.filter(over > champion_as_of)
    unseen = True
    if rows["customer_id"].n_unique() < (LEAST_WHEN_OLD if due else LEAST_CUSTOMERS):
        first = complete.select("customer_id", "first_order").unique().sort("first_order", "customer_id")
        newest = first.tail(-(-first.height // 4))
        rows, unseen = complete.join(newest.select("customer_id"), on="customer_id", how="semi"), False
    if (many := rows["customer_id"].n_unique()) > MOST_CUSTOMERS:
        parts = 1000
        rows = rows.filter(folds(rows["customer_id"], parts, 0) < MOST_CUSTOMERS * parts // many)
    return Cohort(rows.sort("customer_id", "as_of"), unseen)


def judge(
    champion: LtvModel,
    version: str,
    cohort: Cohort,
    features: pl.DataFrame,
    *,
    as_of: date,
    due: str = "",
) -> Verdict:
    """Compare the champion with a challenger and decide.

    Args:
        champion: The current champion.
        version: Its version.
        cohort: Of :func:`newest_cohort`.
        features: Customer features of the cohort's ``customer_id, as_of``, in any order.
        as_of: The last day whose data the challenger has seen.
        due: Why the challenger only has to be not worse, in words that go on from "which is enough
            because"; empty where it has to be better.
    """
    rows = cohort.rows
    if rows.is_empty():
        newer = as_of > champion.as_of
        return Verdict(
            promoted=newer,
            reason="No customer has completed a first year, so nothing can be compared: "
            + ("the model that has seen more data takes over." if newer else f"version {version} stays."),
            champion=version,
            champion_as_of=champion.as_of.isoformat(),
        )
    ordered = rows.select("customer_id", "as_of").join(
        features, on=["customer_id", "as_of"], how="left", maintain_order="left"
    )
    try:
        said = champion.predict(ordered)
    except unable() as error:
        return cannot_score(version, f"today's features do not fit it ({type(error).__name__}: {error})")
    figures = compare(rows, said)
    ruling = next(figure for figure in figures if figure.rules)
    promoted = ruling.outcome == "better" or (bool(due) and ruling.outcome == "alike")
    return Verdict(
        promoted=promoted,
        reason=_reason(ruling, version, champion.as_of, cohort, due),
        customers=cohort.customers,
        unseen=cohort.unseen,
        figures=figures,
        champion=version,
        champion_as_of=champion.as_of.isoformat(),
    )


def unable() -> tuple[type[Exception], ...]:
    """What a model may raise that does not fit today's features."""
    from lightgbm.basic import LightGBMError

    return (pl.exceptions.PolarsError, ValueError, TypeError, KeyError, IndexError, AttributeError,
            LightGBMError)  # fmt: skip


def _reason(ruling: Figure, version: str, champion_as_of: date, cohort: Cohort, due: str) -> str:
    size = max(ruling.champion, 1e-12)
    change = (
        f"the Tweedie deviance of predicted_ltv changes by {ruling.difference / size:+.1%} "
        f"(95 % interval {ruling.low / size:+.1%} to {ruling.high / size:+.1%}; less is better)"
    )
    match ruling.outcome:
        case "better":
            told = f"Better than version {version} beyond noise: {change}"
        case "worse":
            told = f"Worse than version {version} beyond noise: {change}"
        case _ if due:
            told = f"Not worse than version {version} beyond noise, which is enough because {due}: {change}"
        case _:
            told = f"Not better than version {version} beyond noise: {change}"
    if cohort.unseen:
        return (
            f"{told}, on {cohort.customers:,} customers whose first year ended after {champion_as_of}, the "
            "last day that version had seen."
        )
    return (
        f"{told}, on the newest quarter of complete customers ({cohort.customers:,}). Too few first years "
        f"have ended since {champion_as_of}: version {version} may have learned from these, an advantage."
    )
