from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from audience_pipeline.identifiers import pseudonym
from audience_pipeline.ltv.service.limits import Limits
from audience_pipeline.ltv.service.problems import RefusedError
from audience_pipeline.ltv.service.requests import Customer, parse

TODAY = date(2026, 11, 20)
SALE = {"transaction_date": "2026-03-31", "transaction_amount": "129.90"}


def read(document: Any, limits: Limits | None = None) -> list[Customer]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse(body, limits or Limits(), TODAY)


def refusal(document: Any, limits: Limits | None = None) -> RefusedError:
    with pytest.raises(RefusedError) as error:
        read(document, limits)
    return error.value


def fields(document: Any) -> list[str]:
    return [problem.field for problem in refusal(document).problems]


def one(**line: Any) -> dict[str, Any]:
    return {"customer_id": "C1", "transactions": [SALE | line]}


def test_a_line_becomes_what_a_file_would_land() -> None:
    (customer,) = read(
        one(
            transaction_date=" 2026-03-31T23:30:00-0200 ",
            transaction_amount=10.005,
            product_category=" shoes ",
            order_id=7731,
            quantity="2",
            currency="eur",
            channel="",
            discount="3.5",
        )
    )

    assert customer.lines == [
        (
            date(2026, 4, 1),
            datetime(2026, 4, 1, 1, 30),
            1001,
            "shoes",
            "7731",
            Decimal("2.000"),
            "EUR",
            None,
            350,
        )
    ]
    assert customer.as_of == TODAY


def test_an_empty_discount_is_none_and_a_missing_one_unknown() -> None:
    lines = [SALE, SALE | {"discount": ""}, SALE | {"discount": -1}, SALE | {"discount": 0.005}]
    with_some, without = read(
        {
            "customers": [
                {"customer_id": "a", "transactions": lines},
                {"customer_id": "b", "transactions": [SALE]},
            ]
        }
    )

    assert [line[-1] for line in with_some.lines] == [0, 0, None, 1]
    assert [line[-1] for line in without.lines] == [None]


def test_one_customer_may_stand_alone_and_many_in_a_list() -> None:
    alone = {"customer_id": "C1", "transactions": [SALE]}

    assert read(alone) == read({"customers": [alone]})


def test_an_id_that_is_an_address_is_answered_by_the_pseudonym_of_files() -> None:
    (customer,) = read({"customer_id": "Ann@Example.com", "transactions": [SALE]})

    assert customer.customer_id == pseudonym("ann@example.com")


def test_days_after_the_first_order_are_counted_from_the_first_sale() -> None:
    back = {"transaction_date": "2026-01-02", "transaction_amount": -5}
    (customer,) = read({"customer_id": "C1", "transactions": [back, SALE], "observe_days": 30})

    assert customer.as_of == date(2026, 4, 30)


def test_a_customer_without_an_order_by_then_is_told_so_and_not_refused() -> None:
    entries = [
        {"customer_id": "none", "transactions": []},
        {"customer_id": "later", "transactions": [SALE]},
        {"customer_id": "returns", "transactions": [SALE | {"transaction_amount": "-1"}]},
        {"customer_id": "earlier", "transactions": [SALE | {"transaction_date": "2026-03-30"}]},
    ]
    customers = read({"customers": entries, "as_of": "2026-03-30"})

    assert [customer.problem is None for customer in customers] == [False, False, False, True]
    assert customers[1].problem is not None
    assert customers[1].problem.field == "customers[1].transactions"
    assert "on or before 2026-03-30" in customers[1].problem.reason


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ({"transaction_date": "03/04/2026"}, "transaction_date"),
        ({"transaction_date": "2026-02-30"}, "transaction_date"),
        ({"transaction_date": "2026-11-22"}, "transaction_date"),
        ({"transaction_date": 20260331.5}, "transaction_date"),
        ({"transaction_date": None}, "transaction_date"),
        ({"transaction_amount": "12,50"}, "transaction_amount"),
        ({"transaction_amount": "secret"}, "transaction_amount"),
        ({"transaction_amount": True}, "transaction_amount"),
        ({"transaction_amount": 1e15}, "transaction_amount"),
        ({"transaction_amount": " "}, "transaction_amount"),
        ({"product_category": ["secret"]}, "product_category"),
        ({"product_category": "\ud800"}, "product_category"),
        ({"order_id": 1.5}, "order_id"),
        ({"currency": "euros"}, "currency"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named_by_its_place(line: dict[str, Any], field: str) -> None:
    (problem,) = refusal({"customers": [one(), one(**line) | {"customer_id": "C2"}]}).problems

    assert problem.field == f"customers[1].transactions[0].{field}"
    assert problem.reason
    assert problem.remedy


def test_no_value_and_no_unknown_name_is_repeated() -> None:
    error = refusal(
        {
            "customers": [
                {
                    "customer_id": "secret-1",
                    "transactions": [{"secret@example.com": 1, "transaction_amount": "secret"}],
                },
                {"customer_id": "secret-1", "secret": 1, "transactions": "secret"},
            ],
            "secret": 2,
            "as_of": "secret",
        }
    )

    assert len(error.problems) >= 5
    assert "secret" not in json.dumps([problem.as_dict() for problem in error.problems])


def test_all_problems_are_told_at_once_but_not_without_end() -> None:
    lines = [{"transaction_amount": "x"}] * 50

    assert len(refusal({"customer_id": "C1", "transactions": lines}).problems) == 20


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe{", b"[" * 100_000, b'{"as_of": 1e}'])
def test_a_body_that_is_no_json_is_a_bad_request(body: bytes) -> None:
    assert refusal(body).status == 400


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ([], ""),
        ({"customers": []}, "customers"),
        ({"customers": {}}, "customers"),
        ({"customers": [3]}, "customers[0]"),
        ({}, "customer_id"),
        ({"customer_id": "C1", "transactions": None}, "transactions"),
        ({"customer_id": {}, "transactions": [SALE]}, "customer_id"),
        ({"customer_id": "C1", "transactions": [3]}, "transactions[0]"),
        ({"customers": [one()], "customer_id": "C1"}, ""),
        (one() | {"as_of": "2026-13-01"}, "as_of"),
        (one() | {"as_of": "2026-03-01 10:00"}, "as_of"),
        (one() | {"as_of": 20260301}, "as_of"),
        (one() | {"observe_days": -1}, "observe_days"),
        (one() | {"observe_days": True}, "observe_days"),
        (one() | {"observe_days": 3, "as_of": "2026-03-01"}, "observe_days"),
        ({"customers": [one(), one()]}, "customers[1].customer_id"),
        ({"customers": [one(currency="EUR"), one(currency="USD") | {"customer_id": "C2"}]}, "currency"),
    ],
)
def test_a_request_of_another_shape_is_refused(document: Any, where: str) -> None:
    assert where in fields(document)


def test_too_many_customers_or_transactions_are_refused() -> None:
    limits = Limits(customers=2, transactions_each=3, transactions=4)
    names = [{"customer_id": str(number), "transactions": [SALE] * 2} for number in range(3)]

    assert refusal({"customers": names}, limits).problems[0].field == "customers"
    assert refusal(one() | {"transactions": [SALE] * 4}, limits).problems[0].field == "transactions"
    assert len(read({"customers": names[:2]}, limits)) == 2
    names[1]["transactions"] = [SALE] * 3
    assert "more than 4 transactions" in refusal({"customers": names[:2]}, limits).problems[0].reason
