"""The log of consent: chained, appended once, and broken wherever somebody touches it."""

from __future__ import annotations

import hmac
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest
from alembic import command
from alembic.config import Config
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, delete, text, update

from audience_pipeline.identifiers.marks import Marker
from audience_pipeline.ledger import Ledger, consent_chain, consent_log, landings, migrations, schema
from audience_pipeline.ledger.consent_log import HEAD_COPY, STATEMENTS
from audience_pipeline.ledger.consent_verify import Verified, verify
from audience_pipeline.ledger.landings import Landing

NOON = datetime(2026, 6, 1, 12)
HASH = sha256(b"ann").digest()
SECRET = bytes(range(32))
MARKER = Marker(SECRET)


def stated(*customers: str | None, status: str = "denied") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "customer_id": pl.Series(customers, dtype=pl.String),
            "status": [status] * len(customers),
            "event_at": [NOON] * len(customers),
            "meta_email": [HASH] * len(customers),
            "line": list(range(2, len(customers) + 2)),
        },
        schema_overrides={name: consent_chain.STATED[name] for name in ("event_at", "line", "meta_email")},
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "consent_log"


@pytest.fixture(params=[MARKER, None], ids=["keyed", "first version"])
def marker(request: pytest.FixtureRequest) -> Marker | None:
    """Logs of the first version are still read, and go on with keyed entries."""
    found: Marker | None = request.param
    return found


@pytest.fixture
def filled(ledger: Ledger, folder: Path, marker: Marker | None) -> Ledger:
    """Three segments: five entries, none, three."""
    consent_log.append(ledger, folder, STATEMENTS, "one", lambda: stated(*"abcde"), marker)
    consent_log.append(ledger, folder, STATEMENTS, "two", stated, marker)
    consent_log.append(ledger, folder, STATEMENTS, "three", lambda: stated("f", None, "h"), marker)
    return ledger


def checked(ledger: Ledger, folder: Path, **options: str) -> Verified:
    return verify(consent_log.heads(ledger), folder, marker=MARKER, **options)


def found(ledger: Ledger, folder: Path) -> list[tuple[int, int | None, str]]:
    return [(one.sequence, one.entry, one.what) for one in checked(ledger, folder).problems]


def rewrite(folder: Path, number: int, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    [path] = folder.glob(f"{number:08d}-*.parquet")
    change(pl.read_parquet(path)).write_parquet(path)


def test_an_empty_log_is_whole(ledger: Ledger, folder: Path) -> None:
    seen = checked(ledger, folder)

    assert (seen.intact, seen.entries, seen.since, seen.head) == (True, 0, None, "")


def test_what_was_appended_is_counted_and_whole(filled: Ledger, folder: Path) -> None:
    seen = checked(filled, folder)

    assert (seen.intact, seen.entries, seen.segments, seen.unfinished) == (True, 8, 2, 0)
    assert seen.since == consent_log.heads(filled)[0].appended_at
    assert seen.head == consent_log.heads(filled)[-1].head


def test_the_hashes_are_those_that_anybody_can_compute(
    filled: Ledger, folder: Path, marker: Marker | None
) -> None:
    """Written out by hand: what is documented is what is done."""
    [path] = folder.glob("00000001-*.parquet")
    rows = pl.read_parquet(path)
    moment, address = "1780315200000000", HASH.hex()
    said = [None, None, "denied", None, None, None, "2"]
    fields = ["1", STATEMENTS, "one", moment, "a", address, None, *said]
    if marker is not None:
        customer = hmac.digest(SECRET, b"id:" + sha256(b"a").digest(), "sha256").hex()
        mail = hmac.digest(SECRET, b"email:" + HASH, "sha256").hex()
        fields = ["1", STATEMENTS, "one", moment, *said, customer, mail, None]
    text_of_first = "".join("-" if field is None else f"{len(field)}:{field}," for field in fields)

    assert rows["entry_hash"][0] == sha256(bytes(32) + text_of_first.encode()).digest()


def test_appending_the_same_landing_again_adds_nothing_and_asks_for_nothing(
    filled: Ledger, folder: Path
) -> None:
    def never() -> pl.DataFrame:
        raise AssertionError

    again = consent_log.append(filled, folder, STATEMENTS, "one", never)

    assert (again.sequence, len(consent_log.heads(filled))) == (1, 3)


@given(st.permutations(["a", "b", "c", None]))
def test_the_order_of_rows_does_not_reach_the_log(order: list[str | None]) -> None:
    straight, turned = stated("a", "b", "c", None).drop("line"), stated(*order).drop("line")

    chains = [
        consent_chain.segment(rows, STATEMENTS, "r", after=0, previous=consent_chain.START)
        for rows in (straight, turned)
    ]

    assert chains[0].equals(chains[1])


@given(*(st.lists(st.one_of(st.none(), st.text(alphabet="1:,-a", max_size=4)), min_size=3, max_size=3),) * 2)
def test_no_two_entries_are_written_alike(one: list[str | None], other: list[str | None]) -> None:
    columns = ["purpose", "status", "source"]
    rows = pl.DataFrame([one, other], schema=dict.fromkeys(columns, pl.String), orient="row")
    first, second = rows.select(consent_chain.canonical(columns)).to_series()

    assert (first == second) == (one == other)


EDITS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "status": lambda rows: rows.with_columns(
        status=pl.when(pl.col("entry") == 3).then(pl.lit("granted")).otherwise("status")
    ),
    "customer": lambda rows: rows.with_columns(
        customer_id=pl.when(pl.col("entry") == 3).then(pl.lit("z")).otherwise("customer_id")
    ),
    "nothing for something": lambda rows: rows.with_columns(
        source=pl.when(pl.col("entry") == 3).then(pl.lit("")).otherwise("source")
    ),
    "hash": lambda rows: rows.with_columns(
        entry_hash=pl.when(pl.col("entry") == 3).then(pl.lit(b"x" * 32)).otherwise("entry_hash")
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_entry_is_found(filled: Ledger, folder: Path, edit: str) -> None:
    rewrite(folder, 1, EDITS[edit])

    assert found(filled, folder) == [(1, 3, "the entry was changed")]


@pytest.mark.parametrize(("kept", "first"), [([1, 2, 4, 5], 3), ([2, 3, 4, 5], 1), ([1, 2, 3], 4)])
def test_removed_entries_are_found(filled: Ledger, folder: Path, kept: list[int], first: int) -> None:
    rewrite(folder, 1, lambda rows: rows.filter(pl.col("entry").is_in(kept)))

    assert found(filled, folder) == [
        (1, first, f"{5 - len(kept)} of 5 entries {'was' if len(kept) == 4 else 'were'} removed")
    ]


def test_reordered_entries_are_found(filled: Ledger, folder: Path) -> None:
    rewrite(folder, 1, lambda rows: rows.reverse())

    assert found(filled, folder) == [(1, 1, "the entries are in another order")]


def test_an_added_entry_is_found(filled: Ledger, folder: Path) -> None:
    rewrite(folder, 1, lambda rows: pl.concat([rows, rows.tail(1).with_columns(entry=pl.lit(6, pl.Int64))]))

    assert found(filled, folder) == [(1, None, "1 entry was added")]


def test_a_segment_that_was_written_anew_with_a_chain_of_its_own_is_found(
    filled: Ledger, folder: Path
) -> None:
    def forged(rows: pl.DataFrame) -> pl.DataFrame:
        changed = rows.with_columns(status=pl.lit("granted"))
        return changed.with_columns(consent_chain.chained(changed, consent_chain.START))

    rewrite(folder, 1, forged)

    assert [(one, entry) for one, entry, _ in found(filled, folder)] == [(1, 1)]


def test_a_forged_segment_whose_record_was_forged_too_is_found(filled: Ledger, folder: Path) -> None:
    """Whoever changes file and record must change every head after them, and the copy as well."""

    def forged(rows: pl.DataFrame) -> pl.DataFrame:
        changed = rows.with_columns(status=pl.lit("granted"))
        return changed.with_columns(consent_chain.chained(changed, consent_chain.START))

    rewrite(folder, 1, forged)
    [path] = folder.glob("00000001-*.parquet")
    hashes = pl.read_parquet(path)["entry_hash"]
    with filled.begin() as connection:
        connection.execute(
            update(schema.consent_log)
            .where(schema.consent_log.c.sequence == 1)
            .values(
                first_hash=hashes[0].hex(),
                last_hash=hashes[-1].hex(),
                file_sha256=consent_log.file_sha256(path),
            )
        )

    assert (1, None, "the ledger's record of this segment was changed") in found(filled, folder)


def test_a_removed_segment_is_found(filled: Ledger, folder: Path) -> None:
    [path] = folder.glob("00000001-*.parquet")
    path.unlink()

    assert found(filled, folder) == [(1, 1, "the segment with 5 entries is missing")]


def test_a_segment_cut_short_or_without_a_column_is_found(filled: Ledger, folder: Path) -> None:
    [first] = folder.glob("00000001-*.parquet")
    first.write_bytes(first.read_bytes()[:-20])
    rewrite(folder, 3, lambda rows: rows.drop("source"))

    assert [(one, what) for one, _, what in found(filled, folder)] == [
        (1, "the segment cannot be read"),
        (3, "the segment has other columns than it had"),
    ]


def test_a_file_that_holds_the_same_in_other_bytes_is_told(filled: Ledger, folder: Path) -> None:
    [path] = folder.glob("00000001-*.parquet")
    pl.read_parquet(path).write_parquet(path, compression="uncompressed")

    assert found(filled, folder) == [(1, None, "the file was written again, its entries are as they were")]


@pytest.mark.parametrize("also_file", [False, True])
def test_an_end_that_was_cut_off_is_found(filled: Ledger, folder: Path, *, also_file: bool) -> None:
    with filled.begin() as connection:
        connection.execute(delete(schema.consent_log).where(schema.consent_log.c.sequence == 3))
    if also_file:
        [path] = folder.glob("00000003-*.parquet")
        path.unlink()

    assert found(filled, folder) == [(3, None, "the end was cut off: the ledger has lost 1 of its records")]

    consent_log.append(filled, folder, STATEMENTS, "four", lambda: stated("x"))

    assert not checked(filled, folder).intact


def test_a_record_that_was_taken_out_of_the_middle_is_found(filled: Ledger, folder: Path) -> None:
    with filled.begin() as connection:
        connection.execute(delete(schema.consent_log).where(schema.consent_log.c.sequence == 2))

    assert (2, None, "the ledger has lost its record of segment 2") in found(filled, folder)


@pytest.mark.parametrize("field", ["head", "appended_at", "entries", "reference"])
@pytest.mark.parametrize("sequence", [1, 3])
def test_an_edited_record_of_the_ledger_is_found(
    filled: Ledger, folder: Path, field: str, sequence: int
) -> None:
    values = {"head": "0" * 64, "entries": 4, "reference": "other"}
    value = values.get(field, consent_log.heads(filled)[1].appended_at)
    with filled.begin() as connection:
        connection.execute(
            update(schema.consent_log).where(schema.consent_log.c.sequence == sequence).values({field: value})
        )

    assert (sequence, None, "the ledger's record of this segment was changed") in found(filled, folder)


def test_a_copy_of_the_head_that_is_gone_or_edited_is_found(filled: Ledger, folder: Path) -> None:
    (folder / HEAD_COPY).write_text('{"sequence": 3, "head": "0"}')
    assert found(filled, folder) == [(3, None, "the ledger's head and its copy beside the segments differ")]

    (folder / HEAD_COPY).unlink()
    assert found(filled, folder) == [(3, None, "the copy of the newest head beside the segments is missing")]


def test_a_stranger_among_the_segments_is_found(filled: Ledger, folder: Path) -> None:
    (folder / "00000009-statements-x.parquet").write_bytes(b"")

    assert found(filled, folder) == [(9, None, "there is a segment that the ledger does not know")]


def test_a_head_that_was_noted_must_still_be_there(filled: Ledger, folder: Path) -> None:
    noted = consent_log.heads(filled)[0].head

    assert checked(filled, folder, noted=noted).intact
    assert not checked(filled, folder, noted="0" * 64).intact


KILLED = """
import os, sys
from pathlib import Path
import polars as pl
from audience_pipeline.ledger import Ledger, consent_log
step, url, folder = sys.argv[1:]

def die(*_arguments, **_options):
    os._exit(9)

ledger = Ledger.open(url)
holder, name = {
    "write": (pl.DataFrame, "write_parquet"),
    "sync": (os, "fsync"),
    "rename": (Path, "replace"),
    "ledger": (Ledger, "begin"),
    "copy": (consent_log, "_copy_head"),
}[step]
setattr(holder, name, die)
rows = pl.DataFrame({"customer_id": ["x", "y"], "status": ["denied", "denied"]})
consent_log.append(ledger, Path(folder), "statements", "two", lambda: rows)
"""


@pytest.mark.parametrize("step", ["write", "sync", "rename", "ledger", "copy"])
def test_a_process_that_is_killed_while_it_appends_breaks_nothing(
    tmp_path: Path, ledger: Ledger, folder: Path, step: str
) -> None:
    consent_log.append(ledger, folder, STATEMENTS, "one", lambda: stated("a"))
    arguments = [sys.executable, "-c", KILLED, step, f"sqlite:///{tmp_path / 'ledger.db'}", str(folder)]
    killed = subprocess.run(arguments, check=False, capture_output=True, timeout=120)
    assert killed.returncode == 9, killed.stderr

    assert checked(ledger, folder).problems == ()

    consent_log.append(ledger, folder, STATEMENTS, "two", lambda: stated("x", "y"))
    consent_log.append(ledger, folder, STATEMENTS, "three", lambda: stated("z"))
    seen = checked(ledger, folder)
    assert (seen.problems, seen.entries, seen.unfinished) == ((), 4, 0)
    assert list(folder.glob("*.partial")) == []


def test_a_ledger_of_the_first_version_gets_the_log_and_keeps_what_it_has(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    engine = create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO landings (kind, landing_id, sequence, file_name, file_sha256, rows_read,"
                " rows_landed, rows_known, rows_repeated, rows_quarantined, report, landed_at)"
                " VALUES ('consent', 'l', 1, 'f', 'd', 1, 1, 0, 0, 0, '{}', '2026-01-01 00:00:00')"
            )
        )
    engine.dispose()

    with Ledger.open(url) as upgraded:
        consent_log.append(upgraded, tmp_path / "log", STATEMENTS, "l", lambda: stated("a"))

        [kept] = landings.committed(upgraded)
        assert isinstance(kept, Landing)
        assert checked(upgraded, tmp_path / "log").entries == 1
