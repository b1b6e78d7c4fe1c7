"""TikTok: custom audiences from files, API for Business."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import requests

from audience_pipeline.platforms.answers import count, dicts, mapping, oldest
from audience_pipeline.platforms.contract import (
    TIKTOK,
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
from audience_pipeline.platforms.http import Json, Transport
from audience_pipeline.platforms.means import Means
from audience_pipeline.platforms.members import check_name, checked
from audience_pipeline.platforms.tiktok_answers import (
    audience,
    data_of,
    is_customer_file,
    judged,
    request_id,
)
from audience_pipeline.platforms.tiktok_check import findings
from audience_pipeline.platforms.tiktok_details import Entry, SettlingDetails
from audience_pipeline.platforms.tiktok_errors import OBJECT_MISSING, judge
from audience_pipeline.platforms.tiktok_files import MULTIPLE, SINGLE, content_of, left_out

ROOT = "/open_api/v1.3"
_COSTS: Mapping[str, float] = {"calls": 1}
_PAGE_SIZE = 100


class TikTokClient:
    """One advertiser. People travel in files; what became of one shows only in the audience's details."""

    def __init__(
        self,
        *,
        base_url: str = "https://business-api.tiktok.com",
        access_token: str,
        account: str,
        **means: Unpack[Means],
    ) -> None:
        """``account`` is the advertiser id; ``means`` as of :class:`Means`."""
        self._account = account
        self._http = Transport(
            Platform.TIKTOK,
            base_url,
            StaticToken(Platform.TIKTOK, access_token, header="Access-Token", scheme=""),
            self._judge,
            **means,
        )
        self._types: dict[str, str] = {}
        self._details = SettlingDetails(self._entries, means.get("clock", time.time))

    def __repr__(self) -> str:
        return f"TikTokClient(account={self._account})"

    @property
    def capabilities(self) -> Capabilities:
        """What TikTok can and allows."""
        return TIKTOK

    @property
    def account(self) -> str:
        """The advertiser id."""
        return self._account

    def audiences(self) -> list[RemoteAudience]:
        """Every customer-file audience of the advertiser."""
        return [audience(node) for node in self._list() if is_customer_file(node)]

    def find(self, name: str) -> RemoteAudience | None:
        """The oldest customer-file audience of exactly that name."""
        nodes = (node for node in self._list() if node.get("name") == name and is_customer_file(node))
        return oldest(audience(node) for node in nodes)

    def create(self, name: str, description: str) -> str:
        """Not on TikTok: an audience is created together with its first people."""
        raise TerminalPlatformError(
            Platform.TIKTOK, f"{name!r} cannot be created empty ({description or 'no description'})"
        )

    def create_with(self, name: str, members: Sequence[Member]) -> Receipt:
        """Upload the first people and create an audience of them."""
        check_name(TIKTOK, name)
        path = self._upload(content_of(checked(TIKTOK, members), MULTIPLE), MULTIPLE)
        body = {
            "custom_audience_name": name,
            "file_paths": [path],
            "calculate_type": MULTIPLE,
            "audience_sub_type": "NORMAL",
        }

        def post() -> tuple[str, str]:
            answer = self._call("POST", "/dmp/custom_audience/create/", body=body, retry=False)
            remote_id = data_of(answer).get("custom_audience_id")
            if not remote_id:
                raise TransientPlatformError(Platform.TIKTOK, "the answer names no audience")
            return str(remote_id), request_id(answer)

        def adopt() -> tuple[str, str] | None:
            found = self.find(name)
            return (found.remote_id, "") if found else None

        remote_id, trace = self._http.create_once(post, adopt)
        self._types[remote_id] = MULTIPLE
        self._details.changed(remote_id)
        return Receipt(
            request_id=trace,
            state=ReceiptState.PROCESSING,
            received=len(members),
            remote_id=remote_id,
        )

    def send(
        self,
        remote_id: str,
        action: Action,
        members: Sequence[Member],
        session: UploadSession,  # noqa: ARG002 (TikTok knows no sessions)
    ) -> Receipt:
        """Add or remove people by a file of them.

        An audience that was made elsewhere may take only one kind of identifier: people without it are
        counted as rejected.
        """
        columns, kind = checked(TIKTOK, members), self._calculate_type(remote_id)
        refused = left_out(columns, kind)
        receipt = Receipt(
            request_id="",
            state=ReceiptState.PROCESSING,
            received=len(members),
            rejected=len(refused) or None,
            reasons=dict(Counter(refused.values())),
            remote_id=remote_id,
            refused=refused,
        )
        content = content_of(columns, kind)
        if not content:
            return replace(receipt, state=ReceiptState.SETTLED, accepted=0)
        body = {
            "custom_audience_id": remote_id,
            "file_paths": [self._upload(content, kind)],
            # Never left out: the default would replace everybody.
            "action": "APPEND" if action == "add" else "REMOVE",
        }
        answer = self._call("POST", "/dmp/custom_audience/update/", body=body)
        self._details.changed(remote_id)
        return replace(receipt, request_id=request_id(answer))

    def remove_everywhere(self, members: Sequence[Member]) -> Receipt:
        """Not on TikTok: people leave audience by audience."""
        raise TerminalPlatformError(
            Platform.TIKTOK,
            f"no call takes people ({len(members)}) out of every audience: remove them from each",
        )

    def rename(self, remote_id: str, name: str) -> None:
        """Give an audience another name."""
        check_name(TIKTOK, name)
        body = {"custom_audience_id": remote_id, "custom_audience_name": name}
        self._call("POST", "/dmp/custom_audience/update/", body=body)

    def settle(self, receipt: Receipt) -> Receipt:
        """Read the audience's details until it is computed: valid, or not valid with a remark why.

        TikTok counts people of an audience and not of a file: ``read`` shows how many are matched.
        """
        if receipt.state is not ReceiptState.PROCESSING:
            return receipt
        settled = judged(receipt, self._details.of(receipt.remote_id))
        if settled.state is not ReceiptState.PROCESSING:
            self._details.settled(receipt.remote_id)
        return settled

    def read(self, remote_id: str) -> RemoteAudience | None:
        """Status and matched users; None when the audience is gone."""
        entry = self._entry(remote_id)
        return audience(mapping(entry.get("audience_details"))) if entry else None

    def delete(self, remote_id: str) -> None:
        """Delete an audience; one that is gone already is no error."""
        try:
            self._call("POST", "/dmp/custom_audience/delete/", body={"custom_audience_ids": [remote_id]})
        except TerminalPlatformError as error:
            if error.code != OBJECT_MISSING:
                raise

    def check(self) -> list[Finding]:
        """Token, permission and number of audiences, by one page of audiences."""
        return findings(lambda: self._page(1, 1), self._account)

    def _call(self, method: str, path: str, *, body: Mapping[str, Any], retry: bool = True) -> Json:
        own = {"advertiser_id": self._account, **body}
        if method == "GET":
            params = {
                name: value if isinstance(value, str) else json.dumps(value) for name, value in own.items()
            }
            return self._http.call(method, f"{ROOT}{path}", params=params, costs=_COSTS, retry=retry)
        return self._http.call(method, f"{ROOT}{path}", body=own, costs=_COSTS, retry=retry)

    def _upload(self, content: bytes, kind: str) -> str:
        """Upload a file of people and return its path, which only this advertiser can use."""
        signature = hashlib.md5(content, usedforsecurity=False).hexdigest()
        answer = self._http.call(
            "POST",
            f"{ROOT}/dmp/custom_audience/file/upload/",
            form={"advertiser_id": self._account, "file_signature": signature, "calculate_type": kind},
            files={"file": (f"{signature}.csv", content, "text/csv")},
            costs=_COSTS,
        )
        path = data_of(answer).get("file_path")
        if not path:
            raise TransientPlatformError(Platform.TIKTOK, "the answer to an upload names no file")
        return str(path)

    def _calculate_type(self, remote_id: str) -> str:
        """The identifiers that an audience takes: those of its first file, for ever."""
        if remote_id not in self._types:
            entry = self._entry(remote_id) or {}
            details = mapping(entry.get("audience_details"))
            self._types[remote_id] = str(details.get("calculate_type") or MULTIPLE)
        kind = self._types[remote_id]
        if kind != MULTIPLE and kind not in SINGLE:
            raise TerminalPlatformError(
                Platform.TIKTOK, f"audience {remote_id} takes {kind}, which we do not send: rename it there"
            )
        return kind

    def _entry(self, remote_id: str) -> Entry | None:
        return self._entries([remote_id]).get(remote_id)

    def _entries(self, remote_ids: Sequence[str]) -> dict[str, Entry]:
        """Details and history of up to a hundred audiences by id, without those that are gone."""
        body = {"custom_audience_ids": list(remote_ids), "history_size": "10"}
        try:
            answer = self._call("GET", "/dmp/custom_audience/get/", body=body)
        except TerminalPlatformError as error:
            if error.code != OBJECT_MISSING:
                raise
            # Not published: an id that is gone may fail the others that were asked along.
            return self._entries(remote_ids[:1]) if len(remote_ids) > 1 else {}
        entries = dicts(data_of(answer).get("list"))
        return {str(mapping(entry.get("audience_details")).get("audience_id")): entry for entry in entries}

    def _list(self) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            data = self._page(page, _PAGE_SIZE)
            nodes = dicts(data.get("list"))
            self._details.follow(str(node.get("audience_id")) for node in nodes)
            for node in nodes:
                self._types.setdefault(
                    str(node.get("audience_id")), str(node.get("calculate_type") or MULTIPLE)
                )
                yield node
            if page >= (count(mapping(data.get("page_info")).get("total_page")) or 0):
                return
            page += 1

    def _page(self, page: int, size: int) -> dict[str, Any]:
        body = {"page": str(page), "page_size": str(size)}
        return data_of(self._call("GET", "/dmp/custom_audience/list/", body=body))

    def _judge(self, response: requests.Response, answer: Json | None) -> PlatformError | None:
        return judge(response, answer, self._http.safe)
