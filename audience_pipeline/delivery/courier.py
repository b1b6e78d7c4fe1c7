"""Sends people batch by batch. The ledger knows of a batch before it is sent and after it was answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256

from audience_pipeline.delivery.recipients import Recipient
from audience_pipeline.ledger import Ledger, deliveries
from audience_pipeline.ledger.records import (
    AudienceKey,
    AudienceState,
    Batch,
    BatchState,
    DeliveredMember,
    PlatformAudience,
)
from audience_pipeline.platforms.contract import (
    Action,
    AudienceClient,
    CredentialError,
    Member,
    PlatformError,
    Receipt,
    ReceiptState,
    TerminalPlatformError,
    TransientPlatformError,
    UploadSession,
)

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 30.0
"""Seconds between two questions whether batches are done."""
MOST_REFUSED = 3
"""Batches that a platform may refuse before the rest is not tried any more."""

LONGEST_PROCESSING = timedelta(days=3)
"""After it nobody waits any longer for the outcome of a batch."""

Variant = tuple[str, str]
"""A customer and the fingerprint of what was sent of them."""


@dataclass(slots=True)
class Courier:
    """Carries the batches of one delivery to one audience and follows them to their end."""

    ledger: Ledger
    client: AudienceClient
    key: AudienceKey
    delivery_id: str
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    patience: float
    """Seconds left to wait for the platform to process batches."""
    sequence: int = 0
    failed: dict[Action, set[Variant]] = field(default_factory=lambda: {"add": set(), "remove": set()})
    """People of batches that failed in this run: they are not tried again and again."""
    arrived: int = 0
    """People whose addition was confirmed in this run."""
    sentences: list[str] = field(default_factory=list)
    _people: dict[str, list[Variant]] = field(default_factory=dict)
    _refused: int = 0

    def remove(
        self, remote_id: str, people: Sequence[DeliveredMember], doubtful: Sequence[DeliveredMember]
    ) -> None:
        """Remove people as they were sent; mark those whom that may take along."""
        for chunk in self._chunks(_as_sent(people)):
            self._send(remote_id, "remove", chunk, doubtful=doubtful)
            doubtful = ()

    def remove_early(
        self, remote_id: str, people: Sequence[DeliveredMember], doubtful: Sequence[DeliveredMember]
    ) -> None:
        """Remove people whose earlier batch is still processed: they stay on the list of those to remove."""
        for chunk in self._chunks(_as_sent(people)):
            self._send(remote_id, "remove", chunk, doubtful=doubtful, early=True)

    def add(self, remote_id: str, people: Sequence[Recipient]) -> None:
        """Add people to an audience that exists."""
        for chunk in self._chunks([(one.member, one.fingerprint) for one in people]):
            self._send(remote_id, "add", chunk)

    def create_with(self, known: PlatformAudience, people: Sequence[Recipient]) -> PlatformAudience:
        """Create an audience together with its first batch, and add the others."""
        size = self.client.capabilities.batch_rows
        first = [(one.member, one.fingerprint) for one in people[:size]]
        batch = self._plan("add", first)
        receipt = self.client.create_with(known.remote_name, [member for member, _ in first])
        created = replace(known, remote_id=receipt.remote_id or None, state=AudienceState.FILLING)
        self._answered(batch, receipt, created)
        if not receipt.remote_id:
            raise TerminalPlatformError(self.key.platform, f"no audience was created: {receipt.message}")
        self.add(receipt.remote_id, people[size:])
        return created

    def follow(self) -> None:
        """Ask for the batches that are being processed, ever more slowly, until done or out of patience."""
        pause = FIRST_PAUSE
        with self.ledger.reading() as connection:
            waiting = deliveries.under_way(connection, self.key)
        while waiting:
            waiting = [batch for batch in waiting if not self._is_done(batch)]
            if not waiting or self.patience <= 0:
                return
            pause = min(pause, self.patience)
            self.sleep(pause)
            self.patience -= pause
            pause = min(2 * pause, LONGEST_PAUSE)

    def _chunks(self, people: Sequence[tuple[Member, str]]) -> Iterator[Sequence[tuple[Member, str]]]:
        size = self.client.capabilities.batch_rows
        for start in range(0, len(people), size):
            if start and self.client.capabilities.minimum_after_change:
                # It says of the audience, not of a batch, that a change was refused: one at a time.
                self.follow()
            yield people[start : start + size]

    def _send(
        self,
        remote_id: str,
        action: Action,
        people: Sequence[tuple[Member, str]],
        *,
        doubtful: Sequence[DeliveredMember] = (),
        early: bool = False,
    ) -> None:
        batch = self._plan(action, people, doubtful=doubtful, early=early)
        # A session of its own: one that a killed run leaves open would never be finished.
        session_id = (int.from_bytes(sha256(batch.batch_id.encode()).digest()[:8]) >> 2) + 1
        session = UploadSession(session_id, 1, last=True, estimated_total=len(people))
        try:
            receipt = self.client.send(remote_id, action, [member for member, _ in people], session)
        except (TransientPlatformError, CredentialError):
            raise
        except PlatformError as error:
            self._settle(replace(batch, state=BatchState.FAILED, message=str(error)))
            self._refused += 1
            if self._refused >= MOST_REFUSED:
                raise
            return
        self._answered(batch, receipt)

    def _plan(
        self,
        action: Action,
        people: Sequence[tuple[Member, str]],
        *,
        doubtful: Sequence[DeliveredMember] = (),
        early: bool = False,
    ) -> Batch:
        self.sequence += 1
        batch = Batch(
            batch_id=f"{self.delivery_id}-{self.sequence:05}",
            delivery_id=self.delivery_id,
            sequence=self.sequence,
            action=action,
            rows=len(people),
            state=BatchState.PLANNED,
            planned_at=self.clock(),
        )
        if not early:
            self._people[batch.batch_id] = [(member.customer_id, variant) for member, variant in people]
        with self.ledger.begin() as connection:
            deliveries.doubt(connection, self.key, doubtful)
            deliveries.plan_batch(connection, self.key, batch, () if early else people)
        return batch

    def _answered(self, batch: Batch, receipt: Receipt, created: PlatformAudience | None = None) -> None:
        now = self.clock()
        states = {
            ReceiptState.PROCESSING: BatchState.SENT,
            ReceiptState.SETTLED: BatchState.SETTLED,
            ReceiptState.FAILED: BatchState.FAILED,
        }
        self._settle(
            replace(
                batch,
                state=states[receipt.state],
                accepted=receipt.accepted,
                rejected=receipt.rejected,
                matched=receipt.matched,
                match_rate=receipt.match_rate,
                request_id=receipt.request_id,
                remote_id=receipt.remote_id,
                reasons=dict(receipt.reasons),
                message=receipt.message,
                sent_at=batch.sent_at or now,
                settled_at=None if receipt.state is ReceiptState.PROCESSING else now,
            ),
            created,
        )

    def _settle(self, batch: Batch, created: PlatformAudience | None = None) -> None:
        with self.ledger.begin() as connection:
            deliveries.settle_batch(connection, batch)
            if created is not None:
                deliveries.put_audience(connection, created)
        if batch.state is BatchState.SETTLED and batch.action == "add":
            self.arrived += batch.rows
        if batch.state is BatchState.FAILED:
            self.failed[batch.action].update(self._people.get(batch.batch_id, ()))
            verb = "added" if batch.action == "add" else "removed"
            reason = batch.message or ", ".join(sorted(batch.reasons)) or "no reason given"
            self.sentences.append(f"{batch.rows:,} people could not be {verb}: {reason}")

    def _is_done(self, batch: Batch) -> bool:
        try:
            receipt = self.client.settle(
                Receipt(
                    request_id=batch.request_id,
                    state=ReceiptState.PROCESSING,
                    received=batch.rows,
                    accepted=batch.accepted,
                    rejected=batch.rejected,
                    matched=batch.matched,
                    match_rate=batch.match_rate,
                    reasons=batch.reasons,
                    message=batch.message,
                    remote_id=batch.remote_id,
                )
            )
        except TransientPlatformError:
            return False
        except CredentialError:
            raise
        except PlatformError as error:
            self._settle(replace(batch, state=BatchState.FAILED, message=str(error)))
            return True
        if receipt.state is not ReceiptState.PROCESSING:
            self._answered(batch, receipt)
            return True
        if self.clock() - (batch.sent_at or batch.planned_at) > LONGEST_PROCESSING:
            message = f"not processed within {LONGEST_PROCESSING.days} days; its people are sent again"
            self._settle(replace(batch, state=BatchState.FAILED, message=message))
            return True
        return False


def _as_sent(people: Sequence[DeliveredMember]) -> list[tuple[Member, str]]:
    return [(Member(one.customer_id, one.identifiers), one.fingerprint) for one in people]
