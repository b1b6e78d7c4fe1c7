"""What customers did on the website and with e-mails, as of a date."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from audience_pipeline.customers.arrays import Ints, Numbers, running, whole
from audience_pipeline.features.catalogue import ACTIVITY_FEATURES, WEB_WINDOWS
from audience_pipeline.features.history import FIRST_DAY, customer_and_day, day_key

_COUNTED = {
    "product_views_90d": "web:product_view",
    "carts_90d": "web:add_to_cart",
    "email_opens_90d": "engagement:email_open",
    "email_clicks_90d": "engagement:email_click",
}
_READ = (
    pl.col("customer_id", "events"),
    pl.col("activity_date").to_physical().cast(pl.Int64).alias("day"),
    pl.col("activity").str.starts_with("web:").cast(pl.Int64).alias("web"),
    *((pl.col("activity") == kind).cast(pl.Int64).alias(name) for name, kind in _COUNTED.items()),
)
_SCHEMA = pl.Schema(
    {"customer_id": pl.String, "as_of": pl.Date} | {f.name: f.dtype for f in ACTIVITY_FEATURES}
)


def activity_features(activity: pl.LazyFrame, as_of: date | pl.LazyFrame) -> pl.LazyFrame:
    """Counts of web and e-mail events up to a day, for customers who have any.

    Args:
        activity: ``customer_id, activity_date, activity`` (``web:product_view``,
            ``engagement:email_open``, ...) ``, events``; other columns and what happened in the shop are
            not read.
        as_of: One day, or a frame ``customer_id, as_of``.

    Returns:
        ``customer_id, as_of`` and the activity features.
    """
    # what was bought is known from the orders; who did nothing else has no activity
    elsewhere = ~pl.col("activity").str.starts_with("shop:")
    rows = activity.filter(pl.col("customer_id").is_not_null(), elsewhere)
    if isinstance(as_of, date):
        rows = rows.filter(pl.col("activity_date") <= as_of)
    return rows.select(_READ).map_batches(lambda frame: _features(frame, as_of), schema=_SCHEMA)


def _features(events: pl.DataFrame, as_of: date | pl.LazyFrame) -> pl.DataFrame:
    if events.is_empty():
        return _SCHEMA.to_frame()
    number = Numbers()
    who = number(events["customer_id"])
    known = number.count
    key = day_key(who, events["day"].to_numpy())
    order = np.argsort(key, kind="stable")
    key, who = key[order], who[order]
    if isinstance(as_of, date):
        customer = np.flatnonzero(np.bincount(who))
        asked = day_key(customer, (as_of - date(1970, 1, 1)).days)
    else:
        days = as_of.select("customer_id", "as_of").collect()
        asked = day_key(number(days["customer_id"]), whole(days["as_of"].to_physical()))
        asked = np.sort(asked[asked < day_key(np.array([known]), -FIRST_DAY)])
        customer = customer_and_day(asked)[0]
    end = np.searchsorted(key, asked, side="right")
    begin = {days: np.searchsorted(key, asked - days, side="right") for days in {*WEB_WINDOWS, 90}}
    times = events["events"].to_numpy()[order]

    def counted(name: str, days: int) -> Ints:
        total = running(times * events[name].to_numpy()[order])
        return total[end] - total[begin[days]]

    visits = key[events["web"].to_numpy()[order] > 0]
    last = np.searchsorted(visits, asked, side="right") - 1
    ago = asked - np.append(visits, np.iinfo(np.int64).min)[last]
    first = np.searchsorted(key, day_key(customer, -FIRST_DAY))
    visited = last >= np.searchsorted(visits, day_key(customer, -FIRST_DAY))
    columns = {
        "customer_id": events["customer_id"][order[first]],
        "as_of": pl.Series(customer_and_day(asked)[1]).cast(pl.Int32),
        **{f"web_events_{days}d": pl.Series(counted("web", days)) for days in WEB_WINDOWS},
        **{name: pl.Series(counted(name, 90)) for name in _COUNTED},
        "days_since_visit": pl.Series(np.where(visited, ago, np.nan), nan_to_null=True),
    }
    return pl.DataFrame([columns[name].cast(dtype).alias(name) for name, dtype in _SCHEMA.items()])
