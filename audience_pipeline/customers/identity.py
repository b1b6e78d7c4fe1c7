"""Who a customer is to the platforms: the identifiers that hold as of a date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

HASHES = (
    "meta_email",
    "google_email",
    "tiktok_email",
    "meta_phone",
    "google_phone",
    "meta_first_name",
    "meta_last_name",
    "google_given_name",
    "google_family_name",
)
ADDRESSES = HASHES[:5]
"""Those by each of which alone a person is known."""
# The hashes of one e-mail address must come from one statement: taken one by one, a person could be sent
# to each platform under another address.
_TOGETHER: tuple[tuple[str, ...], ...] = (
    ("meta_email", "google_email", "tiktok_email", "email_domain_kind"),
    ("meta_phone", "google_phone"),
    ("meta_first_name", "google_given_name"),
    ("meta_last_name", "google_family_name"),
    ("country",),
    ("postal_code",),
    ("region",),
    ("birth_year",),
    ("gender",),
    ("device_id",),
)
IDENTIFIERS_SCHEMA: dict[str, pl.DataType] = {
    "customer_id": pl.String(),
    "country": pl.String(),
    "postal_code": pl.String(),
    "region": pl.String(),
    "birth_year": pl.Int32(),
    "gender": pl.String(),
    "device_id": pl.String(),
    "email_domain_kind": pl.String(),
    "is_competitor": pl.Boolean(),
    **dict.fromkeys(HASHES, pl.Binary()),
    "identifier_rules": pl.Int32(),
}


def known(contacts: pl.LazyFrame, as_of: date) -> pl.LazyFrame:
    """The contact statements that were known on a day; one without a date has always been known."""
    return contacts.filter(
        pl.col("customer_id").is_not_null()
        & (pl.col("updated_at").is_null() | (pl.col("updated_at").dt.date() <= as_of))
    )


def addresses(contacts: pl.LazyFrame, engagement: pl.LazyFrame, as_of: date) -> pl.LazyFrame:
    """Every e-mail address and phone number that was ever given with an id, also those that are not in use
    any more.

    Args:
        contacts: the landed ``crm_contacts``.
        engagement: the landed ``engagement_events``.
        as_of: the day up to which statements and events are seen.

    Returns:
        ``customer_id`` (a source id) and ``ADDRESSES``; rows may repeat, and hold null. An event tells
        ``meta_email`` alone.
    """
    read = engagement.filter(
        pl.col("customer_id").is_not_null()
        & pl.col("meta_email").is_not_null()
        & (pl.col("event_date") <= as_of)
    ).select(
        "customer_id",
        "meta_email",
        *(pl.lit(None, dtype=pl.Binary).alias(name) for name in ADDRESSES if name != "meta_email"),
    )
    return pl.concat(
        [known(contacts, as_of).select("customer_id", *ADDRESSES), read.select("customer_id", *ADDRESSES)]
    )


def identifiers(contacts: pl.LazyFrame, as_of: date, *, landings: Sequence[str] = ()) -> pl.LazyFrame:
    """The identifiers of each customer as of a date: per field the latest statement that has one.

    An e-mail address is one field (its hashes for all platforms, with the kind of its domain, come from the
    same statement), and so is a phone number and each name.

    Args:
        contacts: the landed ``crm_contacts``.
        as_of: the day up to which statements are seen.
        landings: the landing ids in the order in which they landed; of statements of the same instant, or
            without one, the later landing wins. Unlisted landings count as earlier than listed ones.

    Returns:
        One row per ``customer_id``, columns ``IDENTIFIERS_SCHEMA``, sorted by ``customer_id``.
        ``identifier_rules`` is the oldest version of the hashing rules among the hashes of the row.
    """
    order = dict(zip(landings, range(1, len(landings) + 1), strict=True))
    landing = (
        pl.col("landing_id").replace_strict(order, default=0, return_dtype=pl.Int64) if order else pl.lit(0)
    )
    groups = {f"_{group[0]}": group for group in _TOGETHER}
    if "device_id" not in contacts.collect_schema():
        contacts = contacts.with_columns(pl.lit(None, dtype=pl.String).alias("device_id"))
    statements = (
        known(contacts, as_of)
        .select(*(name for name in IDENTIFIERS_SCHEMA), "updated_at", "landing_id")
        .with_columns(landing.alias("_landing"))
        # Every column is a key, so that the order of the rows in the files decides nothing.
        .sort("customer_id", "updated_at", "_landing", "landing_id", *list(IDENTIFIERS_SCHEMA)[1:])
        .with_columns(
            pl.when(pl.any_horizontal(pl.col(group).is_not_null()))
            .then(pl.struct(*group, *_carried(group)))
            .alias(name)
            for name, group in groups.items()
        )
    )
    latest = statements.group_by("customer_id").agg(
        *(pl.col(name).drop_nulls().last() for name in groups),
        pl.col("is_competitor").drop_nulls().last(),
        pl.col("identifier_rules").drop_nulls().last(),
    )
    hashed = [name for name, group in groups.items() if "identifier_rules" in _carried(group)]
    return (
        latest.select(
            "customer_id",
            *(pl.col(name).struct.field(field) for name, group in groups.items() for field in group),
            pl.coalesce(pl.col("_meta_email").struct.field("is_competitor"), "is_competitor")
            .fill_null(value=False)
            .alias("is_competitor"),
            pl.coalesce(
                pl.min_horizontal(pl.col(name).struct.field("identifier_rules") for name in hashed),
                "identifier_rules",
            ).alias("identifier_rules"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in IDENTIFIERS_SCHEMA.items())
        .sort("customer_id")
    )


def _carried(group: Sequence[str]) -> tuple[str, ...]:
    """What belongs to the statement that a field comes from: its rule version, and what its domain says."""
    if group[0] == "meta_email":
        return ("identifier_rules", "is_competitor")
    return ("identifier_rules",) if group[0] in HASHES else ()
