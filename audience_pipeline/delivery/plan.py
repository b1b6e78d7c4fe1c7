"""From the people who are wanted and those who were delivered to what has to be sent: pure.

A person counts as possibly on the platform from the moment before they are first sent until their removal is
confirmed. So whatever a killed run left behind, comparing the two sets says what is to be done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias

from audience_pipeline.delivery.brake import Change, Standing, people, reason_to_hold
from audience_pipeline.delivery.recipients import Recipient, Wanted
from audience_pipeline.ledger.records import DeliveredMember, MemberState
from audience_pipeline.platforms.contract import Capabilities

REFRESH_AFTER = 0.9
"""Share of a membership's life after which a person is sent again."""

Keys: TypeAlias = Callable[[Mapping[str, str]], list[tuple[object, ...]]]


@dataclass(frozen=True, slots=True)
class Counts:
    """People by what happens to them."""

    wanted: int = 0
    unchanged: int = 0
    new: int = 0
    changed: int = 0
    """Their identifiers are not those that were sent: the old ones go, the new ones come."""
    refreshed: int = 0
    """Sent again before the platform forgets them."""
    resent: int = 0
    """Sent again because nobody knows whether they arrived, or a removal may have taken them along."""
    leaving: int = 0
    without_consent: int = 0
    """Of those leaving: never held up."""
    waiting: int = 0
    """The platform is still processing what was sent of them before."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run sends. Removals go first, and of those the ones without consent."""

    remote_name: str
    counts: Counts
    creates: bool = False
    replaces: bool = False
    """The audience that is there is deleted first: confirmed, because nobody knows whom it holds."""
    deletes: bool = False
    """Nobody is left for it, and the platform keeps no empty audience: it goes, with everybody in it."""
    removals: tuple[DeliveredMember, ...] = field(default=(), repr=False)
    urgent: tuple[DeliveredMember, ...] = field(default=(), repr=False)
    """Without consent, and in a batch that is still being processed: removed now and once more after it."""
    doubtful: tuple[DeliveredMember, ...] = field(default=(), repr=False)
    """They share an identifier with somebody who is removed: whoever is wanted is sent again after that."""
    adds: tuple[Recipient, ...] = field(default=(), repr=False)
    held: str = ""
    """Why nothing but removals of people without consent is sent; empty when nothing is held."""

    @property
    def empty(self) -> bool:
        """There is nothing to send."""
        return not (self.removals or self.urgent or self.adds or self.deletes)

    def as_dict(self) -> dict[str, Any]:
        """The plan in counts, for JSON."""
        counts = {name: getattr(self.counts, name) for name in Counts.__dataclass_fields__}
        return {
            "remote_name": self.remote_name,
            "creates": self.creates,
            "replaces": self.replaces,
            "deletes": self.deletes,
            "to_add": len(self.adds),
            "to_remove": len(self.removals),
            **counts,
            "held": self.held,
        }

    def text(self) -> str:
        """The plan in a few lines, for people."""
        counts = self.counts
        lines = [f"{self.remote_name}: {people(counts.wanted)} wanted, {counts.unchanged:,} there already."]
        if self.replaces:
            lines.append("The audience of this name is deleted and made anew.")
        elif self.deletes:
            lines.append("The audience is deleted: the platform keeps no audience that is empty.")
        elif self.creates:
            lines.append("The audience is created.")
        parts = {
            "new": counts.new,
            "with changed identifiers": counts.changed,
            "sent again before they expire": counts.refreshed,
            "sent again to be sure": counts.resent,
        }
        if self.adds:
            listed = ", ".join(f"{number:,} {words}" for words, number in parts.items() if number)
            lines.append(f"{people(len(self.adds))} to add: {listed}.")
        if counts.leaving:
            consent = (
                f", of whom {counts.without_consent:,} without consent" if counts.without_consent else ""
            )
            lines.append(f"{people(counts.leaving)} to remove{consent}.")
        if counts.waiting:
            lines.append(f"{people(counts.waiting)} wait until the platform has processed earlier batches.")
        if self.held:
            lines.append(self.held)
        return "\n".join(lines)


def decide(
    capabilities: Capabilities,
    wanted: Wanted,
    delivered: Sequence[DeliveredMember],
    standing: Standing,
    *,
    remote_name: str,
    as_of: date,
    now: datetime,
    consent_lost: Set[str] = frozenset(),
    confirmed: bool = False,
) -> Plan:
    """Compare who is wanted with who may be there.

    Args:
        capabilities: limits and habits of the platform.
        wanted: exactly the people whom the audience should hold; none of ``consent_lost`` may be among them.
        delivered: everybody who may be on the platform, from the ledger.
        standing: the audience on the platform.
        remote_name: its name there.
        as_of: the day of ``wanted``.
        now: decides who is near expiry.
        consent_lost: customers whose removal nothing may hold up.
        confirmed: a person has looked at the change: the brake is off.
    """
    key = _keys_of(capabilities)
    in_flight = [person for person in delivered if person.in_flight]
    blocked = {one for person in in_flight for one in key(person.identifiers)}

    leaving, staying = _split(wanted, delivered)
    removals, urgent, waiting = _removals(leaving, blocked, key, consent_lost)
    known = {person.customer_id for person in delivered}
    adds, counts = _additions(capabilities, wanted, staying, known, blocked, key, now)

    gone = {person.customer_id for person in leaving if person.customer_id not in wanted}
    counts = replace(
        counts,
        waiting=counts.waiting + waiting,
        leaving=len(gone),
        without_consent=len(gone & consent_lost),
    )
    change = _change(wanted, delivered, consent_lost, counts.new)
    held = "" if confirmed else reason_to_hold(standing, change, remote_name=remote_name, as_of=as_of)
    if not wanted and not held and _deletes_when_empty(capabilities, standing):
        return Plan(
            remote_name=remote_name,
            counts=replace(counts, waiting=0),
            deletes=True,
            removals=_without_consent_first(leaving, consent_lost),
        )
    doubtful = [staying[one.member.customer_id] for one in adds if one.member.customer_id in staying]
    if held:
        removals = [person for person in removals if person.customer_id in consent_lost]
        again = {person.customer_id for person in doubtful if person.state is not MemberState.ADDED}
        adds = [one for one in adds if one.member.customer_id in again]
    if standing.foreign and held:
        removals, urgent, adds = [], [], []

    return Plan(
        remote_name=remote_name,
        counts=counts,
        creates=bool(adds) and (standing.remote_id is None or standing.foreign),
        replaces=standing.foreign and not held and bool(wanted),
        removals=_without_consent_first(removals, consent_lost),
        urgent=tuple(urgent),
        doubtful=tuple(_doubtful(removals, urgent, wanted, delivered, key)),
        adds=tuple(adds),
        held=held,
    )


def _change(wanted: Wanted, delivered: Iterable[DeliveredMember], consent_lost: Set[str], new: int) -> Change:
    """What the brake judges. Whoever is being removed already was judged by an earlier run."""
    there = {person.customer_id for person in delivered if person.state is not MemberState.REMOVING}
    leaving = there.difference(wanted)
    return Change(len(wanted), len(there), len(leaving), len(leaving & consent_lost), new)


def _deletes_when_empty(capabilities: Capabilities, standing: Standing) -> bool:
    """Where an audience needs people to be created or changed, its last people leave with it."""
    keeps_empty = capabilities.creates_empty and not capabilities.minimum_after_change
    return standing.remote_id is not None and not standing.foreign and not keeps_empty


def _without_consent_first(
    removals: Iterable[DeliveredMember], consent_lost: Set[str]
) -> tuple[DeliveredMember, ...]:
    return tuple(sorted(removals, key=lambda one: (one.customer_id not in consent_lost, one.customer_id)))


def _split(
    wanted: Wanted, delivered: Iterable[DeliveredMember]
) -> tuple[list[DeliveredMember], dict[str, DeliveredMember]]:
    """Those who are not wanted as they were sent, and those who are, by customer."""
    leaving, staying = [], {}
    for person in delivered:
        recipient = wanted.get(person.customer_id)
        if recipient is not None and recipient.fingerprint == person.fingerprint:
            staying[person.customer_id] = person
        else:
            leaving.append(person)
    return leaving, staying


def _removals(
    leaving: Iterable[DeliveredMember],
    blocked: set[tuple[object, ...]],
    key: Keys,
    consent_lost: Set[str],
) -> tuple[list[DeliveredMember], list[DeliveredMember], int]:
    """To remove now; to remove now and again later; and how many others wait."""
    removals, urgent, waiting = [], [], 0
    for person in leaving:
        if not (person.in_flight or (blocked and not blocked.isdisjoint(key(person.identifiers)))):
            removals.append(person)
        elif person.customer_id in consent_lost and person.state is not MemberState.REMOVING:
            urgent.append(person)
        else:
            waiting += 1
    return removals, urgent, waiting


def _additions(
    capabilities: Capabilities,
    wanted: Wanted,
    staying: Mapping[str, DeliveredMember],
    known: Set[str],
    blocked: set[tuple[object, ...]],
    key: Keys,
    now: datetime,
) -> tuple[list[Recipient], Counts]:
    """To add, by customer, and the counts of those who are wanted."""
    life = capabilities.membership_days
    old = now - timedelta(days=life * REFRESH_AFTER) if life is not None else None
    adds, number = [], dict.fromkeys(("unchanged", "new", "changed", "refreshed", "resent", "waiting"), 0)
    for customer_id in sorted(wanted):
        recipient, person = wanted[customer_id], staying.get(customer_id)
        if person is None:
            why = "changed" if customer_id in known else "new"
        elif person.in_flight:
            number["unchanged" if person.state is MemberState.ADDING else "waiting"] += 1
            continue
        elif person.state is not MemberState.ADDED:
            why = "resent"
        elif old is not None and person.delivered_at <= old:
            why = "refreshed"
        else:
            number["unchanged"] += 1
            continue
        if blocked and not blocked.isdisjoint(key(recipient.member.identifiers)):
            number["waiting"] += 1
            continue
        number[why] += 1
        adds.append(recipient)
    return adds, Counts(wanted=len(wanted), **number)


def _doubtful(
    removals: Sequence[DeliveredMember],
    urgent: Sequence[DeliveredMember],
    wanted: Wanted,
    delivered: Iterable[DeliveredMember],
    key: Keys,
) -> list[DeliveredMember]:
    """Whom the removals may take along, because platforms match people by single identifiers.

    Not only wanted people: somebody who is to be removed by a later batch may be wanted again before that.
    """
    taken = Counter(one for person in (*removals, *urgent) for one in key(person.identifiers))
    if not taken:
        return []
    own = Counter({(person.customer_id, person.fingerprint): 1 for person in removals})

    def is_taken(person: DeliveredMember) -> bool:
        recipient = wanted.get(person.customer_id)
        current = recipient is not None and recipient.fingerprint == person.fingerprint
        identifiers = (
            recipient.member.identifiers if recipient is not None and current else person.identifiers
        )
        itself = own[person.customer_id, person.fingerprint]
        return any(taken[one] > itself for one in key(identifiers))

    return [person for person in delivered if person.state is not MemberState.REMOVING and is_taken(person)]


def _keys_of(capabilities: Capabilities) -> Keys:
    """What identifies a person on the platform by itself: one entry for each complete group."""
    groups = tuple(enumerate(capabilities.reachable_by))

    def keys(identifiers: Mapping[str, str]) -> list[tuple[object, ...]]:
        return [
            (number, *(identifiers[column] for column in group))
            for number, group in groups
            if all(column in identifiers for column in group)
        ]

    return keys
