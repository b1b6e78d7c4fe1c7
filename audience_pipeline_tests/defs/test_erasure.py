"""An erasure deletes everything of a person and nothing of anybody else, and may be killed anywhere."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pyroaring import BitMap

from audience_pipeline.audiences.stored import STORED_SCHEMA
from audience_pipeline.customers import orders as orders_of
from audience_pipeline.defs import erasure
from audience_pipeline.defs.consent_kept import changed
from audience_pipeline.defs.consent_log import log_folder, log_statements
from audience_pipeline.defs.erased_addresses import never_sent
from audience_pipeline.defs.erasure import complete, due
from audience_pipeline.defs.identities import resolved_as_of
from audience_pipeline.defs.numbers import customer_numbers, numbering
from audience_pipeline.defs.privacy import request
from audience_pipeline.defs.sources import Reading, land_all, shop_facts
from audience_pipeline.defs.storage import write_table
from audience_pipeline.identifiers.source_ids import hashed_id
from audience_pipeline.ledger import consent_log, erasures, landings, removals
from audience_pipeline.ledger.consent_verify import verify
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.erasures import ErasureState
from audience_pipeline.settings import Config, Settings
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.landing import land
from audience_pipeline.sources.lists import read_list, upload
from audience_pipeline.sources.requests import one_person
from audience_pipeline.sources.tombstones import KEY_NAME, read_key, tombstones_path
from audience_pipeline_tests.end_to_end.traces import Needles, found

DAY = "2026-01-31"
DEVICE = "6d92078a-8246-4ba4-ae5b-76104861e7dc"
ANN, OLD, BOB = "ann@example.com", "ann.old@example.com", "bob@example.com"
FILES = {
    Kind.TRANSACTIONS: (
        "customer_id,transaction_date,transaction_amount,product_category,order_id,loyalty_id\n"
        "ANN-0001,2026-01-01,10.00,shoes,O1,LOYAL-0001\nBOB-0002,2026-01-01,20.00,shoes,O2,\n"
        ",2026-01-02,5.00,hats,O3,LOYAL-0001\nCEC-0003,2026-01-03,7.00,hats,O4,\n"
    ),
    Kind.CRM: (
        "customer_id,email,phone,first_name,last_name,country,loyalty_id,device_id,updated_at\n"
        f"ANN-0001,{OLD},,Ann,Alder,US,LOYAL-0001,,2025-01-01\n"
        f"ANN-0001,{ANN},+1 212 555 0123,Ann,Alder,US,LOYAL-0001,{DEVICE},2026-01-01\n"
        f"BOB-0002,{BOB},+1 212 555 0123,Bob,Birch,US,,,2026-01-01\n"
        "CEC-0003,,,Cecily,Cedar,US,,,2026-01-01\n"
    ),
    Kind.WEB: (
        "event_at,event,customer_id,anonymous_id\n2026-01-01T10:00:00Z,page_view,ANN-0001,browser-0001\n"
        "2026-01-01T11:00:00Z,page_view,,browser-0001\n2026-01-01T12:00:00Z,page_view,BOB-0002,browser-0002\n"
    ),
    Kind.ENGAGEMENT: (
        f"event_at,event,customer_id,email\n2026-01-01,email_open,,{OLD}\n2026-01-01,email_open,BOB-0002,{BOB}\n"
    ),
    Kind.CONSENT: (
        "event_at,status,customer_id,email,phone\n2026-01-01,granted,ANN-0001,,\n2026-01-02,granted,BOB-0002,,\n"
        "2026-01-03,denied,,,+1 212 555 0123\n"
    ),
}


@dataclass
class Shop:
    """A workspace with three customers and the tables of one date."""

    settings: Settings
    ledger: Ledger

    @property
    def lake(self) -> Path:
        return self.settings.lake

    def erase(self, customer: str = "ANN-0001") -> str:
        return request(self.settings, self.ledger, one_person(customer), "erase").request_id

    def complete(self) -> list[erasure.Completed]:
        return complete(self.settings, self.ledger)

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.lake / name / f"{DAY}.parquet")

    def landed(self, kind: Kind) -> pl.DataFrame:
        files = sorted((self.lake / kind.dataset).glob("*.parquet"))
        return pl.concat([pl.read_parquet(path) for path in files])

    def traces(self) -> list[str]:
        leave_out = [self.settings.home / "inbox"]
        return found(self.settings.home, needles(), leave_out)

    def problems(self) -> list[Any]:
        marker = read_key(self.settings.home / KEY_NAME)
        seen = verify(consent_log.heads(self.ledger), log_folder(self.settings), marker=marker)
        return [*seen.problems, *changed(self.settings, self.ledger)]


def needles() -> Needles:
    """Everything that Ann alone is known by, as text, as hex and as bytes."""
    hashes = [sha256(address.encode()).digest() for address in (ANN, OLD, "annold@example.com")]
    hashes += [sha256(name.encode()).digest() for name in ("ANN-0001", "loyalty:LOYAL-0001")]
    texts = ["ANN-0001", "LOYAL-0001", "browser-0001", DEVICE]
    texts += [one.hex()[:32] for one in hashes]
    return Needles(frozenset([*texts, *(one.decode("latin-1") for one in hashes)]), frozenset())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace as every test finds it."""
    settings = Settings.at(tmp_path_factory.mktemp("shop") / "w", Config(), {})
    settings.home.mkdir()
    with Ledger.open(settings.ledger_url) as ledger:
        for kind, content in FILES.items():
            folder = settings.inbox / kind.value
            folder.mkdir(parents=True)
            path = folder / "export.csv"
            path.write_text(content)
            os.utime(path, (time.time() - 60, time.time() - 60))
            reports, refused = land_all(settings, kind, [], Reading(), ledger, lambda _what: None)
            assert (len(reports), refused) == (1, [])
        log_statements(settings, ledger)
        _derive(settings, ledger)
    return settings.home


@pytest.fixture
def shop(made: Path, tmp_path: Path) -> Iterator[Shop]:
    settings = Settings.at(tmp_path / "w", Config(), {})
    shutil.copytree(made, settings.home)
    with Ledger.open(settings.ledger_url) as ledger:
        yield Shop(settings, ledger)


def _derive(settings: Settings, ledger: Ledger) -> None:
    """Tables such as a refresh writes; the end-to-end test has the real ones."""
    lake = settings.lake
    resolved = resolved_as_of(settings, ledger, date.fromisoformat(DAY))
    contacts = pl.scan_parquet(lake / "crm_contacts" / "*.parquet").collect()
    customers = resolved.identities.select("customer_id", "person_key").unique().sort("customer_id")
    numbers = customer_numbers(lake, customers["person_key"])
    profile = customers.join(numbers, on="person_key", how="left").with_columns(value=pl.lit(1.0))
    everybody = profile["customer_no"].to_list()
    members, holdout = BitMap(everybody), BitMap(everybody[:1])
    stored = pl.DataFrame(
        [
            (
                "all_of_them",
                len(members),
                len(holdout),
                members.serialize(),
                holdout.serialize(),
                "d",
                numbering(lake),
            )
        ],
        schema=STORED_SCHEMA,
        orient="row",
    )
    tables = {
        "identities": resolved.identities,
        "identity_decisions": resolved.decisions,
        "customer_profile": profile,
        "audience_memberships": stored,
        "audience_standing": profile.select("customer_no"),
        "identifiers": contacts.select("customer_id", "meta_email", "meta_phone", "device_id").unique(
            "customer_id", keep="last", maintain_order=True
        ),
        "ltv_predictions": customers.select("customer_id", predicted_ltv=pl.lit(1.0)),
    }
    for name, table in tables.items():
        write_table(lake / name / f"{DAY}.parquet", table, 5)
    orders = orders_of.orders(pl.scan_parquet(lake / "transactions" / "*.parquet"))
    write_table(lake / "orders.parquet", orders.collect())
    entries = settings.home.parent / "list.csv"
    entries.write_text(f"ANN-0001\n{ANN}\n{BOB}\n")
    upload(lake, "fair", entries)


def test_there_is_much_to_find_before_so_that_finding_nothing_afterwards_says_something(shop: Shop) -> None:
    files = {hit.partition(": ")[0] for hit in shop.traces()}
    tables = {Path(one).relative_to(shop.settings.home).parts[1] for one in files}

    assert tables >= {
        *(kind.dataset for kind in Kind),
        *("consent_log", "identities", "identity_decisions", "customer_profile", "identifiers", "lists"),
        *("ltv_predictions", "orders.parquet", "customer_numbers.parquet"),
    }
    assert [one for one in files if "archive" in one]


def test_nothing_of_the_person_is_left_anywhere_in_the_workspace(shop: Shop) -> None:
    request_id = shop.erase()
    assert due(shop.settings, shop.ledger)

    [done] = shop.complete()

    assert (done.request_id, done.done) == (request_id, True)
    assert shop.traces() == []
    with shop.ledger.reading() as connection:
        [one] = erasures.erasures(connection)
    assert one.state is ErasureState.DELETED
    assert one.removed_at is not None
    assert one.deleted_at is not None
    assert one.removed_at <= one.deleted_at
    assert one.tombstones > 5


def test_everybody_else_is_as_they_were(shop: Shop) -> None:
    before = {name: shop.table(name) for name in ("customer_profile", "ltv_predictions", "identities")}
    landed = {kind: shop.landed(kind) for kind in Kind}
    shop.erase()

    shop.complete()

    others = ["BOB-0002", "CEC-0003"]
    for name, table in before.items():
        assert shop.table(name).equals(table.filter(pl.col("customer_id").is_in(others)))
    for kind, rows in landed.items():
        theirs = rows.filter(
            pl.col("customer_id").is_in(others)
            | (pl.col("meta_phone").is_not_null() if kind is Kind.CONSENT else False)
        )
        assert shop.landed(kind).equals(theirs), kind
    assert read_list(shop.lake, "fair")["value"].to_list() == [sha256(BOB.encode()).digest()]


def test_the_rows_are_counted_by_table(shop: Shop) -> None:
    shop.erase()
    shop.complete()

    with shop.ledger.reading() as connection:
        [one] = erasures.erasures(connection)

    assert one.rows["transactions"] == 2
    assert one.rows["crm_contacts"] == 2
    assert one.rows["web_events"] == 2
    assert one.rows["engagement_events"] == 1
    assert one.rows["consent_events"] == 2
    assert one.rows["orders"] == 2
    assert one.rows["audience_memberships"] == 1
    assert one.rows["lists"] == 2
    assert one.rows["consent_log"] == 2


def test_memberships_are_readable_without_the_person_and_no_number_is_given_anew(shop: Shop) -> None:
    shop.erase()
    shop.complete()
    profile = shop.table("customer_profile")

    stored = shop.table("audience_memberships").row(0, named=True)
    members, holdout = (BitMap.deserialize(stored[name]) for name in ("members", "holdout"))

    assert sorted(members) == sorted(profile["customer_no"])
    assert holdout <= members
    assert (stored["size"], stored["held_out"]) == (len(members), len(holdout)) == (2, 0)
    assert stored["digest"] == sha256(stored["members"]).hexdigest()
    assert stored["numbering"] == numbering(shop.lake)
    numbers = pl.read_parquet(shop.lake / "customer_numbers.parquet")
    assert numbers["customer_no"].to_list() == [0, 1, 2]
    assert numbers["person_key"].null_count() == 1
    new = customer_numbers(shop.lake, pl.Series(["DAN-0004", "BOB-0002"]))
    assert new.filter(pl.col("person_key") == "DAN-0004")["customer_no"].to_list() == [3]


def test_what_a_table_says_of_itself_stays(shop: Shop) -> None:
    path = shop.lake / "customer_profile" / f"{DAY}.parquet"
    before, schema = pl.read_parquet_metadata(path)["landing_sequence"], pl.read_parquet_schema(path)
    shop.erase()
    shop.complete()

    assert pl.read_parquet_metadata(path)["landing_sequence"] == before
    assert pl.read_parquet_schema(path) == schema


def test_the_log_of_consent_is_whole_and_explains_what_is_gone(shop: Shop) -> None:
    shop.erase()
    noted = consent_log.heads(shop.ledger)[-1].head
    shop.complete()

    assert shop.problems() == []
    assert noted in {one.head for one in consent_log.heads(shop.ledger)}


def test_a_file_that_lands_again_brings_nobody_back_and_doubles_nobody(shop: Shop, tmp_path: Path) -> None:
    shop.erase()
    shop.complete()
    same, other = tmp_path / "same.csv", tmp_path / "other.csv"
    same.write_text(FILES[Kind.TRANSACTIONS])
    other.write_text(FILES[Kind.TRANSACTIONS] + "BOB-0002,2026-01-09,9.00,hats,O9,\n")

    again, more = (
        land(Kind.TRANSACTIONS, path, lake=shop.lake, ledger=shop.ledger, facts=shop_facts(shop.settings))
        for path in (same, other)
    )

    assert (again.landed, again.landed_before) == (0, True)
    assert (more.landed, more.known, more.erased) == (1, 2, 2)
    assert shop.landed(Kind.TRANSACTIONS)["order_id"].to_list() == ["O2", "O4", "O9"]
    assert shop.traces() == []


def test_an_opt_out_by_an_address_that_others_share_still_binds_them_and_the_address_is_never_sent(
    shop: Shop,
) -> None:
    shop.erase()
    assert never_sent(shop.settings, date.max).is_empty()
    shop.complete()

    phone = sha256(b"12125550123").digest()
    stated = shop.landed(Kind.CONSENT).filter(pl.col("meta_phone").is_not_null())
    assert stated["status"].to_list() == ["denied"]
    found_ones = never_sent(shop.settings, date.max)
    assert set(found_ones["meta_phone"].drop_nulls()) == {phone}
    assert set(found_ones["customer_id"]) == {""}


def test_somebody_of_whom_nothing_is_known_is_kept_out_all_the_same(shop: Shop, tmp_path: Path) -> None:
    shop.erase("eve@example.com")
    shop.complete()
    later = tmp_path / "later.csv"
    later.write_text("customer_id,email\nEVE-0009,eve@example.com\nFAY-0010,fay@example.com\n")

    report = land(Kind.CRM, later, lake=shop.lake, ledger=shop.ledger, facts=shop_facts(shop.settings))

    assert (report.landed, report.erased) == (1, 1)


def test_archived_originals_go_unless_their_landing_proves_that_nobody_of_them_is_inside(
    shop: Shop, tmp_path: Path
) -> None:
    folder = shop.settings.inbox / "transactions"
    for name, rows in {
        "free.csv": "BOB-0002,2026-02-01,20.00,shoes,O7,\n",
        "overlapping.csv": "BOB-0002,2026-02-01,20.00,shoes,O7,\nCEC-0003,2026-02-02,1.00,shoes,O8,\n",
    }.items():
        path = folder / name
        path.write_text(FILES[Kind.TRANSACTIONS].splitlines()[0] + "\n" + rows)
        os.utime(path, (time.time() - 60, time.time() - 60))
        land_all(shop.settings, Kind.TRANSACTIONS, [], Reading(), shop.ledger, lambda _what: None)
    shop.erase()
    shop.complete()

    [left] = (shop.settings.archive).iterdir()

    [free] = [one for one in landings.committed(shop.ledger) if one.file_name == "free.csv"]
    assert free.landing_id[:12] in left.name


def test_an_address_that_leads_to_very_many_is_looked_at_first(shop: Shop, tmp_path: Path) -> None:
    contacts = tmp_path / "many.csv"
    rows = "".join(f"X-{number},shop@example.com\n" for number in range(40))
    contacts.write_text(f"customer_id,email\n{rows}")
    land(Kind.CRM, contacts, lake=shop.lake, ledger=shop.ledger, facts=shop_facts(shop.settings))
    shop.erase("shop@example.com")

    [held] = shop.complete()

    assert not held.done
    assert "1 name or address leads to 41 customers" in held.sentence
    assert shop.landed(Kind.CRM).filter(pl.col("customer_id").str.starts_with("X-")).height == 40
    [done] = complete(shop.settings, shop.ledger, confirm=True)
    assert done.done
    assert shop.landed(Kind.CRM).filter(pl.col("customer_id").str.starts_with("X-")).is_empty()


def test_nobody_is_deleted_while_a_platform_still_owes_the_removal(shop: Shop) -> None:
    request_id = shop.erase()
    with shop.ledger.begin() as connection:
        [meta] = [
            one
            for one in removals.removals(connection)
            if one.request_id == request_id and one.platform == "meta"
        ]
        removals.put(
            connection,
            removals.Removal(**{**_fields(meta), "account": "1", "state": removals.RemovalState.REFUSED}),
        )

    assert not due(shop.settings, shop.ledger)
    assert erasure._due(shop.ledger) == []


def _fields(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__slots__}


def test_a_table_that_a_run_writes_late_from_what_it_read_before_is_swept(shop: Shop) -> None:
    path = shop.lake / "customer_profile" / f"{DAY}.parquet"
    late = pl.read_parquet(path)
    shop.erase()
    shop.complete()
    assert shop.complete() == []
    write_table(path, late, 5)
    assert due(shop.settings, shop.ledger)

    shop.complete()

    assert shop.traces() == []
    assert pl.read_parquet(path)["customer_id"].to_list() == ["BOB-0002", "CEC-0003"]


class Killed(BaseException):
    """The process is gone."""


STEPS = ("_write", "add", "append_erasure", "take_out_names", "remove", "places", "take_back", "watch")


def _killing(step: Callable[..., Any], after: int, *, done: bool) -> Callable[..., Any]:
    calls = iter(range(10_000))

    def dying(*arguments: Any, **options: Any) -> Any:
        if next(calls) < after:
            return step(*arguments, **options)
        if done:
            step(*arguments, **options)
        raise Killed

    return dying


@pytest.mark.parametrize(
    ("step", "after", "done"),
    [
        *((step, 0, False) for step in STEPS),
        *((step, 0, True) for step in ("_write", "append_erasure", "take_out_names")),
        *(("remove", after, True) for after in (1, 4, 9, 14)),
    ],
)
def test_wherever_it_is_killed_the_next_one_finishes_it_and_nothing_is_doubled(
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    after: int,
    done: bool,
) -> None:
    request_id = shop.erase()
    with monkeypatch.context() as patched:
        patched.setattr(erasure, step, _killing(getattr(erasure, step), after, done=done))
        with pytest.raises(Killed):
            shop.complete()
    assert due(shop.settings, shop.ledger)

    [finished] = shop.complete()

    assert (finished.request_id, finished.done) == (request_id, True)
    assert shop.traces() == []
    assert shop.problems() == []
    assert not erasure.under_way(shop.settings)
    with shop.ledger.reading() as connection:
        [one] = erasures.erasures(connection)
    assert one.rows["transactions"] == 2
    assert one.rows["customer_profile"] == 1
    assert shop.table("customer_profile")["customer_id"].to_list() == ["BOB-0002", "CEC-0003"]
    assert len([head for head in consent_log.heads(shop.ledger) if head.origin == "erasure"]) == 1


def test_while_it_is_under_way_only_its_owner_can_read_whom_it_is_about(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.erase()
    with monkeypatch.context() as patched:
        patched.setattr(erasure, "add", _killing(erasure.add, 0, done=False))
        with pytest.raises(Killed):
            shop.complete()

    path = shop.lake / ".work" / "erasure.json"

    assert path.stat().st_mode & 0o777 == 0o600
    assert "ANN-0001" in json.dumps(json.loads(path.read_text()))
    shop.complete()
    assert not path.exists()
    assert tombstones_path(shop.lake).is_file()


def test_a_hash_is_named_as_a_source_id_is() -> None:
    """The needles of this file would find nothing if they were written otherwise."""
    hashed = pl.DataFrame({"hash": [sha256(ANN.encode()).digest()]})

    assert (
        hashed.select(hashed_id("email:", "hash")).item() == f"email:{sha256(ANN.encode()).hexdigest()[:32]}"
    )
