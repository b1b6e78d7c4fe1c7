from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audience_pipeline.delivery.recipients import Recipient, fingerprint
from audience_pipeline.ledger import Ledger
from audience_pipeline.platforms.contract import (
    META,
    Action,
    Capabilities,
    Member,
    Receipt,
    ReceiptState,
    RemoteAudience,
    TransientPlatformError,
    UploadSession,
)

Payload = frozenset[tuple[str, str]]


@dataclass
class Held:
    """An audience inside the fake platform."""

    name: str
    members: set[Payload] = field(default_factory=set)


@dataclass
class Request:
    audience_id: str
    action: Action
    payloads: list[Payload]
    creates: bool = False
    due: int = 0
    state: ReceiptState = ReceiptState.PROCESSING


@dataclass
class FakePlatform:
    """A platform in memory that matches people by single identifiers: a removal takes neighbours along.

    ``fault(point)`` is called around every effect and may raise; ``polls`` is how often it has to be
    asked until a request is done; ``spoils(request)`` makes processing fail.
    """

    capabilities: Capabilities = META
    account: str = "123"
    polls: int = 0
    fault: Callable[[str], None] = lambda point: None
    spoils: Callable[[Request], bool] = lambda request: False
    audiences: dict[str, Held] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    clock: int = 0

    def find(self, name: str) -> RemoteAudience | None:
        with self._effect("find"):
            found = [number for number, held in self.audiences.items() if held.name == name]
        return self._shown(found[0]) if found else None

    def create(self, name: str, description: str) -> str:
        assert self.capabilities.creates_empty
        with self._effect("create"):
            return self._new(name)

    def create_with(self, name: str, members: Sequence[Member]) -> Receipt:
        assert not self.capabilities.creates_empty
        assert members
        with self._effect("create_with"):
            return self._accept(Request(self._new(name), "add", self._payloads(members), creates=True))

    def send(
        self, remote_id: str, action: Action, members: Sequence[Member], session: UploadSession
    ) -> Receipt:
        assert session.session_id > 0
        with self._effect(action):
            return self._accept(Request(remote_id, action, self._payloads(members)))

    def settle(self, receipt: Receipt) -> Receipt:
        with self._effect("settle"):
            self.clock += 1
            self._process()
            return self._receipt(int(receipt.request_id))

    def read(self, remote_id: str) -> RemoteAudience | None:
        with self._effect("read"):
            return self._shown(remote_id) if remote_id in self.audiences else None

    def delete(self, remote_id: str) -> None:
        with self._effect("delete"):
            self.audiences.pop(remote_id, None)

    def members(self, name: str | None = None) -> set[Payload]:
        """Everybody in the audience (of that name); fails when there are two of one name."""
        self.clock += 1_000
        self._process()
        held = [one for one in self.audiences.values() if name is None or one.name == name]
        assert len(held) <= 1
        return held[0].members if held else set()

    def sent(self) -> list[str]:
        """What was called that changes something."""
        return [call for call in self.calls if call not in ("find", "read", "settle")]

    def _effect(self, point: str) -> _Effect:
        return _Effect(self, point)

    def _new(self, name: str) -> str:
        number = str(1_000 + len(self.requests) + len(self.calls))
        self.audiences[number] = Held(name)
        return number

    def _payloads(self, members: Sequence[Member]) -> list[Payload]:
        assert 0 < len(members) <= self.capabilities.batch_rows
        return [frozenset(member.identifiers.items()) for member in members]

    def _accept(self, request: Request) -> Receipt:
        request.due = self.clock + self.polls
        self.requests.append(request)
        self._process()
        return self._receipt(len(self.requests) - 1)

    def _process(self) -> None:
        for request in self.requests:
            if request.state is not ReceiptState.PROCESSING:
                continue
            if request.due > self.clock:
                return
            request.state = self._apply(request)

    def _apply(self, request: Request) -> ReceiptState:
        held = self.audiences.get(request.audience_id)
        if held is None or self.spoils(request):
            return ReceiptState.FAILED
        if request.action == "add":
            after = held.members | set(request.payloads)
        else:
            gone = {key for payload in request.payloads for key in self._keys(payload)}
            after = {payload for payload in held.members if gone.isdisjoint(self._keys(payload))}
        if not request.creates and len(after) < self.capabilities.minimum_after_change:
            return ReceiptState.FAILED
        held.members = after
        return ReceiptState.SETTLED

    def _keys(self, payload: Payload) -> set[tuple[object, ...]]:
        values = dict(payload)
        return {
            (group, tuple(values[column] for column in group))
            for group in self.capabilities.reachable_by
            if all(column in values for column in group)
        }

    def _receipt(self, number: int) -> Receipt:
        request = self.requests[number]
        people = len(request.payloads)
        done = request.state is ReceiptState.SETTLED
        return Receipt(
            request_id=str(number),
            state=request.state,
            received=people,
            accepted=people if done else None,
            rejected=0 if done else None,
            message="" if request.state is not ReceiptState.FAILED else "the platform could not process it",
            remote_id=request.audience_id,
        )

    def _shown(self, number: str) -> RemoteAudience:
        held = self.audiences[number]
        size = len(held.members)
        return RemoteAudience(number, held.name, ready=True, status="ready", size_low=size, size_high=size)


@dataclass
class _Effect:
    platform: FakePlatform
    point: str

    def __enter__(self) -> None:
        self.platform.fault(f"before {self.point}")
        self.platform.calls.append(self.point)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.platform.fault(f"after {self.point}")


@dataclass
class Clock:
    """Moves a millisecond with each look at it, and when it is moved."""

    now: datetime = datetime(2026, 11, 20, 6, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def pass_days(self, days: int) -> None:
        self.now += timedelta(days=days)


@dataclass
class Toolbox:
    """What the tests of this folder share."""

    platform: type[FakePlatform] = FakePlatform
    clock: type[Clock] = Clock

    @staticmethod
    def wanted(people: Mapping[str, Mapping[str, str]]) -> dict[str, Recipient]:
        """Recipients from customer ids and identifiers."""
        return {
            customer: Recipient(Member(customer, dict(identifiers)), fingerprint(identifiers))
            for customer, identifiers in people.items()
        }

    @classmethod
    def people(cls, numbers: range | Sequence[int], *, email: str = "a") -> dict[str, Recipient]:
        """Recipients with an e-mail address each; another letter makes other addresses."""
        return cls.wanted({f"c{number:06}": {"meta_email": f"{email}{number:063x}"} for number in numbers})

    @staticmethod
    def payloads(wanted: Mapping[str, Recipient]) -> set[Payload]:
        """What the platform should hold."""
        return {frozenset(one.member.identifiers.items()) for one in wanted.values()}

    @staticmethod
    def fails_once(point: str, error: BaseException | None = None) -> Callable[[str], None]:
        """A fault that strikes the first time that a point is reached."""
        struck = []

        def fault(reached: str) -> None:
            if reached == point and not struck:
                struck.append(reached)
                raise error or TransientPlatformError(META.platform, "connection lost.")

        return fault

    @staticmethod
    def small(capabilities: Capabilities = META, **changes: object) -> Capabilities:
        """Capabilities with small batches."""
        return replace(capabilities, **{"batch_rows": 3, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def tools() -> Toolbox:
    return Toolbox()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened
