from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
import requests

from audience_pipeline.sandbox.clock import rfc3339


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def member(email: str, **more: Any) -> dict[str, Any]:
    return {"userData": {"userIdentifiers": [{"emailAddress": email}]}, **more}


def violations(answer: requests.Response) -> list[tuple[str, str]]:
    """Field and reason of each violation."""
    assert answer.status_code == 400
    details = {detail["@type"].rpartition(".")[2]: detail for detail in answer.json()["error"]["details"]}
    assert details["ErrorInfo"]["metadata"]["requestId"] == details["RequestInfo"]["requestId"]
    found = details.get("BadRequest", {"fieldViolations": []})["fieldViolations"]
    return [(violation["field"], violation["reason"]) for violation in found]


def test_a_list_is_created_read_changed_and_deleted(sandbox):
    made = sandbox.google_list("crm", description="ours", integrationCode="x", membershipDuration="7776000s")
    assert made["name"] == f"accountTypes/GOOGLE_ADS/accounts/{sandbox.account}/userLists/{made['id']}"
    assert isinstance(made["id"], str)
    assert made["accessReason"] == "OWNED"
    assert "sizeInfo" not in made
    path = f"/v1/{made['name']}"
    assert sandbox.google("GET", path).json() == made

    body = {"membershipDuration": "86400s", "displayName": "ignored"}
    changed = sandbox.google("PATCH", path, body, params={"updateMask": "membershipDuration"}).json()
    assert (changed["membershipDuration"], changed["displayName"]) == ("86400s", "crm")

    assert sandbox.google("DELETE", path).json() == {}
    assert sandbox.google("GET", path).json()["error"]["status"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"displayName": ""}, "user_list.display_name", "REQUIRED_FIELD_MISSING"),
        (
            {"ingestedUserListInfo": {}},
            "user_list.ingested_user_list_info.upload_key_types",
            "REQUIRED_FIELD_MISSING",
        ),
        (
            {"ingestedUserListInfo": {"uploadKeyTypes": ["CONTACT_ID", "MOBILE_ID"]}},
            "user_list.ingested_user_list_info.upload_key_types",
            "INVALID_USER_LIST_TYPE",
        ),
        (
            {"ingestedUserListInfo": {"uploadKeyTypes": ["MOBILE_ID"]}},
            "user_list.ingested_user_list_info.mobile_id_info",
            "REQUIRED_FIELD_MISSING",
        ),
        (
            {"ingestedUserListInfo": {"uploadKeyTypes": ["SHOE_SIZE"]}},
            "user_list.ingested_user_list_info.upload_key_types[0]",
            "INVALID_ENUM_VALUE",
        ),
        (
            {"membershipDuration": "46742400s"},
            "user_list.membership_duration",
            "MEMBERSHIP_DURATION_TOO_LONG",
        ),
        ({"membershipDuration": "100s"}, "user_list.membership_duration", "INVALID_ARGUMENT"),
        ({"membershipDuration": 86400}, "user_list.membership_duration", "INVALID_ARGUMENT"),
        ({"membershipStatus": 9}, "user_list.membership_status", "INVALID_ENUM_VALUE"),
        ({"colour": "red"}, "user_list", "INVALID_ARGUMENT"),
    ],
)
def test_a_list_that_breaks_a_rule_is_refused_with_the_field(sandbox, change, field, reason):
    body = {"displayName": "a", "ingestedUserListInfo": {"uploadKeyTypes": ["CONTACT_ID"]}, **change}

    assert (field, reason) in violations(sandbox.google("POST", sandbox.lists(), body))


def test_a_name_is_used_once_in_an_account(sandbox):
    sandbox.google_list("same")
    body = {"displayName": "same", "ingestedUserListInfo": {"uploadKeyTypes": [1]}}

    answer = sandbox.google("POST", sandbox.lists(), body)

    assert violations(answer) == [("user_list.display_name", "DISPLAY_NAME_ALREADY_USED")]


def test_the_key_type_of_a_list_cannot_change(sandbox):
    made = sandbox.google_list()
    body = {"ingestedUserListInfo": {"uploadKeyTypes": ["USER_ID"]}}
    path = f"/v1/{made['name']}"

    immutable = sandbox.google(
        "PATCH", path, body, params={"updateMask": "ingestedUserListInfo.uploadKeyTypes"}
    )
    output = sandbox.google("PATCH", path, {"readOnly": True}, params={"updateMask": "readOnly"})

    assert violations(immutable)[0][1] == "IMMUTABLE_FIELD_FOR_UPDATE"
    assert violations(output)[0][1] == "INVALID_UPDATE_MASK"


def test_validate_only_changes_nothing(sandbox):
    body = {"displayName": "dry", "ingestedUserListInfo": {"uploadKeyTypes": ["CONTACT_ID"]}}

    assert sandbox.google("POST", sandbox.lists(), body, params={"validateOnly": "true"}).json() == {}
    assert sandbox.google("GET", sandbox.lists()).json() == {"userLists": []}


def test_lists_come_in_pages_and_by_filter(sandbox):
    made = [sandbox.google_list(f"list {i}", integrationCode=f"code{i}") for i in range(5)]
    found, token = [], ""
    while True:
        query = {"pageSize": 2, "pageToken": token}
        page = sandbox.google("GET", sandbox.lists(), params=query).json()
        found += [one["displayName"] for one in page["userLists"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert found == [one["displayName"] for one in made]

    def names(text: str) -> list[str]:
        answer = sandbox.google("GET", sandbox.lists(), params={"filter": text}).json()
        return [one["displayName"][-1] for one in answer["userLists"]]

    assert names('display_name = "list 3"') == ["3"]
    assert names('displayName != "list 3" AND integrationCode : "CODE"') == ["0", "1", "2", "4"]
    assert names(f"id > {made[2]['id']}") == ["3", "4"]
    assert names('IN(display_name, "list 1", "list 4")') == ["1", "4"]
    assert names(
        "membership_status = OPEN AND ingested_user_list_info.upload_key_types : CONTACT_ID"
    ) == list("01234")


@pytest.mark.parametrize(
    "text",
    [
        "shoe = 1",
        "display_name 5",
        'display_name = "a" OR id = 1',
        'displayName = "a" AND display_name = "b"',
    ],
)
def test_a_filter_that_is_not_understood_is_refused(sandbox, text):
    answer = sandbox.google("GET", sandbox.lists(), params={"filter": text})

    assert violations(answer) == [("filter", "INVALID_FILTER")]


def test_acceptance_and_processing_are_separate(sandbox, known):
    made = sandbox.google_list()
    accepted = sandbox.ingest(made["id"], [member(value) for value in known])
    assert list(accepted.json()) == ["requestId"]

    early = sandbox.status(accepted.json()["requestId"])
    sandbox.settle()
    late = sandbox.status(accepted.json()["requestId"])

    assert early["requestStatus"] == "PROCESSING"
    assert set(early) == {"destination", "requestStatus"}
    assert late["requestStatus"] == "SUCCESS"
    assert late["audienceMembersIngestionStatus"]["userDataIngestionStatus"] == {
        "recordCount": "1900",
        "userIdentifierCount": "1900",
        "uploadMatchRateRange": "MATCH_RATE_RANGE_81_TO_90",
    }


def test_sizes_and_match_rate_of_a_list_appear_after_processing(sandbox, known):
    made = sandbox.google_list()
    sandbox.ingest(made["id"], [member(value) for value in known])
    early = sandbox.google("GET", f"/v1/{made['name']}").json()
    sandbox.settle()
    late = sandbox.google("GET", f"/v1/{made['name']}").json()

    assert "sizeInfo" not in early
    assert late["sizeInfo"]["searchNetworkMembersCount"] == "1700"
    assert late["ingestedUserListInfo"]["contactIdInfo"]["matchRatePercentage"] == 90
    assert late["targetNetworkInfo"] == {"eligibleForDisplay": True, "eligibleForSearch": True}


def test_a_small_list_shows_no_size(sandbox, known):
    made = sandbox.google_list()
    sandbox.ingest(made["id"], [member(value) for value in known[:50]])
    sandbox.settle()

    late = sandbox.google("GET", f"/v1/{made['name']}").json()

    assert late["sizeInfo"]["displayNetworkMembersCount"] == "0"
    assert late["targetNetworkInfo"]["eligibleForSearch"] is False


def test_people_are_matched_by_email_phone_or_whole_address(sandbox):
    made = sandbox.google_list()
    address = {
        "givenName": sha("zoë"),
        "familyName": sha("o'neill"),
        "regionCode": "DE",
        "postalCode": "10000-1234",
    }
    identifiers = [
        {"emailAddress": sha("person1@example.com")},
        {"emailAddress": sha("janedoe@gmail.com")},
        {"phoneNumber": sha("+14150000002")},
        {"phoneNumber": sha("14150000003")},
        {"emailAddress": sha("person19@example.com")},
    ]
    sandbox.ingest(made["id"], [{"userData": {"userIdentifiers": [one]}} for one in identifiers])
    held = sandbox.members("google", made["id"])
    assert (held["size"], held["matched"]) == (5, 3)

    sandbox.ingest(made["id"], [{"userData": {"userIdentifiers": [{"address": address}]}}])

    held = sandbox.members("google", made["id"])
    assert (held["size"], held["matched"]) == (6, 3)
    assert sorted([address["givenName"], address["familyName"]]) in [sorted(row) for row in held["members"]]


def test_base64_and_hex_of_one_hash_are_one_member(sandbox):
    made = sandbox.google_list()
    digest = sha("person1@example.com")
    sandbox.ingest(made["id"], [member(digest)])
    sandbox.ingest(made["id"], [member(base64.b64encode(bytes.fromhex(digest)).decode())], encoding="BASE64")

    assert sandbox.members("google", made["id"])["members"] == [[digest]]


EMAIL = "audience_members[1].user_data.user_identifiers[0].email_address"
ADDRESS = {"givenName": sha("a"), "familyName": sha("b"), "regionCode": "US", "postalCode": "94045"}


def address(**change: str) -> dict[str, Any]:
    wanted = {name: value for name, value in {**ADDRESS, **change}.items() if value}
    return {"userData": {"userIdentifiers": [{"address": wanted}]}}


@pytest.mark.parametrize(
    ("bad", "field", "reason"),
    [
        (member("xyz"), EMAIL, "INVALID_HEX_ENCODING"),
        (member("mary@example.com"), EMAIL, "INVALID_HEX_ENCODING"),
        (member("ab" * 20), EMAIL, "INVALID_SHA256_FORMAT"),
        ({}, "audience_members[1]", "NO_IDENTIFIERS_PROVIDED"),
        (
            {"userData": {"userIdentifiers": []}},
            "audience_members[1].user_data.user_identifiers",
            "NO_IDENTIFIERS_PROVIDED",
        ),
        (
            {"userData": {"userIdentifiers": [{"emailAddress": sha("a")}] * 11}},
            "audience_members[1].user_data.user_identifiers",
            "TOO_MANY_USER_IDENTIFIERS",
        ),
        (
            {"userData": {"userIdentifiers": [{"emailAddress": sha("a"), "phoneNumber": sha("b")}]}},
            "audience_members[1].user_data.user_identifiers[0]",
            "INVALID_ARGUMENT",
        ),
        (
            address(familyName=""),
            "audience_members[1].user_data.user_identifiers[0].address.family_name",
            "REQUIRED_FIELD_MISSING",
        ),
        (
            address(regionCode="us"),
            "audience_members[1].user_data.user_identifiers[0].address.region_code",
            "INVALID_REGION_CODE",
        ),
        (
            address(postalCode=sha("94045")),
            "audience_members[1].user_data.user_identifiers[0].address.postal_code",
            "INVALID_POSTAL_CODE",
        ),
        (
            {"userData": {"userIdentifiers": [{"email": sha("a")}]}},
            EMAIL.rpartition(".")[0],
            "INVALID_ARGUMENT",
        ),
        (
            member(sha("a"), destinationReferences=["?"]),
            "audience_members[1].destination_references",
            "INVALID_DESTINATION",
        ),
        ({"mobileData": {"mobileIds": ["x"]}}, "audience_members", "MULTIPLE_DATA_TYPES_NOT_ALLOWED"),
    ],
)
def test_one_bad_member_fails_the_whole_request(sandbox, bad, field, reason):
    made = sandbox.google_list()

    answer = sandbox.ingest(made["id"], [member(sha("person1@example.com")), bad])

    assert violations(answer) == [(field, reason)]
    assert sandbox.members("google", made["id"])["size"] == 0


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"encoding": None}, "encoding", "REQUIRED_FIELD_MISSING"),
        ({"encoding": "ROT13"}, "encoding", "INVALID_ENUM_VALUE"),
        (
            {"termsOfService": None},
            "terms_of_service.customer_match_terms_of_service_status",
            "TERMS_AND_CONDITIONS_NOT_SIGNED",
        ),
        ({"audienceMembers": []}, "audience_members", "REQUIRED_FIELD_MISSING"),
        ({"destinations": []}, "destinations", "REQUIRED_FIELD_MISSING"),
        ({"audienceMembers": [member(sha("a"))] * 10_001}, "audience_members", "TOO_MANY_AUDIENCE_MEMBERS"),
        ({"validateOnly": "yes"}, "validate_only", "INVALID_ARGUMENT"),
        ({"audience": 1}, "", "INVALID_ARGUMENT"),
    ],
)
def test_a_request_that_breaks_a_rule_is_refused_with_the_field(sandbox, change, field, reason):
    made = sandbox.google_list()

    answer = sandbox.ingest(made["id"], **{"members": [member(sha("a"))], **change})

    assert (field, reason) in violations(answer)


def test_destinations_are_checked(sandbox):
    made = sandbox.google_list()
    devices = sandbox.google_list(
        "devices",
        ingestedUserListInfo={
            "uploadKeyTypes": ["MOBILE_ID"],
            "mobileIdInfo": {"appId": "a", "keySpace": "IOS"},
        },
    )
    one = sandbox.destination(made["id"])

    def reasons(*destinations: dict[str, Any]) -> list[str]:
        answer = sandbox.ingest(made["id"], [member(sha("a"))], destinations=list(destinations))
        return [reason for _, reason in violations(answer)]

    assert reasons(*[sandbox.destination(made["id"], reference=str(i)) for i in range(11)]) == [
        "TOO_MANY_DESTINATIONS"
    ]
    assert reasons(one, one) == ["DUPLICATE_DESTINATION_REFERENCE"]
    assert reasons(sandbox.destination("1")) == ["INVALID_USER_LIST_ID"]
    assert reasons(sandbox.destination(devices["id"])) == ["INVALID_USER_LIST_TYPE"]
    assert reasons({"productDestinationId": made["id"]}) == ["REQUIRED_FIELD_MISSING"]
    other = {"accountType": "DATA_PARTNER", "accountId": "1"}
    assert reasons({**one, "operatingAccount": other}) == ["INVALID_DESTINATION"]


def test_members_go_to_the_destinations_that_they_name(sandbox, known):
    lists = [sandbox.google_list(name)["id"] for name in "ab"]
    destinations = [sandbox.destination(one, reference=f"r{one}") for one in lists]
    members = [member(known[0], destinationReferences=[f"r{lists[0]}"]), member(known[1])]

    request = sandbox.ingest("", members, destinations=destinations).json()["requestId"]
    sandbox.settle()
    answer = sandbox.google("GET", "/v1/requestStatus:retrieve", params={"requestId": request}).json()

    assert sorted(sandbox.members("google", lists[0])["members"]) == sorted([[known[0]], [known[1]]])
    assert sandbox.members("google", lists[1])["members"] == [[known[1]]]
    told = answer["requestStatusPerDestination"]
    assert [one["destination"]["productDestinationId"] for one in told] == lists
    counts = [one["audienceMembersIngestionStatus"]["userDataIngestionStatus"]["recordCount"] for one in told]
    assert counts == ["2", "1"]


def test_devices_go_to_a_list_of_devices(sandbox):
    info = {"uploadKeyTypes": ["MOBILE_ID"], "mobileIdInfo": {"appId": "a", "keySpace": "ANDROID"}}
    made = sandbox.google_list(ingestedUserListInfo=info)
    good = "cdda802e-fb9c-47ad-9866-0794d394c912"

    bad = sandbox.ingest(
        made["id"], [{"mobileData": {"mobileIds": ["00000000-0000-0000-0000-000000000000"]}}]
    )
    request = sandbox.ingest(made["id"], [{"mobileData": {"mobileIds": [good]}}], encoding=None).json()[
        "requestId"
    ]
    sandbox.settle()

    assert violations(bad)[0][1] == "INVALID_MOBILE_ID_FORMAT"
    counts = sandbox.status(request)["audienceMembersIngestionStatus"]["mobileDataIngestionStatus"]
    assert counts == {"recordCount": "1", "mobileIdCount": "1"}


def test_members_without_consent_are_accepted_and_not_used(sandbox):
    made = sandbox.google_list()
    granted = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
    denied = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_DENIED"}
    members = [
        member(sha("person2@example.com"), consent=granted),
        member(sha("person4@example.com"), consent=denied),
        member(sha("person6@example.com")),
        member(sha("person7@example.com")),
    ]

    request = sandbox.ingest(made["id"], members, consent=None).json()["requestId"]
    sandbox.settle()
    told = sandbox.status(request)

    assert told["requestStatus"] == "PARTIAL_SUCCESS"
    assert told["errorInfo"]["errorCounts"] == [
        {"recordCount": "1", "reason": "PROCESSING_ERROR_REASON_DENIED_CONSENT"},
        {"recordCount": "1", "reason": "PROCESSING_ERROR_REASON_NO_CONSENT"},
    ]
    held = {row[0] for row in sandbox.members("google", made["id"])["members"]}
    assert held == {sha("person2@example.com"), sha("person7@example.com")}
    everybody = sandbox.ingest(made["id"], [members[1]], consent=None).json()["requestId"]
    sandbox.settle()
    assert sandbox.status(everybody)["requestStatus"] == "FAILED"


def test_removal_knows_neither_consent_nor_terms(sandbox, known):
    made = sandbox.google_list()
    sandbox.ingest(made["id"], [member(value) for value in known[:3]])
    body = {
        "destinations": [sandbox.destination(made["id"])],
        "audienceMembers": [member(known[0])],
        "encoding": 1,
    }

    for extra in ({"consent": {}}, {"termsOfService": {}}):
        assert violations(sandbox.google("POST", "/v1/audienceMembers:remove", {**body, **extra})) == [
            ("", "INVALID_ARGUMENT")
        ]
    request = sandbox.google("POST", "/v1/audienceMembers:remove", body).json()["requestId"]
    sandbox.settle()

    assert sandbox.members("google", made["id"])["size"] == 2
    told = sandbox.status(request)
    assert told["requestStatus"] == "SUCCESS"
    assert told["audienceMembersRemovalStatus"]["userDataRemovalStatus"] == {
        "recordCount": "1",
        "userIdentifierCount": "1",
    }


def test_remove_all_spares_who_was_added_again_since(sandbox, known):
    made = sandbox.google_list()
    sandbox.ingest(made["id"], [member(value) for value in known[:4]])
    sandbox.settle()
    moment = requests.get(f"{sandbox.base}/_sandbox/health", timeout=10).json()["time"]
    sandbox.settle()
    sandbox.ingest(made["id"], [member(known[0])])
    body = {"destinations": [sandbox.destination(made["id"])], "removeAsOfTime": rfc3339(moment)}

    future = {**body, "removeAsOfTime": "2999-01-01T00:00:00Z"}
    refused = sandbox.google("POST", "/v1/audienceMembers:removeAll", future)
    request = sandbox.google("POST", "/v1/audienceMembers:removeAll", body).json()["requestId"]
    sandbox.settle()

    assert violations(refused) == [("remove_as_of_time", "INVALID_REMOVE_AS_OF_TIME")]
    assert sandbox.members("google", made["id"])["members"] == [[known[0]]]
    assert sandbox.status(request)["removeAllAudienceMembersStatus"] == {}


def test_members_expire_after_the_membership_duration_unless_added_again(sandbox, known):
    made = sandbox.google_list(membershipDuration="172800s")
    sandbox.ingest(made["id"], [member(value) for value in known[:2]])
    sandbox.settle(100_000)
    sandbox.ingest(made["id"], [member(known[0])])
    assert sandbox.members("google", made["id"])["size"] == 2

    sandbox.settle(100_000)

    assert sandbox.members("google", made["id"])["members"] == [[known[0]]]


def test_request_ids_are_checked_and_age(sandbox, known):
    made = sandbox.google_list()
    request = sandbox.ingest(made["id"], [member(known[0])]).json()["requestId"]
    path = "/v1/requestStatus:retrieve"
    assert violations(sandbox.google("GET", path, params={"requestId": "x"})) == [
        ("request_id", "INVALID_REQUEST_ID")
    ]

    sandbox.settle(51 * 86_400)

    assert violations(sandbox.google("GET", path, params={"requestId": request})) == [
        ("request_id", "REQUEST_TOO_OLD")
    ]


def test_enumerations_go_in_and_out_as_numbers_too(sandbox, known):
    made = sandbox.google_list(ingestedUserListInfo={"uploadKeyTypes": [1]}, membershipStatus=1)
    assert made["membershipStatus"] == "OPEN"
    consent = {"adUserData": 1, "adPersonalization": 1}
    terms = {"customerMatchTermsOfServiceStatus": 1}
    accounts = [
        sandbox.destination(made["id"], operatingAccount={"accountType": 1, "accountId": sandbox.account})
    ]
    answer = sandbox.ingest(
        made["id"],
        [member(known[0])],
        encoding=1,
        consent=consent,
        termsOfService=terms,
        destinations=accounts,
    )
    sandbox.settle()

    path = f"/v1/requestStatus:retrieve?$alt=json;enum-encoding=int&requestId={answer.json()['requestId']}"
    told = sandbox.google("GET", path).json()["requestStatusPerDestination"][0]

    assert told["requestStatus"] == 1
    assert told["destination"]["operatingAccount"]["accountType"] == 1
    assert isinstance(
        told["audienceMembersIngestionStatus"]["userDataIngestionStatus"]["uploadMatchRateRange"], int
    )


def test_proto_names_are_read_as_well(sandbox, known):
    made = sandbox.google_list()
    body = {
        "destinations": [
            {
                "operating_account": {"account_type": "GOOGLE_ADS", "account_id": sandbox.account},
                "product_destination_id": made["id"],
            }
        ],
        "audience_members": [{"user_data": {"user_identifiers": [{"email_address": known[0]}]}}],
        "encoding": "HEX",
        "terms_of_service": {"customer_match_terms_of_service_status": "ACCEPTED"},
        "consent": {"ad_user_data": "CONSENT_GRANTED", "ad_personalization": "CONSENT_GRANTED"},
    }

    assert sandbox.google("POST", "/v1/audienceMembers:ingest", body).status_code == 200
    assert sandbox.members("google", made["id"])["size"] == 1


@pytest.mark.parametrize("header", ["", "Bearer wrong", "sandbox-google-token"])
def test_a_bad_token_is_401(sandbox, header):
    answer = sandbox.google("GET", sandbox.lists(), headers={"Authorization": header})

    assert answer.status_code == 401
    assert answer.json()["error"]["status"] == "UNAUTHENTICATED"


def test_a_refreshed_token_lives_for_an_hour(sandbox):
    form = {
        "client_id": "a",
        "client_secret": "b",
        "refresh_token": "sandbox-google-refresh-token",
        "grant_type": "refresh_token",
    }
    token = requests.post(f"{sandbox.base}/token", data=form, timeout=10).json()
    bad = requests.post(f"{sandbox.base}/token", data={**form, "refresh_token": "x"}, timeout=10)
    header = {"Authorization": f"Bearer {token['access_token']}"}

    assert token["expires_in"] == 3599
    assert sandbox.google("GET", sandbox.lists(), headers=header).status_code == 200
    sandbox.settle(3_600)
    assert sandbox.google("GET", sandbox.lists(), headers=header).status_code == 401
    assert (bad.status_code, bad.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("limit", "name"),
    [
        ("google_list_reads_per_minute", "UserListReadRequestsPerMinutePerProject"),
        ("google_list_reads_per_day", "UserListReadRequestsPerDayPerProject"),
    ],
)
def test_429_names_the_quota(sandbox, limit, name):
    before = requests.get(f"{sandbox.base}/_sandbox/limits", timeout=10).json()[limit]
    sandbox.control("limits", {limit: 0.5})
    try:
        answer = sandbox.google("GET", sandbox.lists())
    finally:
        sandbox.control("limits", {limit: before})

    assert answer.status_code == 429
    assert answer.json()["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert answer.json()["error"]["details"][0]["metadata"]["quota_limit"] == name


def mutate(sandbox, *operations: dict[str, Any], version: str = "v26", **more: Any) -> requests.Response:
    body = {"operations": list(operations), **more}
    return sandbox.google("POST", f"/{version}/customers/{sandbox.account}/userLists:mutate", body)


def lookalike(seed: str, **change: Any) -> dict[str, Any]:
    spec = {"seedUserListIds": [seed], "expansionLevel": "NARROW", "countryCodes": ["US"], **change}
    return {
        "create": {"name": change.pop("name", f"LAL {spec['expansionLevel']}"), "lookalikeUserList": spec}
    }


def test_a_lookalike_is_built_once_and_searched(sandbox, known):
    seed = sandbox.google_list()["id"]
    sandbox.ingest(seed, [member(value) for value in known])
    made = mutate(sandbox, lookalike(seed)).json()["results"][0]["resourceName"]
    again = mutate(sandbox, lookalike(seed))
    sandbox.settle()

    query = (
        "SELECT user_list.id, user_list.name, user_list.size_for_display, user_list.match_rate_percentage "
        "FROM user_list WHERE user_list.name = 'LAL NARROW'"
    )
    path = f"/v26/customers/{sandbox.account}/googleAds"
    streamed = sandbox.google("POST", f"{path}:searchStream", {"query": query})
    paged = sandbox.google("POST", f"{path}:search", {"query": query.partition(" WHERE")[0]}).json()

    error = again.json()["error"]["details"][0]["errors"][0]
    assert error["errorCode"] == {"userListError": "DUPLICATE_LOOKALIKE"}
    assert error["location"]["fieldPathElements"][0] == {"fieldName": "operations", "index": 0}
    assert "request-id" in streamed.headers
    found = streamed.json()[0]["results"][0]["userList"]
    assert found["resourceName"] == made
    assert found["sizeForDisplay"] == "5700000"
    assert [row["userList"]["name"] for row in paged["results"]] == ["a", "LAL NARROW"]
    assert paged["results"][0]["userList"]["matchRatePercentage"] == 90
    assert mutate(sandbox, {"remove": made}).status_code == 200


def test_a_lookalike_that_cannot_be_is_named(sandbox, known):
    seed = sandbox.google_list()["id"]
    made = mutate(sandbox, lookalike(seed)).json()["results"][0]["resourceName"]
    operations = [
        lookalike("1"),
        lookalike(made.rpartition("/")[2]),
        lookalike(seed, countryCodes=["us"]),
        lookalike(seed, expansionLevel="BALANCED"),
    ]

    answer = mutate(sandbox, *operations, partialFailure=True).json()

    errors = answer["partialFailureError"]["details"][0]["errors"]
    assert [next(iter(error["errorCode"].values())) for error in errors] == [
        "SEED_LIST_DOES_NOT_EXIST",
        "INVALID_SEED_LIST_TYPE",
        "INVALID_COUNTRY_CODES",
    ]
    assert [error["location"]["fieldPathElements"][0]["index"] for error in errors] == [0, 1, 2]
    assert [bool(result) for result in answer["results"]] == [False, False, False, True]


@pytest.mark.parametrize("path", ["/offlineUserDataJobs:create", ":uploadUserData"])
def test_the_old_upload_services_are_closed(sandbox, path):
    answer = sandbox.google("POST", f"/v26/customers/{sandbox.account}{path}", {})

    error = answer.json()["error"]["details"][0]["errors"][0]["errorCode"]
    assert error == {"notAllowlistedError": "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE"}


def test_a_retired_ads_version_is_refused(sandbox):
    answer = mutate(sandbox, lookalike("1"), version="v22")

    assert answer.status_code == 404
    error = answer.json()["error"]["details"][0]["errors"][0]["errorCode"]
    assert error == {"requestError": "UNSUPPORTED_VERSION"}


def test_an_unknown_name_in_the_query_is_refused(sandbox, known):
    made = sandbox.google_list()
    body = sandbox.ingest_body(made["id"], [member(known[0])])

    for method, path, content in [
        ("POST", "/v1/audienceMembers:ingest", body),
        ("GET", "/v1/requestStatus:retrieve", None),
        ("GET", sandbox.lists(), None),
    ]:
        answer = sandbox.google(method, path, content, params={"colour": "red"})
        assert answer.status_code == 400
        assert 'Unknown name "colour"' in answer.json()["error"]["message"]
    assert sandbox.members("google", made["id"])["size"] == 0


def test_members_that_are_only_validated_are_judged_and_not_kept(sandbox, known):
    made = sandbox.google_list()
    sandbox.ingest(made["id"], [member(known[0])])
    removal = {"destinations": [sandbox.destination(made["id"])], "validateOnly": True}
    bodies = {
        "ingest": sandbox.ingest_body(made["id"], [member(known[1])], validateOnly=True),
        "remove": {**removal, "audienceMembers": [member(known[0])], "encoding": "HEX"},
        "removeAll": removal,
    }

    for name, body in bodies.items():
        assert sandbox.google("POST", f"/v1/audienceMembers:{name}", body).json() == {}
    bad = {**bodies["ingest"], "audienceMembers": [member("x")]}

    assert (
        violations(sandbox.google("POST", "/v1/audienceMembers:ingest", bad))[0][1] == "INVALID_HEX_ENCODING"
    )
    assert sandbox.members("google", made["id"])["members"] == [[known[0]]]


def test_a_whole_number_may_come_as_text_and_must_be_in_range(sandbox):
    def answer(value: object) -> requests.Response:
        body = {
            "displayName": f"n{value}",
            "id": value,
            "ingestedUserListInfo": {"uploadKeyTypes": ["CONTACT_ID"]},
        }
        return sandbox.google("POST", sandbox.lists(), body)

    assert answer("5").status_code == 200
    assert answer(6).status_code == 200
    for wrong in (2**63, str(2**63), 1.5, "five", True):
        assert ("user_list.id", "INVALID_ARGUMENT") in violations(answer(wrong))


def test_a_member_says_more_of_consent_than_the_request(sandbox):
    made = sandbox.google_list()
    denied = {"adUserData": "CONSENT_DENIED", "adPersonalization": "CONSENT_GRANTED"}
    granted = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
    emails = [sha("person2@example.com"), sha("person4@example.com")]

    sandbox.ingest(made["id"], [member(emails[0]), member(emails[1], consent=granted)], consent=denied)

    assert sandbox.members("google", made["id"])["members"] == [[emails[1]]]


def test_members_live_540_days_without_being_added_again_and_the_size_says_so(sandbox, known):
    made = sandbox.google_list()
    assert made["membershipDuration"] == "46656000s"
    sandbox.ingest(made["id"], [member(value) for value in known])
    sandbox.settle(300 * 86_400)
    sandbox.ingest(made["id"], [member(value) for value in known[:1_000]])
    sandbox.settle(241 * 86_400)

    shown = sandbox.google("GET", f"/v1/{made['name']}").json()["sizeInfo"]["searchNetworkMembersCount"]

    assert sandbox.members("google", made["id"])["size"] == 1_000
    assert shown == "900"


def test_a_list_is_renamed_and_its_old_name_is_free_again(sandbox):
    made, other = sandbox.google_list("old"), sandbox.google_list("other")
    path = f"/v1/{made['name']}"

    taken = sandbox.google("PATCH", path, {"displayName": "other"}, params={"updateMask": "displayName"})
    renamed = sandbox.google("PATCH", path, {"displayName": "new"}, params={"updateMask": "displayName"})

    assert violations(taken) == [("user_list.display_name", "DISPLAY_NAME_ALREADY_USED")]
    assert renamed.json()["displayName"] == "new"
    assert sandbox.google_list("old")["id"] not in {made["id"], other["id"]}


def criterion(
    sandbox, operations: list[dict[str, Any]], where: str = "adGroupCriteria", **more: Any
) -> dict[str, Any]:
    path = f"/v26/customers/{sandbox.account}/{where}:mutate"
    return sandbox.google("POST", path, {"operations": operations, **more}).json()


def targeted(sandbox, list_id: str, **more: Any) -> dict[str, Any]:
    customer = f"customers/{sandbox.account}"
    return {
        "create": {
            "adGroup": f"{customer}/adGroups/1001",
            "userList": {"userList": f"{customer}/userLists/{list_id}"},
            **more,
        }
    }


def ads_error(answer: dict[str, Any]) -> dict[str, str]:
    return answer["error"]["details"][0]["errors"][0]["errorCode"]


@pytest.mark.parametrize(
    ("modifier", "expected"),
    [(0.1, None), (10.0, None), (1, None), (0.09, "TOO_LOW"), (10.1, "TOO_HIGH"), (0, "TOO_LOW")],
)
def test_a_bid_modifier_lies_between_a_tenth_and_ten(sandbox, modifier, expected):
    answer = criterion(sandbox, [targeted(sandbox, sandbox.google_list()["id"], bidModifier=modifier)])

    if expected:
        assert ads_error(answer) == {"rangeError": expected}
    else:
        assert answer["results"][0]["resourceName"].startswith(
            f"customers/{sandbox.account}/adGroupCriteria/1001~"
        )


def test_a_list_is_targeted_changed_read_and_taken_off(sandbox):
    made = sandbox.google_list()["id"]
    name = criterion(sandbox, [targeted(sandbox, made, bidModifier=1.25)])["results"][0]["resourceName"]
    change = {"update": {"resourceName": name, "bidModifier": 1.4}, "updateMask": "bidModifier"}
    assert criterion(sandbox, [change])["results"] == [{"resourceName": name}]
    query = (
        "SELECT ad_group_criterion.user_list.user_list, ad_group_criterion.bid_modifier, "
        "campaign.bidding_strategy_type FROM ad_group_criterion"
    )
    path = f"/v26/customers/{sandbox.account}/googleAds:searchStream"

    (batch,) = sandbox.google("POST", path, {"query": query}).json()

    (row,) = batch["results"]
    assert row["adGroupCriterion"] == {
        "resourceName": name,
        "userList": {"userList": f"customers/{sandbox.account}/userLists/{made}"},
        "bidModifier": 1.4,
    }
    # Where bids are smart a modifier changes nothing: this is how one finds out.
    assert row["campaign"]["biddingStrategyType"] == "MANUAL_CPC"
    campaigns = sandbox.google(
        "POST", path, {"query": "SELECT campaign.id, campaign.bidding_strategy_type FROM campaign"}
    )
    strategies = {row["campaign"]["biddingStrategyType"] for row in campaigns.json()[0]["results"]}
    assert strategies == {"MANUAL_CPC", "TARGET_CPA"}
    assert criterion(sandbox, [{"remove": name}])["results"] == [{"resourceName": name}]
    assert ads_error(criterion(sandbox, [{"remove": name}])) == {"mutateError": "RESOURCE_NOT_FOUND"}


def test_operations_that_fail_are_told_by_their_index_and_the_others_are_done(sandbox):
    made = sandbox.google_list()["id"]
    operations = [
        targeted(sandbox, made, bidModifier=11),
        targeted(sandbox, made, negative=True),
        targeted(sandbox, made),
        targeted(sandbox, "5"),
        targeted(sandbox, made, negative=True, bidModifier=2),
    ]

    answer = criterion(sandbox, operations, partialFailure=True)

    errors = answer["partialFailureError"]["details"][0]["errors"]
    found = [(error["location"]["fieldPathElements"][0]["index"], error["errorCode"]) for error in errors]
    assert found == [
        (0, {"rangeError": "TOO_HIGH"}),
        (2, {"mutateError": "RESOURCE_ALREADY_EXISTS"}),
        (3, {"criterionError": "INVALID_USER_LIST"}),
        (4, {"mutateError": "RESOURCE_ALREADY_EXISTS"}),
    ]
    assert [bool(result) for result in answer["results"]] == [False, True, False, False, False]
    other = sandbox.google_list("b")["id"]
    both = criterion(sandbox, [targeted(sandbox, other, negative=True, bidModifier=2)])
    assert ads_error(both) == {"criterionError": "CANNOT_BID_MODIFY_NEGATIVE_CRITERION"}
    whole = criterion(sandbox, [targeted(sandbox, other), targeted(sandbox, "5")])
    assert ads_error(whole) == {"criterionError": "INVALID_USER_LIST"}
    assert criterion(sandbox, [targeted(sandbox, other)])["results"]


def test_a_campaign_takes_lists_too_and_only_validating_changes_nothing(sandbox):
    made, customer = sandbox.google_list()["id"], f"customers/{sandbox.account}"
    create = {
        "campaign": f"{customer}/campaigns/102",
        "userList": {"userList": f"{customer}/userLists/{made}"},
    }

    assert criterion(sandbox, [{"create": create}], "campaignCriteria", validateOnly=True) == {}
    answer = criterion(sandbox, [{"create": create}], "campaignCriteria")

    assert answer["results"] == [{"resourceName": f"{customer}/campaignCriteria/102~{made}"}]


def test_a_bad_token_at_the_ads_api_is_told_as_that_api_tells_it(sandbox):
    path = f"/v26/customers/{sandbox.account}/googleAds:search"

    answer = sandbox.google("POST", path, {"query": "x"}, headers={"Authorization": "Bearer wrong"})

    assert answer.status_code == 401
    assert answer.json()["error"]["status"] == "UNAUTHENTICATED"
    assert ads_error(answer.json()) == {"authenticationError": "OAUTH_TOKEN_INVALID"}
