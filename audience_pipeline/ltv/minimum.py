"""How much history a model needs, and what to say when there is less."""

from __future__ import annotations

import math
from datetime import date, timedelta

import polars as pl

from audience_pipeline.ltv.snapshots import HORIZONS, MIN_COMPLETE, Horizon, longest_horizon
from audience_pipeline.ltv.wording import count

MIN_CUSTOMERS = 500
MIN_DAYS = 183


class TooLittleHistory(Exception):  # noqa: N818
    """A model cannot be trained yet; the message says what is missing and when it will suffice."""

    def __init__(
        self, message: str, *, customers: int, days: int, complete: int, suffices_on: date | None
    ) -> None:
        super().__init__(message)
        self.customers = customers
        self.days = days
        self.complete = complete
        self.suffices_on = suffices_on
        """The day on which the data will suffice if customers keep coming as they did; None if unknown."""


def check_history(first: pl.DataFrame, as_of: date) -> Horizon:
    """Refuse to train on too little, or say what can be learnt from.

    Args:
        first: ``customer_id, first_order`` of everybody who had bought by ``as_of``.
        as_of: The last day whose data may be used.

    Raises:
        TooLittleHistory: Fewer than 500 customers, less than six months, or no horizon of at least 90 days
            that is complete for 200 customers.
    """
    dates = first["first_order"].sort()
    if dates.is_empty():
        raise TooLittleHistory(
            f"There is no order up to {as_of}, so no model can be trained. Ingest transactions first.",
            customers=0,
            days=0,
            complete=0,
            suffices_on=None,
        )
    begin: date = dates[0]
    customers, days = dates.len(), (as_of - begin).days + 1
    shortest = HORIZONS[-1]
    complete = int((dates <= as_of - timedelta(days=shortest - 1)).sum())
    missing: list[str] = []
    suffices: list[date] = []
    if customers < MIN_CUSTOMERS:
        missing.append(f"{_customers_have(customers)} bought and {MIN_CUSTOMERS} are needed")
        suffices.append(as_of + timedelta(days=math.ceil((MIN_CUSTOMERS - customers) * days / customers)))
    if days < MIN_DAYS:
        missing.append(f"orders cover {count(days, 'day')} and {MIN_DAYS} are needed")
        suffices.append(begin + timedelta(days=MIN_DAYS - 1))
    horizon = longest_horizon(first, as_of)
    if horizon is None:
        least = max(MIN_COMPLETE, customers // 4)
        missing.append(
            f"{_customers_have(complete)} been observed for {shortest} days and {least:,} are needed"
        )
        nth: date = dates[min(customers, least) - 1]
        suffices.append(nth + timedelta(days=shortest))
    if horizon is not None and not missing:
        return horizon
    when = max(suffices)
    raise TooLittleHistory(
        f"Too little history to train on: {'; '.join(missing)}. Orders run from {begin} to {as_of}. "
        f"At the present pace it will suffice about {when}; until then no value is predicted. "
        "If older transactions exist, ingest them.",
        customers=customers,
        days=days,
        complete=complete,
        suffices_on=when,
    )


def _customers_have(number: int) -> str:
    return count(number, "customer has", "customers have")
