"""What customers do on the website and with messages, and when: windows, habits, latest days.

Counts are sums of whole numbers, so that neither the order of the rows nor the other customers change one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.audiences.activity import EVENTS
from audience_pipeline.audiences.fields import DAYPARTS, WEEKDAYS, WINDOWS
from audience_pipeline.customers.arrays import NONE, Floats, Ints, named, starts

CUSTOMERS_AT_ONCE = 500_000
"""Customers whose events are in memory together."""
YEAR = WINDOWS[-1]

COUNTED = {
    "product_views": "product_view",
    "carts": "add_to_cart",
    "searches": "search",
    "checkouts": "checkout",
    "emails_sent": "email_sent",
    "email_opens": "email_open",
    "email_clicks": "email_click",
    "unsubscribes": "unsubscribe",
    "sms_sent": "sms_sent",
    "sms_clicks": "sms_click",
}
"""Beginning of a field's name to the event that it counts."""

_KINDS = tuple(EVENTS.values())
_NUMBER = {event: _KINDS.index(activity) for event, activity in EVENTS.items()}
_WEB = np.array([activity.startswith("web:") for activity in _KINDS])
_UNKNOWN = len(DAYPARTS)
_LONG_AGO = 32_000
"""Days; what happened before counts as this old."""
_NEVER = np.iinfo(np.int16).max
_WEEK = len(WEEKDAYS)
_WEEKEND = slice(WEEKDAYS.index("sat"), _WEEK)
_COUNTS = ("visits", "web_events", *COUNTED)

BEHAVIOUR_SCHEMA = pl.Schema(
    {"customer_id": pl.String}
    | {f"{stem}_{days}d": pl.Int32 for days in WINDOWS for stem in _COUNTS}
    | {f"email_{what}_rate_{days}d": pl.Float64 for days in WINDOWS for what in ("open", "click")}
    | dict.fromkeys(("days_since_visit", "days_since_email_open", "days_since_email_click"), pl.Int32)
    | {"favourite_category_90d": pl.String, "usual_device": pl.String}
    | {"visit_daypart": pl.String, "visit_weekday": pl.String, "visit_weekend_share": pl.Float64}
    | {"order_daypart": pl.String, "order_weekday": pl.String, "order_weekend_share": pl.Float64}
    | {"newsletter_reader": pl.Boolean}
)


def behaviour(activity: pl.LazyFrame, customers: pl.Series, as_of: date) -> pl.DataFrame:
    """Behaviour of customers up to a day; nothing dated later is read.

    A visit is a day with an event on the website, and counts for each part of the day on which there was
    one. Of parts of a day or weekdays that are equally frequent the earlier one is named, of categories and
    devices the first by name.

    Args:
        activity: ``customer_activity``, with customer ids after identity resolution.
        customers: ids, each once.
        as_of: the last day that is seen.

    Returns:
        ``BEHAVIOUR_SCHEMA``, one row per customer in the order given. Counts of a customer without events
        are 0; rates, days and habits are null.
    """
    parts = range(0, max(len(customers), 1), CUSTOMERS_AT_ONCE)
    past = activity.filter(pl.col("activity_date") <= as_of)
    return pl.concat([_of_part(past, customers.slice(first, CUSTOMERS_AT_ONCE), as_of) for first in parts])


def _of_part(past: pl.LazyFrame, customers: pl.Series, as_of: date) -> pl.DataFrame:
    events = _Events.of(past, customers, as_of)
    counts = {f"{stem}_{days}d": column for stem, days, column in events.counts()}
    columns: dict[str, pl.Series | npt.NDArray[np.generic]] = {**counts, **events.latest(), **events.habits()}
    for days in WINDOWS:
        sent = counts[f"emails_sent_{days}d"]
        for what in ("open", "click"):
            columns[f"email_{what}_rate_{days}d"] = _share(counts[f"email_{what}s_{days}d"], sent)
    columns["customer_id"] = customers
    return pl.DataFrame(
        [
            pl.Series(name, columns[name], nan_to_null=dtype == pl.Float64).cast(dtype)
            for name, dtype in BEHAVIOUR_SCHEMA.items()
        ]
    )


class _Events:
    """The events of numbered customers as columns of small numbers."""

    def __init__(self, rows: pl.DataFrame, count: int, as_of: date) -> None:
        self._rows = rows
        self._count = count
        self._as_of = as_of
        self._customer = rows["customer"].to_numpy()
        self._age = rows["age"].to_numpy()
        self._kind = rows["kind"].to_numpy()
        self._times = rows["events"].to_numpy()
        self._window = np.searchsorted(np.array(WINDOWS, dtype=np.int16), self._age, side="right").astype(
            np.int8
        )
        self._is_web = _WEB[self._kind]
        self._visits = self._visit_days_and_parts()

    @classmethod
    def of(cls, past: pl.LazyFrame, customers: pl.Series, as_of: date) -> Self:
        numbers = pl.LazyFrame({"customer_id": customers}).with_row_index("customer")
        age = (pl.lit(as_of) - pl.col("activity_date")).dt.total_days().clip(upper_bound=_LONG_AGO)
        words = pl.Categorical(pl.Categories.random())
        rows = past.join(numbers, on="customer_id", how="inner").select(
            "customer",
            age.cast(pl.Int16).alias("age"),
            pl.col("activity").cast(pl.Enum(_KINDS), strict=False).to_physical().alias("kind"),
            pl.col("daypart").cast(pl.Enum(DAYPARTS), strict=False).to_physical().fill_null(_UNKNOWN),
            pl.col("category", "device").cast(words),
            pl.col("events").cast(pl.Int32),
        )
        return cls(rows.drop_nulls("kind").collect(engine="streaming"), len(customers), as_of)

    def _visit_days_and_parts(self) -> Ints:
        """Each customer, day and part of the day with a web event in a year, once, as ascending numbers."""
        rows = self._is_web & (self._age < YEAR)
        day = self._customer[rows].astype(np.int64) * YEAR + self._age[rows]
        found: Ints = day * (_UNKNOWN + 1) + self._rows["daypart"].to_numpy()[rows]
        found.sort()
        once: Ints = found[starts(found)]
        return once

    def _tally(self, customer: Ints, value: Ints, values: int, weights: Ints | None = None) -> Ints:
        """How often each customer (row) has each value (column)."""
        # Whole numbers below 2**53 are exact as floats, which bincount sums weights in.
        found = np.bincount(customer * np.int64(values) + value, weights, minlength=self._count * values)
        return found.astype(np.int64).reshape(self._count, values)

    def counts(self) -> Iterator[tuple[str, int, npt.NDArray[np.int32]]]:
        """Beginning of the name, window and counts of every field that counts."""
        for stem in _COUNTS:
            up_to = self._by_window(stem).cumsum(axis=1)
            for at, days in enumerate(WINDOWS):
                # Copied in less space, so that the table itself can be forgotten.
                yield stem, days, up_to[:, at].astype(np.int32)

    def _by_window(self, stem: str) -> Ints:
        """Counts of the events whose smallest window is each of them; at last those in none."""
        windows = len(WINDOWS) + 1
        if stem == "visits":
            days, _ = self._visit_days()
            smallest = np.searchsorted(np.array(WINDOWS), days % YEAR, side="right")
            return self._tally(days // YEAR, smallest, windows)
        rows = self._is_web if stem == "web_events" else self._kind == _NUMBER[COUNTED[stem]]
        return self._tally(self._customer[rows], self._window[rows], windows, self._times[rows])

    def _visit_days(self) -> tuple[Ints, Ints]:
        """Customers and days with a visit, each once, and the part of the day of every visit."""
        day, part = np.divmod(self._visits, _UNKNOWN + 1)
        return day[starts(day)], part

    def _days_since(self, *events: str) -> Ints:
        rows = np.isin(self._kind, [_NUMBER[event] for event in events])
        found = np.full(self._count, _NEVER, dtype=np.int16)
        np.minimum.at(found, self._customer[rows], self._age[rows])
        return found.astype(np.int64)

    def latest(self) -> dict[str, pl.Series | npt.NDArray[np.generic]]:
        """Days since the latest visit and e-mail, and who reads the newsletter."""
        web = [event for event, number in _NUMBER.items() if _WEB[number]]
        opened, clicked = self._days_since("email_open"), self._days_since("email_click")
        mailed = np.minimum(np.minimum(opened, clicked), self._days_since("email_sent"))
        return {
            "days_since_visit": _known(self._days_since(*web)),
            "days_since_email_open": _known(opened),
            "days_since_email_click": _known(clicked),
            "newsletter_reader": (mailed < YEAR) & (mailed < self._days_since("unsubscribe")),
        }

    def habits(self) -> dict[str, pl.Series | npt.NDArray[np.generic]]:
        """The most frequent part of the day, weekday, device and category."""
        days, part = self._visit_days()
        known = part < _UNKNOWN
        visitor = self._visits // (YEAR * (_UNKNOWN + 1))
        visits_by_part = self._tally(visitor[known], part[known], _UNKNOWN)
        visits_by_weekday = self._tally(days // YEAR, self._weekday(days % YEAR), _WEEK)
        orders = self._kind == _NUMBER["order"]
        buyer, times = self._customer[orders], self._times[orders]
        orders_by_part = self._tally(buyer, self._rows["daypart"].to_numpy()[orders], _UNKNOWN + 1, times)[
            :, :_UNKNOWN
        ]
        orders_by_weekday = self._tally(buyer, self._weekday(self._age[orders]), _WEEK, times)
        views = (pl.col("kind") == _NUMBER["product_view"]) & (pl.col("age") < 90)
        on_web = pl.col("kind").is_in(np.flatnonzero(_WEB).tolist()) & (pl.col("age") < YEAR)
        return {
            "visit_daypart": _favourite(visits_by_part, DAYPARTS),
            "visit_weekday": _favourite(visits_by_weekday, WEEKDAYS),
            "visit_weekend_share": _weekend_share(visits_by_weekday),
            "order_daypart": _favourite(orders_by_part, DAYPARTS),
            "order_weekday": _favourite(orders_by_weekday, WEEKDAYS),
            "order_weekend_share": _weekend_share(orders_by_weekday),
            "favourite_category_90d": self._most_frequent("category", views),
            "usual_device": self._most_frequent("device", on_web),
        }

    def _weekday(self, age: Ints) -> Ints:
        found: Ints = (self._as_of.weekday() - age) % _WEEK
        return found

    def _most_frequent(self, column: str, rows: pl.Expr) -> pl.Series:
        best = (
            self._rows.lazy()
            .filter(rows & pl.col(column).is_not_null())
            .group_by("customer", column)
            .agg(pl.col("events").cast(pl.Int64).sum())
            .with_columns(pl.col(column).cast(pl.String))
            .sort("customer", pl.col("events") * -1, column)
            .unique("customer", keep="first", maintain_order=True)
            .select("customer", column)
            .collect(engine="streaming")
        )
        everybody = pl.DataFrame({"customer": np.arange(self._count, dtype=np.uint32)})
        return everybody.join(best, on="customer", how="left", maintain_order="left")[column]


def _known(days: Ints) -> pl.Series:
    return pl.Series(days).set(pl.Series(days == _NEVER), None)


def _favourite(tally: Ints, names: tuple[str, ...]) -> pl.Series:
    return named([*names, None], np.where(tally.max(axis=1) > 0, tally.argmax(axis=1), NONE))


def _weekend_share(by_weekday: Ints) -> Floats:
    return _share(by_weekday[:, _WEEKEND].sum(axis=1), by_weekday.sum(axis=1))


def _share(part: npt.NDArray[np.integer], whole: npt.NDArray[np.integer]) -> Floats:
    """At most 1: an e-mail may be opened twice, or in the window and sent before it. NaN where nothing is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(whole > 0, np.minimum(part / whole, 1.0), np.nan)
    return found
