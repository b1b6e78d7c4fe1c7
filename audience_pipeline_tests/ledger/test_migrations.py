"""A ledger of any version becomes one of the newest, with everything that it knew, on both databases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, MetaData, create_engine, inspect, select, text

from audience_pipeline.ledger import (
    Ledger,
    deliveries,
    landings,
    legacy_members,
    migrations,
    schema,
    snapshots,
)
from audience_pipeline.ledger.fingerprints import fingerprints
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import AudienceKey, MemberState
from audience_pipeline.platforms.contract import Platform

NOW = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
KEY = AudienceKey(Platform.META, "123", "best")
SENT = {"meta_email": "ab" * 32, "meta_phone": "cd" * 32, "country": "de"}
AUDIENCE = {"platform": "meta", "account": "123", "audience": "best"}
VERSIONS = ["0001", "0002"]


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True)
    made = create_engine(url)
    yield made
    made.dispose()


def migrate(connection: Connection, version: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, version)


def add(connection: Connection, table: str, **values: Any) -> None:
    """Insert a row as the version of that time did, whatever the schema is now."""
    known = MetaData()
    known.reflect(connection, only=[table])
    connection.execute(known.tables[table].insert(), [values])


@pytest.fixture(params=VERSIONS)
def older(engine: Engine, request: pytest.FixtureRequest) -> str:
    """Fills a ledger of an earlier version; its version."""
    moment = NOW.replace(tzinfo=None) if engine.dialect.name == "sqlite" else NOW
    with engine.begin() as connection:
        migrate(connection, request.param)
        add(
            connection, "landings", kind="transactions", landing_id="0" * 16, sequence=1, file_name="a.csv",
            file_sha256="0" * 64, rows_read=1, rows_landed=1, rows_known=0, rows_repeated=0,
            rows_quarantined=0, report={}, landed_at=moment,
        )  # fmt: skip
        add(
            connection, "platform_audiences", **AUDIENCE, remote_id="r", remote_name="best", state="active",
            status="ready", match_rate_how="", created_at=moment,
        )  # fmt: skip
        add(
            connection, "deliveries", delivery_id="d", **AUDIENCE, as_of=date(2026, 11, 20),
            started_at=moment, state="processing", wanted=3, to_add=3, to_remove=0, sent=3, accepted=3,
            rejected=0, message="",
        )  # fmt: skip
        for number, (action, state) in enumerate(
            [("add", "settled"), ("remove", "sent"), ("add", "failed")], 1
        ):
            add(
                connection, "batches", batch_id=f"d-{number}", delivery_id="d", sequence=number,
                action=action, rows=1, state=state, request_id="q", remote_id="r", reasons={}, message="",
                planned_at=moment,
            )  # fmt: skip
        people = [
            ("a", "added", "d-1"),
            ("b", "removing", "d-2"),
            ("c", "adding", "d-3"),
            ("d", "doubtful", None),
        ]
        for customer, state, batch in people:
            add(
                connection, "delivered_members", **AUDIENCE, customer_id=customer, fingerprint="f" * 32,
                identifiers=SENT, state=state, delivered_at=moment, batch_id=batch,
            )  # fmt: skip
        if request.param != "0001":
            add(
                connection, "consent_log", sequence=1, origin="statements", reference="l", segment="s",
                entries=1, first_hash="0" * 64, last_hash="0" * 64, file_sha256="0" * 64, appended_at=moment,
                head="0" * 64,
            )  # fmt: skip
    return str(request.param)


def test_every_version_becomes_exactly_the_schema(older: str, url: str) -> None:
    with Ledger.open(url) as ledger, ledger.reading() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), schema.metadata)
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()

    assert differences == []
    assert version == migrations.HEAD


def test_what_an_earlier_version_knew_is_there(older: str, url: str) -> None:
    with Ledger.open(url) as ledger:
        landed = landings.committed(ledger)
        with ledger.reading() as connection:
            (audience,) = deliveries.audiences(connection)
            (delivery,) = deliveries.deliveries(connection)
            batches = deliveries.batches_of(connection, "d")

    assert [one.landed_at for one in landed] == [NOW]
    assert (audience.key, audience.created_at) == (KEY, NOW)
    assert (delivery.key, delivery.wanted) == (KEY, 3)
    assert [(batch.action, batch.state.value, batch.split_from) for batch in batches] == [
        ("add", "settled", ""),
        ("remove", "sent", ""),
        ("add", "failed", ""),
    ]


def test_members_of_an_earlier_version_move_into_files(older: str, url: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"meta_email": [b"\xab" * 32], "meta_phone": [b"\xcd" * 32], "country": ["de"]})
    expected = fingerprints(frame, frame.columns).item()
    with Ledger.open(url) as ledger:
        store = MemberStore(ledger, tmp_path / "delivered")
        rows = store.members(KEY).rows()
        again = MemberStore(ledger, tmp_path / "delivered").members(KEY).rows()
        held = store.summary(KEY)
        sent = store.variants(Platform.META).of(store.members(KEY).select("customer_id", "fingerprint"))
        with ledger.reading() as connection:
            left = connection.execute(select(schema.delivered_members)).all()

    assert [row[:4] + row[5:] for row in rows] == [
        ("a", expected, "added", False, "d-1"),
        ("b", expected, "removing", True, "d-2"),
        ("c", expected, "adding", False, "d-3"),
        ("d", expected, "doubtful", False, None),
    ]
    assert {row[4] for row in rows} == {NOW}
    assert (again, left) == (rows, [])
    assert (held.delivered, held.states[MemberState.ADDING], held.oldest) == (3, 1, NOW)
    assert [(upload.people, upload.batch.batch_id) for upload in held.uploads] == [(1, "d-1")]
    assert sent.select("meta_email", "meta_phone", "meta_first_name", "country").unique().rows() == [
        (b"\xab" * 32, b"\xcd" * 32, None, "de")
    ]


def test_moving_members_can_be_killed_and_begun_again(
    older: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with Ledger.open(url) as ledger:
        for module, name in [
            (snapshots, "write"),
            (legacy_members, "_members"),
            (legacy_members.pointers, "point"),
        ]:
            with monkeypatch.context() as patched:
                patched.setattr(module, name, die)
                with pytest.raises(KeyboardInterrupt):
                    MemberStore(ledger, tmp_path).members(KEY)
        rows = MemberStore(ledger, tmp_path).members(KEY)

    assert rows["customer_id"].to_list() == ["a", "b", "c", "d"]


def test_an_analyst_is_told_what_every_table_holds(new_url: Callable[[], str]) -> None:
    with Ledger.open(new_url()) as ledger, ledger.reading() as connection:
        if connection.dialect.name == "postgresql":
            inspected = inspect(connection)
            silent = [
                name for name in schema.metadata.tables if not inspected.get_table_comment(name).get("text")
            ]
        else:
            silent = [name for name, table in schema.metadata.tables.items() if not table.comment]

    assert silent == []


def test_identifiers_of_an_earlier_version_are_read_as_json_and_as_text() -> None:
    row = {"customer_id": "a", "state": "added", "delivered_at": NOW, "batch_id": None}
    one, other = (
        legacy_members._members(Platform.META, [{**row, "identifiers": identifiers}])
        for identifiers in (SENT, json.dumps(SENT))
    )

    assert one.equals(other)
