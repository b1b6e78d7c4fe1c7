"""Files whose addresses and numbers are hashes already: taken where the source says so, and nowhere else."""

from __future__ import annotations

from hashlib import sha256

import pytest

from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.options import ReadOptions

ANN = sha256(b"ann@example.org").hexdigest()
NUMBER = sha256(b"+12125550123").hexdigest()
NOTHING = sha256(b"").hexdigest()
CONTACTS = (
    "customer_id,email,phone\n"
    f"c1,{ANN},{NUMBER}\n"
    f"c2, {ANN.upper()} ,\n"
    "c3,ann.smith@example.org,+1 212 5550123\n"
    f"c4,{NOTHING},{ANN[:-1]}\n"
)


def test_without_the_setting_hashes_are_refused_and_the_setting_is_named(shop):
    report = shop.land(CONTACTS, Kind.CRM)
    rows = shop.rows(Kind.CRM)
    assert rows["meta_email"].is_not_null().to_list() == [False, False, True, False]
    assert (
        "email: 3 of 4 values cannot be used, left out (3 look hashed: say for which platforms with "
        "hashed: {email: [meta]}, --hashed email=meta)"
    ) in report.notices


def test_hashes_are_taken_for_the_platforms_that_are_named_alone(shop):
    report = shop.land(
        CONTACTS,
        Kind.CRM,
        hashed={"email": ["meta", "tiktok"], "phone": ["google"]},
        competitor_domains=("x.y",),
    )
    rows = shop.rows(Kind.CRM)
    assert rows["meta_email"].to_list() == [bytes.fromhex(ANN)] * 2 + [None] * 2
    assert rows["tiktok_email"].to_list() == rows["meta_email"].to_list()
    assert rows["google_email"].to_list() == [None] * 4
    assert rows["google_phone"].to_list() == [bytes.fromhex(NUMBER), None, None, None]
    assert rows["meta_phone"].to_list() == [None] * 4
    assert rows["email_domain_kind"].to_list() == [None] * 4
    why = "hashed says that it holds SHA-256 in hex, and these are none"
    assert f"email: 2 of 4 values cannot be used, left out: {why}" in report.notices
    assert f"phone: 2 of 3 values cannot be used, left out: {why}" in report.notices


def test_raw_values_in_such_a_column_are_written_nowhere(shop):
    shop.land(CONTACTS, Kind.CRM, hashed={"email": ["meta"], "phone": ["meta"]})
    written = b"".join(path.read_bytes() for path in shop.lake.rglob("*") if path.is_file())
    written += b"".join(path.read_bytes() for path in shop.folder.glob("ledger.db*"))
    assert not [secret for secret in (b"ann.smith", b"5550123") if secret in written]


def test_a_contact_can_be_known_by_the_hash_alone(shop):
    shop.land(f"email,country\n{ANN},US\n", Kind.CRM, hashed={"email": ["meta"]})
    assert shop.rows(Kind.CRM)["customer_id"].to_list() == [f"email:{ANN[:32]}"]


def test_consent_and_messages_know_people_by_hashes_too(shop):
    hashed = {"email": ["meta"]}
    shop.land(f"event_at,status,email\n2025-01-02,denied,{ANN}\n", Kind.CONSENT, hashed=hashed)
    shop.land(f"event_at,event,email\n2025-01-02,email_open,{ANN}\n", Kind.ENGAGEMENT, hashed=hashed)
    for kind in (Kind.CONSENT, Kind.ENGAGEMENT):
        assert shop.rows(kind)["meta_email"].to_list() == [bytes.fromhex(ANN)]


def test_a_kind_without_that_column_refuses_the_setting(shop):
    message = shop.refusal(
        "customer_id,transaction_date,transaction_amount\nc1,2025-01-02,1\n", hashed={"email": ["meta"]}
    )
    assert "hashed names 'email', which transactions does not have" in message


@pytest.mark.parametrize(
    ("hashed", "why"),
    [
        ({"first_name": ["meta"]}, "hashed takes email and phone"),
        ({"email": []}, "one or more of meta, google, tiktok for email"),
        ({"email": ["facebook"]}, "one or more of meta, google, tiktok for email"),
        ({"phone": ["tiktok"]}, "one or more of meta, google for phone"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(hashed, why):
    with pytest.raises(ValueError, match=why):
        ReadOptions(hashed=hashed)
