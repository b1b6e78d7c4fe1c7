"""Trouble on demand: mostly asked of the application itself, what happens on the wire over the wire."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import requests

from audience_pipeline.sandbox.application import handled
from audience_pipeline.sandbox.faults import TABLE, Fault, Options
from audience_pipeline.sandbox.server import process, running
from audience_pipeline.sandbox.wire import Call
from audience_pipeline.sandbox.world import World

PEOPLE = 2_500
PLATFORMS = ("meta", "google", "tiktok")
HEADERS = {
    "meta": {"authorization": "Bearer sandbox-meta-token"},
    "google": {"authorization": "Bearer sandbox-google-token"},
    "tiktok": {"access-token": "sandbox-tiktok-token"},
}
READ = {
    "meta": "/v26.0/act_1/customaudiences",
    "google": "/v1/accountTypes/GOOGLE_ADS/accounts/1/userLists",
    "tiktok": "/open_api/v1.3/dmp/custom_audience/list/?advertiser_id=1",
}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


EMAILS = [sha(f"person{i}@example.com") for i in range(PEOPLE)]


@dataclass
class Place:
    """One sandbox without a network: calls, and what came of them."""

    world: World
    sent: list[str] = field(default_factory=list)

    def call(
        self, platform: str, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, Any, Fault | None]:
        """HTTP status, the JSON of the answer (its text where it is none) and the fault."""
        path, _, query = path.partition("?")
        parameters = dict(part.split("=", 1) for part in query.split("&") if part)
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {**HEADERS.get(platform, {}), "content-type": "application/json", **headers}
        answer, fault = handled(self.world, Call(method, path, parameters, given, content, "http://x"))
        try:
            return answer.status, json.loads(answer.body), fault
        except ValueError:
            return answer.status, answer.body.decode(), fault

    def faults(self, **options: Any) -> dict[str, Any]:
        status, told, _ = self.call("sandbox", "POST", "/_sandbox/faults", options)
        assert status == 200, told
        return told

    def only(self, fault: Fault, platform: str, rate: float = 1.0) -> None:
        self.faults(seed=1, kinds=[fault], platforms=[platform], rate=rate)

    def off(self) -> None:
        self.faults(rate=0)

    def settle(self) -> None:
        self.call("sandbox", "POST", "/_sandbox/clock", {"advance_seconds": 60})

    def held(self, platform: str, audience_id: str) -> list[str]:
        path = f"/_sandbox/members?platform={platform}&audience_id={audience_id}"
        return sorted(row[0] for row in self.call("sandbox", "GET", path)[1]["members"])

    def meta_create(self, name: str = "a") -> Any:
        body = {"name": name, "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY"}
        return self.call("meta", "POST", "/v26.0/act_1/customaudiences", body)[1]

    def google_create(self, name: str = "a") -> Any:
        body = {"displayName": name, "ingestedUserListInfo": {"uploadKeyTypes": ["CONTACT_ID"]}}
        return self.call("google", "POST", READ["google"], body)[1]

    def tiktok_file(self, emails: list[str]) -> str:
        content = "\n".join(emails).encode()
        parts = {
            "advertiser_id": "1",
            "calculate_type": "EMAIL_SHA256",
            "file_signature": hashlib.md5(content).hexdigest(),
        }
        form = "".join(
            f'--x\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in parts.items()
        )
        file = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        told = self.call(
            "tiktok",
            "POST",
            "/open_api/v1.3/dmp/custom_audience/file/upload/",
            (form + file).encode() + content + b"\r\n--x--\r\n",
            **{"content-type": "multipart/form-data; boundary=x"},
        )[1]
        return str(told["data"]["file_path"])

    def create(self, platform: str, emails: list[str]) -> str:
        """An audience of some people."""
        if platform == "tiktok":
            path = self.tiktok_file(emails)
            body = {
                "advertiser_id": "1",
                "custom_audience_name": "a",
                "calculate_type": "EMAIL_SHA256",
                "file_paths": [path],
            }
            told = self.call("tiktok", "POST", "/open_api/v1.3/dmp/custom_audience/create/", body)[1]
            return str(told["data"]["custom_audience_id"])
        made = self.meta_create() if platform == "meta" else self.google_create()
        if emails:
            self.change(platform, made["id"], emails)
        return str(made["id"])

    def change(self, platform: str, audience_id: str, emails: list[str], *, remove: bool = False) -> Any:
        """Add or remove people; the answer."""
        if platform == "meta":
            payload = {"schema": "EMAIL_SHA256", "data": emails}
            method = "DELETE" if remove else "POST"
            return self.call("meta", method, f"/v26.0/{audience_id}/users", {"payload": payload})[1]
        if platform == "tiktok":
            body = {
                "advertiser_id": "1",
                "custom_audience_id": audience_id,
                "file_paths": [self.tiktok_file(emails)],
                "action": "REMOVE" if remove else "APPEND",
            }
            return self.call("tiktok", "POST", "/open_api/v1.3/dmp/custom_audience/update/", body)[1]
        consent = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
        account = {"accountType": "GOOGLE_ADS", "accountId": "1"}
        body = {
            "destinations": [{"operatingAccount": account, "productDestinationId": audience_id}],
            "audienceMembers": [{"userData": {"userIdentifiers": [{"emailAddress": one}]}} for one in emails],
            "encoding": "HEX",
        }
        if not remove:
            body |= {"consent": consent, "termsOfService": {"customerMatchTermsOfServiceStatus": "ACCEPTED"}}
        return self.call("google", "POST", f"/v1/audienceMembers:{'remove' if remove else 'ingest'}", body)[1]

    def google_status(self, request_id: str) -> dict[str, Any]:
        told = self.call("google", "GET", f"/v1/requestStatus:retrieve?requestId={request_id}")[1]
        return dict(told["requestStatusPerDestination"][0])

    def tiktok_read(self, audience_id: str) -> dict[str, Any]:
        path = (
            f'/open_api/v1.3/dmp/custom_audience/get/?advertiser_id=1&custom_audience_ids=["{audience_id}"]'
        )
        return dict(self.call("tiktok", "GET", path)[1]["data"]["list"][0])

    def meta_read(self, audience_id: str, fields: str) -> Any:
        return self.call("meta", "GET", f"/v26.0/{audience_id}?fields={fields}")[1]


def population(path: Path) -> Path:
    numbers = range(PEOPLE)
    pl.DataFrame(
        {
            "email": [f"person{i}@example.com" for i in numbers],
            **{
                name: [None] * PEOPLE
                for name in ("phone", "first_name", "last_name", "country", "postal_code")
            },
            **{f"on_{name}": [True] * PEOPLE for name in PLATFORMS},
        },
        schema_overrides=dict.fromkeys(
            ("phone", "first_name", "last_name", "country", "postal_code"), pl.String
        ),
    ).write_parquet(path)
    return path


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    world = World.open(tmp_path / "state", population(tmp_path / "population.parquet"), delay=30)
    world.quotas.change(dict.fromkeys(world.quotas.limits()))
    yield Place(world)
    world.state.close()


def fates(place: Place, platform: str, calls: int) -> list[tuple[int, str, Fault | None]]:
    """What comes of reading again and again."""
    found = []
    for _ in range(calls):
        status, told, fault = place.call(platform, "GET", READ[platform])
        # Ids of requests count on, whatever happens.
        error = told.get("error", told) if isinstance(told, dict) else told
        code = str(error.get("code")) if isinstance(error, dict) else str(error)
        found.append((status, code, fault))
    return found


def test_the_same_seed_and_the_same_calls_make_the_same_trouble(tmp_path: Path) -> None:
    runs: list[dict[str, Any]] = []
    for name, seed in (("one", 7), ("two", 7), ("three", 8)):
        world = World.open(tmp_path / name, faults=seed)
        world.quotas.change(dict.fromkeys(world.quotas.limits()))
        place = Place(world)
        runs.append({platform: fates(place, platform, 400) for platform in PLATFORMS})
        world.state.close()

    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    for platform in PLATFORMS:
        drawn = {fault for _, _, fault in runs[0][platform] if fault}
        # What a read can meet with, deletion and shrinkage included though there is nothing to befall.
        assert len(drawn) >= 6
        assert 0.01 < sum(fault is not None for *_, fault in runs[0][platform]) / 400 < 0.12


def test_calls_of_one_platform_do_not_change_the_fate_of_another(tmp_path: Path) -> None:
    alone, between = (Place(World.open(tmp_path / name, faults=7)) for name in ("alone", "between"))
    for one in (alone, between):
        one.world.quotas.change(dict.fromkeys(one.world.quotas.limits()))

    expected = fates(alone, "meta", 60)
    found = []
    for _ in range(60):
        fates(between, "google", 1)
        found += fates(between, "meta", 1)

    assert found == expected


def test_a_sandbox_that_is_started_again_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = Place(World.open(tmp_path / "whole", faults=7))
    expected = fates(whole, "meta", 120)
    first = World.open(tmp_path / "parts", faults=7)
    found = fates(Place(first), "meta", 50)
    first.state.close()
    again = World.open(tmp_path / "parts", faults=7)
    found += fates(Place(again), "meta", 70)

    assert found == expected
    assert again.faults.report()["calls"] == {"meta": 120}
    assert again.faults.report()["injected"] == whole.world.faults.report()["injected"]


def test_without_a_seed_or_at_rate_zero_nothing_happens(place: Place) -> None:
    assert {fault for *_, fault in fates(place, "meta", 200)} == {None}
    place.faults(seed=7, rate=0.5)
    assert {fault for *_, fault in fates(place, "meta", 50)} > {None}
    place.off()
    assert {fault for *_, fault in fates(place, "meta", 200)} == {None}
    place.faults(rate=0.5)
    place.faults(seed=None)
    assert {fault for *_, fault in fates(place, "meta", 200)} == {None}


def test_what_was_injected_is_counted_by_platform_and_kind(place: Place) -> None:
    place.faults(seed=3, rate=0.5, kinds=["throttled", "slow"], platforms=["meta", "tiktok"])
    drawn = {platform: [fault for *_, fault in fates(place, platform, 100)] for platform in PLATFORMS}

    told = place.call("sandbox", "GET", "/_sandbox/faults")[1]

    assert told["injected"]["google"] == {}
    for platform in ("meta", "tiktok"):
        counts = {kind: drawn[platform].count(Fault(kind)) for kind in ("throttled", "slow")}
        assert told["injected"][platform] == counts
        assert min(counts.values()) > 5
    assert set(told["known"]) == set(Fault)
    assert place.faults(seed=4)["injected"]["meta"] == {}


@pytest.mark.parametrize(
    "options",
    [
        {"rate": 1.5},
        {"rate": "much"},
        {"seed": "x"},
        {"kinds": ["earthquake"]},
        {"platforms": ["myspace"]},
        {"slow_seconds": -1},
        {"colour": "red"},
    ],
)
def test_options_that_cannot_be_are_refused_and_change_nothing(place: Place, options: dict[str, Any]) -> None:
    before = place.call("sandbox", "GET", "/_sandbox/faults")[1]

    status, told, _ = place.call("sandbox", "POST", "/_sandbox/faults", options)

    assert status == 400
    assert next(iter(options)) in told["error"]
    assert place.call("sandbox", "GET", "/_sandbox/faults")[1] == before


def test_every_kind_is_in_the_table_and_everything_is_drawn_by_default() -> None:
    assert set(TABLE) == set(Fault)
    assert Options().kinds == tuple(Fault)
    assert all(kind.weight > 0 and kind.what for kind in TABLE.values())


def forms(place: Place, platform: str, fault: Fault, path: str = "", calls: int = 60) -> list[Any]:
    place.only(fault, platform)
    return [place.call(platform, "GET", path or READ[platform])[:2] for _ in range(calls)]


def test_meta_throttles_with_its_codes_and_headers(place: Place) -> None:
    found = {told["error"]["code"] for _, told in forms(place, "meta", Fault.THROTTLED)}
    assert found == {80003, 80004, 17, 4, 613}

    place.faults(throttle_minutes=2)
    for _ in range(60):
        answer, _ = handled(place.world, Call("GET", READ["meta"], {}, HEADERS["meta"], b"", "http://x"))
        code = json.loads(answer.body)["error"]["code"]
        usage = json.loads(answer.headers["x-business-use-case-usage"])["1"][0]
        if code >= 80_000:
            assert (usage["call_count"], usage["estimated_time_to_regain_access"]) == (100, 2)
            assert usage["type"] == {80003: "custom_audience", 80004: "ads_management"}[code]
        if code == 4:
            assert json.loads(answer.headers["x-app-usage"])["call_count"] == 100
        if code == 17:
            assert json.loads(answer.headers["x-ad-account-usage"])["acc_id_util_pct"] == 100


def test_google_throttles_with_the_name_of_the_quota(place: Place) -> None:
    for status, told in forms(place, "google", Fault.THROTTLED, calls=5):
        assert (status, told["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
        quota = told["error"]["details"][0]["metadata"]["quota_limit"]
        assert quota == "UserListReadRequestsPerMinutePerProject"
    status, told, _ = place.call("google", "POST", "/v26/customers/1/googleAds:search", {})
    error = told["error"]["details"][0]["errors"][0]
    assert (status, error["errorCode"]) == (429, {"quotaError": "RESOURCE_EXHAUSTED"})
    assert error["details"]["quotaErrorDetails"]["retryDelay"] == "0.1s"


def test_tiktok_throttles_by_code_and_sometimes_without_json(place: Place) -> None:
    found = forms(place, "tiktok", Fault.THROTTLED)

    assert {told["code"] for status, told in found if status == 200} == {40100, 40016, 40132, 40133}
    assert {told for status, told in found if status == 429} == {"Too Many Requests"}


@pytest.mark.parametrize(
    ("platform", "codes"),
    [
        ("meta", {"1", "2"}),
        ("google", {"INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED"}),
        ("tiktok", {"50000", "50002", "51065"}),
    ],
)
@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.ERROR_AFTER])
def test_outages_come_as_json_and_as_html(place: Place, platform: str, codes: set[str], fault: Fault) -> None:
    found = forms(place, platform, fault)

    html = [told for status, told in found if status == 502]
    assert html
    assert all(told.startswith("<html>") for told in html)
    errors = [told.get("error", told) for status, told in found if status != 502]
    assert {str(error.get("status") or error["code"]) for error in errors} == codes


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(
    ("fault", "effect"),
    [
        (Fault.THROTTLED, False),
        (Fault.UNAVAILABLE, False),
        (Fault.RESET_BEFORE, False),
        (Fault.EXPIRED_TOKEN, False),
        (Fault.ERROR_AFTER, True),
        (Fault.RESET_AFTER, True),
        (Fault.HALF_ANSWER, True),
        (Fault.SLOW, True),
    ],
)
def test_a_call_in_trouble_has_its_effect_or_none(
    place: Place, platform: str, fault: Fault, effect: bool
) -> None:
    audience = place.create(platform, EMAILS[:1_200])
    path = place.tiktok_file(EMAILS[1_200:1_250]) if platform == "tiktok" else ""
    place.only(fault, platform)

    if platform == "tiktok":
        body = {
            "advertiser_id": "1",
            "custom_audience_id": audience,
            "file_paths": [path],
            "action": "APPEND",
        }
        place.call("tiktok", "POST", "/open_api/v1.3/dmp/custom_audience/update/", body)
    else:
        place.change(platform, audience, EMAILS[1_200:1_250])

    assert len(place.held(platform, audience)) == (1_250 if effect else 1_200)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_token_expires_for_a_few_calls(place: Place, platform: str) -> None:
    lengths = set()
    for seed in range(12):
        place.faults(seed=seed, kinds=["expired_token"], platforms=[platform], rate=0.1)
        found = [fault is Fault.EXPIRED_TOKEN for *_, fault in fates(place, platform, 120)]
        runs = "".join("x" if one else " " for one in found).split()
        lengths |= {len(run) for run in runs}
    place.only(Fault.EXPIRED_TOKEN, platform)
    status, told, _ = place.call(platform, "GET", READ[platform])

    assert lengths >= {1, 2, 3}
    if platform == "tiktok":
        assert (status, told["code"]) == (200, 40105)
    else:
        assert status == 401
        assert told["error"].get("error_subcode", told["error"].get("status")) in {463, "UNAUTHENTICATED"}


def test_a_refresh_of_googles_token_is_not_refused_for_an_expired_token(place: Place) -> None:
    place.only(Fault.EXPIRED_TOKEN, "google")
    form = b"client_id=a&client_secret=b&refresh_token=sandbox-google-refresh-token&grant_type=refresh_token"

    assert place.call("google", "POST", "/token", form)[0] == 200


def test_meta_refuses_some_people_as_invalid_entries_with_samples(place: Place) -> None:
    audience = place.create("meta", [])
    place.only(Fault.PARTIAL, "meta")

    told = place.change("meta", audience, EMAILS[:100])

    refused = {json.loads(sample)[0] for sample in told["invalid_entry_samples"]}
    assert 1 <= len(refused) == told["num_invalid_entries"] <= 3
    assert told["num_received"] == 100
    assert place.held("meta", audience) == sorted(set(EMAILS[:100]) - refused)
    place.off()
    assert place.change("meta", audience, EMAILS[:100])["num_invalid_entries"] == 0
    assert place.held("meta", audience) == sorted(EMAILS[:100])


def test_google_leaves_some_people_out_and_may_tell_their_places(place: Place) -> None:
    indexed = set()
    for seed in range(8):
        place.off()
        audience = place.google_create(f"a{seed}")["id"]
        place.faults(seed=seed, rate=1, kinds=["partial_failure"])
        request = place.change("google", audience, EMAILS[:100])["requestId"]
        place.settle()
        told = place.google_status(request)
        (error,) = told["errorInfo"]["errorCounts"]
        missing = set(EMAILS[:100]) - set(place.held("google", audience))

        assert told["requestStatus"] == "PARTIAL_SUCCESS"
        assert error["reason"] == "PROCESSING_ERROR_REASON_INVALID_FORMAT"
        assert 1 <= len(missing) == int(error["recordCount"]) <= 3
        if "recordIndices" in error:
            assert {EMAILS[place] for place in error["recordIndices"]} == missing
        indexed.add("recordIndices" in error)

    assert indexed == {True, False}


def test_tiktok_tells_in_the_history_how_many_could_not_be_read(place: Place) -> None:
    audience = place.create("tiktok", EMAILS[:1_500])
    place.only(Fault.PARTIAL, "tiktok")

    assert place.change("tiktok", audience, EMAILS[1_500:1_600])["code"] == 0
    place.settle()

    missing = 1_600 - len(place.held("tiktok", audience))
    assert 1 <= missing <= 3
    assert place.tiktok_read(audience)["audience_history"][0]["msg"].startswith(f"{missing} row(s)")
    place.change("tiktok", audience, EMAILS[:50], remove=True)
    assert len(set(place.held("tiktok", audience)) & set(EMAILS[:50])) == 0


def test_meta_accepts_and_then_fails_and_says_so_in_session_and_status(place: Place) -> None:
    audience = place.create("meta", EMAILS[:1_000])
    place.only(Fault.PROCESSING, "meta")
    told = place.change("meta", audience, EMAILS[1_000:1_100])
    place.off()
    place.settle()

    assert (told["num_received"], told["num_invalid_entries"]) == (100, 0)
    assert len(place.held("meta", audience)) == 1_000
    path = f"/v26.0/{audience}/sessions?session_id={told['session_id']}"
    session = place.call("meta", "GET", path)[1]["data"][0]
    assert (session["stage"], session["num_matched"], session["progress"]) == ("failed", "0", "100")
    assert place.meta_read(audience, "operation_status")["operation_status"]["code"] == 500
    place.change("meta", audience, EMAILS[1_000:1_100])
    place.settle()
    assert place.meta_read(audience, "operation_status")["operation_status"]["code"] == 200
    assert len(place.held("meta", audience)) == 1_100


@pytest.mark.parametrize("remove", [False, True])
def test_google_accepts_and_then_fails(place: Place, remove: bool) -> None:
    audience = place.create("google", EMAILS[:50])
    place.only(Fault.PROCESSING, "google")
    request = place.change("google", audience, EMAILS[20:80], remove=remove)["requestId"]
    place.settle()

    told = place.google_status(request)

    assert told["requestStatus"] == "FAILED"
    assert told["errorInfo"]["errorCounts"] == [
        {"recordCount": "60", "reason": "PROCESSING_ERROR_REASON_INTERNAL_ERROR"}
    ]
    assert place.held("google", audience) == sorted(EMAILS[:50])


@pytest.mark.parametrize("remove", [False, True])
def test_tiktok_accepts_and_then_fails(place: Place, remove: bool) -> None:
    audience = place.create("tiktok", EMAILS[:1_500])
    place.only(Fault.PROCESSING, "tiktok")

    assert place.change("tiktok", audience, EMAILS[1_400:1_600], remove=remove)["code"] == 0
    created = place.create("tiktok", EMAILS[:1_100])
    place.settle()

    assert "could not be processed" in place.tiktok_read(audience)["audience_details"]["error_msg"]
    assert place.held("tiktok", audience) == sorted(EMAILS[:1_500])
    assert place.tiktok_read(created)["audience_details"]["error_msg"]
    assert place.held("tiktok", created) == []


def test_a_flagged_audience_refuses_everything_until_flagging_is_switched_off(place: Place) -> None:
    place.only(Fault.FLAGGED, "meta")
    audience = place.meta_create("harmless")["id"]
    place.faults(kinds=["flagged_name", "slow"], rate=1e-9)

    def subcode(told: Any) -> int:
        assert told["error"]["code"] == 100
        return int(told["error"]["error_subcode"])

    assert place.meta_read(audience, "operation_status")["operation_status"]["code"] == 471
    fields = place.meta_read(audience, "fields_violating_integrity_policy")
    assert fields["fields_violating_integrity_policy"] == ["name"]
    assert subcode(place.change("meta", audience, EMAILS[:5])) == 1713230
    assert subcode(place.call("meta", "POST", f"/v26.0/{audience}", {"name": "b"})[1]) == 1713231
    spec = {"ratio": 0.01, "country": "US"}
    body = {"name": "l", "subtype": "LOOKALIKE", "origin_audience_id": audience, "lookalike_spec": spec}
    assert subcode(place.call("meta", "POST", "/v26.0/act_1/customaudiences", body)[1]) == 1713232

    place.off()

    assert place.change("meta", audience, EMAILS[:5])["num_received"] == 5
    assert place.meta_read(audience, "operation_status")["operation_status"]["code"] != 471


@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_audience_may_be_deleted_behind_our_back(place: Place, platform: str) -> None:
    audiences = [place.create(platform, EMAILS[:5])] if platform == "google" else []
    audiences = audiences or [place.create(platform, EMAILS[:5]) for _ in range(3)]
    place.only(Fault.DELETED, platform)
    place.call(platform, "GET", READ[platform])
    place.off()

    told = place.call("sandbox", "GET", f"/_sandbox/audiences?platform={platform}")[1]["audiences"]

    assert len(told) == len(audiences) - 1
    assert place.world.faults.report()["injected"][platform] == {"deleted_audience": 1}


def size_shown(place: Place, platform: str, audience: str) -> int:
    if platform == "meta":
        shown = place.meta_read(audience, "approximate_count_lower_bound")
        return int(shown["approximate_count_lower_bound"])
    if platform == "tiktok":
        return int(place.tiktok_read(audience)["audience_details"]["cover_num"])
    told = place.call("google", "GET", f"{READ['google']}/{audience}")[1]
    return int(told["sizeInfo"]["searchNetworkMembersCount"])


@pytest.mark.parametrize("platform", PLATFORMS)
def test_members_get_lost_where_the_size_tells_of_it(place: Place, platform: str) -> None:
    audience = place.create(platform, EMAILS[:1_800])
    place.settle()
    before = size_shown(place, platform, audience)
    place.only(Fault.SHRINKAGE, platform)
    place.call(platform, "GET", READ[platform])
    place.off()

    assert len(place.held(platform, audience)) == 1_200
    assert (before, size_shown(place, platform, audience)) == (1_800, 1_200)


@pytest.mark.parametrize(("platform", "people"), [("meta", 900), ("google", 90)])
def test_nobody_gets_lost_where_no_size_would_tell(place: Place, platform: str, people: int) -> None:
    audience = place.create(platform, EMAILS[:people])
    place.settle()
    place.only(Fault.SHRINKAGE, platform)
    place.call(platform, "GET", READ[platform])

    assert len(place.held(platform, audience)) == people
    assert place.world.faults.report()["injected"][platform] == {}


def test_trouble_of_a_call_that_is_refused_did_not_happen(place: Place) -> None:
    audience = place.create("meta", [])
    place.only(Fault.PARTIAL, "meta")

    told = place.change("meta", audience, [])

    assert told["error"]["code"] == 100
    assert place.world.faults.report()["injected"]["meta"] == {}


def over_the_wire(base: str, kind: str, **options: Any) -> None:
    wanted = {"seed": 1, "kinds": [kind], "rate": 1, **options}
    requests.post(f"{base}/_sandbox/faults", json=wanted, timeout=10).raise_for_status()


def test_broken_connections_are_broken_on_the_wire_and_keep_the_server_alive(tmp_path: Path) -> None:
    headers = HEADERS["meta"]
    with process(tmp_path, faults=7) as (base, _):
        assert requests.get(f"{base}/_sandbox/faults", timeout=10).json()["seed"] == 7
        for kind in ("reset_before", "reset_after"):
            over_the_wire(base, kind)
            with pytest.raises(requests.ConnectionError):
                requests.get(base + READ["meta"], headers=headers, timeout=10)
        over_the_wire(base, "half_answer")
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            requests.get(base + READ["meta"], headers=headers, timeout=10)
        over_the_wire(base, "slow", slow_seconds=0.5)
        assert requests.get(base + READ["meta"], headers=headers, timeout=10).elapsed.total_seconds() >= 0.5
        over_the_wire(base, "slow", rate=0)
        assert requests.get(base + READ["meta"], headers=headers, timeout=10).json() == {"data": []}

    said = (tmp_path / "sandbox.log").read_text()
    assert "Traceback" not in said
    assert "returned without" not in said


def test_a_slow_answer_holds_nobody_else_up(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with running(tmp_path) as base, ThreadPoolExecutor() as pool:
        over_the_wire(base, "slow", slow_seconds=3, platforms=["meta"])
        slow = pool.submit(requests.get, base + READ["meta"], headers=HEADERS["meta"], timeout=10)
        quick = requests.get(base + READ["google"], headers=HEADERS["google"], timeout=10)

        assert quick.elapsed.total_seconds() < 2
        assert slow.result().elapsed.total_seconds() >= 3
