"""How many of the people sent a platform will recognise: by the identifiers they have, and by history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audience_pipeline.platforms.contract import Capabilities

Rates = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

PRIOR_PEOPLE = 2_000
"""People whose match rate the assumption before any delivery weighs as much as."""
OWN_PEOPLE = 500
"""People whose match rate what other audiences came to weighs as much as, beside an audience's own."""
LARGEST_WEIGHT = 20_000
"""People for whom one delivered audience counts at most: the next audience is made of others."""
LOW_RATE = 0.3
"""Expected match rate below which advice is given."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came of an audience on a platform, as the ledger has it."""

    audience: str
    people: int
    """In the audience there now, as far as the ledger knows."""
    low: float
    high: float
    """Bounds of matched over sent, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Range:
    """A value between two bounds."""

    low: float
    expected: float
    high: float

    def times(self, factor: float) -> Range:
        """Each value times ``factor``."""
        return Range(self.low * factor, self.expected * factor, self.high * factor)

    def moved(self, towards: Range, weight: float) -> Range:
        """This range, moved towards another one by the share ``weight``, 0 to 1."""
        kept, new = self.times(1 - weight), towards.times(weight)
        return Range(kept.low + new.low, kept.expected + new.expected, kept.high + new.high)


@dataclass(frozen=True, slots=True)
class ExpectedMatches:
    """What a platform is expected to make of the people of an audience."""

    sendable: int
    rate: Range
    matches: Range
    """People, not yet rounded."""
    how: str
    """How the rate was obtained, in a sentence."""


@dataclass(frozen=True, slots=True)
class MissingIdentifier:
    """What a platform would match more if every member had an identifier that some lack."""

    identifier: str
    """In words."""
    people: int
    """Members who lack it; only its lack keeps them from being matched more often, not consent."""
    matches: float


def signal_columns(capabilities: Capabilities) -> tuple[str, ...]:
    """The columns of ``identifiers`` that decide the match rate of a person, bit by bit of a signal."""
    reached = [column for group in capabilities.reachable_by for column in group]
    rated = [column for group, _ in capabilities.match.rates for column in group]
    return tuple(dict.fromkeys([*reached, *rated]))


def prior_rates(capabilities: Capabilities) -> Rates:
    """The match rate to assume per signal (bit n: the person has column n), 0 where nothing reaches them."""
    columns = signal_columns(capabilities)
    rates = np.zeros(2 ** len(columns))
    for signal in range(rates.size):
        known = {column for bit, column in enumerate(columns) if signal >> bit & 1}
        if any(known.issuperset(group) for group in capabilities.reachable_by):
            fitting = (rate for group, rate in capabilities.match.rates if known.issuperset(group))
            rates[signal] = next(fitting, capabilities.match.low)
    return rates


@dataclass(frozen=True, slots=True)
class MatchModel:
    """The match rates to expect on one platform, of any people, for one audience."""

    capabilities: Capabilities
    rates: Rates
    """Per signal, after history."""
    low: float
    high: float
    """The bounds of a rate, as factors of the expected one."""
    how: str

    def expected(self, signals: Counts) -> ExpectedMatches:
        """The matches among people who can be sent.

        Args:
            signals: number of people per signal.
        """
        sendable = int(signals.sum())
        matches = self.matches(signals)
        rate = matches / sendable if sendable else 0.0
        around = Range(min(self.low * rate, 1.0), rate, min(self.high * rate, 1.0))
        return ExpectedMatches(
            sendable=sendable,
            rate=around,
            matches=Range(around.low * sendable, matches, around.high * sendable),
            how=self.how,
        )

    def matches(self, signals: Counts) -> float:
        """Expected matches among people who can be sent, by the number of them per signal."""
        return float(signals @ self.rates)

    def missing(self, signals: Counts) -> tuple[MissingIdentifier, ...]:
        """What more identifiers would bring, most matches first; those that bring nothing are left out.

        Args:
            signals: number of people per signal, of members whom nothing but identifiers keeps away: those
                who can be sent, and those without an identifier.
        """
        found = []
        for group in dict.fromkeys(self.capabilities.reachable_by):
            bits = sum(1 << signal_columns(self.capabilities).index(column) for column in group)
            lacking = np.arange(signals.size) & bits != bits
            better = self.rates[np.arange(signals.size) | bits] - self.rates
            gain = float((signals * better)[lacking].sum())
            if gain > 0:
                people = int(signals[lacking].sum())
                found.append(MissingIdentifier(called(group), people, gain))
        return tuple(sorted(found, key=lambda one: (-one.matches, one.identifier)))


def match_model(
    capabilities: Capabilities, audience: str, signals: Counts, history: Sequence[Delivered]
) -> MatchModel:
    """The match rates to expect of an audience: assumed ones, corrected by what was delivered.

    What all audiences came to on the platform is compared with its typical rate; the ratio corrects the
    assumption, the more the more people were delivered. What this audience itself came to then corrects it
    once more. The bounds move with the evidence: where nothing was delivered they are as wide as what
    advertisers tell of.

    Args:
        capabilities: the platform.
        audience: the name of the audience.
        signals: the people of the audience who can be sent, by signal.
        history: what was delivered to the platform, of this audience and others.
    """
    prior = capabilities.match
    rates = prior_rates(capabilities)
    around = Range(prior.low / prior.typical, 1.0, prior.high / prior.typical)
    others = [one for one in history if one.audience != audience and one.people > 0]
    own = [one for one in history if one.audience == audience and one.people > 0]
    if others:
        seen, weight = _came_to(others)
        around = around.moved(seen.times(1 / prior.typical), weight / (weight + PRIOR_PEOPLE))
    sendable = int(signals.sum())
    assumed = float(signals @ rates) / sendable if sendable else 0.0
    if own and assumed > 0:
        seen, weight = _came_to(own)
        usual = OWN_PEOPLE if others else PRIOR_PEOPLE
        around = around.moved(seen.times(1 / assumed), weight / (weight + usual))
    corrected = np.minimum(rates * around.expected, 1.0)
    return MatchModel(
        capabilities=capabilities,
        rates=corrected,
        low=around.low / around.expected if around.expected else 0.0,
        high=around.high / around.expected if around.expected else 1.0,
        how=_how(capabilities, own, others),
    )


def _came_to(delivered: Sequence[Delivered]) -> tuple[Range, float]:
    """The match rate over several deliveries, and the people whom it stands for."""
    weights = np.array([min(one.people, LARGEST_WEIGHT) for one in delivered], dtype=np.float64)
    low, high = np.array([(one.low, one.high) for one in delivered]).T @ (weights / weights.sum())
    return Range(float(low), float(low + high) / 2, float(high)), float(weights.sum())


def _how(capabilities: Capabilities, own: Sequence[Delivered], others: Sequence[Delivered]) -> str:
    begun = "from the identifiers that people have"
    if not own and not others:
        return f"{begun}; nothing was delivered there yet ({capabilities.match.source})"
    said = []
    if own:
        said.append(f"what this audience came to with {sum(one.people for one in own):,} people")
    if others:
        many = "another audience" if len(others) == 1 else f"{len(others)} other audiences"
        said.append(f"what {many} came to with {sum(one.people for one in others):,} people")
    return f"{begun}, corrected by {' and by '.join(said)}"


_WORDS: Mapping[str, str] = {
    "email": "e-mail address",
    "phone": "phone number",
    "device": "advertising id of a device",
    "madid": "advertising id of a device",
}


def called(columns: Sequence[str]) -> str:
    """A group of identifier columns in words."""
    if any("name" in column for column in columns):
        rest = [column.replace("_", " ") for column in columns if "name" not in column]
        return ", ".join(["name", *rest[:-1]]) + (f" and {rest[-1]}" if rest else "")
    found = {word for column in columns for part, word in _WORDS.items() if part in column}
    return " and ".join(sorted(found)) or " and ".join(column.replace("_", " ") for column in columns)
