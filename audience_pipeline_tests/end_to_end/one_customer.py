"""Who is one customer, worked out anew: records that share an address, a number, a card or a browser."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

STRENGTH = ("email", "loyalty", "phone", "anonymous", "click")
"""What ties records together, the strongest first."""
AT_MOST = {"email": 5, "loyalty": 3, "phone": 3, "anonymous": 3, "click": 1}
"""How many accounts may share it; what more of them share is nobody's."""
BROWSERS_OF_A_CLICK = 2
MADE_OF = {"email": "email:", "loyalty": "loyalty:", "phone": "phone:", "anonymous": "anonymous:"}
LARGEST = 20
"""The most accounts of one customer, which the shop must not come near: what is then cut is not told here."""

Said = tuple[int, str, int]
"""Place of the file among those that were read, day, line: the least was said first."""
Key = tuple[str, str]
"""Kind and value of something that ties records together."""


@dataclass(frozen=True)
class Tie:
    """A record of ``source`` names this address, number, card or browser."""

    source: str
    kind: str
    value: str
    said: Said


class Groups:
    """Things that belong together."""

    def __init__(self) -> None:
        self._leader: dict[object, object] = {}

    def of(self, one: object) -> object:
        while (leader := self._leader.setdefault(one, one)) != one:
            self._leader[one] = self._leader[leader]
            one = leader
        return one

    def join(self, one: object, other: object) -> None:
        self._leader[self.of(one)] = self.of(other)


def is_browser(source: str) -> bool:
    return source.startswith("anonymous:")


def customers(
    first_said: Mapping[str, Said], ties: Iterable[Tie], names: Mapping[str, str]
) -> dict[str, str]:
    """Source id to customer id; browsers of nobody are left out.

    Args:
        first_said: each source id with the record that named it first.
        ties: what ties them together.
        names: first names of those that have one: nobody has two, and who shares a home is not one person.
    """
    holders: dict[Key, dict[str, Said]] = defaultdict(dict)
    for tie in ties:
        have = holders[tie.kind, tie.value]
        have[tie.source] = min(have.get(tie.source, tie.said), tie.said)
    for source, said in first_said.items():
        for kind, prefix in MADE_OF.items():
            if source.startswith(prefix):
                holders[kind, source.removeprefix(prefix)][source] = said
    shared = {
        place: have
        for key, everybody in holders.items()
        if not _too_many(key, everybody)
        for place, have in _by_name(key, everybody, names)
    }
    groups = Groups()
    goes_with = _company(shared, first_said, names)
    for place, have in shared.items():
        [name] = {names[source] for source in have if source in names} or {None}
        for source in have:
            if name is None or source in names or goes_with[source] == name:
                groups.join(source, ("place", place))
    return _named(groups, first_said)


def _too_many(key: Key, everybody: Mapping[str, Said]) -> bool:
    kind, value = key
    claiming = [source for source in everybody if source != MADE_OF.get(kind, "") + value]
    browsers = sum(map(is_browser, claiming))
    return len(claiming) - browsers > AT_MOST[kind] or (kind == "click" and browsers > BROWSERS_OF_A_CLICK)


def _by_name(
    key: Key, everybody: Mapping[str, Said], names: Mapping[str, str]
) -> Iterable[tuple[tuple[Key, str | None], dict[str, Said]]]:
    """Those who share something; people with different first names apart, then without the nameless."""
    there = sorted({names[source] for source in everybody if source in names})
    if len(there) < 2:
        yield (key, None), dict(everybody)
        return
    for name in there:
        yield (key, name), {source: said for source, said in everybody.items() if names.get(source) == name}


def _company(
    shared: Mapping[tuple[Key, str | None], Mapping[str, Said]],
    first_said: Mapping[str, Said],
    names: Mapping[str, str],
) -> dict[str, str]:
    """Whose name the nameless go by: those that belong together by that of their best tie to a name."""
    nameless = Groups()
    offers: list[tuple[tuple[int, Said, tuple[Said, str]], str, str]] = []
    for place, have in shared.items():
        (kind, value), _ = place
        named = [source for source in have if source in names]
        without = [source for source in have if source not in names]
        for source in without:
            if named:
                oldest = min(named, key=lambda one: (first_said[one], one))
                best = -1 if source == MADE_OF.get(kind, "") + value else STRENGTH.index(kind)
                offers.append(((best, have[source], (first_said[oldest], oldest)), source, names[oldest]))
            else:
                nameless.join(source, ("place", place))
    chosen: dict[object, str] = {}
    for _, source, name in sorted(offers):
        chosen.setdefault(nameless.of(source), name)
    return {source: chosen[nameless.of(source)] for _, source, _ in offers}


def _named(groups: Groups, first_said: Mapping[str, Said]) -> dict[str, str]:
    together: dict[object, list[str]] = defaultdict(list)
    for source in sorted(first_said, key=lambda one: (first_said[one], one)):
        together[groups.of(source)].append(source)
    sizes = Counter(sum(not is_browser(source) for source in sources) for sources in together.values())
    assert max(sizes) < LARGEST
    found = {}
    for sources in together.values():
        known = [source for source in sources if not is_browser(source)]
        own = [source for source in known if not source.startswith(tuple(MADE_OF.values()))]
        if known:
            found |= dict.fromkeys(sources, (own or known)[0])
    return found
