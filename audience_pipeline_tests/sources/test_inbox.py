from __future__ import annotations

import datetime as dt

import pytest

from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.inbox import archive, purge, waiting

NOW = dt.datetime(2025, 6, 30, 12, tzinfo=dt.UTC)


@pytest.fixture
def inbox(tmp_path):
    for kind in Kind:
        (tmp_path / "inbox" / kind).mkdir(parents=True)
    return tmp_path / "inbox"


def test_files_wait_by_kind_and_name(inbox):
    for name in ("crm/b.csv", "crm/a.json", "transactions/z.csv.gz", "consent/x.csv"):
        (inbox / name).write_text("x")
    assert [(kind.value, path.name) for kind, path in waiting(inbox)] == [
        ("transactions", "z.csv.gz"), ("crm", "a.json"), ("crm", "b.csv"), ("consent", "x.csv")
    ]  # fmt: skip


def test_files_that_are_hidden_or_still_written_do_not_wait(inbox):
    for name in (".a.csv", "a.csv.partial", "a.csv.tmp", "a.csv.part", "a.csv~"):
        (inbox / "crm" / name).write_text("x")
    (inbox / "crm" / "folder").mkdir()
    assert waiting(inbox) == []


def test_no_inbox_holds_no_files(tmp_path):
    assert waiting(tmp_path / "nowhere") == []


def test_the_archive_is_sealed_and_keeps_no_names(inbox, tmp_path):
    path = inbox / "crm" / "ann.smith@example.org.csv.gz"
    path.write_text("hello")
    target = archive(path, tmp_path / "archive", now=NOW)
    assert target.name == "20250630T120000-crm-2cf24dba5fb0.csv.gz"
    assert target.read_text() == "hello"
    assert (target.stat().st_mode & 0o777, target.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert not path.exists()
    assert list(target.parent.iterdir()) == [target]


def test_old_files_are_purged_and_nothing_else(inbox, tmp_path):
    for days in (0, 29, 30, 31):
        path = inbox / "crm" / f"{days}.csv"
        path.write_text(str(days))
        archive(path, tmp_path / "archive", now=NOW - dt.timedelta(days=days))
    (tmp_path / "archive" / "README").write_text("not ours")
    assert purge(tmp_path / "archive", 30, NOW) == 2
    assert purge(tmp_path / "archive", 30, NOW) == 0
    assert len(list((tmp_path / "archive").iterdir())) == 3
