"""Google: Customer Match lists and their members, Data Manager API."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import requests

from audience_pipeline.identifiers import hashed
from audience_pipeline.platforms.answers import dicts, mapping
from audience_pipeline.platforms.contract import (
    GOOGLE,
    Action,
    Capabilities,
    Finding,
    Member,
    Platform,
    PlatformError,
    Receipt,
    ReceiptState,
    RemoteAudience,
    TerminalPlatformError,
    TransientPlatformError,
    UploadSession,
)
from audience_pipeline.platforms.credentials import Credentials
from audience_pipeline.platforms.google_answers import (
    audience,
    by_reason,
    list_id,
    match_rate,
    refused,
    warned,
)
from audience_pipeline.platforms.google_check import findings
from audience_pipeline.platforms.google_errors import is_gone, is_name_taken, judge
from audience_pipeline.platforms.google_token import OAUTH_BASE_URL, GoogleToken
from audience_pipeline.platforms.http import Json, Patience, Transport
from audience_pipeline.platforms.members import check_members, check_name

KEY_TYPE = "CONTACT_ID"
_PAGE = "1000"
_SECONDS_A_DAY = 86_400
_REFERENCE = "list"
_GRANTED = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
_ADDRESS = ("google_given_name", "google_family_name", "country", "postal_code")
_DONE = {
    "SUCCESS": ReceiptState.SETTLED,
    "PARTIAL_SUCCESS": ReceiptState.SETTLED,
    "FAILED": ReceiptState.FAILED,
}


class GoogleClient:
    """One Google Ads account. A batch is accepted at once and processed later: :meth:`settle` follows it."""

    def __init__(
        self,
        *,
        base_url: str = "https://datamanager.googleapis.com",
        access_token: str | None = None,
        account: str,
        login_account: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        refresh_token: str | None = None,
        oauth_base_url: str = OAUTH_BASE_URL,
        patience: Patience = Patience(),  # noqa: B008 (frozen)
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Either ``access_token``, or client and refresh token. ``login_account`` is the manager account."""
        self._account = account.replace("-", "")
        self._login_account = (login_account or "").replace("-", "")
        self._clock = clock

        def transport(
            credentials: Credentials,
            judge_answer: Callable[[requests.Response, Json | None], PlatformError | None],
            url: str = oauth_base_url,
        ) -> Transport:
            return Transport(
                Platform.GOOGLE,
                url,
                credentials,
                judge_answer,
                patience=patience,
                sleep=sleep,
                clock=clock,
                chance=chance,
            )

        token = GoogleToken(
            access_token=access_token,
            client_id=client_id,
            client_secret=client_secret,
            refresh_token=refresh_token,
            transport=transport,
            clock=clock,
        )
        self._http = transport(token, self._judge, base_url)

    def __repr__(self) -> str:
        return f"GoogleClient(account={self._account})"

    @property
    def capabilities(self) -> Capabilities:
        """What Google can and allows."""
        return GOOGLE

    @property
    def account(self) -> str:
        """The customer id, digits only."""
        return self._account

    def audiences(self) -> list[RemoteAudience]:
        """Every list of the account that takes contact data."""
        return [audience(node) for node in self._list() if _is_ours(node)]

    def find(self, name: str) -> RemoteAudience | None:
        """The list of exactly that name, when it takes contact data."""
        return next(
            (
                audience(node)
                for node in self._list(filter=f"display_name = {_quoted(name)}")
                if node.get("displayName") == name and _is_ours(node)
            ),
            None,
        )

    def create(self, name: str, description: str) -> str:
        """Create an empty list and return its id; one of that name is adopted."""
        check_name(GOOGLE, name)
        body: dict[str, Any] = {
            "displayName": name,
            "membershipStatus": "OPEN",
            "membershipDuration": f"{(GOOGLE.membership_days or 0) * _SECONDS_A_DAY}s",
            "ingestedUserListInfo": {
                "uploadKeyTypes": [KEY_TYPE],
                "contactIdInfo": {"dataSourceType": "DATA_SOURCE_TYPE_FIRST_PARTY"},
            },
        }
        if description:
            body["description"] = description

        def adopt() -> str | None:
            found = self.find(name)
            return found.remote_id if found else None

        def post() -> str:
            try:
                return list_id(self._lists_call("POST", body=body, retry=False))
            except TerminalPlatformError as error:
                existing = adopt() if is_name_taken(error) else None
                if existing is None:
                    raise
                return existing

        return self._http.create_once(post, adopt)

    def create_with(self, name: str, members: Sequence[Member]) -> Receipt:
        """Not on Google: lists are created empty."""
        raise TerminalPlatformError(
            Platform.GOOGLE, f"{name!r} with {len(members)} people: create it, then send them"
        )

    def send(
        self,
        remote_id: str,
        action: Action,
        members: Sequence[Member],
        session: UploadSession,  # noqa: ARG002 (Google knows no sessions)
    ) -> Receipt:
        """Add or remove people; whoever is handed over to be added has agreed to both purposes."""
        check_members(GOOGLE, members)
        adding = action == "add"
        body: dict[str, Any] = {
            "destinations": [self._destination(remote_id)],
            "audienceMembers": [_member(member.identifiers, consented=adding) for member in members],
            "encoding": "HEX",
        }
        if adding:
            body["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
        answer = self._http.call("POST", f"/v1/audienceMembers:{'ingest' if adding else 'remove'}", body=body)
        request_id = answer.get("requestId")
        if not request_id:
            raise TransientPlatformError(
                Platform.GOOGLE, "the answer names no request, so it cannot be followed"
            )
        return Receipt(
            request_id=str(request_id),
            state=ReceiptState.PROCESSING,
            received=len(members),
            message=warned(by_reason(answer.get("fieldWarnings"))),
            remote_id=remote_id,
        )

    def remove_everywhere(self, members: Sequence[Member]) -> Receipt:
        """Not on Google: people leave list by list."""
        raise TerminalPlatformError(
            Platform.GOOGLE,
            f"no call takes people ({len(members)}) out of every list: remove them from each list",
        )

    def rename(self, remote_id: str, name: str) -> None:
        """Give a list another name."""
        check_name(GOOGLE, name)
        self._lists_call("PATCH", remote_id, params={"updateMask": "displayName"}, body={"displayName": name})

    def settle(self, receipt: Receipt) -> Receipt:
        """Read the status of a request; refused people are counted by reason."""
        if receipt.state is not ReceiptState.PROCESSING:
            return receipt
        answer = self._http.call(
            "GET", "/v1/requestStatus:retrieve", params={"requestId": receipt.request_id}
        )
        statuses = dicts(answer.get("requestStatusPerDestination"))
        state = _DONE.get(str(statuses[0].get("requestStatus"))) if statuses else None
        if state is None:
            return receipt
        counts = mapping(statuses[0].get("errorInfo")).get("errorCounts")
        errors = by_reason(counts)
        warnings = by_reason(mapping(statuses[0].get("warningInfo")).get("warningCounts"))
        failed = state is ReceiptState.FAILED
        rejected = receipt.received if failed else min(sum(errors.values()), receipt.received)
        ingestion = mapping(
            mapping(statuses[0].get("audienceMembersIngestionStatus")).get("userDataIngestionStatus")
        )
        return replace(
            receipt,
            state=state,
            accepted=receipt.received - rejected,
            rejected=rejected,
            match_rate=match_rate(ingestion.get("uploadMatchRateRange")),
            reasons=errors,
            refused={} if failed else refused(counts, receipt.received),
            message="Google accepted the batch and then failed to process it"
            if failed
            else warned(warnings) or receipt.message,
        )

    def read(self, remote_id: str) -> RemoteAudience | None:
        """Status, sizes and match rate; None when the list is gone."""
        try:
            return audience(self._lists_call("GET", remote_id))
        except TerminalPlatformError as error:
            if is_gone(error):
                return None
            raise

    def delete(self, remote_id: str) -> None:
        """Delete a list; one that is gone already is no error."""
        try:
            self._lists_call("DELETE", remote_id)
        except TerminalPlatformError as error:
            if not is_gone(error):
                raise

    def check(self) -> list[Finding]:
        """Token, permission and what cannot be read, by one page of lists."""
        return findings(lambda: self._lists_call("GET", params={"pageSize": "1"}), self._account)

    def _lists_call(
        self,
        method: str,
        remote_id: str = "",
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        retry: bool = True,
    ) -> Json:
        path = f"/v1/accountTypes/GOOGLE_ADS/accounts/{self._account}/userLists"
        login = f"accountTypes/GOOGLE_ADS/accounts/{self._login_account}"
        return self._http.call(
            method,
            f"{path}/{remote_id}" if remote_id else path,
            params=params,
            body=body,
            headers={"login-account": login} if self._login_account else None,
            retry=retry,
        )

    def _list(self, **narrowed: str) -> Iterator[dict[str, Any]]:
        params = {"pageSize": _PAGE, **narrowed}
        while True:
            page = self._lists_call("GET", params=params)
            yield from dicts(page.get("userLists"))
            token = page.get("nextPageToken")
            if not token:
                return
            params = {**params, "pageToken": str(token)}

    def _destination(self, remote_id: str) -> dict[str, Any]:
        destination: dict[str, Any] = {
            "reference": _REFERENCE,
            "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": self._account},
            "productDestinationId": remote_id,
        }
        if self._login_account:
            destination["loginAccount"] = {"accountType": "GOOGLE_ADS", "accountId": self._login_account}
        return destination

    def _judge(self, response: requests.Response, answer: Json | None) -> PlatformError | None:
        return judge(response, answer, self._http.safe, self._clock())


def _member(values: Mapping[str, str], *, consented: bool) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    if values.get("google_email"):
        found.append({"emailAddress": values["google_email"]})
    if values.get("google_phone"):
        found.append({"phoneNumber": values["google_phone"]})
    region = hashed("google", "region_code", values.get("country", ""))
    postal_code = hashed("google", "postal_code", values.get("postal_code", ""))
    if region and postal_code and all(values.get(name) for name in _ADDRESS):
        # An incomplete address fails the whole request, so it is all four or none.
        names = {"givenName": values["google_given_name"], "familyName": values["google_family_name"]}
        found.append({"address": {**names, "regionCode": region, "postalCode": postal_code}})
    member: dict[str, Any] = {"destinationReferences": [_REFERENCE], "userData": {"userIdentifiers": found}}
    return {**member, "consent": _GRANTED} if consented else member


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _is_ours(node: Mapping[str, Any]) -> bool:
    keys = mapping(node.get("ingestedUserListInfo")).get("uploadKeyTypes")
    return keys is None or KEY_TYPE in keys
