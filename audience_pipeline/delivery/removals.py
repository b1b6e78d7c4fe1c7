"""Removals for want of consent: from every audience of an account at once, and the evidence of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from uuid import uuid4

import polars as pl

from audience_pipeline.delivery.attempt import Attempt, Terms
from audience_pipeline.delivery.brake import people
from audience_pipeline.delivery.courier import Courier
from audience_pipeline.delivery.gather import Account
from audience_pipeline.delivery.recipients import PEOPLE, keys
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.ledger import deliveries
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import (
    AudienceKey,
    BatchState,
    Delivery,
    DeliveryState,
    MemberState,
)
from audience_pipeline.ledger.snapshots import DamagedFileError
from audience_pipeline.platforms.contract import (
    AudienceClient,
    CredentialError,
    Member,
    Platform,
    PlatformError,
    Receipt,
    UploadSession,
)

EVERYWHERE = "*"
"""What stands for all audiences of an account in the ledger: no audience can be called so."""


@dataclass(frozen=True, slots=True)
class StillThere:
    """Who may still be on a platform, by what the ledger knows."""

    open: frozenset[str] = field(repr=False)
    """No removal of them was accepted."""
    processing: frozenset[str] = field(repr=False)
    """The platform accepted their removal and still processes it."""


@dataclass(frozen=True, slots=True)
class ConsentRemoval:
    """What a run did on one account for those who may not be there any more."""

    platform: Platform
    account: str
    customers: frozenset[str] = field(repr=False)
    variants: int
    """Rows of identifiers: everything that was ever sent of them."""
    places: Mapping[str, frozenset[str]] = field(repr=False)
    """Audience of ours to those of them who were in it."""
    called: frozenset[str] = field(repr=False)
    """Those of them whom one call removed from every audience of the account."""
    left: StillThere = field(repr=False)
    request_ids: tuple[str, ...]

    @property
    def audiences(self) -> tuple[str, ...]:
        """Audiences of ours that they were in."""
        return tuple(sorted(self.places))

    @property
    def state(self) -> str:
        """How far it has come.

        ``confirmed``: the platform has processed everything; ``sent``: it still does; ``refused``: somebody
        may still be there whose removal it did not accept.
        """
        return "refused" if self.left.open else "sent" if self.left.processing else "confirmed"

    @property
    def how(self) -> str:
        """What was done, in a sentence or two."""
        rows = "1 row" if self.variants == 1 else f"{self.variants:,} rows"
        places = "1 audience" if len(self.places) == 1 else f"{len(self.places):,} audiences"
        if self.called:
            places += " and, by one call, from every audience of the account"
        verb = "to be removed" if self.left.open else "removed"
        who = people(len(self.customers))
        said = f"{who} ({rows} of identifiers, all that were ever sent) {verb} from {places}."
        if self.left.open:
            return f"{said} {people(len(self.left.open))} may still be there: their removal was not accepted."
        if self.left.processing:
            return f"{said} The platform still processes it for {people(len(self.left.processing))}."
        return f"{said} The platform has confirmed it."

    def only(self, customers: Set[str], variants: int) -> ConsentRemoval:
        """What it did for some of them, of whom ``variants`` rows of identifiers were ever sent."""
        places = {name: there & customers for name, there in self.places.items() if there & customers}
        return replace(
            self,
            customers=self.customers & customers,
            variants=variants,
            places=places,
            called=self.called & customers,
            left=StillThere(self.left.open & customers, self.left.processing & customers),
        )


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What a run did on one platform."""

    reports: list[DeliveryReport]
    """In the order of the tasks."""
    removals: tuple[ConsentRemoval, ...] = ()
    """For want of consent, by account."""


@dataclass(slots=True)
class Everywhere:
    """The removal from every audience of one account."""

    account: Account
    courier: Courier
    customers: frozenset[str] = field(repr=False)
    error: str = ""


def still_there(store: MemberStore, platform: Platform, account: str, customers: Set[str]) -> StillThere:
    """Who of some customers may be in an audience of an account.

    Where the file of an audience is lost, all of them may be there.
    """
    with store.ledger.reading() as connection:
        known = deliveries.audiences(connection, platform, account)
    places = [one.key for one in known if one.remote_id] + [AudienceKey(platform, account, EVERYWHERE)]
    left: set[str] = set()
    flying: set[str] = set()
    names = list(customers)
    for key in places:
        try:
            there = store.members(key).filter(pl.col("customer_id").is_in(names))
        except DamagedFileError:
            return StillThere(frozenset(customers), frozenset())
        removing = there.filter((pl.col("state") == MemberState.REMOVING.value) & pl.col("in_flight"))
        flying.update(removing["customer_id"])
        left.update(there.join(removing, on=PEOPLE, how="anti")["customer_id"])
    return StillThere(frozenset(left), frozenset(flying - left))


def remove_everywhere(
    terms: Terms, account: Account, newly: Set[str], attempts: Mapping[str, Attempt]
) -> Everywhere | None:
    """Take customers without consent out of all audiences of an account, known to us or not.

    Nobody is told apart there by audience. So whoever is in an audience and shares an identifier with them is
    doubtful before the call is made, and sent again if wanted; they themselves, too, should they consent
    again before the next run.

    Args:
        terms: of the run.
        account: one that can.
        newly: customers found in an audience of ours. Those of a call that failed before are added.
        attempts: of the run, by audience.

    Returns:
        None where nobody is to be removed.

    Raises:
        CredentialError: nothing more can be sent.
    """
    store, client = terms.store, account.client
    key = AudienceKey(client.capabilities.platform, client.account, EVERYWHERE)
    pending = store.members(key).filter(~pl.col("in_flight"))["customer_id"]
    customers = frozenset(newly) | frozenset(name for name in pending if name in terms.consent_lost)
    if not customers:
        return None
    sent = store.variants(key.platform).every(pl.Series("customer_id", sorted(customers), dtype=pl.String))
    delivery = Delivery(uuid4().hex, key, terms.as_of, terms.clock(), to_remove=len(customers))
    courier = Courier(store, client, key, delivery.delivery_id, terms.clock)
    everywhere = Everywhere(account, courier, customers)
    account.calls.append(courier)
    _doubt_whom_it_takes(terms, account, sent, attempts)

    def call(chunk: list[Member], session: UploadSession) -> Receipt:  # noqa: ARG001
        return client.remove_everywhere(chunk)

    with store.ledger.begin() as connection:
        deliveries.start(connection, delivery)
    try:
        courier.carry("remove", sent, call)
    except PlatformError as error:
        everywhere.error = str(error)
        if isinstance(error, CredentialError):
            raise
        if error.stops:
            account.error = error
    finally:
        _close(terms, everywhere, delivery)
    block(terms, account)
    return everywhere


def block(terms: Terms, account: Account) -> None:
    """Nobody is added who shares an identifier with somebody whom a call in flight removes everywhere."""
    if account.is_busy:
        capabilities = account.client.capabilities
        key = AudienceKey(capabilities.platform, account.name, EVERYWHERE)
        flying = terms.store.members(key).filter("in_flight").select(PEOPLE)
        account.blocked = keys(terms.store.variants(capabilities.platform).of(flying), capabilities)["key"]


def close_interrupted(terms: Terms, account: Account) -> None:
    """Close what a killed run has left open of a call: its outcome is known by now, or nobody knows it."""
    client, now = account.client, terms.clock()
    key = AudienceKey(client.capabilities.platform, client.account, EVERYWHERE)
    with terms.store.ledger.begin() as connection:
        last = deliveries.last(connection, key)
        if last is not None and last.state is DeliveryState.PROCESSING:
            deliveries.finish(connection, last)
        if last is None:
            return
        batches = deliveries.batches_of(connection, last.delivery_id)
        unanswered = any(batch.state is BatchState.PLANNED for batch in batches)
        if last.state is not DeliveryState.RUNNING and not unanswered:
            return
        again = Delivery(uuid4().hex, key, terms.as_of, now)
        deliveries.start(connection, again)
        message = (
            "Nobody knows the outcome of the last call for every audience: who is still there is removed."
        )
        deliveries.finish(
            connection, replace(again, finished_at=now, state=DeliveryState.UNCHANGED, message=message)
        )


def _close(terms: Terms, everywhere: Everywhere, delivery: Delivery) -> None:
    courier, store = everywhere.courier, terms.store
    state = DeliveryState.PROCESSING if courier.flights else DeliveryState.SETTLED
    if everywhere.error or courier.failed["remove"]:
        state = DeliveryState.INCOMPLETE
    said = f"Removed from every audience of the account: {people(len(everywhere.customers))} without consent."
    message = " ".join([said, *courier.sentences, everywhere.error]).strip()
    with store.ledger.begin() as connection:
        deliveries.finish(
            connection, replace(delivery, finished_at=terms.clock(), state=state, message=message)
        )
    if not courier.flights:
        store.compact(courier.key)


def _doubt_whom_it_takes(
    terms: Terms, account: Account, sent: pl.DataFrame, attempts: Mapping[str, Attempt]
) -> None:
    """Mark, in each audience of the account, who shares an identifier with the people of a removal."""
    shared = terms.store.variants(account.client.capabilities.platform).shared()
    theirs = shared.join(sent, on=PEOPLE, how="semi")["key"].unique()
    close = shared.filter(pl.col("key").is_in(theirs.implode()))
    taken = pl.concat([sent.select(PEOPLE), close.select(PEOPLE)]).unique()
    for known in account.known.values():
        if not known.remote_id:
            continue
        try:
            members = terms.store.members(known.key).filter(pl.col("state") != MemberState.REMOVING.value)
        except DamagedFileError:
            # It fails by itself, and is made anew as a whole.
            continue
        doubtful = members.join(taken, on=PEOPLE, how="semi").select(PEOPLE)
        if not doubtful.height:
            continue
        attempt = attempts.get(known.key.audience)
        if attempt is not None and attempt.key == known.key and attempt.report is None:
            attempt.open()
            attempt.courier.doubt(doubtful)
        else:
            _doubt(terms, account.client, known.key, doubtful)


def _doubt(terms: Terms, client: AudienceClient, key: AudienceKey, doubtful: pl.DataFrame) -> None:
    """Mark people of an audience that is not delivered to in this run."""
    now, store = terms.clock(), terms.store
    with store.ledger.begin() as connection:
        last = deliveries.last(connection, key)
        delivery = Delivery(
            uuid4().hex,
            key,
            terms.as_of,
            now,
            finished_at=now,
            state=DeliveryState.INCOMPLETE,
            wanted=last.wanted if last is not None else 0,
            message=f"A call for every audience of the account may have removed {people(doubtful.height)}.",
        )
        deliveries.put_delivery(connection, delivery)
    Courier(store, client, key, delivery.delivery_id, terms.clock).doubt(doubtful)


def evidence(
    terms: Terms, attempts: Iterable[Attempt], everywhere: Mapping[str, Everywhere]
) -> list[ConsentRemoval]:
    """What was done for those without consent, by account; accounts with nobody are left out."""
    by_account: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        if attempt.lost:
            by_account.setdefault(attempt.key.account, []).append(attempt)
    found = []
    for account in sorted({*by_account, *everywhere}):
        mine, call = by_account.get(account, []), everywhere.get(account)
        customers = frozenset().union(*(one.lost for one in mine), call.customers if call else ())
        couriers = [one.courier for one in mine] + ([call.courier] if call else [])
        platform = couriers[0].key.platform
        left = still_there(terms.store, platform, account, customers)
        sent = terms.store.variants(platform).every(
            pl.Series("customer_id", sorted(customers), dtype=pl.String)
        )
        found.append(
            ConsentRemoval(
                platform,
                account,
                customers,
                sent.height,
                {one.key.audience: one.lost for one in mine},
                call.customers if call is not None and not call.error else frozenset(),
                left,
                tuple(dict.fromkeys(name for one in couriers for name in one.request_ids)),
            )
        )
    return found
