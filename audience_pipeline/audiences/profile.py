"""The profile: one row per customer with every field that an audience may use, in a marketer's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl
import polars.selectors as cs

from audience_pipeline.audiences.behaviour import BEHAVIOUR_SCHEMA, behaviour
from audience_pipeline.audiences.crm import crm_fields, loyalty_members
from audience_pipeline.audiences.fields import DTYPES, FIELDS, Field, fields_with
from audience_pipeline.audiences.rfm import rfm
from audience_pipeline.customers.attribution import acquisition
from audience_pipeline.platforms.contract import Platform

__all__ = ["FIELDS", "PROFILE_SCHEMA", "Field", "Known", "churn_risk", "customer_profile", "profile_schema"]

SHORTEST_RHYTHM, LONGEST_RHYTHM = 14, 180
"""Days. Somebody who bought twice in a week is not lost after a month."""
USUAL_RHYTHM = 60
"""Days between orders that are assumed while no customer of the shop has ordered twice."""
POSTAL_AREA = 3
"""Characters of a postal code that name an area and nobody's street."""
OLDEST = 120

_MAJOR = 0.01
_RENAMED = {
    "days_since_first_order": pl.col("age_days"),
    "days_since_last_order": pl.col("recency_days"),
    "days_between_orders": pl.col("days_between_orders_mean"),
    "observed_value": pl.col("observed_minor") * _MAJOR,
    "average_order_value": pl.col("order_value_mean_minor") * _MAJOR,
    "first_order_value": pl.col("first_order_minor") * _MAJOR,
    "last_order_value": pl.col("order_value_last_minor") * _MAJOR,
    "greatest_order_value": pl.col("order_value_max_minor") * _MAJOR,
    "revenue_30d": pl.col("net_30d_minor") * _MAJOR,
    "revenue_90d": pl.col("net_90d_minor") * _MAJOR,
    "revenue_365d": pl.col("net_365d_minor") * _MAJOR,
}


def profile_schema(fields: Mapping[str, Field] = FIELDS) -> pl.Schema:
    """Columns and types of a profile with these fields."""
    keys = {"customer_id": pl.String(), "person_key": pl.String(), "customer_no": pl.UInt32()}
    return pl.Schema({**keys, **{field.name: DTYPES[field.type] for field in fields.values()}})


PROFILE_SCHEMA = profile_schema()


@dataclass(frozen=True, slots=True)
class Known:
    """The tables of an as-of date that a profile is made of; customer ids are those of ``identities``."""

    identities: pl.LazyFrame
    """``source_id, customer_id, person_key``: who there is."""
    features: pl.LazyFrame
    """``customer_features``; money in minor units."""
    predictions: pl.LazyFrame
    """``ltv_predictions``, possibly empty; money in major units."""
    segments: pl.LazyFrame
    """``customer_segments``."""
    identifiers: pl.LazyFrame
    consent: pl.LazyFrame
    activity: pl.LazyFrame
    """``customer_activity``, also of later days: they are not read."""
    attribution: pl.LazyFrame
    """``order_attribution``."""
    contacts: pl.LazyFrame
    """``crm_contacts``, also of later days: they are not read."""


def customer_profile(
    known: Known,
    as_of: date,
    numbers: pl.DataFrame,
    *,
    crm_columns: Sequence[str] = (),
    landings: Sequence[str] = (),
) -> pl.LazyFrame:
    """Everything known about each customer at the end of a day.

    Customers of the shop and people who are only in the CRM, the newsletter or the loyalty programme have a
    row each; what is not known of somebody is null, what they have not done is 0, and what is yes or no and
    not known is no. There is no NaN.

    Args:
        known: the tables of the date.
        as_of: the date.
        numbers: ``person_key, customer_no`` of everybody in ``identities``.
        crm_columns: the CRM columns that the workspace keeps; a field ``crm_<name>`` each.
        landings: the landing ids of the CRM, oldest first.

    Returns:
        ``profile_schema(fields_with(crm_columns))``, sorted by ``customer_id``; money in major units.
    """
    people = (
        known.identities.select("customer_id", "person_key")
        .unique()
        .sort("customer_id")
        .join(numbers.lazy(), on="person_key", how="left", maintain_order="left")
        .collect()
    )
    did = behaviour(known.activity, people["customer_id"], as_of)
    scores = rfm(
        known.features.select("customer_id", "recency_days", "orders", "observed_minor").collect(
            engine="streaming"
        )
    )
    tables = [
        _shop(known.features),
        scores.lazy(),
        known.predictions.select("customer_id", *_named("ltv_predictions")),
        known.segments.select("customer_id", "segment"),
        _person(known.identifiers, as_of),
        _consent(known.consent),
        orders_by_channel(known.attribution),
        loyalty_members(known.contacts, known.identities, as_of).with_columns(loyalty_member=True),
    ]
    if crm_columns:
        tables.append(crm_fields(known.contacts, as_of, crm_columns, landings=landings))
    everybody = people.hstack(did.drop("customer_id")).lazy()
    for table in tables:
        everybody = everybody.join(
            table, on="customer_id", how="left", maintain_order="left", suffix="_of_features"
        )
    fields = fields_with(crm_columns)
    yes_or_no = [name for name, field in fields.items() if field.type == "boolean"]
    # Features of the shop's customers are one function for everything; others are counted here.
    counted_twice = [name for name in _named("customer_features") if name in BEHAVIOUR_SCHEMA]
    return (
        everybody.with_columns(
            pl.col("orders").is_not_null().alias("has_ordered"),
            *(pl.coalesce(f"{name}_of_features", name).alias(name) for name in counted_twice),
        )
        .with_columns((pl.col("newsletter_reader") & ~pl.col("has_ordered")).alias("newsletter_only"))
        .with_columns(pl.col(yes_or_no).fill_null(value=False))
        .select(pl.col(name).cast(dtype) for name, dtype in profile_schema(fields).items())
        .with_columns(cs.float().fill_nan(None))
    )


def orders_by_channel(attribution: pl.LazyFrame) -> pl.LazyFrame:
    """Where customers came from and where they buy.

    Args:
        attribution: ``order_attribution``: ``customer_id, order_id, order_date, platform, channel,
            campaign, how``.

    Returns:
        What ``attribution.acquisition`` says of the first order, and ``last_channel, top_channel`` (of
        several equally frequent ones the first by name) ``, channels``.
    """
    channel = pl.col("channel").sort_by("order_date", "order_id").drop_nulls()
    bought = attribution.group_by("customer_id").agg(
        channel.last().alias("last_channel"),
        channel.mode().min().alias("top_channel"),
        channel.n_unique().alias("channels"),
    )
    return acquisition(attribution).join(bought, on="customer_id", how="left")


def churn_risk() -> pl.Expr:
    """``new``, ``active``, ``at_risk`` or ``lost``, over ``customer_features``.

    The time without an order is measured in rhythms. A rhythm is the customer's own mean number of days
    between orders, or the median one of the shop for somebody with a single purchase day; never less than 14
    or more than 180 days. Up to 1 rhythm after their only purchase day a customer is new; up to 2 rhythms
    active; up to 4 at risk; then lost.
    """
    own = pl.col("days_between_orders_mean")
    rhythm = own.fill_null(own.median()).fill_null(USUAL_RHYTHM).clip(SHORTEST_RHYTHM, LONGEST_RHYTHM)
    waited = pl.col("recency_days")
    return (
        pl.when(own.is_null() & (waited <= rhythm))
        .then(pl.lit("new"))
        .when(waited <= 2 * rhythm)
        .then(pl.lit("active"))
        .when(waited <= 4 * rhythm)
        .then(pl.lit("at_risk"))
        .otherwise(pl.lit("lost"))
    )


def _shop(features: pl.LazyFrame) -> pl.LazyFrame:
    return features.select(
        "customer_id",
        churn_risk().alias("churn_risk"),
        *(_RENAMED.get(name, pl.col(name)).alias(name) for name in _named("customer_features")),
    )


def _person(identifiers: pl.LazyFrame, as_of: date) -> pl.LazyFrame:
    columns = identifiers.collect_schema().names()

    def has(ending: str) -> pl.Expr:
        found = [pl.col(name).is_not_null() for name in columns if name.endswith(ending)]
        return pl.any_horizontal(found) if found else pl.lit(value=False)

    age = as_of.year - pl.col("birth_year").cast(pl.Int64)
    return identifiers.select(
        "customer_id",
        has("_email").alias("has_email"),
        has("_phone").alias("has_phone"),
        has("device_id").alias("has_device_id"),
        pl.col("postal_code")
        .str.to_uppercase()
        .str.replace_all(r"\s", "")
        .str.slice(0, POSTAL_AREA)
        .replace("", None)
        .alias("postal_area"),
        pl.when(age.is_between(0, OLDEST)).then(age).alias("age"),
        *("country", "region", "gender", "birth_year", "email_domain_kind", "is_competitor"),
    )


def _consent(consent: pl.LazyFrame) -> pl.LazyFrame:
    return consent.select(
        "customer_id",
        pl.col("advertising").alias("advertising_consent"),
        *(
            pl.col(f"advertising_{platform.value}").alias(f"advertising_consent_{platform.value}")
            for platform in Platform
        ),
        pl.col("personalisation").alias("personalisation_consent"),
        "opted_out",
    )


def _named(source: str) -> list[str]:
    return [field.name for field in FIELDS.values() if field.source == source]
