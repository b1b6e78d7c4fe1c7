"""Why a customer's predicted value is what it is: contributions in log money, and the greatest in words.

What is explained is the value still to come as the purchase model and the Tweedie trees blend it: of the
first year as long as it lasts, then of the next twelve months (``next_12m_value``). The logarithm of that
forecast is a sum, so that each part multiplies the value by a factor:

* how much more or less than of a typical customer of the same age the purchase model expects, in orders, in
  the value of an order, and of the time of the year;
* the SHAP values of the trees (Lundberg and others 2020, "From local explanations to global understanding
  with explainable AI for trees", Nature Machine Intelligence 2; LightGBM's own), times the trust in trees.

The hurdle model, which has the other half of the trust in trees, and the calibration at the end are not
sums and are left out; neither has other features to look at. What a factor says is what the model makes of
a feature, not what causes what.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from audience_pipeline.ltv.boosters import Boosters
from audience_pipeline.ltv.calibration import age_bucket
from audience_pipeline.ltv.matrix import Bools, Customers, Floats
from audience_pipeline.ltv.outlook import expect
from audience_pipeline.ltv.phrases import Row, in_words
from audience_pipeline.ltv.shap import shap_values
from audience_pipeline.ltv.snapshots import HORIZON_DAYS, LAST_AGE
from audience_pipeline.ltv.topics import Topic, topics_of
from audience_pipeline.ltv.wording import effect_in_words

if TYPE_CHECKING:
    from audience_pipeline.ltv.model import LtvModel

REASONS_SCHEMA = pl.Schema(
    {
        "customer_id": pl.String,
        "rank": pl.Int64,
        "topic": pl.String,
        "reason": pl.String,
        "effect": pl.Float64,
    }
)
"""One row for each customer and reason. ``effect`` is the relative change of the value still to come: 0.45
where it is 45 % more than it would be without."""

Reason = tuple[str, str, float]
"""Topic, sentence and effect."""

_CHUNK = 20_000
"""Rows that are explained at once: bounds memory."""
_LEAST_EFFECT = 0.005
"""Smaller ones round to nothing and are no reason."""
_DIGITS = 4
"""Of an effect: trees asked alone and together differ in the last of all."""


@dataclass(frozen=True, slots=True)
class Contributions:
    """Logarithms of factors; those of a row and its reference add up to its forecast."""

    topics: tuple[Topic, ...]
    by_topic: Floats
    """(rows, topics)"""
    loudest: tuple[tuple[str, ...], ...]
    """For each row and topic the column that speaks loudest in the direction of the topic."""
    reference: Floats
    """Logarithm of the value still to come of a typical customer, minor units."""
    forecast: Floats
    """The same of each row."""


def contributions(model: LtvModel, customers: Customers) -> Contributions:
    """Contributions of each topic to the value still to come of each row, in the order of the rows.

    Args:
        model: What predicts.
        customers: Rows of the model's encoder.
    """
    outlook = model.outlook
    first = customers.age < LAST_AGE
    days = np.where(first, LAST_AGE - customers.age, float(HORIZON_DAYS))
    expected = expect(outlook.purchases, customers, days)
    trust = _trust(model, customers, first)
    reference, usual_value = outlook.typical.money(customers.age, days, first)

    columns = np.zeros((len(customers), len(outlook.names)))
    told = np.flatnonzero(trust > 0)
    forecast = expected.money_start.copy()
    if len(told) and outlook.money.boosters:
        matrix = outlook.matrix(customers, expected, days)[told]
        shap = _shap(outlook.money, matrix) * trust[told, None]
        columns[told] = shap[:, :-1]
        reference[told] += shap[:, -1]
        forecast[told] += trust[told] * outlook.money.correction(matrix)
    value = np.log(expected.order_value + 1.0) - usual_value
    usual, _ = outlook.typical.money(customers.age, days, first)
    columns[:, outlook.names.index("expected_order_value")] += value
    season = np.log(outlook.purchases.seasons.ahead(customers.day, days))
    columns[:, outlook.names.index("as_of_month_sin")] += season
    columns[:, outlook.names.index("expected_orders")] += expected.money_start - usual - value - season
    return _grouped(outlook.names, columns, customers.repeats == 0, reference, forecast)


def reasons_table(
    model: LtvModel, features: pl.DataFrame, count: int = 3, *, threads: int = 1
) -> pl.DataFrame:
    """The greatest reasons of each customer, in the order of the rows and then of their effects.

    Args:
        model: What predicts.
        features: As made by ``features.customer_features``.
        count: The most reasons of a customer; fewer where less than that changes anything.
        threads: Parts of the rows that are explained at once; changes nothing but the time.

    Returns:
        :data:`REASONS_SCHEMA`. For customers whose first year is over they are those of
        ``next_12m_value``, for others those of what remains of the first year.
    """
    tables = [REASONS_SCHEMA.to_frame()]
    for part, found in _in_parts(model, features, count, threads):
        rows = [
            (customer, rank, *reason)
            for customer, reasons in zip(part["customer_id"], found, strict=True)
            for rank, reason in enumerate(reasons, 1)
        ]
        tables.append(pl.DataFrame(rows, schema=REASONS_SCHEMA, orient="row"))
    return pl.concat(tables)


def reasons(model: LtvModel, features: pl.DataFrame, count: int = 3) -> pl.Series:
    """The same as a list of sentences for each row; empty where nothing sets the customer apart."""
    lists = [
        [sentence for _, sentence, _ in row]
        for _, found in _in_parts(model, features, count, 1)
        for row in found
    ]
    return pl.Series("reasons", lists, dtype=pl.List(pl.String))


def frequent_topics(table: pl.DataFrame, predictions: pl.DataFrame, most: int = 3) -> pl.DataFrame:
    """The topics that set apart the most customers of each quintile.

    Args:
        table: :data:`REASONS_SCHEMA`.
        predictions: ``customer_id, ltv_quintile``.
        most: Topics of a quintile.

    Returns:
        ``ltv_quintile, topic, direction`` (``more`` or ``less`` than a typical customer), ``share`` of the
        quintile's customers, and the median ``effect`` of those; the most frequent first.
    """
    known = predictions.select("customer_id", "ltv_quintile").drop_nulls("ltv_quintile")
    direction = pl.when(pl.col("effect") > 0).then(pl.lit("more")).otherwise(pl.lit("less"))
    keys = ["ltv_quintile", "topic", "direction"]
    return (
        table.join(known, on="customer_id")
        .group_by("ltv_quintile", "topic", direction.alias("direction"))
        .agg(pl.len().alias("count"), pl.col("effect").median())
        .join(known.group_by("ltv_quintile").agg(pl.len().alias("customers")), on="ltv_quintile")
        .select(*keys, (pl.col("count") / pl.col("customers")).alias("share"), "effect")
        .sort("ltv_quintile", "share", "topic", "direction", descending=[False, True, False, False])
        .group_by("ltv_quintile", maintain_order=True)
        .head(most)
    )


def _in_parts(
    model: LtvModel, features: pl.DataFrame, count: int, threads: int
) -> Iterator[tuple[pl.DataFrame, list[list[Reason]]]]:
    def explained(part: pl.DataFrame) -> list[list[Reason]]:
        return told(model, model.outlook.encoder.customers(part), part.iter_rows(named=True), count)

    parts = [features.slice(begin, _CHUNK) for begin in range(0, features.height, _CHUNK)]
    if threads <= 1 or len(parts) <= 1:
        yield from ((part, explained(part)) for part in parts)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from zip(parts, pool.map(explained, parts), strict=True)


def told(model: LtvModel, customers: Customers, rows: Iterable[Row], count: int = 3) -> list[list[Reason]]:
    """The greatest reasons of each row.

    Args:
        model: What predicts.
        customers: Rows of the model's encoder.
        rows: The same as features.
        count: The most reasons of a row.
    """
    found = contributions(model, customers)
    order = np.argsort(-np.abs(found.by_topic), axis=1, kind="stable")[:, :count].tolist()
    effects = np.expm1(found.by_topic).tolist()
    chosen = []
    for number, row in enumerate(rows):
        reasons: list[Reason] = []
        for place in order[number]:
            if abs(effects[number][place]) >= _LEAST_EFFECT:
                topic, effect = found.topics[place].name, round(effects[number][place], _DIGITS)
                said = in_words(topic, found.loudest[number][place], row)
                reasons.append((topic, f"{said}: {effect_in_words(effect)}", effect))
        chosen.append(reasons)
    return chosen


def _trust(model: LtvModel, customers: Customers, first: Bools) -> Floats:
    purchases = np.array([weights[0] for weights in model.calibration.first_year_weights])
    trust: Floats = 1.0 - np.where(
        first, purchases[age_bucket(customers.age)], model.calibration.next_12m_weights[0]
    )
    return trust


def _shap(trees: Boosters, matrix: Floats) -> Floats:
    """Mean SHAP values of the bags: a column for each of the matrix, and their expected score."""
    total = np.zeros((len(matrix), matrix.shape[1] + 1))
    for booster in trees.boosters:
        total += shap_values(booster, matrix)
    mean: Floats = total * (1.0 / len(trees.boosters))
    return mean


def _grouped(
    names: tuple[str, ...], columns: Floats, one_day: Bools, reference: Floats, forecast: Floats
) -> Contributions:
    grouped = topics_of(names)
    topics = tuple(topic for topic, _ in grouped)
    by_topic = np.zeros((len(columns), len(topics)))
    for number, (_, places) in enumerate(grouped):
        # Column by column, so that a row alone gives the same digits as in a table.
        for place in places:
            by_topic[:, number] += columns[:, place]
    position = {topic.name: number for number, topic in enumerate(topics)}
    for number, topic in enumerate(topics):
        if topic.one_order:
            by_topic[one_day, position[topic.one_order]] += by_topic[one_day, number]
            by_topic[one_day, number] = 0.0
    loudest = []
    for number, (topic, places) in enumerate(grouped):
        if not places:
            loudest.append([topic.columns[0]] * len(columns))
            continue
        signed = columns[:, places] * np.sign(by_topic[:, number])[:, None]
        loudest.append([names[places[best]] for best in signed.argmax(axis=1).tolist()])
    return Contributions(topics, by_topic, tuple(zip(*loudest, strict=True)), reference, forecast)
