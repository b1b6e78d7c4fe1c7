"""Sends people batch by batch. The ledger knows of a batch before it is sent and after it was answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TypeAlias

import polars as pl

from audience_pipeline.delivery.receipts import answered, open_receipt
from audience_pipeline.delivery.recipients import PEOPLE, PEOPLE_SCHEMA, members
from audience_pipeline.delivery.refusals import Search, refuses_everybody
from audience_pipeline.ledger import pointers
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import AudienceKey, AudienceState, Batch, BatchState, PlatformAudience
from audience_pipeline.platforms.contract import (
    Action,
    AudienceClient,
    CredentialError,
    Member,
    MembersRefusedError,
    PlatformError,
    Receipt,
    ReceiptState,
    TerminalPlatformError,
    TooFewLeftError,
    TransientPlatformError,
    UploadSession,
)

MOST_REFUSED = 3
"""Batches that a platform may refuse before the rest is not tried any more."""
LONGEST_PROCESSING = timedelta(days=3)
"""After it nobody waits any longer for the outcome of a batch."""

Call: TypeAlias = Callable[[list[Member], UploadSession], Receipt]


@dataclass(slots=True, eq=False)
class Courier:
    """Carries the batches of one delivery to one audience, and takes down what became of them."""

    store: MemberStore
    client: AudienceClient
    key: AudienceKey
    delivery_id: str
    clock: Callable[[], datetime]
    stop: Callable[[], bool] = lambda: False
    """Whether somebody asks for the end of the run: no further batch of additions is begun then."""
    sequence: int = 0
    flights: dict[str, Batch] = field(default_factory=dict)
    """Batches that the platform is still processing, also those of earlier runs."""
    failed: dict[Action, set[str]] = field(default_factory=lambda: {"add": set(), "remove": set()})
    """Batches that failed in this run: their people are not tried again and again."""
    arrived: int = 0
    """People whose addition was confirmed in this run."""
    quarantined: int = 0
    """People whom the platform refused by name in this run."""
    settled: bool = False
    """Something is known now that was not before."""
    sentences: list[str] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)
    """Of removals."""
    halted: bool = False
    """Something was not sent because the run is to end."""
    too_few: bool = False
    """The platform refused a removal because too few people would be left."""
    _refused: int = 0
    _creating: PlatformAudience | None = None
    """The audience that the next answer tells of."""

    def remove(
        self, remote_id: str, people: pl.DataFrame, doubtful: pl.DataFrame, *, early: bool = False
    ) -> None:
        """Remove people as they were sent; mark those whom that may take along.

        Args:
            remote_id: the audience.
            people: PEOPLE with identifiers.
            doubtful: PEOPLE.
            early: an earlier batch with them is still processed: they stay on the list of those to remove.
        """

        def call(chunk: list[Member], session: UploadSession) -> Receipt:
            return self.client.send(remote_id, "remove", chunk, session)

        self.carry("remove", people, call, doubtful=doubtful, early=early)

    def add(self, remote_id: str, people: pl.DataFrame) -> None:
        """Add people (RECIPIENTS) to an audience that exists."""

        def call(chunk: list[Member], session: UploadSession) -> Receipt:
            return self.client.send(remote_id, "add", chunk, session)

        self.carry("add", people, call)

    def create_with(self, known: PlatformAudience, people: pl.DataFrame) -> PlatformAudience:
        """Create an audience together with its first people (RECIPIENTS), and add the others."""
        made = self._creating = replace(known, state=AudienceState.FILLING)

        def call(chunk: list[Member], session: UploadSession) -> Receipt:
            nonlocal made
            if made.remote_id is not None:
                return self.client.send(made.remote_id, "add", chunk, session)
            receipt = self.client.create_with(known.remote_name, chunk)
            made = replace(made, remote_id=receipt.remote_id or None)
            self._creating = made
            return receipt

        try:
            self.carry("add", people, call)
        finally:
            self._creating = None
        return made

    def doubt(self, people: pl.DataFrame) -> None:
        """Mark people (PEOPLE) whom something else than a batch of ours may have taken along."""
        batch = self._plan("remove", people.clear(), people)
        message = f"A call for every audience of the account may remove {people.height:,} people."
        self._settle(replace(batch, state=BatchState.SETTLED, settled_at=self.clock(), message=message))

    @property
    def must_wait(self) -> bool:
        """The platform says of an audience, not of a batch, that a change was refused: one at a time."""
        return bool(self.flights) and self.client.capabilities.minimum_after_change > 0

    def carry(
        self,
        action: Action,
        people: pl.DataFrame,
        call: Call,
        *,
        doubtful: pl.DataFrame | None = None,
        early: bool = False,
    ) -> None:
        """Send people in batches as large as allowed; the rest waits where each must be done first."""
        size = self.client.capabilities.batch_rows
        for start in range(0, people.height, size):
            if start and self.must_wait:
                return
            if start and action == "add" and self.stop():
                self.halted = True
                return
            self._send(action, people.slice(start, size), call, doubtful, early=early)
            doubtful = None

    def landed(self, batch: Batch) -> bool:
        """Ask once what has become of a batch; True when its outcome is known now.

        Raises:
            PlatformError: nothing can be asked of this account any more.
        """
        try:
            receipt = self.client.settle(open_receipt(batch))
        except PlatformError as error:
            if error.stops:
                raise
            if isinstance(error, TransientPlatformError):
                return False
            self._fail(batch, str(error))
            return True
        if receipt.state is not ReceiptState.PROCESSING:
            people = None
            if receipt.refused:
                with self.store.ledger.reading() as connection:
                    people = pointers.planned(connection, self.key, batch.batch_id)
            self._answered(batch, receipt, people)
            return True
        if self.clock() - (batch.sent_at or batch.planned_at) > LONGEST_PROCESSING:
            self._fail(
                batch, f"not processed within {LONGEST_PROCESSING.days} days; its people are sent again"
            )
            return True
        return False

    def forget_failures(self) -> None:
        """What was refused may be tried once more."""
        for batches in self.failed.values():
            batches.clear()
        self.sentences.clear()

    def _send(
        self,
        action: Action,
        people: pl.DataFrame,
        call: Call,
        doubtful: pl.DataFrame | None,
        *,
        early: bool,
    ) -> None:
        """Send a batch; where the platform refuses people in it, find them and send the others."""
        search = Search.of(people)
        while search.parts and not search.gives_up:
            part, split_from = search.take()
            batch = self._plan(action, part, doubtful, early=early, split_from=split_from)
            doubtful = None
            # A session of its own: one that a killed run leaves open would never be finished.
            number = (int.from_bytes(sha256(batch.batch_id.encode()).digest()[:8]) >> 2) + 1
            session = UploadSession(number, 1, last=True, estimated_total=part.height)
            try:
                receipt = call(members(part, self.client.capabilities), session)
            except MembersRefusedError as error:
                self._settle(search.divide(batch, part, error).failed)
            except (TransientPlatformError, CredentialError):
                raise
            except PlatformError as error:
                self._fail(batch, str(error))
                if isinstance(error, TooFewLeftError):
                    self.too_few = True
                    continue
                self._refused += 1
                if self._refused >= MOST_REFUSED or self._creating is not None:
                    raise
            else:
                search.taken += part.height
                self._answered(batch, receipt, part)
        self._blame(action, search)

    def _blame(self, action: Action, search: Search) -> None:
        """Leave out whom the platform refuses, where it has taken others: else the request may be wrong."""
        blamed = search.blames_people and action == "add"
        for one in search.refused:
            if blamed:
                self._settle(one.failed, self._named(one.failed, one.people, one.named))
            else:
                self.failed[action].add(one.failed.batch_id)
        self.failed[action].update(split_from for _, split_from in search.parts)
        self.sentences += search.sentences(action, blamed=blamed)
        if search.parts and search.error is not None:
            self._refused += not search.taken
            if self._refused >= MOST_REFUSED or self._creating is not None:
                raise search.error

    def _plan(
        self,
        action: Action,
        people: pl.DataFrame,
        doubtful: pl.DataFrame | None = None,
        *,
        early: bool = False,
        split_from: str = "",
    ) -> Batch:
        self.sequence += 1
        batch = Batch(
            batch_id=f"{self.delivery_id}-{self.sequence:05}",
            delivery_id=self.delivery_id,
            sequence=self.sequence,
            action=action,
            rows=people.height,
            state=BatchState.PLANNED,
            planned_at=self.clock(),
            split_from=split_from,
        )
        nobody = PEOPLE_SCHEMA.to_frame()
        self.store.plan_batch(
            self.key,
            batch,
            nobody if early else people.select(PEOPLE),
            nobody if doubtful is None else doubtful.select(PEOPLE),
        )
        return batch

    def _answered(
        self,
        batch: Batch,
        receipt: Receipt,
        people: pl.DataFrame | None,
    ) -> None:
        created = self._creating
        if refuses_everybody(receipt):
            receipt = replace(receipt, state=ReceiptState.FAILED, refused={})
        answer = answered(batch, receipt, self.clock())
        named = {} if people is None else self._named(batch, people, receipt.refused)
        self._settle(answer, named, created)
        if created is not None:
            self._creating = None
            if created.remote_id is None:
                raise TerminalPlatformError(self.key.platform, f"no audience was created: {receipt.message}")
        if batch.action == "remove" and receipt.request_id and receipt.request_id not in self.request_ids:
            self.request_ids.append(receipt.request_id)
        if answer.state is BatchState.FAILED:
            self._say(answer)

    def _named(
        self, batch: Batch, people: pl.DataFrame, positions: Mapping[int, str]
    ) -> dict[tuple[str, int], str]:
        """Whom a platform refuses to take. Whom it refuses to remove stays on the list of those to remove."""
        if batch.action == "remove":
            return {}
        return {
            people.select(PEOPLE).row(place): why
            for place, why in positions.items()
            if 0 <= place < people.height
        }

    def _fail(self, batch: Batch, message: str) -> None:
        failed = replace(batch, state=BatchState.FAILED, message=message)
        self._settle(failed)
        self._say(failed)

    def _say(self, batch: Batch) -> None:
        verb = "added" if batch.action == "add" else "removed"
        reason = batch.message or ", ".join(sorted(batch.reasons)) or "no reason given"
        if batch.delivery_id == self.delivery_id:
            self.failed[batch.action].add(batch.batch_id)
            self.sentences.append(f"{batch.rows:,} people could not be {verb}: {reason}")
        else:
            self.sentences.append(f"{batch.rows:,} people of an earlier delivery were not {verb}: {reason}")

    def _settle(
        self,
        batch: Batch,
        refused: Mapping[tuple[str, int], str] | None = None,
        created: PlatformAudience | None = None,
    ) -> None:
        self.store.settle_batch(self.key, batch, refused=refused or None, created=created)
        self.quarantined += len(refused or ())
        if batch.state is BatchState.SENT:
            self.flights[batch.batch_id] = batch
        else:
            self.flights.pop(batch.batch_id, None)
            self.settled = True
        if batch.state is BatchState.SETTLED and batch.action == "add":
            self.arrived += batch.rows
