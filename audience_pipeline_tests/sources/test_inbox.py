from __future__ import annotations

import datetime as dt
import errno
import os
from hashlib import sha256
from pathlib import Path

import pytest

from audience_pipeline.sources import inbox as module
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.inbox import archive, purge, waiting

NOW = dt.datetime(2025, 6, 30, 12, tzinfo=dt.UTC)


@pytest.fixture
def inbox(tmp_path):
    for kind in Kind:
        (tmp_path / "inbox" / kind).mkdir(parents=True)
    return tmp_path / "inbox"


def put(path, content="x", *, age=3600.0):
    path.write_text(content)
    written = NOW.timestamp() - age
    os.utime(path, (written, written))
    return path


def names(inbox, **given):
    return [path.name for _, path in waiting(inbox, now=NOW, **given)]


def test_files_wait_by_kind_and_name(inbox):
    for name in ("crm/b.csv", "crm/a.json", "transactions/z.csv.gz", "consent/x.csv"):
        put(inbox / name)
    assert [(kind.value, path.name) for kind, path in waiting(inbox)] == [
        ("transactions", "z.csv.gz"), ("crm", "a.json"), ("crm", "b.csv"), ("consent", "x.csv")
    ]  # fmt: skip


def test_files_that_are_hidden_or_still_written_do_not_wait(inbox):
    for name in (".a.csv", "a.csv.partial", "a.csv.tmp", "a.csv.part", "a.csv~"):
        put(inbox / "crm" / name)
    (inbox / "crm" / "folder").mkdir()
    assert waiting(inbox) == []


def test_a_file_that_was_written_to_a_moment_ago_does_not_wait_yet(inbox):
    put(inbox / "crm" / "copying.csv", age=4.9)
    put(inbox / "crm" / "copied.csv", age=5)
    assert names(inbox) == ["copied.csv"]
    assert names(inbox, settled_seconds=0) == ["copied.csv", "copying.csv"]
    assert names(inbox, settled_seconds=60) == []


def test_a_file_that_was_written_just_now_does_not_wait_by_default(inbox):
    (inbox / "crm" / "copying.csv").write_text("x")
    assert waiting(inbox) == []


def test_a_file_from_the_future_waits_once_nobody_has_touched_it_for_a_while(inbox):
    path = put(inbox / "crm" / "ahead.csv", age=0)
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    os.utime(path, (tomorrow.timestamp(), tomorrow.timestamp()))
    assert waiting(inbox) == []
    assert len(waiting(inbox, now=dt.datetime.now(dt.UTC) + dt.timedelta(seconds=6))) == 1


def test_a_file_that_vanishes_while_the_inbox_is_listed_does_not_wait(inbox, monkeypatch):
    kept, gone = put(inbox / "crm" / "kept.csv"), put(inbox / "crm" / "gone.csv")
    glob = Path.glob

    def listed(folder, pattern):
        found = list(glob(folder, pattern))
        gone.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Path, "glob", listed)
    assert waiting(inbox) == [(Kind.CRM, kept)]


def test_a_link_waits_so_that_landing_can_refuse_it(inbox, tmp_path):
    link = inbox / "crm" / "link.csv"
    link.symlink_to(put(tmp_path / "elsewhere.csv"))
    later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=6)
    assert waiting(inbox, now=later) == [(Kind.CRM, link)]


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


def test_a_file_that_is_what_was_landed_is_archived(inbox, tmp_path):
    path = put(inbox / "crm" / "a.csv", "hello")
    target = archive(path, tmp_path / "archive", landed_sha256=sha256(b"hello").hexdigest(), now=NOW)
    assert target is not None
    assert target.read_text() == "hello"
    assert not path.exists()


def test_a_file_that_somebody_went_on_writing_after_it_was_landed_stays(inbox, tmp_path):
    path = put(inbox / "crm" / "a.csv", "hello world")
    assert archive(path, tmp_path / "archive", landed_sha256=sha256(b"hello").hexdigest()) is None
    assert path.read_text() == "hello world"
    assert list((tmp_path / "archive").iterdir()) == []


@pytest.mark.parametrize("change", ["written on", "replaced", "removed"])
def test_a_file_that_changes_while_it_is_archived_stays_as_it_is(inbox, tmp_path, monkeypatch, change):
    path = put(inbox / "crm" / "a.csv", "hello")
    copied = module._copied

    def copied_and_changed(source, copy):
        digest = copied(source, copy)
        if change == "written on":
            with path.open("a") as stream:
                stream.write(" world")
        else:
            path.rename(tmp_path / "old")
            if change == "replaced":
                path.write_text("other")
        return digest

    monkeypatch.setattr(module, "_copied", copied_and_changed)
    assert archive(path, tmp_path / "archive", landed_sha256=sha256(b"hello").hexdigest()) is None
    kept = {"written on": "hello world", "replaced": "other"}
    assert not path.exists() if change == "removed" else path.read_text() == kept[change]
    assert list((tmp_path / "archive").iterdir()) == []


def test_a_file_that_is_gone_or_a_link_is_not_archived(inbox, tmp_path):
    elsewhere = put(tmp_path / "elsewhere.csv")
    link = inbox / "crm" / "link.csv"
    link.symlink_to(elsewhere)
    assert archive(link, tmp_path / "archive") is None
    assert archive(inbox / "crm" / "gone.csv", tmp_path / "archive") is None
    assert link.is_symlink()
    assert elsewhere.exists()


def test_a_copy_that_could_not_be_finished_leaves_the_file_and_nothing_else(inbox, tmp_path, monkeypatch):
    path = put(inbox / "crm" / "a.csv", "hello")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        archive(path, tmp_path / "archive")
    assert path.read_text() == "hello"
    assert list((tmp_path / "archive").iterdir()) == []


def test_a_copy_that_a_crash_left_behind_is_purged_with_the_others(inbox, tmp_path, monkeypatch):
    path = put(inbox / "crm" / "a.csv", "hello")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_args, **_given: None)
        archive(path, tmp_path / "archive", landed_sha256="another", now=NOW - dt.timedelta(days=31))
    assert len(list((tmp_path / "archive").iterdir())) == 1
    assert purge(tmp_path / "archive", 30, NOW) == 1


def test_old_files_are_purged_and_nothing_else(inbox, tmp_path):
    for days in (0, 29, 30, 31):
        path = inbox / "crm" / f"{days}.csv"
        path.write_text(str(days))
        archive(path, tmp_path / "archive", now=NOW - dt.timedelta(days=days))
    (tmp_path / "archive" / "README").write_text("not ours")
    assert purge(tmp_path / "archive", 30, NOW) == 2
    assert purge(tmp_path / "archive", 30, NOW) == 0
    assert len(list((tmp_path / "archive").iterdir())) == 3
