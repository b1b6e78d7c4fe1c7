"""What the landed tables say of who is who: source id X has identifier Y, said first on a day, in a file.

A statement is one whole number, so that the first of several is their least: the landing it stands in
counts most, then its day, then its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from audience_pipeline.identifiers.source_ids import ANONYMOUS, EMAIL, HASH_CHARACTERS, LOYALTY, PHONE

KINDS = ("email", "loyalty", "phone", "device", "anonymous", "click")
"""Kinds of identifiers, the strongest first."""
MADE_OF = {"email": EMAIL, "loyalty": LOYALTY, "phone": PHONE, "anonymous": ANONYMOUS}
"""How source ids begin that are made of an identifier."""

_LINE_BITS, _DAY_BITS, _LANDING_BITS = 26, 17, 20
_DAY_ZERO = (date(1900, 1, 1) - date(1970, 1, 1)).days - 1
LINKS_SCHEMA = pl.Schema({"source_id": pl.String, "kind": pl.Int8, "value": pl.String, "said": pl.Int64})
NAMES_SCHEMA = pl.Schema({"source_id": pl.String, "name": pl.Binary})
SEEN_SCHEMA = pl.Schema({"source_id": pl.String, "said": pl.Int64})

_NO_VALUE = (
    r"(?i)^(?:null|none|nil|nan|na|n/a|#n/a|undefined|unknown|anonymous|guest|test|default|true|false|"
    r"\(not set\)|\(none\)|[^a-z1-9]*|"
    + "|".join(f"{character}[.:{{}} -]*(?:{character}[.:{{}} -]*){{3,}}" for character in "123456789abcdefx")
    + ")$"
)
"""What stands for no value at all: a word that says so, zeros alone, one character many times."""
_HASH_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb924"


@dataclass(frozen=True, slots=True)
class Landed:
    """The landed tables; one that is not given says nothing."""

    crm: pl.LazyFrame | None = None
    web: pl.LazyFrame | None = None
    transactions: pl.LazyFrame | None = None
    engagement: pl.LazyFrame | None = None
    consent: pl.LazyFrame | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """Everything that is known of who is who on a day."""

    seen: pl.DataFrame
    """``SEEN_SCHEMA``: each source id once, with the first statement that names it."""
    links: pl.DataFrame
    """``LINKS_SCHEMA``: each source id and identifier once, with the first statement that says so."""
    names: pl.DataFrame
    """``NAMES_SCHEMA``: the hash of the first name that was said last, of source ids that have one."""


def said(landed: Landed, as_of: date, landings: Mapping[str, int]) -> Said:
    """What the rows up to a day say.

    Args:
        landed: the landed tables; columns that are not there are empty.
        as_of: the last day that is read; a CRM row without a date has always been so.
        landings: the sequence of each landing id; a landing that is not listed is the newest.
    """
    tables = _tables(landed, as_of, landings)
    seen = _first([table.select("source_id", "said").drop_nulls() for table in tables.values()], SEEN_SCHEMA)
    links = [
        table.select("source_id", _kind(kind), value, "said").drop_nulls()
        for name, table in tables.items()
        for kind, value in _VALUES[name].items()
    ]
    made = [
        seen.lazy()
        .filter(pl.col("source_id").str.starts_with(prefix))
        .select("source_id", _kind(kind), pl.col("source_id").str.slice(len(prefix)).alias("value"), "said")
        for kind, prefix in MADE_OF.items()
    ]
    return Said(seen, _first([*links, *made], LINKS_SCHEMA), _names(tables.get("crm")))


def holders(landed: Landed, as_of: date, kind: str, value: str) -> list[str]:
    """Source ids that were said to have an identifier up to a day, sorted."""
    made_of = [MADE_OF[kind] + value] if kind in MADE_OF else []
    found = [
        table.filter(_VALUES[name][kind] == value).select("source_id").drop_nulls().unique().collect()
        for name, table in _tables(landed, as_of, {}).items()
        if kind in _VALUES[name]
    ]
    return sorted({*made_of, *(source_id for ids in found for source_id in ids["source_id"])})


def day_of(statement: pl.Expr) -> pl.Expr:
    """The Date of statements; null where none was said."""
    day = (statement // 2**_LINE_BITS) % 2**_DAY_BITS
    return pl.when(day > 0).then((day + _DAY_ZERO).cast(pl.Int32).cast(pl.Date))


def sequence_of(statement: pl.Expr) -> pl.Expr:
    """The sequence of the landing (Int64) of statements."""
    return statement // (1 << _LINE_BITS + _DAY_BITS)


def line_of(statement: pl.Expr) -> pl.Expr:
    """The line of the file (Int64) of statements; null where none is known."""
    line = statement % 2**_LINE_BITS
    return pl.when(line > 0).then(line)


def stands_for_nobody(value: pl.Expr) -> pl.Expr:
    """Whether a value of an identifier says that there is none."""
    return value.str.contains(_NO_VALUE) | value.eq(_HASH_OF_NOTHING)


def hashed_value(column: str) -> pl.Expr:
    """Hashes (Binary) as they stand in source ids."""
    return pl.col(column).bin.encode("hex").str.slice(0, HASH_CHARACTERS)


_EMAIL, _PHONE = hashed_value("meta_email"), hashed_value("meta_phone")
_VALUES: Mapping[str, Mapping[str, pl.Expr]] = {
    name: {kind: value.alias("value") for kind, value in values.items()}
    for name, values in {
        "crm": {
            "email": _EMAIL,
            "loyalty": pl.col("loyalty_id"),
            "phone": _PHONE,
            "device": pl.col("device_id"),
            "anonymous": pl.col("anonymous_id"),
        },
        "web": {
            "loyalty": pl.col("loyalty_id"),
            "device": pl.col("device_id"),
            "anonymous": pl.col("anonymous_id"),
            "click": pl.col("click_id"),
        },
        "transactions": {"loyalty": pl.col("loyalty_id")},
        "engagement": {"email": _EMAIL},
        "consent": {"email": _EMAIL, "phone": _PHONE},
    }.items()
}
_DAYS = {
    "crm": pl.col("updated_at").dt.date(),
    "web": pl.col("event_date"),
    "transactions": pl.col("transaction_date"),
    "engagement": pl.col("event_date"),
    "consent": pl.col("event_date"),
}
_OPTIONAL = {
    **dict.fromkeys(("loyalty_id", "device_id", "anonymous_id", "click_id", "landing_id"), pl.String()),
    **dict.fromkeys(("meta_email", "meta_phone", "meta_first_name"), pl.Binary()),
    "line": pl.Int64(),
}


def _tables(landed: Landed, as_of: date, landings: Mapping[str, int]) -> dict[str, pl.LazyFrame]:
    """Of each table the rows up to the day, with ``source_id`` and ``said``."""
    given = {name: getattr(landed, name) for name in _VALUES}
    newest = min(max(landings.values(), default=0) + 1, 2**_LANDING_BITS - 1)
    landing = pl.col("landing_id").replace_strict(
        list(landings), list(landings.values()), default=newest, return_dtype=pl.Int64
    ) if landings else pl.lit(newest, dtype=pl.Int64)  # fmt: skip
    line = pl.col("line").cast(pl.Int64)
    line = pl.when(line.is_between(1, 2**_LINE_BITS - 1)).then(line).otherwise(0)
    return {
        name: _complete(table)
        .filter((_DAYS[name] <= as_of).fill_null(value=name == "crm"))
        .with_columns(
            _source_id(name).alias("source_id"),
            ((landing * 2**_DAY_BITS + _day(_DAYS[name])) * 2**_LINE_BITS + line).alias("said"),
        )
        for name, table in given.items()
        if table is not None
    }


def _complete(table: pl.LazyFrame) -> pl.LazyFrame:
    there = table.collect_schema()
    return table.with_columns(
        pl.lit(None, dtype=dtype).alias(name) for name, dtype in _OPTIONAL.items() if name not in there
    )


def _source_id(table: str) -> pl.Expr:
    own = pl.col("customer_id")
    return pl.coalesce(own, pl.lit(ANONYMOUS) + pl.col("anonymous_id")) if table == "web" else own


def _day(day: pl.Expr) -> pl.Expr:
    number = day.to_physical().cast(pl.Int64) - _DAY_ZERO
    return number.clip(1, 2**_DAY_BITS - 1).fill_null(0)


def _kind(kind: str) -> pl.Expr:
    return pl.lit(KINDS.index(kind), dtype=pl.Int8).alias("kind")


def _first(tables: list[pl.LazyFrame], schema: pl.Schema) -> pl.DataFrame:
    """The first statement of each key: every column but ``said``."""
    keys = [name for name in schema if name != "said"]
    first = pl.col("said").min()
    # One after another: grouped, each is small, and what it is made of is never in memory.
    parts = [table.group_by(keys).agg(first).collect(engine="streaming") for table in tables]
    together = pl.concat([schema.to_frame(), *parts])
    return together if len(parts) < 2 else together.group_by(keys).agg(first)


def _names(contacts: pl.LazyFrame | None) -> pl.DataFrame:
    if contacts is None:
        return NAMES_SCHEMA.to_frame()
    name = pl.col("meta_first_name").alias("name")
    return (
        contacts.select("source_id", name, "updated_at", "said")
        .drop_nulls(["source_id", "name"])
        # Every column is a key, so that the order of the rows in the files decides nothing.
        .sort("source_id", "updated_at", "said", "name")
        .unique("source_id", keep="last", maintain_order=True)
        .select(NAMES_SCHEMA.names())
        .collect(engine="streaming")
    )
