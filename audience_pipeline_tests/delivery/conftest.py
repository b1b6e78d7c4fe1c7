from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.delivery.recipients import fingerprints, members
from audience_pipeline.ledger import Ledger
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.platforms.contract import (
    META,
    Action,
    Capabilities,
    Finding,
    Member,
    MembersRefusedError,
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
    wrong: list[int] = field(default_factory=list)
    state: ReceiptState = ReceiptState.PROCESSING


@dataclass
class FakePlatform:
    """A platform in memory that matches people by single identifiers: a removal takes neighbours along.

    ``fault(point)`` is called around every effect and may raise; ``polls`` is how often it has to be
    asked until a request is done; ``spoils(request)`` makes processing fail. ``refuses(payload)``: somebody
    who is not taken; ``names`` says how that is told: "first" refuses the batch and names the first of them,
    "nobody" refuses it and names none, "late" takes the others and names them in the receipt.
    """

    capabilities: Capabilities = META
    account: str = "123"
    polls: int = 0
    fault: Callable[[str], None] = lambda point: None
    spoils: Callable[[Request], bool] = lambda request: False
    refuses: Callable[[Payload], bool] = lambda payload: False
    names: str = "first"
    hides: set[str] = field(default_factory=set)
    held: dict[str, Held] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    clock: int = 0

    def audiences(self) -> list[RemoteAudience]:
        with self._effect("audiences"):
            return [self._shown(number) for number in self.held if number not in self.hides]

    def find(self, name: str) -> RemoteAudience | None:
        with self._effect("find"):
            found = [number for number, held in self.held.items() if held.name == name]
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
        if action == "add":
            self._refuse(self._payloads(members))
        with self._effect(action):
            return self._accept(Request(remote_id, action, self._payloads(members)))

    def settle(self, receipt: Receipt) -> Receipt:
        with self._effect("settle"):
            self.clock += 1
            self._process()
            return self._receipt(int(receipt.request_id))

    def read(self, remote_id: str) -> RemoteAudience | None:
        with self._effect("read"):
            return self._shown(remote_id) if remote_id in self.held else None

    def rename(self, remote_id: str, name: str) -> None:
        with self._effect("rename"):
            self.held[remote_id].name = name

    def remove_everywhere(self, members: Sequence[Member]) -> Receipt:
        assert self.capabilities.removes_everywhere
        with self._effect("remove_everywhere"):
            return self._accept(Request("", "remove", self._payloads(members)))

    def check(self) -> list[Finding]:
        return []

    def delete(self, remote_id: str) -> None:
        with self._effect("delete"):
            self.held.pop(remote_id, None)

    def members(self, name: str | None = None) -> set[Payload]:
        """Everybody in the audience (of that name); fails when there are two of one name."""
        self.clock += 1_000
        self._process()
        held = [one for one in self.held.values() if name is None or one.name == name]
        assert len(held) <= 1
        return held[0].members if held else set()

    def sent(self) -> list[str]:
        """What was called that changes something."""
        return [call for call in self.calls if call not in ("audiences", "find", "read", "settle")]

    def _effect(self, point: str) -> _Effect:
        return _Effect(self, point)

    def _new(self, name: str) -> str:
        number = str(1_000 + len(self.requests) + len(self.calls))
        self.held[number] = Held(name)
        return number

    def _payloads(self, members: Sequence[Member]) -> list[Payload]:
        assert 0 < len(members) <= self.capabilities.batch_rows
        return [frozenset(member.identifiers.items()) for member in members]

    def _refuse(self, payloads: list[Payload]) -> None:
        wrong = {place: "not taken" for place, payload in enumerate(payloads) if self.refuses(payload)}
        if not wrong or self.names == "late":
            return
        self.calls.append("refused")
        named = dict(list(wrong.items())[:1]) if self.names == "first" else {}
        raise MembersRefusedError(self.capabilities.platform, "somebody is not taken.", positions=named)

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
        held = self.held.get(request.audience_id)
        if self.spoils(request):
            return ReceiptState.FAILED
        if not request.audience_id:
            gone = {key for payload in request.payloads for key in self._keys(payload)}
            for one in self.held.values():
                one.members = {payload for payload in one.members if gone.isdisjoint(self._keys(payload))}
            return ReceiptState.SETTLED
        if held is None:
            return ReceiptState.FAILED
        if request.action == "add":
            request.wrong = [at for at, payload in enumerate(request.payloads) if self.refuses(payload)]
            taken = {payload for at, payload in enumerate(request.payloads) if at not in request.wrong}
            after = held.members | taken
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
        wrong = request.wrong
        return Receipt(
            request_id=str(number),
            state=request.state,
            received=people,
            accepted=people - len(wrong) if done else None,
            rejected=len(wrong) if done else None,
            reasons={"not taken": len(wrong)} if wrong and done else {},
            refused=dict.fromkeys(wrong, "not taken") if done else {},
            message="" if request.state is not ReceiptState.FAILED else "the platform could not process it",
            remote_id=request.audience_id,
        )

    def _shown(self, number: str) -> RemoteAudience:
        held = self.held[number]
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
    def wanted(people: Mapping[str, Mapping[str, str]], capabilities: Capabilities = META) -> pl.DataFrame:
        """RECIPIENTS from customer ids and identifiers; hashes are given in hex, or as any word."""
        plain = ("country", "postal_code")
        columns = {
            name: pl.Series(
                [_value(people[customer].get(name), plain=name in plain) for customer in sorted(people)],
                dtype=pl.String if name in plain else pl.Binary,
            )
            for name in capabilities.identifiers
        }
        frame = pl.DataFrame({"customer_id": pl.Series(sorted(people), dtype=pl.String), **columns})
        return frame.insert_column(1, fingerprints(frame, capabilities.identifiers))

    @classmethod
    def people(
        cls, numbers: range | Sequence[int], *, email: str = "a", capabilities: Capabilities = META
    ) -> pl.DataFrame:
        """RECIPIENTS with an e-mail address each; another letter makes other addresses."""
        name = capabilities.identifiers[0]
        people = {f"c{number:06}": {name: f"{email}{number}"} for number in numbers}
        return cls.wanted(people, capabilities)

    @staticmethod
    def payloads(wanted: pl.DataFrame, capabilities: Capabilities = META) -> set[Payload]:
        """What the platform should hold."""
        return {frozenset(one.identifiers.items()) for one in members(wanted, capabilities)}

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


def _value(value: str | None, *, plain: bool) -> str | bytes | None:
    if value is None or plain:
        return value
    try:
        return bytes.fromhex(value) if len(value) == 64 else sha256(value.encode()).digest()
    except ValueError:
        return sha256(value.encode()).digest()


@pytest.fixture(scope="session")
def tools() -> Toolbox:
    return Toolbox()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


@pytest.fixture
def store(ledger: Ledger, tmp_path: Path) -> MemberStore:
    return MemberStore(ledger, tmp_path / "delivered")


@pytest.fixture
def clock(tools):
    return tools.clock()
