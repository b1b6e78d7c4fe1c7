from __future__ import annotations

import datetime as dt
import tempfile
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.identifiers import RULES_VERSION
from audience_pipeline.sources import scratch, staging
from audience_pipeline.sources.contract import LANDED, Kind
from audience_pipeline.sources.errors import SourceError

SECRETS = ("ann.smith", "example.org", "5550123", "annabella", "smithson", "benjamino")
CONTACTS = (
    "customer_id,email,phone,first_name,last_name,country,postal_code,state,birth_date,gender,updated_at\n"
    "c1, Ann.Smith@Example.org ,+1 212 5550123,Annabella,Smithson,USA,10001,NY,1985-07-01,female,2025-01-02\n"
    "ben.smith@example.org,ann.smith+x@gmail.com,nonsense,Benjamino,,Germany,,,01/02/1990,x,2025-01-03T10:00:00Z\n"
    ",ann.smith@example.org,+12125550123,Annabella,Smithson,US,,,,,\n"
)


def digest(text):
    return sha256(text.encode()).digest()


def everything_written(*folders: Path) -> bytes:
    return b"".join(path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file())


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_contacts_land_as_hashes(shop):
    report = shop.land(CONTACTS, Kind.CRM, competitor_domains=("example.org",))
    rows = shop.rows(Kind.CRM)
    assert rows.schema == {**LANDED[Kind.CRM], "landing_id": pl.String()}
    first = rows.row(0, named=True)
    assert first["meta_email"] == digest("ann.smith@example.org")
    assert first["google_phone"] == digest("+12125550123")
    assert first["meta_first_name"] == digest("annabella")
    assert (first["country"], first["region"], first["postal_code"]) == ("US", "NY", "10001")
    assert (first["birth_year"], first["gender"], first["is_competitor"]) == (1985, "f", True)
    assert first["identifier_rules"] == RULES_VERSION
    second = rows.row(1, named=True)
    assert second["customer_id"] == "h_" + sha256(b"ben.smith@example.org").hexdigest()
    assert (second["country"], second["birth_year"], second["gender"]) == ("DE", 1990, None)
    assert (second["is_competitor"], second["email_domain_kind"]) == (False, "free")
    assert second["updated_at"] == dt.datetime(2025, 1, 3, 10)
    assert "phone: 1 of 3 values cannot be used, left out" in report.notices
    third = rows.row(2, named=True)
    assert third["customer_id"] == "email:" + digest("ann.smith@example.org").hex()[:32]
    assert rows["line"].to_list() == [2, 3, 4]
    assert shop.quarantine(report) == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("suffix", ["", '\nc9,"open,1\n', "\n\n"])
def test_nothing_that_is_written_holds_an_address_a_number_or_a_name(shop, temporary, encoding, suffix):
    report = shop.land((CONTACTS + suffix).encode(encoding), Kind.CRM, name="crm.csv")
    written = everything_written(shop.lake, temporary).lower() + report.balance.encode()
    written += str(report.to_dict()).lower().encode() + (shop.folder / "ledger.db").read_bytes().lower()
    assert report.landed == 3
    assert not [secret for secret in SECRETS if secret.encode() in written]
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (CONTACTS.replace("customer_id", "id"), Kind.CRM),
        (CONTACTS, Kind.TRANSACTIONS),
        (CONTACTS.split("\n", 1)[1], Kind.CRM),
        (CONTACTS.replace("2025-01-0", "01/02/200"), Kind.CRM),
        ('{"ann.smith@example.org": "annabella"}', Kind.CRM),
        ('[{"customer_id": "ann.smith@example.org", "email": "smithson', Kind.CRM),
        (CONTACTS.encode() + b"\xff\xfeann.smith@example.org", Kind.CRM),
        ("c1,Annabella,Smithson\n", Kind.CRM),
        (CONTACTS + "\x00", Kind.TRANSACTIONS),
        ("customer_id,phone\n,ann.smith@example.org\n", Kind.CRM),
        ("customer_id,customer_id,email\nannabella,smithson,ann.smith@example.org\n", Kind.CRM),
    ],
)
def test_no_refusal_repeats_a_value(shop, temporary, content, kind):
    with pytest.raises(SourceError) as caught:
        shop.land(content, kind)
    error: BaseException | None = caught.value
    while error is not None:
        said = f"{error!r} {error}".lower()
        assert not [secret for secret in SECRETS if secret in said]
        error = error.__cause__ or error.__context__
    assert not list(temporary.iterdir())


def test_an_unexpected_failure_leaves_nothing_behind_and_repeats_nothing(shop, temporary, monkeypatch):
    def fail(*_args, **_kwargs):
        raise RuntimeError("ann.smith@example.org")

    monkeypatch.setattr(staging, "_ask_about_dates", fail)
    message = shop.refusal(CONTACTS.encode("utf-16"), Kind.CRM)
    assert "something unexpected happened (RuntimeError at staging.py:" in message
    assert not [secret for secret in SECRETS if secret in message]
    assert not list(temporary.iterdir())
    assert not [secret for secret in SECRETS if secret.encode() in everything_written(shop.lake).lower()]


def test_what_a_killed_process_left_in_its_private_folder_is_removed_by_the_next(shop, temporary):
    left = temporary / "audience-pipeline-999999999-x"
    left.mkdir(mode=0o700)
    (left / "decoded.txt").write_text(CONTACTS)
    shop.land(CONTACTS, Kind.CRM)
    assert not left.exists()


def test_the_private_folder_is_private(temporary):
    with scratch.private_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_ids_that_are_addresses_are_replaced_in_every_kind(shop):
    hashed = "h_" + sha256(b"ann.smith@example.org").hexdigest()
    shop.land("customer_id,transaction_date,transaction_amount\nAnn.Smith@example.org,2025-01-02,1\n")
    shop.land("event_at,event,customer_id\n2025-01-02,search,ann.smith@example.org\n", Kind.WEB)
    shop.land("event_at,event,customer_id\n2025-01-02,email_open,ann.smith@example.org\n", Kind.ENGAGEMENT)
    shop.land("event_at,status,customer_id\n2025-01-02,denied,ann.smith@example.org\n", Kind.CONSENT)
    for kind in (Kind.TRANSACTIONS, Kind.WEB, Kind.ENGAGEMENT, Kind.CONSENT):
        assert shop.rows(kind)["customer_id"].to_list() == [hashed]


def test_addresses_in_other_text_columns_are_left_out_and_counted(shop):
    report = shop.land(
        "customer_id,transaction_date,transaction_amount,product_category,channel\n"
        "c1,2025-01-02,1,ann.smith@example.org,@home\nc2,2025-01-02,1,shoes,web\n"
    )
    rows = shop.rows()
    assert rows["product_category"].to_list() == [None, "shoes"]
    assert rows["channel"].to_list() == ["@home", "web"]
    assert (
        "product_category: 1 value is or could be an e-mail address or phone number, left out"
        in report.notices
    )


def test_consent_by_address_or_number_lands_as_hashes(shop):
    report = shop.land(
        "event_at,status,email,phone,platform,purpose\n"
        "2025-01-02T10:00:00Z,Denied,Ann.Smith@example.org,,Meta,\n"
        "2025-01-02T10:00:00Z,granted,,+1 212 5550123,,personalisation\n"
        "2025-01-02T10:00:00Z,denied,nonsense,,,\n"
        "2025-01-02T10:00:00Z,maybe,ann.smith@example.org,,,\n"
        "2025-01-02T10:00:00Z,denied,ann.smith@example.org,,myspace,\n"
        "2025-01-02T10:00:00Z,denied,,,,\n",
        Kind.CONSENT,
    )
    rows = shop.rows(Kind.CONSENT)
    assert rows.schema == {**LANDED[Kind.CONSENT], "landing_id": pl.String()}
    assert rows.select("meta_email", "meta_phone", "purpose", "platform", "status").rows() == [
        (digest("ann.smith@example.org"), None, "advertising", "meta", "denied"),
        (None, digest("12125550123"), "personalisation", None, "granted"),
    ]
    assert shop.quarantine(report) == [
        (4, "customer_id", "no customer_id, and no e-mail address or phone number that can be used"),
        (5, "status", "not one of granted, denied, erase"),
        (6, "platform", "not one of meta, google, tiktok"),
        (7, "customer_id", "none of customer_id, email, phone is given"),
    ]
