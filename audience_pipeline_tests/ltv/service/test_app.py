from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from audience_pipeline.ltv.model import LtvModel
from audience_pipeline.ltv.scoring import PREDICTIONS_SCHEMA
from audience_pipeline.ltv.service.app import Service
from audience_pipeline.ltv.service.limits import Limits
from audience_pipeline_tests.ltv.service.conftest import TODAY, Answered, customer, running

Send = Callable[..., Awaitable[Answered]]
Make = Callable[..., Service]


def ask(service: Service, scenario: Callable[[Send], Awaitable[Any]]) -> Any:
    async def whole() -> Any:
        async with running(service) as send:
            return await asyncio.wait_for(scenario(send), 30)

    return asyncio.run(whole())


def test_a_customer_is_answered_with_the_columns_of_the_predictions(make_service: Make) -> None:
    answer = ask(make_service(), lambda send: send("POST", "/score", customer("C1", "12.50", 3)))

    assert answer.status == 200
    (entry,) = answer.json["predictions"]
    assert list(entry) == PREDICTIONS_SCHEMA.names()
    assert entry["customer_id"] == "C1"
    assert entry["observed_value"] == 15.5
    assert entry["prediction_date"] == str(TODAY)
    assert entry["model_version"] == answer.json["model_version"] == "2025-03-31"
    assert entry["ltv_quintile"] in {1, 2, 3, 4, 5}


def test_customers_without_an_order_get_an_error_and_the_others_an_answer(make_service: Make) -> None:
    asked = {"customers": [customer("a"), customer("b", "5"), customer("c", "-5")]}
    answer = ask(make_service(), lambda send: send("POST", "/score", asked))

    assert answer.status == 200
    first, second, third = answer.json["predictions"]
    assert first["customer_id"] == "a"
    assert set(first["error"]) == {"field", "reason", "remedy"}
    assert second["predicted_ltv"] >= 5
    assert third["error"]["field"] == "customers[2].transactions"


def test_reasons_are_told_to_who_asks_and_to_nobody_else(make_service: Make) -> None:
    async def scenario(send: Send) -> list[Answered]:
        both = {"customers": [customer("a", "12.50"), customer("b", "-5")], "reasons": True}
        asked = [both, customer("c", "500") | {"reasons": True}, customer("c", "500") | {"reasons": False}]
        return await asyncio.gather(*(send("POST", "/score", one) for one in asked))

    several, one, none = (answer.json["predictions"] for answer in ask(make_service(), scenario))

    assert [list(entry)[-1] for entry in several] == ["reasons", "error"]
    assert one[0]["reasons"][0].startswith("its order was worth 500.00: +")
    assert "reasons" not in none[0]
    assert one[0] == none[0] | {"reasons": one[0]["reasons"]}


def test_whether_reasons_are_wanted_is_said_by_true_or_false(make_service: Make) -> None:
    answer = ask(make_service(), lambda send: send("POST", "/score", customer("a", "1") | {"reasons": "yes"}))

    assert answer.status == 422
    assert answer.json["errors"] == [
        {"field": "reasons", "reason": "neither true nor false", "remedy": "write true, or leave it out"}
    ]


def test_requests_that_name_the_same_customer_do_not_mix(make_service: Make) -> None:
    async def scenario(send: Send) -> list[Answered]:
        asked = [customer("same", str(number)) | {"observe_days": number} for number in range(1, 9)]
        return await asyncio.gather(*(send("POST", "/score", one) for one in asked))

    entries = [answer.json["predictions"][0] for answer in ask(make_service(), scenario)]

    assert [entry["observed_value"] for entry in entries] == list(range(1, 9))
    assert [entry["age_days"] for entry in entries] == list(range(1, 9))


def test_a_request_that_cannot_be_meant_leaves_the_others_alone(make_service: Make) -> None:
    async def scenario(send: Send) -> list[Answered]:
        asked = [customer("a", "1"), customer("b", "x"), b"{", customer("c", "2")]
        return await asyncio.gather(*(send("POST", "/score", one) for one in asked))

    answers = ask(make_service(), scenario)

    assert [answer.status for answer in answers] == [200, 422, 400, 200]
    assert answers[1].json["errors"][0]["field"] == "transactions[0].transaction_amount"


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(make_service: Make) -> None:
    async def scenario(send: Send) -> list[Answered]:
        return [
            await send("POST", "/score", b" " * 101),
            await send("POST", "/score", b"{}", content_length="101"),
            await send("POST", "/score", b"{}", content_encoding="gzip"),
        ]

    answers = ask(make_service(Limits(body_bytes=100)), scenario)

    assert [answer.status for answer in answers] == [413, 413, 415]
    assert answers[0].json["errors"][0]["remedy"] == "send fewer customers at once"


def test_a_full_queue_asks_the_client_to_come_back(make_service: Make) -> None:
    async def scenario(send: Send) -> list[Answered]:
        asked = [customer(str(number), "1", "2") for number in range(3)]
        return await asyncio.gather(*(send("POST", "/score", one) for one in asked))

    answers = ask(make_service(Limits(waiting_transactions=4)), scenario)

    assert sorted(answer.status for answer in answers) == [200, 200, 503]
    (refused,) = [answer for answer in answers if answer.status == 503]
    assert refused.headers["retry-after"] == "1"


def test_a_client_that_has_gone_is_not_scored(make_service: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    service = make_service()
    scored: list[int] = []
    score = service.batcher._score

    async def scenario(send: Send) -> tuple[Answered, Answered]:
        arrived = service.batcher._arrived
        # Nothing is taken out of the queue until the first client has been found gone.
        monkeypatch.setattr(service.batcher, "_arrived", asyncio.Event())
        gone = await send("POST", "/score", customer("gone", "1"), gone=True)
        arrived.set()
        monkeypatch.setattr(service.batcher, "_arrived", arrived)
        return gone, await send("POST", "/score", customer("here", "1"))

    monkeypatch.setattr(service.batcher, "_score", lambda works: scored.append(len(works)) or score(works))
    gone, here = ask(service, scenario)

    assert gone.status == 499
    assert here.status == 200
    assert scored == [1]


def test_what_goes_wrong_inside_is_said_without_a_value(
    make_service: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: Any) -> None:
        raise ValueError("secret")

    service = make_service()
    monkeypatch.setattr("audience_pipeline.ltv.service.app.predictions", fail)
    answer = ask(service, lambda send: send("POST", "/score", customer("a", "1")))

    assert answer.status == 500
    assert b"secret" not in answer.body
    assert answer.json["errors"][0]["remedy"]


def test_health_readiness_and_what_is_not_there(make_service: Make) -> None:
    async def scenario(send: Send) -> list[Answered]:
        asked = [("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/score"), ("GET", "/docs")]
        return [await send(method, path) for method, path in asked]

    health, ready, get, docs = ask(make_service(), scenario)

    assert health.json == {"status": "alive"}
    assert ready.json["status"] == "ready"
    assert ready.json["model_version"] == ready.json["model_as_of"] == "2025-03-31"
    assert ready.json["refresh"]["ok"] is True
    assert (get.status, docs.status) == (405, 404)
    assert docs.json["errors"][0]["remedy"]


class Nothing:
    """A registry without a champion."""

    changes = True

    def latest(self) -> None:
        return None

    def load(self, version: str) -> LtvModel:
        raise LookupError(version)


def test_without_a_model_the_service_lives_but_is_not_ready() -> None:
    async def scenario(send: Send) -> list[Answered]:
        return [
            await send("GET", "/healthz"),
            await send("GET", "/readyz"),
            await send("POST", "/score", customer("a", "1")),
            await send("GET", "/metrics"),
        ]

    health, ready, scored, metrics = ask(Service(Nothing()), scenario)

    assert [health.status, ready.status, scored.status] == [200, 503, 503]
    assert "no champion yet" in ready.json["refresh"]["reason"]
    assert scored.headers["retry-after"]
    assert b"ltv_model_refresh_ok 0.0" in metrics.body


def test_the_metrics_count_answers_customers_and_batches(make_service: Make) -> None:
    async def scenario(send: Send) -> Answered:
        asked = {"customers": [customer("a", "1"), customer("b", "2"), customer("c")]}
        await send("POST", "/score", asked)
        await send("POST", "/score", b"{")
        return await send("GET", "/metrics")

    text = ask(make_service(), scenario).body.decode()

    assert 'ltv_requests_total{status="200"} 1.0' in text
    assert 'ltv_requests_total{status="400"} 1.0' in text
    assert 'ltv_customers_total{outcome="scored"} 2.0' in text
    assert 'ltv_customers_total{outcome="no_order"} 1.0' in text
    assert "ltv_request_seconds_count 2.0" in text
    assert "ltv_batch_customers_sum 2.0" in text
    assert 'ltv_model_info{as_of="2025-03-31",version="2025-03-31"} 1.0' in text
    assert "ltv_model_refresh_ok 1.0" in text


def test_the_description_names_the_columns_of_files_and_loads_nothing_from_elsewhere(
    make_service: Make,
) -> None:
    described = ask(make_service(), lambda send: send("GET", "/openapi.json")).json
    body = described["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    line = body["oneOf"][1]["properties"]["transactions"]["items"]["properties"]

    assert {"transaction_date", "transaction_amount", "product_category", "order_id", "channel"} <= set(line)
    assert "http" not in str(described)


def test_a_folder_that_holds_no_model_is_no_source(tmp_path: Path) -> None:
    from audience_pipeline.ltv.service.models import Folder

    with pytest.raises(ValueError, match=r"model\.json is missing"):
        Folder(tmp_path)


class Slow:
    """A client that begins a body and then does nothing, or goes away."""

    def __init__(self, *, goes: bool) -> None:
        self.begun, self.goes, self.sent = False, goes, list[MutableMapping[str, Any]]()

    async def receive(self) -> dict[str, Any]:
        if not self.begun:
            self.begun = True
            return {"type": "http.request", "body": b"{", "more_body": True}
        return {"type": "http.disconnect"} if self.goes else await asyncio.Event().wait()  # type: ignore[return-value]

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)


@pytest.mark.parametrize(("goes", "status"), [(False, 408), (True, 499)])
def test_who_does_not_send_the_rest_of_a_body_is_not_waited_for(
    make_service: Make, goes: bool, status: int
) -> None:
    service, client = make_service(Limits(body_seconds=0.05)), Slow(goes=goes)
    scope = {"type": "http", "method": "POST", "path": "/score", "query_string": b"", "headers": []}

    async def scenario(send: Send) -> Answered:
        await service.app(scope, client.receive, client.send)
        return await send("GET", "/metrics")

    told = ask(service, scenario)

    assert client.sent[0]["status"] == status
    assert f'ltv_requests_total{{status="{status}"}} 1.0'.encode() in told.body
