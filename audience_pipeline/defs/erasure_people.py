"""Who is meant by requests for erasure, with everything that has landed by now."""

from collections.abc import Collection, Iterator
from datetime import date

import polars as pl

from audience_pipeline.customers.consent_statements import ERASE, holders
from audience_pipeline.customers.erasure import Concerned, concerned, held, reached
from audience_pipeline.defs.identities import resolved_as_of
from audience_pipeline.defs.lake import dataset, ensure_dataset
from audience_pipeline.identifiers.marks import Named
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.erased import ADDRESSES

_WITH_CARDS = (Kind.TRANSACTIONS, Kind.WEB)


def of_requests(settings: Settings, ledger: Ledger, requests: Collection[str]) -> Concerned:
    """Everything that the people are known by whom some requests (landing ids) ask to erase."""
    for kind in Kind:
        ensure_dataset(settings.lake, kind)
    events = dataset(settings.lake, Kind.CONSENT)
    asked = events.filter(pl.col("landing_id").is_in(list(requests)) & (pl.col("status") == ERASE))
    addresses = [dataset(settings.lake, kind) for kind in (Kind.CRM, Kind.ENGAGEMENT)]
    cards = [dataset(settings.lake, kind).select("customer_id", "loyalty_id") for kind in _WITH_CARDS]
    had = pl.concat([holders(table) for table in (*addresses, *cards, events)])
    return concerned(
        reached(asked, had),
        pl.concat(list(_named(asked))).unique(),
        resolved_as_of(settings, ledger, date.max).identities,
        held(*addresses, dataset(settings.lake, Kind.WEB).select("customer_id", "device_id"), events),
    )


def _named(asked: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    there = asked.collect_schema().names()
    for named, columns in ADDRESSES.items():
        for column in columns:
            if column in there:
                yield (
                    asked.filter(pl.col(column).is_not_null())
                    .select(pl.lit(named.value).alias("named"), pl.col(column).alias("hash"))
                    .collect()
                )


def names(people: Concerned) -> dict[Named, list[bytes | str]]:
    """What names these people and nobody else, as tombstones and landed tables know it."""
    return {
        Named.ID: people.ids.to_list(),
        Named.EMAIL: [*people.own(Named.EMAIL)],
        Named.PHONE: [*people.own(Named.PHONE)],
        Named.DEVICE: [one.decode() for one in people.own(Named.DEVICE)],
    }
