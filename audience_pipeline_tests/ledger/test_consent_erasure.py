"""After an erasure the log of consent names nobody who was erased, and its chain holds as before."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.identifiers.marks import Marker, Named
from audience_pipeline.ledger import Ledger, consent_chain, consent_log
from audience_pipeline.ledger.consent_erasure import append_erasure, take_out_names
from audience_pipeline.ledger.consent_log import STATEMENTS
from audience_pipeline.ledger.consent_verify import Verified, verify

MARKER = Marker(bytes(range(32)))
ANN, BOB = sha256(b"ann").digest(), sha256(b"bob").digest()


def stated(*customers: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "customer_id": list(customers),
            "meta_email": [{"a": ANN, "b": BOB}.get(one) for one in customers],
            "status": "denied",
            "source": "checkout",
            "event_at": datetime(2026, 6, 1, 12),
        },
        schema_overrides={"meta_email": pl.Binary, "event_at": pl.Datetime("us")},
    )


def of_a(rows: pl.DataFrame) -> pl.Expr:
    return (pl.col("customer_id") == "a").fill_null(value=False)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "consent_log"


@pytest.fixture(params=[MARKER, None], ids=["keyed", "first version"])
def filled(request: pytest.FixtureRequest, ledger: Ledger, folder: Path) -> Ledger:
    for name in ("one", "two"):
        consent_log.append(ledger, folder, STATEMENTS, name, lambda: stated("a", "b", "a"), request.param)
    return ledger


def checked(ledger: Ledger, folder: Path, marker: Marker | None = MARKER) -> Verified:
    return verify(consent_log.heads(ledger), folder, marker=marker)


def erase(ledger: Ledger, folder: Path) -> int:
    append_erasure(ledger, folder, "erasure-x", of_a, MARKER)
    return take_out_names(ledger, folder)


def everything(folder: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))], how="diagonal")


def test_the_names_are_gone_the_chain_holds_and_says_which_entries_lost_theirs(
    filled: Ledger, folder: Path
) -> None:
    noted = checked(filled, folder).head

    assert erase(filled, folder) == 4

    seen = verify(consent_log.heads(filled), folder, noted=noted, marker=MARKER)
    assert (seen.problems, seen.entries, seen.erased) == ((), 10, 4)
    rows = everything(folder)
    assert set(rows["customer_id"].drop_nulls()) == {"b"}
    assert set(rows["meta_email"].drop_nulls()) == {BOB}
    erasure = rows.filter(pl.col("origin") == "erasure")
    assert erasure["line"].to_list() == [1, 2, 4, 5]
    assert set(erasure["status"]) == {"erased"}
    assert all(ANN.hex() not in str(path.read_bytes()) for path in folder.iterdir())


def test_the_proof_that_remains_is_recognised_with_the_key_alone(ledger: Ledger, folder: Path) -> None:
    consent_log.append(ledger, folder, STATEMENTS, "one", lambda: stated("a", "b"), MARKER)
    erase(ledger, folder)

    left = everything(folder).filter(pl.col("customer_id").is_null())["customer_mark"]

    assert set(left) == set(MARKER.of_texts(Named.ID, ["a"]))
    assert not set(left) & set(Marker(bytes(32)).of_texts(Named.ID, ["a"]))


def test_an_erasure_is_done_once_and_what_comes_later_is_chained_to_it(filled: Ledger, folder: Path) -> None:
    erase(filled, folder)
    before = len(consent_log.heads(filled))

    assert erase(filled, folder) == 0

    assert len(consent_log.heads(filled)) == before
    consent_log.append(filled, folder, STATEMENTS, "three", lambda: stated("c"), MARKER)
    assert checked(filled, folder).problems == ()


def test_names_that_somebody_else_takes_out_are_found(filled: Ledger, folder: Path) -> None:
    [path] = folder.glob("00000001-*.parquet")
    rows = pl.read_parquet(path)
    consent_chain.without_names(rows, pl.Series([2])).write_parquet(path)

    [problem] = checked(filled, folder).problems

    assert (problem.sequence, problem.entry) == (1, 2)
    assert problem.what == "the names were taken out of the entry, and no erasure says so"


def test_what_is_left_of_an_erased_entry_cannot_be_edited(ledger: Ledger, folder: Path) -> None:
    consent_log.append(ledger, folder, STATEMENTS, "one", lambda: stated("a", "b"), MARKER)
    erase(ledger, folder)
    [path] = folder.glob("00000001-*.parquet")
    rows = pl.read_parquet(path)

    rows.with_columns(status=pl.lit("granted")).write_parquet(path)
    assert [(one.entry, one.what) for one in checked(ledger, folder).problems] == [
        (1, "the entry was changed")
    ]

    other = pl.when(pl.col("customer_id") == "b").then(pl.lit("z")).otherwise("customer_id")
    rows.with_columns(customer_id=other).write_parquet(path)
    assert [(one.entry, one.what) for one in checked(ledger, folder).problems] == [
        (2, "the entry was changed")
    ]


def test_without_the_key_the_chain_is_still_walked_and_what_cannot_be_told_is_said(
    ledger: Ledger, folder: Path
) -> None:
    consent_log.append(ledger, folder, STATEMENTS, "one", lambda: stated("a", "b"), MARKER)
    assert checked(ledger, folder, None).problems == ()
    erase(ledger, folder)

    [problem] = checked(ledger, folder, None).problems

    assert "cannot be held to their marks without the key" in problem.what


KILLED = """
import os, sys
from pathlib import Path
import polars as pl
from audience_pipeline.identifiers.marks import Marker
from audience_pipeline.ledger import Ledger, consent_erasure, consent_log
step, url, folder = sys.argv[1:]
ledger, marker = Ledger.open(url), Marker(bytes(range(32)))

def die(*_arguments, **_options):
    os._exit(9)

if step == "before the names":
    consent_erasure.append_erasure(ledger, Path(folder), "erasure-x",
                                   lambda rows: (pl.col("customer_id") == "a").fill_null(False), marker)
    die()
written, whole = [], consent_log.write
def once(*arguments):
    if written:
        die()
    written.append(whole(*arguments))
    return written[-1]
consent_erasure.append_erasure(ledger, Path(folder), "erasure-x",
                               lambda rows: (pl.col("customer_id") == "a").fill_null(False), marker)
consent_log.write = once
consent_erasure.take_out_names(ledger, Path(folder))
"""


@pytest.mark.parametrize("step", ["before the names", "between two segments"])
def test_an_erasure_that_is_killed_is_finished_by_the_next(
    tmp_path: Path, filled: Ledger, folder: Path, step: str
) -> None:
    arguments = [sys.executable, "-c", KILLED, step, f"sqlite:///{tmp_path / 'ledger.db'}", str(folder)]
    killed = subprocess.run(arguments, check=False, capture_output=True, timeout=120)
    assert killed.returncode == 9, killed.stderr
    assert checked(filled, folder).problems == ()

    erase(filled, folder)

    assert checked(filled, folder).problems == ()
    assert set(everything(folder)["customer_id"].drop_nulls()) == {"b"}
