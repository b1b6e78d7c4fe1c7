"""Whoever was erased does not come back with a file of any kind, nor with an uploaded list."""

from __future__ import annotations

import stat
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.identifiers.marks import Marker, Named
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.lists import read_list, upload
from audience_pipeline.sources.tombstones import (
    KeyMissingError,
    Tombstones,
    add,
    make_key,
    tombstones_path,
)
from audience_pipeline_tests.sources.conftest import Shop

ANN = sha256(b"ann@example.com").digest()
PHONE = sha256(b"12125550123").digest()


@pytest.fixture
def key(shop: Shop) -> Path:
    """C1 was erased, with the address, a card, a browser and a device that only C1 had."""
    path = shop.folder / "workspace.key"
    add(
        shop.lake,
        make_key(path),
        {
            Named.ID: ["C1", "loyalty:L1", "anonymous:b1", f"email:{ANN.hex()[:32]}"],
            Named.EMAIL: [ANN],
            Named.DEVICE: ["6d92078a-8246-4ba4-ae5b-76104861e7dc"],
        },
        {Named.PHONE: [PHONE]},
    )
    return path


HEAD = "customer_id,transaction_date,transaction_amount,product_category,order_id,loyalty_id\n"


def test_rows_of_an_erased_customer_are_left_out_and_counted(shop: Shop, key: Path) -> None:
    report = shop.land(
        f"{HEAD}C1,2025-01-01,10.00,shoes,O1,L1\nC2,2025-01-01,10.00,shoes,O2,\nC3,2025-01-01,1.00,shoes,O3,L1\n",
        key=key,
    )

    assert (report.landed, report.quarantined, report.erased) == (2, 1, 1)
    assert shop.rows()["customer_id"].to_list() == ["C2", "C3"]
    assert shop.rows()["loyalty_id"].to_list() == [None, None]
    assert shop.quarantine(report) == [
        (2, "customer_id", "of somebody who was erased: it does not come back")
    ]
    assert "1 row of people who were erased: left out, they do not come back" in report.notices


@pytest.mark.parametrize(
    ("kind", "content", "left"),
    [
        (
            Kind.CRM,
            (
                "customer_id,email,phone,anonymous_id,device_id\n"
                "C1,x@example.com,,,\nC9,Ann@Example.com,,,\n,ann@example.com,,,\n"
                "C2,bob@example.com,+1 212 555 0123,b1,6D92078A-8246-4BA4-AE5B-76104861E7DC\n"
            ),
            ["C2"],
        ),
        (
            Kind.WEB,
            (
                "event_at,event,customer_id,anonymous_id\n"
                "2025-01-01T10:00:00Z,page_view,C1,b9\n2025-01-01T10:00:00Z,page_view,,b1\n"
                "2025-01-01T10:00:00Z,page_view,C2,b1\n"
            ),
            ["C2"],
        ),
        (
            Kind.ENGAGEMENT,
            (
                "event_at,event,customer_id,email\n2025-01-01,email_open,C1,\n2025-01-01,email_open,,ann@example.com\n"
                "2025-01-01,email_open,C2,bob@example.com\n"
            ),
            ["C2"],
        ),
        (
            Kind.CONSENT,
            (
                "event_at,status,customer_id,email\n2025-01-01,granted,C1,\n2025-01-01,granted,,ann@example.com\n"
                "2025-01-01,granted,C2,\n"
            ),
            ["C2"],
        ),
    ],
)
def test_no_kind_of_file_brings_somebody_back(
    shop: Shop, key: Path, kind: Kind, content: str, left: list[str]
) -> None:
    report = shop.land(content, kind, key=key)

    rows = shop.rows(kind)
    assert rows["customer_id"].to_list() == left
    assert report.erased == report.quarantined == content.count("\n") - 2
    for name in ("anonymous_id", "device_id"):
        assert name not in rows.columns or rows[name].null_count() == rows.height


def test_an_address_that_others_have_as_well_lands_with_them_and_is_known_as_one_that_is_never_sent(
    shop: Shop, key: Path
) -> None:
    report = shop.land("customer_id,phone\nC2,+1 212 555 0123\n", Kind.CRM, key=key)

    assert report.erased == 0
    phones = shop.rows(Kind.CRM)["meta_phone"]
    found = Tombstones.of(shop.lake, key)
    assert found is not None
    assert found.is_shared(Named.PHONE, phones).to_list() == [True]
    assert found.is_shared(Named.EMAIL, phones).to_list() == [False]


def test_a_file_with_nobody_but_erased_people_lands_with_no_row_so_that_it_leaves_the_inbox(
    shop: Shop, key: Path
) -> None:
    report = shop.land(f"{HEAD}C1,2025-01-01,10.00,shoes,O1,\n", key=key)

    assert (report.landed, report.erased) == (0, 1)
    assert not any("MORE THAN HALF" in notice for notice in report.notices)


def test_an_uploaded_list_leaves_erased_people_out_and_says_how_many(shop: Shop, key: Path) -> None:
    file = shop.file("C1\nann@example.com\nC2\n6d92078a-8246-4ba4-ae5b-76104861e7dc\n")

    report = upload(shop.lake, "fair", file, key=key)

    assert (report.distinct, dict(report.by_kind)) == (1, {"customer_id": 1})
    assert [(one.reason, one.values) for one in report.unusable] == [
        ("of people who were erased, who do not come back", 3)
    ]
    assert read_list(shop.lake, "fair")["value"].to_list() == [sha256(b"C2").digest()]


@pytest.mark.parametrize("lost", ["gone", "another", "open to others", "not given"])
def test_without_the_key_nothing_lands_and_the_sentence_says_what_to_do(
    shop: Shop, key: Path, lost: str
) -> None:
    given: Path | None = key
    match lost:
        case "gone":
            key.unlink()
        case "another":
            key.unlink()
            make_key(key)
        case "open to others":
            key.chmod(0o644)
        case "not given":
            given = None

    said = shop.refusal(f"{HEAD}C2,2025-01-01,10.00,shoes,O1,\n", key=given)

    assert "erased people could come back unnoticed. Restore the key from a backup" in said
    assert f"remove {tombstones_path(shop.lake)}" in said
    with pytest.raises(SourceError, match="erased people"):
        upload(shop.lake, "fair", shop.file("C2\n"), key=given)


def test_a_key_is_made_once_and_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "home" / "workspace.key"

    first, again = make_key(path), make_key(path)

    assert first.name == again.name
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    path.write_text("nonsense")
    with pytest.raises(KeyMissingError, match="this is no key"):
        make_key(path)


def test_tombstones_of_two_keys_never_stand_together(shop: Shop, key: Path) -> None:
    key.unlink()

    with pytest.raises(KeyMissingError, match="not the one that tombstones were made with"):
        add(shop.lake, make_key(key), {Named.ID: ["C7"]}, {})


def test_tombstones_hold_nothing_but_marks_in_the_order_of_the_marks(shop: Shop, key: Path) -> None:
    add(shop.lake, make_key(key), {Named.ID: ["C1", "C7"]}, {})

    table = pl.read_parquet(tombstones_path(shop.lake))

    assert table.columns == ["mark", "shared"]
    assert table.height == 8
    assert table["mark"].is_sorted()
    assert stat.S_IMODE(tombstones_path(shop.lake).stat().st_mode) == 0o600


def test_a_mark_is_hmac_sha256_and_tells_neither_key_nor_person() -> None:
    import hmac

    secret = bytes(range(32))
    marker = Marker(secret)

    assert marker.of_texts(Named.ID, ["C1"]) == [
        hmac.digest(secret, b"id:" + sha256(b"C1").digest(), "sha256")
    ]
    assert marker.marks(Named.EMAIL, [ANN]) != marker.marks(Named.PHONE, [ANN])
    assert secret.hex() not in repr(marker) + repr(vars(marker))
    assert marker.column(Named.ID, pl.Series(["C1", None, "C1"])).null_count() == 1
