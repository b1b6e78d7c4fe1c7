"""Google: Customer Match lists and their members, Data Manager API."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import requests

from audience_pipeline.platforms import google_ads
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
from audience_pipeline.platforms.http import Classify, Json, Transport
from audience_pipeline.platforms.means import Means
from audience_pipeline.platforms.members import check_name, checked
from audience_pipeline.platforms.rows import REFERENCE, google_members
from audience_pipeline.platforms.safety import is_loopback

KEY_TYPE = "CONTACT_ID"
_PAGE = "1000"
_SECONDS_A_DAY = 86_400
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
        oauth_base_url: str | None = None,
        ads_base_url: str | None = None,
        **means: Unpack[Means],
    ) -> None:
        """Either ``access_token``, or client and refresh token; ``means`` as of :class:`Means`.

        ``login_account`` is the manager account. What a token may read of the Google Ads API completes what
        the Data Manager API says of lists.
        """
        self._account = account.replace("-", "")
        self._login_account = (login_account or "").replace("-", "")

        clock = means.get("clock", time.time)
        # A stand-in on this machine stands in for all of Google.
        stand_in = base_url if is_loopback(base_url) else ""
        token_url = oauth_base_url or stand_in or OAUTH_BASE_URL

        def transport(credentials: Credentials, judge_answer: Classify, url: str = token_url) -> Transport:
            return Transport(Platform.GOOGLE, url, credentials, judge_answer, **means)

        token = GoogleToken(
            access_token=access_token,
            client_id=client_id,
            client_secret=client_secret,
            refresh_token=refresh_token,
            transport=transport,
            clock=clock,
        )
        self._clock = clock
        self._http = transport(token, self._judge, base_url)
        elsewhere = ads_base_url if ads_base_url != google_ads.BASE_URL else None
        ads = transport(token, self._judge, elsewhere or stand_in or google_ads.BASE_URL)
        self._ads = google_ads.AdsReader(ads, self._account, self._login_account, clock)

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
        return [self._ads.completed(audience(node)) for node in self._list() if _is_ours(node)]

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
        adding = action == "add"
        people = google_members(checked(GOOGLE, members), consented=adding)
        rest: dict[str, Any] = {"destinations": [self._destination(remote_id)], "encoding": "HEX"}
        if adding:
            rest["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
        answer = self._http.call(
            "POST",
            f"/v1/audienceMembers:{'ingest' if adding else 'remove'}",
            body=f'{{"audienceMembers":{people},{json.dumps(rest)[1:]}'.encode(),
            costs={"ingestion": 1},
        )
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
            "GET",
            "/v1/requestStatus:retrieve",
            params={"requestId": receipt.request_id},
            costs={"status": 1},
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
            return self._ads.completed(audience(self._lists_call("GET", remote_id)))
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
        return findings(
            lambda: self._lists_call("GET", params={"pageSize": "1"}), self._ads.try_out, self._account
        )

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
            costs={"list_reads" if method == "GET" else "list_writes": 1},
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
            "reference": REFERENCE,
            "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": self._account},
            "productDestinationId": remote_id,
        }
        if self._login_account:
            destination["loginAccount"] = {"accountType": "GOOGLE_ADS", "accountId": self._login_account}
        return destination

    def _judge(self, response: requests.Response, answer: Json | None) -> PlatformError | None:
        return judge(response, answer, self._http.safe, self._clock())


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _is_ours(node: Mapping[str, Any]) -> bool:
    keys = mapping(node.get("ingestedUserListInfo")).get("uploadKeyTypes")
    return keys is None or KEY_TYPE in keys
