"""Google's own Python client over REST works against the sandbox, and its messages judge what we send."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from google.ads import datamanager_v1 as dm
from google.ads.datamanager_v1.services.ingestion_service.transports import IngestionServiceRestTransport
from google.ads.datamanager_v1.services.user_list_service.transports import UserListServiceRestTransport
from google.api_core import exceptions
from google.oauth2.credentials import Credentials
from google.protobuf import field_mask_pb2, json_format, timestamp_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.sandbox import google_messages
from audience_pipeline.sandbox.google_schema import Reader, Violation


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def clients(sandbox) -> tuple[dm.IngestionServiceClient, dm.UserListServiceClient]:
    options: dict[str, Any] = {
        "host": sandbox.base.removeprefix("http://"),
        "url_scheme": "http",
        "credentials": Credentials(token="sandbox-google-token"),
    }
    return (
        dm.IngestionServiceClient(transport=IngestionServiceRestTransport(**options)),
        dm.UserListServiceClient(transport=UserListServiceRestTransport(**options)),
    )


@pytest.fixture
def ingestion(clients) -> dm.IngestionServiceClient:
    return clients[0]


@pytest.fixture
def lists(clients) -> dm.UserListServiceClient:
    return clients[1]


def user_list(name: str, **more: Any) -> dm.UserList:
    info = dm.IngestedUserListInfo(
        upload_key_types=[dm.IngestedUserListInfo.UploadKeyType.CONTACT_ID],
        contact_id_info=dm.ContactIdInfo(data_source_type=dm.DataSourceType.DATA_SOURCE_TYPE_FIRST_PARTY),
    )
    return dm.UserList(display_name=name, ingested_user_list_info=info, **more)


def create(lists: dm.UserListServiceClient, account: str, name: str = "crm") -> dm.UserList:
    parent = f"accountTypes/GOOGLE_ADS/accounts/{account}"
    return lists.create_user_list(request={"parent": parent, "user_list": user_list(name)})


def destination(account: str, made: dm.UserList) -> dm.Destination:
    return dm.Destination(
        operating_account=dm.ProductAccount(
            account_type=dm.ProductAccount.AccountType.GOOGLE_ADS, account_id=account
        ),
        product_destination_id=str(made.id),
    )


def members(emails: list[str]) -> list[dm.AudienceMember]:
    return [
        dm.AudienceMember(
            user_data=dm.UserData(user_identifiers=[dm.UserIdentifier(email_address=sha(email))])
        )
        for email in emails
    ]


def emails(numbers: range) -> list[str]:
    return [f"person{i}@example.com" for i in numbers]


def ingest(
    ingestion: dm.IngestionServiceClient, account: str, made: dm.UserList, people: list[str], **more: Any
) -> dm.IngestAudienceMembersResponse:
    granted = dm.ConsentStatus.CONSENT_GRANTED
    terms = dm.TermsOfServiceStatus.ACCEPTED
    return ingestion.ingest_audience_members(
        request=dm.IngestAudienceMembersRequest(
            destinations=[destination(account, made)],
            audience_members=members(people),
            consent=dm.Consent(ad_user_data=granted, ad_personalization=granted),
            encoding=dm.Encoding.HEX,
            terms_of_service=dm.TermsOfService(customer_match_terms_of_service_status=terms),
            **more,
        )
    )


def test_a_list_is_created_read_listed_changed_and_deleted(lists, sandbox) -> None:
    made = create(lists, sandbox.account)
    assert made.membership_status == dm.UserList.MembershipStatus.OPEN
    assert made.membership_duration.days == 540
    assert lists.get_user_list(name=made.name) == made
    others = [create(lists, sandbox.account, f"n{i}").id for i in range(5)]
    parent = made.name.rpartition("/userLists/")[0]

    listed = list(lists.list_user_lists(request={"parent": parent, "page_size": 2}))
    found = list(lists.list_user_lists(request={"parent": parent, "filter": 'display_name = "n3"'}))
    changed = lists.update_user_list(
        user_list=dm.UserList(name=made.name, display_name="crm 2"),
        update_mask=field_mask_pb2.FieldMask(paths=["display_name"]),
    )
    lists.delete_user_list(name=made.name)

    assert [one.id for one in listed] == [made.id, *others]
    assert [one.id for one in found] == [others[3]]
    assert changed.display_name == "crm 2"
    with pytest.raises(exceptions.NotFound):
        lists.get_user_list(name=made.name)


def test_what_is_only_validated_leaves_no_trace(ingestion, lists, sandbox) -> None:
    parent = f"accountTypes/GOOGLE_ADS/accounts/{sandbox.account}"
    lists.create_user_list(request={"parent": parent, "user_list": user_list("dry"), "validate_only": True})
    assert list(lists.list_user_lists(request={"parent": parent})) == []
    made = create(lists, sandbox.account)

    assert ingest(ingestion, sandbox.account, made, emails(range(3)), validate_only=True).request_id == ""

    assert sandbox.members("google", str(made.id))["size"] == 0


def test_people_are_ingested_followed_and_removed(ingestion, lists, sandbox) -> None:
    made = create(lists, sandbox.account)
    told = ingest(ingestion, sandbox.account, made, emails(range(1, 301)))
    status_of = dm.RequestStatusPerDestination.RequestStatus

    def status(request_id: str) -> dm.RequestStatusPerDestination:
        request = dm.RetrieveRequestStatusRequest(request_id=request_id)
        return ingestion.retrieve_request_status(request=request).request_status_per_destination[0]

    assert status(told.request_id).request_status == status_of.PROCESSING
    sandbox.settle()
    late = status(told.request_id)
    counts = late.audience_members_ingestion_status.user_data_ingestion_status
    assert late.request_status == status_of.SUCCESS
    assert (counts.record_count, counts.user_identifier_count) == (300, 300)
    assert counts.upload_match_rate_range == dm.MatchRateRange.MATCH_RATE_RANGE_81_TO_90
    assert late.destination.operating_account.account_id == sandbox.account
    assert lists.get_user_list(name=made.name).size_info.search_network_members_count == 270

    removal = ingestion.remove_audience_members(
        request=dm.RemoveAudienceMembersRequest(
            destinations=[destination(sandbox.account, made)],
            audience_members=members(emails(range(1, 101))),
            encoding=dm.Encoding.HEX,
        )
    )
    sandbox.settle()

    removed = status(removal.request_id).audience_members_removal_status.user_data_removal_status
    assert removed.record_count == 100
    assert sandbox.members("google", str(made.id))["size"] == 200


def test_everybody_is_removed_who_was_not_added_again(ingestion, lists, sandbox) -> None:
    made = create(lists, sandbox.account)
    ingest(ingestion, sandbox.account, made, emails(range(5)))
    sandbox.settle()
    moment = timestamp_pb2.Timestamp(seconds=int(sandbox.time()))
    sandbox.settle()
    ingest(ingestion, sandbox.account, made, emails(range(2)))

    ingestion.remove_all_audience_members(
        request=dm.RemoveAllAudienceMembersRequest(
            destinations=[destination(sandbox.account, made)], remove_as_of_time=moment
        )
    )

    assert sandbox.members("google", str(made.id))["size"] == 2


def test_mistakes_and_throttles_are_understood(ingestion, lists, sandbox) -> None:
    made = create(lists, sandbox.account)
    with pytest.raises(exceptions.BadRequest) as twice:
        create(lists, sandbox.account)
    assert "DISPLAY_NAME_ALREADY_USED" in str(twice.value.details)
    bad = dm.AudienceMember(user_data=dm.UserData(user_identifiers=[dm.UserIdentifier(email_address="x")]))
    with pytest.raises(exceptions.BadRequest) as refused:
        ingestion.remove_audience_members(
            request=dm.RemoveAudienceMembersRequest(
                destinations=[destination(sandbox.account, made)],
                audience_members=[bad],
                encoding=dm.Encoding.HEX,
            )
        )
    assert "audience_members[0].user_data.user_identifiers[0].email_address" in str(refused.value.details)
    sandbox.control("faults", {"seed": 1, "kinds": ["throttled"], "rate": 1, "platforms": ["google"]})
    try:
        with pytest.raises(exceptions.TooManyRequests):
            lists.get_user_list(name=made.name, retry=None)
    finally:
        sandbox.control("faults", {"rate": 0})


def test_refused_people_are_told_in_a_form_that_the_client_reads(ingestion, lists, sandbox) -> None:
    reasons = set()
    for seed in range(6):
        made = create(lists, sandbox.account, f"n{seed}")
        sandbox.control(
            "faults", {"seed": seed, "kinds": ["partial_failure", "processing_failure"], "rate": 1}
        )
        try:
            told = ingest(ingestion, sandbox.account, made, emails(range(10)))
            sandbox.settle()
        finally:
            sandbox.control("faults", {"rate": 0})
        request = dm.RetrieveRequestStatusRequest(request_id=told.request_id)
        status = ingestion.retrieve_request_status(request=request).request_status_per_destination[0]
        reasons |= {
            (status.request_status.name, error.reason.name) for error in status.error_info.error_counts
        }

    assert reasons == {
        ("PARTIAL_SUCCESS", "PROCESSING_ERROR_REASON_INVALID_FORMAT"),
        ("FAILED", "PROCESSING_ERROR_REASON_INTERNAL_ERROR"),
    }


ENUMERATIONS = {
    google_messages.AccountType: dm.ProductAccount.AccountType,
    google_messages.ConsentStatus: dm.ConsentStatus,
    google_messages.Encoding: dm.Encoding,
    google_messages.TermsOfServiceStatus: dm.TermsOfServiceStatus,
    google_messages.RequestStatus: dm.RequestStatusPerDestination.RequestStatus,
    google_messages.ProcessingErrorReason: dm.ProcessingErrorReason,
    google_messages.MatchRateRange: dm.MatchRateRange,
    google_messages.MembershipStatus: dm.UserList.MembershipStatus,
    google_messages.ClosingReason: dm.UserList.ClosingReason,
    google_messages.AccessReason: dm.UserList.AccessReason,
    google_messages.AccessStatus: dm.UserList.AccessStatus,
    google_messages.UploadKeyType: dm.IngestedUserListInfo.UploadKeyType,
    google_messages.KeySpace: dm.MobileIdInfo.KeySpace,
    google_messages.DataSourceType: dm.DataSourceType,
}


@pytest.mark.parametrize("ours", ENUMERATIONS, ids=lambda one: one.__name__)
def test_enumerations_have_the_names_and_numbers_of_the_official_ones(ours) -> None:
    official = {one.name: int(one) for one in ENUMERATIONS[ours]}

    assert {one.name: int(one) for one in ours}.items() <= official.items()


MESSAGES: list[tuple[Reader, Any]] = [
    (google_messages.INGEST_MEMBERS, dm.IngestAudienceMembersRequest),
    (google_messages.REMOVE_MEMBERS, dm.RemoveAudienceMembersRequest),
    (google_messages.REMOVE_ALL_MEMBERS, dm.RemoveAllAudienceMembersRequest),
    (google_messages.USER_LIST, dm.UserList),
]
WHOLE = {
    "Duration",
    "Timestamp",
    "EncryptionInfo",
    "PairData",
    "PpidData",
    "CompositeData",
    "GoogleUserIdData",
    "PartnerProvidedIdData",
}


def bodies(descriptor: Any) -> list[dict[str, Any]]:
    """For each field of a message, however deep, a body in which that field is null."""
    found: list[dict[str, Any]] = []
    for one in descriptor.fields:
        found.append({one.json_name: None})
        inner = one.message_type
        if inner is not None and inner.name not in WHOLE and not inner.name.endswith("IdInfo"):
            repeated = one.is_repeated if hasattr(one, "is_repeated") else one.label == one.LABEL_REPEATED
            found += [{one.json_name: [body] if repeated else body} for body in bodies(inner)]
    return found


@pytest.mark.parametrize(("reader", "official"), MESSAGES, ids=lambda one: getattr(one, "__name__", ""))
def test_every_field_of_the_official_messages_is_known(reader: Reader, official: Any) -> None:
    known = bodies(official.pb().DESCRIPTOR)
    assert len(known) > 2
    for body in known:
        violations: list[Violation] = []
        reader(body, "", violations)
        assert violations == [], body


BODY = {
    "destinations": [
        {
            "reference": "r",
            "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1"},
            "productDestinationId": "5",
        }
    ],
    "audienceMembers": [
        {
            "destinationReferences": ["r"],
            "consent": {"adUserData": "CONSENT_GRANTED", "adPersonalization": 1},
            "userData": {
                "userIdentifiers": [
                    {"emailAddress": "a"},
                    {"address": {"givenName": "a", "familyName": "b", "regionCode": "US", "postalCode": "1"}},
                ]
            },
        }
    ],
    "consent": {"adUserData": "CONSENT_GRANTED"},
    "encoding": "HEX",
    "termsOfService": {"customerMatchTermsOfServiceStatus": "ACCEPTED"},
    "validateOnly": False,
}
LIST_BODY = {
    "displayName": "a",
    "description": "b",
    "membershipDuration": "86400s",
    "membershipStatus": "OPEN",
    "ingestedUserListInfo": {
        "uploadKeyTypes": ["CONTACT_ID"],
        "contactIdInfo": {"dataSourceType": "DATA_SOURCE_TYPE_FIRST_PARTY"},
    },
}
REMOVE_ALL_BODY = {
    "destinations": BODY["destinations"],
    "removeAsOfTime": "2026-11-20T06:00:00Z",
    "validateOnly": True,
}
ANYTHING = st.sampled_from(
    [
        None, True, 0, 1, -1, 1.5, "", "x", "1", "HEX", "OPEN", "1s", "1.5s", "s", "99999999999s",
        "2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00+01:00",
        "2026-13-01T00:00:00Z", [], {}, ["x"], [1], [{}], {"x": 1}, [None], "true", "CONSENT_GRANTED",
    ]
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


def mutated(body: dict[str, Any], path: tuple[Any, ...], value: Any, extra: bool) -> Any:
    whole = json.loads(json.dumps(body))
    if not path:
        return value
    part = whole
    for key in path[:-1]:
        part = part[key]
    if extra and isinstance(part[path[-1]], dict):
        part[path[-1]]["surprise"] = value
    else:
        part[path[-1]] = value
    return whole


@given(st.data(), ANYTHING, st.booleans())
@settings(max_examples=400, deadline=None)
def test_bodies_are_refused_where_the_official_messages_refuse_them(
    data: st.DataObject, value: Any, extra: bool
) -> None:
    reader, official, body = data.draw(
        st.sampled_from(
            [
                (google_messages.INGEST_MEMBERS, dm.IngestAudienceMembersRequest, BODY),
                (google_messages.REMOVE_ALL_MEMBERS, dm.RemoveAllAudienceMembersRequest, REMOVE_ALL_BODY),
                (google_messages.USER_LIST, dm.UserList, LIST_BODY),
            ]
        )
    )
    wrong = mutated(body, data.draw(st.sampled_from(places(body)[1:])), value, extra)
    violations: list[Violation] = []
    reader(wrong, "", violations)
    try:
        json_format.Parse(json.dumps(wrong), official.pb()(), ignore_unknown_fields=False)
        refused = False
    except json_format.ParseError:
        refused = True

    if refused:
        assert violations, wrong
    elif value not in ("", []):
        # Python's parser takes an empty text for an empty message. An unknown number of an enumeration is
        # kept by every parser, and refused by the service.
        assert {one.reason for one in violations} <= {"INVALID_ENUM_VALUE"}, wrong
