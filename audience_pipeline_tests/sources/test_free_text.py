from __future__ import annotations

import io
from urllib.parse import quote

import duckdb
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audience_pipeline.identifiers import CODES, WORDS, holds_contact
from audience_pipeline.sources.cells import is_contact
from audience_pipeline.sources.contract import CONTRACTS, FREE_TEXT, LANDED, Kind

EMAIL, PHONE = "ann.smith@example.org", "+1 212 5550123"
CONTACTS = (
    EMAIL,
    quote(EMAIL).replace(".", "%2E"),
    f"to {EMAIL}",
    PHONE,
    "0049 171 5550123",
    "(212) 555-0123",
)
SECRETS = (b"ann.smith", b"ann%2esmith", b"5550123", b"555-0123")
GOOD = {
    "customer_id": "c1",
    "transaction_date": "2025-01-02",
    "transaction_amount": "1",
    "event_at": "2025-01-02",
    "updated_at": "2025-01-02",
    "status": "granted",
    "country": "US",
}
EVENT = {Kind.WEB: "search", Kind.ENGAGEMENT: "email_open"}


def rows_of(kind, *changes):
    names = CONTRACTS[kind].names
    good = {**GOOD, "event": EVENT.get(kind, "")}
    rows = [{name: (good | change).get(name, "") for name in names} for change in changes]
    text = io.StringIO()
    pl.DataFrame(rows).write_csv(text)
    return text.getvalue()


def cases():
    for kind in Kind:
        for column in FREE_TEXT[kind]:
            yield pytest.param(kind, column, id=f"{kind}-{column}")


@pytest.mark.parametrize(("kind", "column"), [*cases()])
def test_contacts_in_free_text_are_left_out_counted_and_written_nowhere(shop, kind, column):
    content = rows_of(kind, *({column: contact} for contact in CONTACTS), {column: "shoes"})
    report = shop.land(content, kind)
    landed = {"state": "region"}.get(column, column)
    harmless = "SHOES" if column == "coupon" else "shoes"
    assert shop.rows(kind)[landed].to_list() == [None] * len(CONTACTS) + [harmless]
    assert (
        f"{column}: {len(CONTACTS)} values are or could be an e-mail address or phone number, left out"
        in report.notices
    )
    written = str(report.to_dict()).encode()
    written += b"".join(path.read_bytes() for path in shop.folder.glob("ledger.db*"))
    written += b"".join(path.read_bytes() for path in shop.lake.rglob("*") if path.is_file())
    assert not [secret for secret in SECRETS if secret in written.lower()]


def test_every_landed_text_is_free_text_a_choice_a_code_or_an_id():
    chosen = {"currency", "country", "gender", "email_domain_kind"}
    chosen |= {"customer_id", "loyalty_id", "device_id", "extra"}
    for kind in Kind:
        columns = {column.name for column in CONTRACTS[kind].columns if column.choices}
        text = {name for name, dtype in LANDED[kind].items() if dtype == pl.String}
        assert {"region" if name == "state" else name for name in FREE_TEXT[kind]} == text - chosen - columns


@pytest.mark.parametrize("kind", EVENT)
@pytest.mark.parametrize("contact", CONTACTS)
def test_a_contact_as_an_event_goes_to_quarantine(shop, kind, contact):
    report = shop.land(rows_of(kind, {"event": contact}, {}), kind)
    assert report.landed == 1
    assert [(line, field) for line, field, _ in shop.quarantine(report)] == [(2, "event")]


def test_a_contact_as_the_only_id_of_a_browser_goes_to_quarantine(shop):
    report = shop.land(rows_of(Kind.WEB, {"customer_id": "", "anonymous_id": EMAIL}, {}), Kind.WEB)
    assert shop.quarantine(report) == [
        (2, "customer_id", "no customer_id, and anonymous_id is an e-mail address or phone number")
    ]


def test_ids_that_are_digits_land_as_they_are(shop):
    row = {"anonymous_id": "4915112345678", "click_id": "01711234567", "order_id": "12125550123"}
    shop.land(rows_of(Kind.WEB, {**row, "utm_campaign": "20212345678"}), Kind.WEB)
    landed = shop.rows(Kind.WEB).row(0, named=True)
    assert {name: landed[name] for name in row} == row
    assert landed["utm_campaign"] == "20212345678"


@pytest.mark.parametrize("patterns", [WORDS, CODES], ids=["words", "codes"])
@given(
    texts=st.lists(
        st.sampled_from(CONTACTS)
        | st.from_regex(r"[+0-9 ()./%-]{0,16}", fullmatch=True)
        | st.from_regex(r"[a-c0-9@%. +-]{0,10}(%40|%2B|\uff20|&#64;)[a-c0-9. ]{0,10}", fullmatch=True)
        | st.text(max_size=12).filter(lambda text: "\0" not in text),
        max_size=20,
    )
)
@example(texts=["", "O1234567", "100000000", "2025-03-31 10", "shoes\n", *CONTACTS])
@settings(max_examples=60, deadline=None)
def test_the_statement_finds_what_the_rule_finds(patterns, texts):
    frame = pl.DataFrame({"text": texts}, schema={"text": pl.String}).to_arrow()
    with duckdb.connect() as connection:
        connection.register("given", frame)
        found = connection.execute(f"SELECT {is_contact('text', patterns)} FROM given").fetchall()
    assert [hit for (hit,) in found] == [holds_contact(text, patterns) for text in texts]
