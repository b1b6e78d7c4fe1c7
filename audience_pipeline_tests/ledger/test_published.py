"""Entities as tables beside the ledger, on both databases."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from audience_pipeline.ledger import Ledger, published

NOW = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)


def segment(name: str, size: int, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "segment_type": "manual",
        "as_of": date(2026, 11, 19),
        "size": size,
        "predicted_performance": {"predicted_ltv": 12.5},
        "composition": {"country": {"DE": 1.0}},
        "published_at": NOW,
        **more,
    }


def sizes(ledger: Ledger) -> list[tuple[str, int]]:
    with ledger.reading() as connection:
        found = connection.execute(text('SELECT name, size FROM "AudienceSegment" ORDER BY name'))
        return [tuple(row) for row in found]


def publish(ledger: Ledger, *rows: dict[str, Any]) -> None:
    with ledger.begin() as connection:
        published.publish(connection, {"AudienceSegment": rows})


def test_plain_sql_sees_what_was_published_last_and_nothing_else(ledger: Ledger) -> None:
    publish(ledger, segment("best", 5), segment("other", 6))
    publish(ledger, segment("best", 7))

    assert sizes(ledger) == [("best", 7)]


def test_nothing_can_be_published_too(ledger: Ledger) -> None:
    publish(ledger, segment("best", 5))
    publish(ledger)

    assert sizes(ledger) == []


def test_a_publication_that_fails_leaves_the_one_before(ledger: Ledger) -> None:
    publish(ledger, segment("best", 5))

    with pytest.raises(SQLAlchemyError):
        publish(ledger, segment("new", 1), segment("bad", 1, composition=None, as_of=None))

    assert sizes(ledger) == [("best", 5)]


def test_a_table_of_an_earlier_form_is_made_anew(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        connection.execute(text('CREATE TABLE "AudienceSegment" (name VARCHAR(10), colour TEXT)'))

    publish(ledger, segment("best", 5))

    assert sizes(ledger) == [("best", 5)]


def test_every_entity_has_a_key_a_date_of_publication_and_says_what_it_is() -> None:
    tables = published.entities.tables

    assert sorted(tables) == [
        "AISegmentDiscovery",
        "AudienceSegment",
        "LTVAudience",
        "LTVModel",
        "UnifiedAudience",
    ]
    assert all("published_at" in table.columns and list(table.primary_key) for table in tables.values())
    assert all(table.comment for table in tables.values())
