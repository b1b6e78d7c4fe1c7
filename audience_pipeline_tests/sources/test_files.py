from __future__ import annotations

import os
from pathlib import Path

import pytest

from audience_pipeline.sources import process
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.single import read_transactions
from audience_pipeline.sources.survey import file_name

GOOD = "customer_id,transaction_date,transaction_amount\nc1,2025-01-02,10.00\n"
TOLD = [
    "orders.csv",
    "orders_2025.csv.gz",
    "web-events 2026-10-31.jsonl",
    "crm_20261031.parquet",
    "orders_31.10.2026.csv",
    "orders-2026-10.csv",
    "orders-2025-2026.csv",
    "orders_2026-01-01_2026-10-31.csv",
    "export-20261031T101500.csv",
    "export_20261031_101500-002.csv",
    "Q3_Orders.csv",
    "Orders v12345.csv",
    "orders (1).csv",
    "caf\u00e9.csv",
    "orders.xlsx",
    "orders",
]
NOT_TOLD = [
    "ann@example.org.csv",
    "ann%40example.org.csv",
    "Ann Needleman.csv",
    "orders of Ann Needleman.csv.gz",
    "Ann_Needleman.csv",
    "Ann-Needleman.csv",
    "Needleman.Ann.csv",
    "Needleman, Ann.csv",
    "AnnNeedleman.csv",
    "ANN NEEDLEMAN.csv",
    "A. Needleman.csv",
    "\u00c9mile Z\u00f6la.csv",
    "\u738b\u5c0f\u660e.csv",
    "needleman 0171 1234567.csv",
    "orders-491711234567.csv",
    "+49 171 1234567.csv",
    "(212) 555-0123.csv",
    "212-555-0123.csv",
    "2125550.csv",
    "orders 20261031 5550123.csv",
]


@pytest.mark.parametrize("name", TOLD)
def test_the_name_of_a_thing_with_its_date_is_told(name):
    assert file_name(Path("/inbox/crm") / name) == name


@pytest.mark.parametrize("name", NOT_TOLD)
def test_a_name_that_could_be_a_persons_is_not_told(name):
    told = file_name(Path("/inbox/crm") / name)
    assert told in ("(file with a personal name).csv", "(file with a personal name).csv.gz")


@pytest.mark.parametrize("name", ["Ann.Needleman", "orders@Ann.needleman"])
def test_an_ending_that_is_none_is_not_told_either(name):
    assert file_name(Path(name)) == "(file with a personal name)"


def test_nothing_that_is_stored_or_said_of_a_file_holds_the_name_of_a_person(shop):
    report = shop.land(GOOD + ",2025-01-02,1\n", name="Ann Needleman.csv")
    again = shop.land(shop.file(GOOD + ",2025-01-02,1\n", name="Ann Needleman.csv"))
    message = shop.refusal("", Kind.CRM, name="Ann Needleman.csv")
    said = f"{report.to_dict()} {again.to_dict()} {message}".encode()
    written = b"".join(
        path.read_bytes()
        for path in shop.folder.rglob("*")
        if path.is_file() and path.suffix in (".parquet", ".db", ".db-wal")
    )
    assert again.landed_before
    assert b"Needleman" not in said + written
    assert b"(file with a personal name).csv" in written


def single(path, tmp_path):
    with pytest.raises(SourceError) as caught:
        read_transactions(path, ReadOptions(), ShopFacts(), tmp_path)
    return str(caught.value)


def test_a_folder_named_like_a_file_is_refused(shop, tmp_path):
    folder = tmp_path / "orders.csv"
    folder.mkdir()
    message = "orders.csv: this is a folder; give the files in it one by one."
    assert shop.refusal(folder) == single(folder, tmp_path) == message


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_refused(shop, tmp_path, there):
    link = tmp_path / "link.csv"
    link.symlink_to(shop.file(GOOD) if there else tmp_path / "nowhere")
    message = "link.csv: this is a link to a file; give the file itself, or a copy of it."
    assert shop.refusal(link) == single(link, tmp_path) == message


def test_a_pipe_is_refused_without_waiting_for_somebody_to_write_into_it(shop, tmp_path):
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    message = "pipe.csv: this is a pipe or a device, not a file; write it into a file first."
    assert shop.refusal(pipe) == single(pipe, tmp_path) == message


def test_a_file_that_may_not_be_read_is_refused(shop, tmp_path, monkeypatch):
    path = shop.file(GOOD)
    opening = Path.open

    def forbidden(self, *args, **given):
        if self == path:
            raise PermissionError(13, "Permission denied", str(path))
        return opening(self, *args, **given)

    monkeypatch.setattr(Path, "open", forbidden)
    message = (
        "orders.csv: the file may not be read (Permission denied); "
        "give the user that runs this the right to read it."
    )
    assert shop.refusal(path) == single(path, tmp_path) == message


@pytest.mark.parametrize("change", ["written on", "replaced", "removed"])
def test_a_file_that_changes_while_it_is_read_is_not_landed(shop, monkeypatch, change):
    path = shop.file(GOOD)
    stage = process.stage

    def stage_and_change(*args, **given):
        staged = stage(*args, **given)
        if change == "written on":
            with path.open("a") as stream:
                stream.write("c2,2025-01-03,1\n")
        else:
            path.rename(path.with_suffix(".old"))
            if change == "replaced":
                path.write_text(GOOD)
        return staged

    with monkeypatch.context() as patch:
        patch.setattr(process, "stage", stage_and_change)
        message = shop.refusal(path)
    removed = "the file cannot be read any more (No such file or directory); nothing was landed; start again"
    changed = "the file was changed while it was read; nothing was landed; start again when it is complete"
    assert message == f"orders.csv: {removed if change == 'removed' else changed}."
