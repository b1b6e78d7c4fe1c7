"""Meta: Custom Audiences from a customer file, Marketing API."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import requests

from audience_pipeline.platforms.answers import count, dicts, mapping, oldest
from audience_pipeline.platforms.capabilities import META_DEVELOPMENT_SCORE
from audience_pipeline.platforms.contract import (
    META,
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
from audience_pipeline.platforms.credentials import StaticToken
from audience_pipeline.platforms.http import TIMED_OUT, Json, Transport
from audience_pipeline.platforms.means import Means
from audience_pipeline.platforms.members import check_name, checked
from audience_pipeline.platforms.meta_answers import (
    BROKEN,
    INVALID,
    audience,
    audience_id,
    has_failed,
    is_customer_file,
    refused,
)
from audience_pipeline.platforms.meta_check import findings
from audience_pipeline.platforms.meta_errors import DEVELOPMENT_TIER, is_gone, judge, pause_for, tier_of
from audience_pipeline.platforms.rows import META_SCHEMA, meta_rows

log = logging.getLogger(__name__)

FIELDS = (
    "id,name,subtype,operation_status,delivery_status,"
    "approximate_count_lower_bound,approximate_count_upper_bound,fields_violating_integrity_policy"
)
_READ: Mapping[str, float] = {"score": 1}
_WRITE: Mapping[str, float] = {"score": 3, "mutations": 1}
_PAGE = "100"
_SMALL_PAGE = "20"
"""Larger pages are known to time out in some accounts."""
_TOO_MUCH = frozenset({"1", TIMED_OUT})


class MetaClient:
    """One ad account. Uploads are idempotent on the person, so that a repeated batch changes nothing."""

    def __init__(
        self,
        *,
        base_url: str = "https://graph.facebook.com",
        access_token: str,
        account: str,
        app_secret: str | None = None,
        api_version: str = "v26.0",
        **means: Unpack[Means],
    ) -> None:
        """``account`` with or without ``act_``; with ``app_secret`` every request carries its proof.

        ``means`` as of :class:`Means`.
        """
        self._account = account.removeprefix("act_")
        self._version = api_version
        self._proof = _proof(access_token, app_secret)
        self._http = Transport(
            Platform.META,
            base_url,
            StaticToken(Platform.META, access_token),
            self._judge,
            **means,
        )
        self._sessions: dict[int, dict[int, tuple[int, int]]] = {}
        self._served = api_version

    def __repr__(self) -> str:
        return f"MetaClient(account={self._account}, api_version={self._version})"

    @property
    def capabilities(self) -> Capabilities:
        """What Meta can and allows."""
        return META

    @property
    def account(self) -> str:
        """The ad account, digits only."""
        return self._account

    def audiences(self) -> list[RemoteAudience]:
        """Every customer-file audience of the account."""
        return [audience(node) for node in self._list() if is_customer_file(node)]

    def find(self, name: str) -> RemoteAudience | None:
        """The oldest customer-file audience of exactly that name."""
        named = [{"field": "name", "operator": "EQUAL", "value": name}]
        nodes = self._list(filtering=json.dumps(named, ensure_ascii=False))
        return oldest(audience(node) for node in nodes if node.get("name") == name and is_customer_file(node))

    def create(self, name: str, description: str) -> str:
        """Create an empty audience and return its id; one that a lost answer made already is adopted."""
        check_name(META, name)
        body = {"name": name, "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY"}
        if description:
            body["description"] = description

        def post() -> str:
            return audience_id(
                self._call("POST", f"/act_{self._account}/customaudiences", body=body, retry=False)
            )

        def adopt() -> str | None:
            found = self.find(name)
            return found.remote_id if found else None

        return self._http.create_once(post, adopt)

    def create_with(self, name: str, members: Sequence[Member]) -> Receipt:
        """Not on Meta: audiences are created empty."""
        raise TerminalPlatformError(
            Platform.META, f"{name!r} with {len(members)} people: create it, then send them"
        )

    def send(
        self, remote_id: str, action: Action, members: Sequence[Member], session: UploadSession
    ) -> Receipt:
        """Add or remove people.

        Meta counts by session, so that the figures of one batch are what its answer adds to those of the
        answer before. Additions stay ``PROCESSING`` until :meth:`settle` finds how many were matched.
        """
        rows = meta_rows(checked(META, members))
        body = {
            "session": {
                "session_id": session.session_id,
                "batch_seq": session.sequence,
                "last_batch_flag": session.last,
                "estimated_num_total": session.estimated_total,
            },
            "payload": {"schema": META_SCHEMA, "data": rows},
        }
        answer = self._call("POST" if action == "add" else "DELETE", f"/{remote_id}/users", body=body)
        receipt = Receipt(
            request_id=str(session.session_id),
            state=ReceiptState.PROCESSING if action == "add" else ReceiptState.SETTLED,
            received=len(members),
            remote_id=remote_id,
        )
        counted = self._counted(receipt, session, answer)
        samples = answer.get("invalid_entry_samples")
        return replace(counted, refused=refused(samples, rows, counted.rejected))

    def remove_everywhere(self, members: Sequence[Member]) -> Receipt:
        """Take people out of all customer-file audiences of the account, those of others too."""
        rows = meta_rows(checked(META, members))
        body = {"payload": {"schema": META_SCHEMA, "data": rows}}
        answer = self._call("DELETE", f"/act_{self._account}/usersofanyaudience", body=body)
        # The form of this answer is not published: what it leaves out stays open.
        invalid = count(answer.get("num_invalid_entries"))
        rejected = None if invalid is None else min(max(invalid, 0), len(members))
        return Receipt(
            request_id=str(answer.get("session_id") or ""),
            state=ReceiptState.SETTLED,
            received=len(members),
            accepted=None if rejected is None else len(members) - rejected,
            rejected=rejected,
            reasons={INVALID: rejected} if rejected else {},
            refused=refused(answer.get("invalid_entry_samples"), rows, rejected),
        )

    def rename(self, remote_id: str, name: str) -> None:
        """Give an audience another name."""
        check_name(META, name)
        _confirmed(self._call("POST", f"/{remote_id}", body={"name": name}), "to rename an audience")

    def settle(self, receipt: Receipt) -> Receipt:
        """Read the session of a batch: how many of its people were matched.

        The figure is that of the whole session; a batch of several gets its share of it. A session that ended
        without effect has failed: its people are not there.
        """
        if receipt.state is not ReceiptState.PROCESSING:
            return receipt
        answer = self._call(
            "GET", f"/{receipt.remote_id}/sessions", params={"session_id": receipt.request_id}
        )
        found = [one for one in dicts(answer.get("data")) if str(one.get("session_id")) == receipt.request_id]
        if not found or (count(found[0].get("progress")) or 0) < 100:
            return receipt
        received, matched = count(found[0].get("num_received")), count(found[0].get("num_matched"))
        # The values of "stage" are not published: where nobody was matched, the audience tells why.
        if has_failed(found[0]) or (received and not matched and self._is_broken(receipt.remote_id)):
            return replace(
                receipt,
                state=ReceiptState.FAILED,
                accepted=0,
                rejected=receipt.received,
                message="Meta accepted the batch and then failed to process it",
            )
        if not received or matched is None:
            return replace(receipt, state=ReceiptState.SETTLED)
        rate = min(matched / received, 1.0)
        return replace(
            receipt,
            state=ReceiptState.SETTLED,
            matched=round(rate * receipt.received),
            match_rate=(rate, rate),
        )

    def read(self, remote_id: str) -> RemoteAudience | None:
        """Status and bounds of the size; None when the audience is gone."""
        try:
            return audience(self._call("GET", f"/{remote_id}", params={"fields": FIELDS}))
        except TerminalPlatformError as error:
            if is_gone(error):
                return None
            raise

    def delete(self, remote_id: str) -> None:
        """Delete an audience; one that is gone already is no error."""
        try:
            _confirmed(self._call("DELETE", f"/{remote_id}"), "to delete an audience")
        except TerminalPlatformError as error:
            if not is_gone(error):
                raise

    def check(self) -> list[Finding]:
        """Account, terms, permissions, number of audiences and version, by reading alone."""
        return findings(self._get, self.audiences, self._account, self._version, lambda: self._served)

    def _is_broken(self, remote_id: str) -> bool:
        """The last operation on an audience has failed."""
        shown = self._get(f"/{remote_id}", "operation_status")
        return count(mapping(shown.get("operation_status")).get("code")) == BROKEN

    def _get(self, path: str, fields: str) -> Json:
        return self._call("GET", path, params={"fields": fields} if fields else None)

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        retry: bool = True,
    ) -> Json:
        return self._http.call(
            method,
            f"/{self._version}{path}",
            params={**(params or {}), **self._proof},
            body=body,
            costs=_READ if method == "GET" else _WRITE,
            retry=retry,
        )

    def _list(self, **narrowed: str) -> Iterator[dict[str, Any]]:
        params = {"fields": FIELDS, **narrowed, "limit": _PAGE}
        while True:
            try:
                page = self._call("GET", f"/act_{self._account}/customaudiences", params=params)
            except TransientPlatformError as error:
                if params["limit"] == _SMALL_PAGE or error.code not in _TOO_MUCH:
                    raise
                params = {**params, "limit": _SMALL_PAGE}
                continue
            yield from dicts(page.get("data"))
            paging = mapping(page.get("paging"))
            after = mapping(paging.get("cursors")).get("after")
            if not paging.get("next") or not after or after == params.get("after"):
                return
            # The address in "next" may carry the token: only the cursor is taken from it.
            params = {**params, "after": str(after)}

    def _counted(self, receipt: Receipt, session: UploadSession, answer: Json) -> Receipt:
        received, invalid = count(answer.get("num_received")), count(answer.get("num_invalid_entries"))
        answers = self._sessions.setdefault(session.session_id, {})
        known = answers.get(session.sequence - 1, (0, 0) if session.sequence == 1 else None)
        if received is None or invalid is None:
            return receipt
        answers[session.sequence] = (received, invalid)
        if known is None:
            return receipt
        if received <= known[0]:
            return replace(
                receipt,
                state=ReceiptState.FAILED,
                accepted=0,
                rejected=receipt.received,
                message="Meta discarded the batch, its upload session being over: send it again",
            )
        rejected = min(max(invalid - known[1], 0), receipt.received)
        return replace(
            receipt,
            accepted=receipt.received - rejected,
            rejected=rejected,
            reasons={INVALID: rejected} if rejected else {},
        )

    def _judge(self, response: requests.Response, answer: Json | None) -> PlatformError | None:
        error = judge(response, answer, self._http.safe, self._version)
        if not isinstance(error, TransientPlatformError):
            self._http.pace.slow_down(pause_for(response))
        if tier_of(response) == DEVELOPMENT_TIER:
            self._http.pace.change(META_DEVELOPMENT_SCORE)
        served = response.headers.get("facebook-api-version", self._version)
        if served not in (self._version, self._served):
            log.warning(
                "meta: asked for API version %s, answered by %s: check api_version", self._version, served
            )
        self._served = served
        return error


def _proof(token: str, app_secret: str | None) -> dict[str, str]:
    if not app_secret:
        return {}
    return {"appsecret_proof": hmac.new(app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()}


def _confirmed(answer: Json, what: str) -> None:
    if answer.get("success") is False:
        raise TerminalPlatformError(Platform.META, f"the request {what} was answered with success: false")
