"""The enumerations and messages of the Data Manager API, as far as audiences need them."""

from __future__ import annotations

from enum import IntEnum

from audience_pipeline.sandbox.google_schema import (
    anything,
    boolean,
    duration,
    enumeration,
    integer,
    message,
    repeated,
    text,
    timestamp,
)


class AccountType(IntEnum):
    """``ProductAccount.AccountType``, and the older ``Product``."""

    ACCOUNT_TYPE_UNSPECIFIED = 0
    GOOGLE_ADS = 1
    DISPLAY_VIDEO_PARTNER = 2
    DISPLAY_VIDEO_ADVERTISER = 3
    DATA_PARTNER = 4


class ConsentStatus(IntEnum):
    """``ConsentStatus``."""

    CONSENT_STATUS_UNSPECIFIED = 0
    CONSENT_GRANTED = 1
    CONSENT_DENIED = 2


class Encoding(IntEnum):
    """``Encoding``."""

    ENCODING_UNSPECIFIED = 0
    HEX = 1
    BASE64 = 2


class TermsOfServiceStatus(IntEnum):
    """``TermsOfServiceStatus``."""

    TERMS_OF_SERVICE_STATUS_UNSPECIFIED = 0
    ACCEPTED = 1
    REJECTED = 2


class RequestStatus(IntEnum):
    """``RequestStatusPerDestination.RequestStatus``."""

    REQUEST_STATUS_UNKNOWN = 0
    SUCCESS = 1
    PROCESSING = 2
    FAILED = 3
    PARTIAL_SUCCESS = 4


class ProcessingErrorReason(IntEnum):
    """The part of ``ProcessingErrorReason`` that happens here."""

    PROCESSING_ERROR_REASON_UNSPECIFIED = 0
    PROCESSING_ERROR_REASON_DENIED_CONSENT = 4
    PROCESSING_ERROR_REASON_NO_CONSENT = 5
    PROCESSING_ERROR_REASON_INTERNAL_ERROR = 13
    PROCESSING_ERROR_REASON_INVALID_FORMAT = 18


class MatchRateRange(IntEnum):
    """``MatchRateRange``."""

    MATCH_RATE_RANGE_UNKNOWN = 0
    MATCH_RATE_RANGE_NOT_ELIGIBLE = 1
    MATCH_RATE_RANGE_LESS_THAN_20 = 2
    MATCH_RATE_RANGE_20_TO_30 = 3
    MATCH_RATE_RANGE_31_TO_40 = 4
    MATCH_RATE_RANGE_41_TO_50 = 5
    MATCH_RATE_RANGE_51_TO_60 = 6
    MATCH_RATE_RANGE_61_TO_70 = 7
    MATCH_RATE_RANGE_71_TO_80 = 8
    MATCH_RATE_RANGE_81_TO_90 = 9
    MATCH_RATE_RANGE_91_TO_100 = 10


class MembershipStatus(IntEnum):
    """``UserList.MembershipStatus``."""

    MEMBERSHIP_STATUS_UNSPECIFIED = 0
    OPEN = 1
    CLOSED = 2


class ClosingReason(IntEnum):
    """``UserList.ClosingReason``."""

    CLOSING_REASON_UNSPECIFIED = 0
    UNUSED = 1


class AccessReason(IntEnum):
    """``UserList.AccessReason``."""

    ACCESS_REASON_UNSPECIFIED = 0
    OWNED = 1
    SHARED = 2
    LICENSED = 3
    SUBSCRIBED = 4
    AFFILIATED = 5


class AccessStatus(IntEnum):
    """``UserList.AccessStatus``."""

    ACCESS_STATUS_UNSPECIFIED = 0
    ENABLED = 1
    DISABLED = 2


class UploadKeyType(IntEnum):
    """``IngestedUserListInfo.UploadKeyType``."""

    UPLOAD_KEY_TYPE_UNSPECIFIED = 0
    CONTACT_ID = 1
    MOBILE_ID = 2
    USER_ID = 3
    PAIR_ID = 4
    PSEUDONYMOUS_ID = 5


class KeySpace(IntEnum):
    """``MobileIdInfo.KeySpace``."""

    KEY_SPACE_UNSPECIFIED = 0
    IOS = 1
    ANDROID = 2


class DataSourceType(IntEnum):
    """``DataSourceType``."""

    DATA_SOURCE_TYPE_UNSPECIFIED = 0
    DATA_SOURCE_TYPE_FIRST_PARTY = 1
    DATA_SOURCE_TYPE_THIRD_PARTY_CREDIT_BUREAU = 2
    DATA_SOURCE_TYPE_THIRD_PARTY_VOTER_FILE = 3
    DATA_SOURCE_TYPE_THIRD_PARTY_PARTNER_DATA = 4


_SOURCE = enumeration(DataSourceType)
USER_LIST = message(
    {
        "name": text,
        "id": integer(64),
        "readOnly": boolean,
        "displayName": text,
        "description": text,
        "membershipStatus": enumeration(MembershipStatus),
        "integrationCode": text,
        "membershipDuration": duration,
        "closingReason": enumeration(ClosingReason),
        "accessReason": enumeration(AccessReason),
        "accountAccessStatus": enumeration(AccessStatus),
        "sizeInfo": message(
            {
                "displayNetworkMembersCount": integer(64),
                "searchNetworkMembersCount": integer(64),
                "youtubeMembersCount": integer(64),
                "gmailMembersCount": integer(64),
            }
        ),
        "targetNetworkInfo": message({"eligibleForDisplay": boolean, "eligibleForSearch": boolean}),
        "ingestedUserListInfo": message(
            {
                "uploadKeyTypes": repeated(enumeration(UploadKeyType)),
                "contactIdInfo": message({"dataSourceType": _SOURCE, "matchRatePercentage": integer(32)}),
                "mobileIdInfo": message(
                    {"dataSourceType": _SOURCE, "keySpace": enumeration(KeySpace), "appId": text}
                ),
                "userIdInfo": message({"dataSourceType": _SOURCE}),
                "pairIdInfo": anything,
                "pseudonymousIdInfo": anything,
                "partnerAudienceInfo": anything,
            }
        ),
    }
)

_ACCOUNT = message(
    {"product": enumeration(AccountType), "accountType": enumeration(AccountType), "accountId": text}
)
_CONSENT = message(
    {"adUserData": enumeration(ConsentStatus), "adPersonalization": enumeration(ConsentStatus)}
)
_DESTINATION = message(
    {
        "reference": text,
        "loginAccount": _ACCOUNT,
        "linkedAccount": _ACCOUNT,
        "operatingAccount": _ACCOUNT,
        "productDestinationId": text,
    }
)
_ADDRESS = message(
    {
        "givenName": text,
        "familyName": text,
        "regionCode": text,
        "postalCode": text,
        "city": text,
        "addressLine": text,
        "administrativeArea": text,
    }
)
DATA_KINDS = (
    "userData",
    "mobileData",
    "userIdData",
    "pairData",
    "ppidData",
    "compositeData",
    "googleUserIdData",
    "partnerProvidedIdData",
)
IDENTIFIERS = ("emailAddress", "phoneNumber", "address")
_IDENTIFIER = message({"emailAddress": text, "phoneNumber": text, "address": _ADDRESS}, IDENTIFIERS)
_MEMBER = message(
    {
        "destinationReferences": repeated(text),
        "consent": _CONSENT,
        "userData": message({"userIdentifiers": repeated(_IDENTIFIER)}),
        "mobileData": message({"mobileIds": repeated(text)}),
        "userIdData": message({"userId": text}),
        "pairData": anything,
        "ppidData": anything,
        "compositeData": anything,
        "googleUserIdData": anything,
        "partnerProvidedIdData": anything,
    },
    DATA_KINDS,
)
_REMOVAL = {
    "destinations": repeated(_DESTINATION),
    "audienceMembers": repeated(_MEMBER),
    "validateOnly": boolean,
    "encoding": enumeration(Encoding),
    "encryptionInfo": anything,
}
REMOVE_MEMBERS = message(_REMOVAL)
INGEST_MEMBERS = message(
    {
        **_REMOVAL,
        "consent": _CONSENT,
        "termsOfService": message({"customerMatchTermsOfServiceStatus": enumeration(TermsOfServiceStatus)}),
    }
)
REMOVE_ALL_MEMBERS = message(
    {"destinations": repeated(_DESTINATION), "removeAsOfTime": timestamp, "validateOnly": boolean}
)


def match_range(percent: int) -> MatchRateRange:
    """The bucket of a match rate of 0 to 100 percent."""
    if percent < 20:
        return MatchRateRange.MATCH_RATE_RANGE_LESS_THAN_20
    # The buckets are 20-30, 31-40 and so on up to 91-100.
    return MatchRateRange(max(3, (percent - 1) // 10 + 1))
