"""The columns of the features, from what customers bought and returned up to a day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from audience_pipeline.customers.arrays import Floats, Ints, greatest, named
from audience_pipeline.features.catalogue import FEATURES, ORDER_WINDOWS
from audience_pipeline.features.history import WEEK, Purchases, Returns, day_key

_YEAR = 365
_HOURS = 24
_MILLI = np.float64(1000)
_ROOT = 2.0**31
"""Numbers whose square is the most that 64 bits hold."""


def _circle(steps: int) -> tuple[Floats, Floats]:
    angle = 2 * np.pi * np.arange(1, steps + 1) / steps
    return np.sin(angle), np.cos(angle)


_WEEKDAYS, _MONTHS, _QUARTERS = _circle(WEEK), _circle(12), _circle(4)


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of texts: of each row the place of its name."""

    names: list[str | None]
    """In their order, ended by None."""
    places: Ints
    """``NONE`` or ``ABOVE`` where there is none."""

    def values(self) -> list[str | None]:
        """The texts themselves; quick for a handful of rows."""
        last = len(self.names) - 1
        return [self.names[place if 0 <= place < last else last] for place in self.places.tolist()]


Column = Ints | Floats | Texts


def feature_columns(
    past: Purchases, back: Returns, customer: Ints, day: Ints, end: Ints
) -> dict[str, Column]:
    """All features of order data by name; days since 1970 for dates, NaN for what there is not.

    Args:
        past: Purchases of the customers.
        back: Returns of the customers.
        customer: Numbers of customers, ascending.
        day: As-of days, since 1970, ascending for each customer.
        end: The row after the last purchase day that may be seen; there is one.
    """
    begin = past.first[customer]
    first_day = past.day[begin]
    return (
        _money(past, back, customer, begin, end, day_key(customer, day), first_day)
        | _rhythm(past, begin, end, day)
        | _baskets(past, begin, end)
        | _calendar(first_day, day)
        | _later_half(past, customer, begin, end, day)
    )


def feature_frame(customers: pl.Series, day: Ints, found: dict[str, Column]) -> pl.DataFrame:
    """``FEATURES_SCHEMA`` of ids, as-of days and :func:`feature_columns`; those of activity are null."""
    columns = [customers.alias("customer_id"), pl.Series("as_of", day).cast(pl.Int32).cast(pl.Date)]
    return columns[0].to_frame().hstack(columns[1:] + _series(found, len(day)))


def _series(found: dict[str, Column], rows: int) -> list[pl.Series]:
    """Every feature as a column of its type, null where it is NaN or not found.

    Numbers become columns in two pieces, whole ones and others: one by one they would take longer than
    all that was computed of a single customer.
    """
    pieces: dict[str, pl.Series] = {}
    for kind in (np.int64, np.float64):
        these = {n: v for n, v in found.items() if not isinstance(v, Texts) and v.dtype == kind}
        joined = pl.Series(np.concatenate(list(these.values())), nan_to_null=kind is np.float64)
        pieces |= {name: joined.slice(at * rows, rows) for at, name in enumerate(these)}
    unknown = pl.Series([None], dtype=pl.Int64).new_from_index(0, rows)
    columns = []
    for feature in FEATURES:
        given = found.get(feature.name)
        column = pieces.get(feature.name, unknown)
        if isinstance(given, Texts):
            column = named(given.names, given.places)
        elif feature.dtype == pl.Date:
            column = column.cast(pl.Int32)
        columns.append(
            (column if column.dtype == feature.dtype else column.cast(feature.dtype)).alias(feature.name)
        )
    return columns


def _money(
    past: Purchases, back: Returns, customer: Ints, begin: Ints, end: Ints, key: Ints, first_day: Ints
) -> dict[str, Column]:
    back_begin = np.searchsorted(back.key, day_key(customer, -(2**31)))
    back_end = np.searchsorted(back.key, key, side="right")
    sales, orders = past.sum("sales", begin, end), past.sum("orders", begin, end)
    returned = back.amount[back_end] - back.amount[back_begin]
    year = np.minimum(key, day_key(customer, first_day + (_YEAR - 1)))
    year_end, year_back = (np.searchsorted(keys, year, side="right") for keys in (past.key, back.key))
    found: dict[str, Column] = {
        "observed_minor": sales + returned,
        "first_year_minor": past.sum("sales", begin, year_end)
        + back.amount[year_back]
        - back.amount[back_begin],
        "orders": orders,
        "returns": back_end - back_begin,
        "sales_minor": sales,
        "returns_minor": returned,
        "return_share": _ratio(-returned, sales),
        "first_order_minor": past.sum("sales", begin, begin + 1),
        "order_value_mean_minor": _ratio(sales, orders),
        "order_value_std_minor": _deviation_of_values(past, begin, end, orders, sales),
        "order_value_max_minor": greatest(past.value, begin, end),
        "order_value_last_minor": past.value_of_latest(begin, end),
        "days_since_return": np.where(
            back_end > back_begin, key - back.key[back_end - 1] if len(back.key) else 0, np.nan
        ),
    }
    for days in ORDER_WINDOWS:
        start = np.searchsorted(past.key, key - days, side="right")
        start_back = np.searchsorted(back.key, key - days, side="right")
        found[f"orders_{days}d"] = past.sum("orders", start, end)
        found[f"net_{days}d_minor"] = (
            past.sum("sales", start, end) + back.amount[back_end] - back.amount[start_back]
        )
    return found


def _rhythm(past: Purchases, begin: Ints, end: Ints, day: Ints) -> dict[str, Column]:
    first, last = past.day[begin], past.day[end - 1]
    gaps, gap_days, recency = end - begin - 1, last - first, day - last
    mean = _ratio(gap_days, gaps)
    deviation = _deviation(gaps, gap_days, past.sum("gap_squares", begin, end))
    longest = np.where(gaps > 0, greatest(past.gap, begin, end), np.nan)
    second = past.gap[np.where(gaps > 0, begin + 1, begin)]
    weekdays = past.weekdays[end] - past.weekdays[begin]
    return {
        "first_order": first,
        "last_order": last,
        "age_days": day - first,
        "recency_days": recency,
        "purchase_days": gaps + 1,
        "days_between_orders_mean": mean,
        "days_between_orders_std": deviation,
        "recency_ratio": recency / mean,
        "gap_variation": deviation / mean,
        "longest_gap_days": longest,
        "recency_to_longest_gap": recency / longest,
        "days_to_second_order": np.where(gaps > 0, second, np.nan),
        "favourite_weekday_share": _ratio(weekdays.max(axis=1), gaps + 1),
    }


def _baskets(past: Purchases, begin: Ints, end: Ints) -> dict[str, Column]:
    rows = past.categories.begins
    top_times, top = past.categories.most(rows[begin], rows[end])
    different = past.categories.different
    hour = past.hour[begin]
    after_first = begin + 1
    return {
        "first_order_lines": past.sum("lines", begin, after_first),
        "first_order_categories": past.most_categories[begin],
        "first_category": Texts(past.category_names, past.category[begin]),
        "last_category": Texts(past.category_names, past.category[end - 1]),
        "top_category": Texts(past.categories.names, top),
        "channel": Texts(past.channels, past.channel[begin]),
        "first_order_hour": np.where(hour < _HOURS, hour, np.nan),
        "categories": different[rows[end]] - different[rows[begin]],
        "top_category_share": _ratio(top_times, rows[end] - rows[begin]),
        "lines_mean": _ratio(past.sum("lines", begin, end), past.sum("orders", begin, end)),
        "units_mean": _ratio(past.sum("units", begin, end), past.sum("units_known", begin, end)) / _MILLI,
        "first_order_discount_share": _ratio(
            past.sum("discount", begin, after_first), past.sum("discountable", begin, after_first)
        ),
        "discount_share": _ratio(past.sum("discount", begin, end), past.sum("discountable", begin, end)),
        "discounted_share": _ratio(
            past.sum("discounted", begin, end), past.sum("discount_known", begin, end)
        ),
    }


def _later_half(past: Purchases, customer: Ints, begin: Ints, end: Ints, day: Ints) -> dict[str, Column]:
    first = past.day[begin]
    middle = np.searchsorted(past.key, day_key(customer, first + (day - first) // 2), side="right")
    grown = day > first
    orders, sales = (_ratio(past.sum(n, middle, end), past.sum(n, begin, end)) for n in ("orders", "sales"))
    return {
        "late_orders_share": np.where(grown, orders, np.nan),
        "late_sales_share": np.where(grown, sales, np.nan),
    }


def _calendar(first: Ints, day: Ints) -> dict[str, Column]:
    weekday = (first + 3) % WEEK
    first_month, month = (days.astype("M8[D]").astype("M8[M]").astype(np.int64) % 12 for days in (first, day))
    found: dict[str, Column] = {}
    for name, place, circle in (
        ("first_order_weekday", weekday, _WEEKDAYS),
        ("first_order_month", first_month, _MONTHS),
        ("first_order_quarter", first_month // 3, _QUARTERS),
        ("as_of_month", month, _MONTHS),
        ("as_of_quarter", month // 3, _QUARTERS),
    ):
        found[f"{name}_sin"], found[f"{name}_cos"] = (values[place] for values in circle)
    return found


def _ratio(above: Ints, below: Ints) -> Floats:
    """One over the other; NaN where the other is 0."""
    return above / np.where(below == 0, np.nan, below)


def _deviation_of_values(past: Purchases, begin: Ints, end: Ints, orders: Ints, sales: Ints) -> Floats:
    """Of order values, whose squares may be beyond 64 bits."""
    found = _deviation(orders, sales, past.sum("squares", begin, end))
    giant = np.flatnonzero(orders * greatest(past.value, begin, end).astype(np.float64) > _ROOT)
    if len(giant):
        squares = past.sum_of_squares(begin[giant], end[giant])
        n, s = (pl.Series(values[giant]).cast(pl.Int128) for values in (orders, sales))
        above, below = ((x).cast(pl.Float64).to_numpy() for x in (n * squares - s * s, n * n - n))
        found[giant] = np.sqrt(above / np.where(orders[giant] > 1, below, np.nan))
    return found


def _deviation(count: Ints, total: Ints, squares: Ints) -> Floats:
    """Sample standard deviation from exact sums; NaN below two values."""
    above, below = count * squares - total * total, count * (count - 1)
    return np.sqrt(np.maximum(above, 0) / np.where(below > 0, below, np.nan))
