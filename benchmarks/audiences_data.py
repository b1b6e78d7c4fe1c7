"""A synthetic profile, activity and definitions for ``benchmarks/audiences.py``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from audience_pipeline.audiences.activity import DAYPARTS, PROPERTIES
from audience_pipeline.audiences.criteria import compile_where
from audience_pipeline.audiences.definition import Definition, Definitions, Suppression
from audience_pipeline.audiences.fields import FIELDS, Field
from audience_pipeline.audiences.rules import AllOf, AnyOf, Did, In, Not, Rule, Where
from audience_pipeline.platforms.contract import Platform

AS_OF = date(2026, 6, 30)
DAYS = 400
CUSTOMERS_AT_ONCE = 50_000
ACTIVITIES = {
    "web:page_view": 0.34, "web:product_view": 0.24, "web:search": 0.05, "web:add_to_cart": 0.05,
    "web:checkout": 0.02, "engagement:email_sent": 0.14, "engagement:email_open": 0.06,
    "engagement:email_click": 0.02, "shop:order": 0.03, "shop:item_bought": 0.05,
}  # fmt: skip
CATEGORIES = ["bags", "beauty", "books", "food", "garden", "home", "kids", "shoes", "sport", "toys"]
DEVICES = ["desktop", "mobile", "tablet"]
CHANNELS = ["direct", "email", "organic", "paid_search", "paid_social", "referral"]
SOURCES = ["google", "meta", "newsletter", "partner", "tiktok"]
MEDIA = ["cpc", "email", "referral", "social"]
CAMPAIGNS = [f"campaign_{number:02d}" for number in range(40)]
"""Each belongs to one channel, source and medium, as visits of a campaign do."""


def customer_ids(customers: int) -> pl.Series:
    """Ids of customers in the order of their numbers."""
    return pl.format("C{}", pl.int_range(customers).cast(pl.String).str.zfill(8)).pipe(
        lambda ids: pl.select(customer_id=ids)["customer_id"]
    )


def write_profile(path: Path, customers: int, seed: int, changed: float = 0.0) -> None:
    """A profile with every field of the catalogue; a share of the customers differs from the same seed's."""
    rng = np.random.default_rng(seed)
    again = np.random.default_rng(seed + 1)
    differs = again.random(customers) < changed
    columns = {"customer_id": customer_ids(customers)}
    columns["person_key"] = columns["customer_id"]
    columns["customer_no"] = pl.Series(np.arange(customers, dtype=np.uint32))
    for name, field in FIELDS.items():
        values, known = _values(field, rng, customers)
        if changed:
            others, _ = _values(field, again, customers)
            values = np.where(differs, others, values)
        columns[name] = _series(field, values).set(pl.Series(~known), None)
    pl.DataFrame(columns).write_parquet(path)


def _values(field: Field, rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    known = rng.random(rows) >= (0.15 if field.type != "boolean" else 0.0)
    match field.type:
        case "integer":
            few = [int(value) for value in field.allowed]
            values = rng.choice(few, rows) if few else rng.exponential(60.0, rows).astype(np.int64)
        case "number":
            values = np.round(rng.exponential(60.0, rows), 2)
            if field.unit == "0 to 1":
                values = np.minimum(values / 100, 1.0)
        case "text":
            values = rng.integers(0, len(_texts(field)), rows)
        case "boolean":
            values = rng.random(rows) < 0.5
        case "date":
            values = AS_OF.toordinal() - date(1970, 1, 1).toordinal() - rng.integers(0, 1000, rows)
    return values, known


def _series(field: Field, values: np.ndarray) -> pl.Series:
    if field.type == "text":
        return pl.Series(_texts(field)).gather(values)
    return pl.Series(values).cast({"date": pl.Date}.get(field.type, pl.Series(values).dtype))


def _texts(field: Field) -> list[str]:
    return list(field.allowed) or [f"{field.name}_{number}" for number in range(30)]


def write_activity(path: Path, customers: int, rows: int, seed: int) -> int:
    """``customer_activity`` sorted by customer and day, about so many rows; returns how many."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.5, 2.0, customers)
    counts = rng.poisson(rates * rows / rates.sum())
    ids = customer_ids(customers)
    writer = None
    for begin in range(0, customers, CUSTOMERS_AT_ONCE):
        part = counts[begin : begin + CUSTOMERS_AT_ONCE]
        who = np.repeat(np.arange(begin, begin + len(part)), part)
        table = _activity(rng, ids.gather(who)).to_arrow(compat_level=pl.CompatLevel.oldest())
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer:
        writer.close()
    return int(counts.sum())


def _activity(rng: np.random.Generator, ids: pl.Series) -> pl.DataFrame:
    rows = ids.len()
    names = list(ACTIVITIES)

    def of(values: list[str], empty: float = 0.0) -> pl.Series:
        chosen = pl.Series(values).gather(rng.integers(0, len(values), rows))
        return chosen.set(pl.Series(rng.random(rows) < empty), None) if empty else chosen

    campaign = rng.integers(0, 3 * len(CAMPAIGNS), rows)
    none = pl.Series(campaign >= len(CAMPAIGNS))

    def of_campaign(values: list[str]) -> pl.Series:
        return pl.Series(values).gather(campaign % len(values)).set(none, None)

    recent = (rng.random(rows) ** 1.5 * DAYS).astype(np.int32)
    today = AS_OF.toordinal() - date(1970, 1, 1).toordinal()
    frame = pl.DataFrame(
        {
            "customer_id": ids,
            "activity_date": pl.Series(today - recent).cast(pl.Date),
            "activity": pl.Series(names).gather(rng.choice(len(names), rows, p=list(ACTIVITIES.values()))),
            "category": of(CATEGORIES, 0.3),
            "device": of(DEVICES, 0.1),
            "channel": of_campaign(CHANNELS).fill_null("direct"),
            "source": of_campaign(SOURCES),
            "medium": of_campaign(MEDIA),
            "campaign": pl.Series(CAMPAIGNS).gather(campaign % len(CAMPAIGNS)).set(none, None),
            "daypart": of(list(DAYPARTS)),
            "events": 1 + rng.poisson(0.2, rows),
        }
    )
    return frame.sort("customer_id", "activity_date", "activity", maintain_order=True)


def make_definitions(audiences: int, seed: int) -> Definitions:
    """Audiences as a workspace has them: half of their conditions shared with others, half their own.

    A third has conditions on activity, a quarter excludes, one in ten is made of another audience, half hold
    people out, and all are suppressed by the rules of the workspace.
    """
    make = _Maker(np.random.default_rng(seed))
    found: list[Definition] = []
    for number in range(audiences):
        found.append(make.audience(number, found))
    return Definitions(tuple(found), make.suppressions())


class _Maker:
    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.shared_conditions = [self.condition() for _ in range(60)]
        self.shared_dids = [self.did() for _ in range(30)]

    def audience(self, number: int, earlier: list[Definition]) -> Definition:
        rules: list[Rule] = [self.where() for _ in range(1 + int(self.rng.poisson(1.5)))]
        if number % 3 == 0:
            rules += [self.one(self.shared_dids, self.did) for _ in range(int(self.rng.integers(1, 4)))]
        if earlier and self.rng.random() < 0.1:
            rules.append(In(earlier[int(self.rng.integers(len(earlier)))].name))
        include: Rule = rules[0]
        if len(rules) > 1:
            shapes = (AllOf(tuple(rules)), AllOf((rules[0], AnyOf(tuple(rules[1:])))), AnyOf(tuple(rules)))
            include = shapes[int(self.rng.choice(3, p=[0.6, 0.3, 0.1]))]
        exclude: Rule | None = AnyOf((self.where(), Not(self.where()))) if self.rng.random() < 0.05 else None
        if self.rng.random() < 0.25:
            exclude = self.where()
        return Definition(
            f"audience_{number:04d}", "One of many.", include, exclude, None, tuple(Platform), "daily",
            float(self.rng.choice([0.0, 5.0, 10.0], p=[0.5, 0.25, 0.25])), f"audience_{number:04d}.yaml",
        )  # fmt: skip

    def suppressions(self) -> tuple[Suppression, ...]:
        recent = Did("order", within_days=7)
        rules = {
            "competitors": Where(compile_where("is_competitor and country = 'country_1'", FIELDS)),
            "converters": recent,
            "lost": Where(compile_where("churn_risk = 'lost'", FIELDS)),
        }
        return tuple(Suppression(name, "A rule of the workspace.", rule) for name, rule in rules.items())

    def one(self, shared: list[Rule], make: Callable[[], Rule]) -> Rule:
        return shared[int(self.rng.integers(len(shared)))] if self.rng.random() < 0.5 else make()

    def where(self) -> Rule:
        return self.one(self.shared_conditions, self.condition)

    def condition(self) -> Rule:
        terms = [self.term() for _ in range(int(self.rng.integers(2, 6)))]
        text = terms[0]
        for term in terms[1:]:
            text = f"({text}) {'and' if self.rng.random() < 0.7 else 'or'} {term}"
        return Where(compile_where(text, FIELDS))

    def term(self) -> str:
        field = list(FIELDS.values())[int(self.rng.integers(len(FIELDS)))]
        match field.type:
            case "integer" | "number":
                low = int(self.rng.integers(0, 60))
                high = low + 40
                kind = self.rng.integers(3)
                if field.unit == "0 to 1":
                    low, high = low / 100, high / 100
                if kind == 0:
                    return f"{field.name} between {low} and {high}"
                return f"{field.name} {'>=' if kind == 1 else '<'} {low}"
            case "text":
                values = self.rng.choice(_texts(field), min(3, len(_texts(field))), replace=False)
                return f"{field.name} in ({', '.join(repr(str(value)) for value in values)})"
            case "boolean":
                return field.name
            case "date":
                day = AS_OF - timedelta(days=int(self.rng.integers(0, 900)))
                return f"{field.name} >= date '{day}'"

    def did(self) -> Rule:
        event = str(self.rng.choice([name.split(":")[1] for name in ACTIVITIES]))
        where = None
        if self.rng.random() < 0.6:
            texts = [
                f"category = '{self.rng.choice(CATEGORIES)}'",
                f"device = '{self.rng.choice(DEVICES)}'",
                f"campaign in ('{self.rng.choice(CAMPAIGNS)}', '{self.rng.choice(CAMPAIGNS)}')",
                f"daypart = '{self.rng.choice(DAYPARTS)}' and weekday in ('sat', 'sun')",
            ]
            where = compile_where(str(self.rng.choice(texts)), PROPERTIES)
        did = Did(
            event, int(self.rng.integers(1, 4)), None,
            int(self.rng.choice([7, 14, 30, 60, 90, 180])), where,
        )  # fmt: skip
        return Not(did) if self.rng.random() < 0.15 else did
