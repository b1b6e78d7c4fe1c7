"""Whose a row is: the shop's own id, a card, an address or a number."""

from __future__ import annotations

from hashlib import sha256

import polars as pl
import pytest

from audience_pipeline.sources.contract import LANDED, LINE, Kind

ORDERS = "customer_id,transaction_date,transaction_amount,loyalty_id\n"
ANN = sha256(b"ann@example.org").hexdigest()


def ids(shop, kind=Kind.TRANSACTIONS):
    return shop.rows(kind).sort(LINE)["customer_id"].to_list()


def test_an_order_without_the_shops_id_is_its_loyalty_cards(shop):
    report = shop.land(ORDERS + "c1,2025-01-02,1,L7\n,2025-01-02,1,L8\n,2025-01-02,1,\n")
    assert ids(shop) == ["c1", "loyalty:L8"]
    assert shop.rows()["loyalty_id"].to_list() == ["L7", "L8"]
    assert shop.quarantine(report) == [(4, "customer_id", "none of customer_id, loyalty_id is given")]
    assert "1 row without customer_id, known by another name (loyalty_id 1)" in report.notices


def test_orders_by_loyalty_card_alone_land(shop):
    shop.land("loyalty_id,transaction_date,transaction_amount\n12346.0,2025-01-02,1\n")
    assert ids(shop) == ["loyalty:12346"]


def test_a_file_without_any_name_of_the_person_is_refused_as_before(shop):
    message = shop.refusal("transaction_date,transaction_amount\n2025-01-02,1\n")
    assert "the column 'customer_id' is missing; the file has 'transaction_date'" in message


def test_an_empty_id_in_a_file_without_loyalty_cards_is_called_empty(shop):
    report = shop.land("customer_id,transaction_date,transaction_amount\nc1,2025-01-02,1\n,2025-01-02,1\n")
    assert shop.quarantine(report) == [(3, "customer_id", "empty")]


def test_a_loyalty_id_that_is_an_address_or_number_is_hashed_like_a_customer_id(shop):
    shop.land(ORDERS + "c1,2025-01-02,1, Ann@Example.org\n,2025-01-02,1,+1 212 555 0123\n")
    address, number = shop.rows()["loyalty_id"].to_list()
    assert address == f"h_{ANN}"
    assert number == "h_" + sha256(b"+1 212 555 0123").hexdigest()
    assert ids(shop) == ["c1", f"loyalty:{number}"]


@pytest.mark.parametrize("own", ["email:x", "loyalty:L8", "phone:1", "anonymous:a", "id:email:x"])
def test_a_shops_own_id_is_never_taken_for_another_name(shop, own):
    shop.land(ORDERS + f"{own},2025-01-02,1,\n")
    shop.land(f"event_at,event,customer_id\n2025-01-02,search,{own}\n", Kind.WEB)
    assert ids(shop) == ids(shop, Kind.WEB) == [f"id:{own}"]


def test_contacts_go_by_the_best_name_that_they_have(shop):
    report = shop.land(
        "customer_id,loyalty_id,email,phone,country\n"
        "c1,L1,ann@example.org,,US\n"
        ",L2,ann@example.org,,US\n"
        ",,Ann@Example.org,+12125550123,US\n"
        ",,nonsense,212 555 0123,US\n"
        ",,nonsense,,US\n"
        ",,,,US\n",
        Kind.CRM,
    )
    number = sha256(b"12125550123").hexdigest()
    assert ids(shop, Kind.CRM) == ["c1", "loyalty:L2", f"email:{ANN[:32]}", f"phone:{number[:32]}"]
    assert shop.quarantine(report) == [
        (
            6,
            "customer_id",
            "no customer_id or loyalty_id, and no e-mail address or phone number that can be used",
        ),
        (7, "customer_id", "none of customer_id, loyalty_id, email, phone is given"),
    ]
    known = "3 rows without customer_id, known by another name (loyalty_id 1, email 1, phone 1)"
    assert known in report.notices


def test_readers_of_messages_can_be_known_by_address_alone(shop):
    report = shop.land(
        "event_at,event,email\n2025-01-02,email_open,ann@example.org\n2025-01-02,email_open,na@na.na\n",
        Kind.ENGAGEMENT,
    )
    rows = shop.rows(Kind.ENGAGEMENT)
    assert rows.select("customer_id", "meta_email").rows() == [(f"email:{ANN[:32]}", bytes.fromhex(ANN))]
    assert rows.schema == {**LANDED[Kind.ENGAGEMENT], "landing_id": pl.String()}
    assert shop.quarantine(report) == [
        (3, "customer_id", "no customer_id, and no e-mail address that can be used")
    ]


@pytest.mark.parametrize("column", ["CustomerNo", "Customer ID", "cust_id", "id", "clientId", "Kunde"])
def test_people_do_not_go_by_address_where_a_column_could_be_the_shops_id(shop, column):
    message = shop.refusal(f"{column},email\nc1,ann@example.org\n", Kind.CRM)
    assert f"there is no column 'customer_id', and '{column}' could be it" in message
    shop.land(f"{column},email\nc1,ann@example.org\n", Kind.CRM, columns={"customer_id": column})
    assert ids(shop, Kind.CRM) == ["c1"]


@pytest.mark.parametrize("column", ["store_id", "points", "member", "valid", "customer_since"])
def test_other_columns_are_not_taken_for_the_shops_id(shop, column):
    shop.land(f"{column},email\nx,ann@example.org\n", Kind.CRM)
    assert ids(shop, Kind.CRM) == [f"email:{ANN[:32]}"]


def test_the_line_is_the_one_of_the_file(shop):
    shop.land(ORDERS + '"c\n1",2025-01-02,1,\n\nc2,2025-01-02,1,\nc3,nonsense,1,\nc4,2025-01-02,1,\n')
    assert shop.rows()[LINE].to_list() == [2, 5, 7]


def test_the_line_of_json_and_parquet_is_that_of_the_record(shop, tmp_path):
    shop.land(
        '[\n{"customer_id": "j", "transaction_date": "2025-01-02",\n "transaction_amount": 1},\n'
        '{"customer_id": "k", "transaction_date": "2025-01-02", "transaction_amount": 1}]'
    )
    assert shop.rows()[LINE].to_list() == [2, 4]
    path = tmp_path / "orders.parquet"
    pl.DataFrame(
        {"customer_id": ["p", "q"], "transaction_date": ["2025-01-03"] * 2, "transaction_amount": ["1"] * 2}
    ).write_parquet(path)
    report = shop.land(path)
    assert report.unit == "row"
    assert shop.rows().filter(pl.col("customer_id").is_in(["p", "q"]))[LINE].to_list() == [1, 2]


def test_rows_that_differ_in_their_line_alone_are_the_same(shop):
    shop.land(ORDERS + "c1,2025-01-02,1,\nc2,2025-01-02,1,\n")
    report = shop.land(ORDERS + "c3,2025-01-02,1,\nc1,2025-01-02,1,\nc2,2025-01-02,1,\n")
    assert (report.landed, report.known) == (1, 2)


@pytest.mark.parametrize("older", [("coupon", "loyalty_id", LINE), (LINE,)])
def test_rows_that_landed_before_a_column_existed_are_known_all_the_same(shop, older):
    """The lake of an older version: what it says nothing of does not make a row another one."""
    first = shop.land("customer_id,transaction_date,transaction_amount\nc1,2025-01-02,1\nc2,2025-01-03,2\n")
    path = shop.lake / Kind.TRANSACTIONS.dataset / f"{first.landing_id}.parquet"
    pl.read_parquet(path).drop(older).write_parquet(path)
    coupon = "SPRING" if "coupon" in older else ""
    report = shop.land(
        "customer_id,transaction_date,transaction_amount,coupon\n"
        f"c1,2025-01-02,1,{coupon}\nc2,2025-01-03,2,{coupon}\nc3,2025-01-03,-2,{coupon}\n"
    )
    assert (report.landed, report.known) == (1, 2)


def test_a_coupon_tells_orders_apart_where_the_lake_knows_it(shop):
    shop.land("customer_id,transaction_date,transaction_amount,coupon\nc1,2025-01-02,1,a\n")
    report = shop.land("customer_id,transaction_date,transaction_amount,coupon\nc1,2025-01-02,1,b\n")
    assert report.landed == 1
