"""The audiences of one platform, as a delivery takes them: who should be in each, and why nobody knows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial

import polars as pl

from audience_pipeline.audiences.definition import Definition, DefinitionErrors, Definitions
from audience_pipeline.audiences.errors import MembershipError
from audience_pipeline.audiences.sound import Sound, load_sound
from audience_pipeline.audiences.words import shown
from audience_pipeline.defs.recipients import Recipients
from audience_pipeline.defs.vocabulary import vocabulary
from audience_pipeline.delivery.run import Task
from audience_pipeline.ledger import deliveries
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import AudienceKey
from audience_pipeline.ledger.refreshes import Refresh
from audience_pipeline.settings import Settings

DEFINED_LATER = "it was defined after the newest refresh; run daily_refresh first"


class UnknownAudienceError(Exception):
    """An audience is asked for that is neither defined nor delivered. The message names those that are."""


class Tasks:
    """The audiences of a platform, one after the other, and those whose members nobody knows."""

    def __init__(
        self,
        settings: Settings,
        store: MemberStore,
        refresh: Refresh,
        people: Callable[[], Recipients],
        named: Collection[str] | None = None,
    ) -> None:
        """Look up what is defined and what was ever delivered.

        Args:
            settings: the workspace.
            store: who was delivered.
            refresh: the newest memberships.
            people: who may be sent, as of the moment.
            named: only these audiences.

        Raises:
            UnknownAudienceError: one that is named is neither defined nor on a platform.
        """
        self._store, self._people, self._named = store, people, named
        self._platform = people().platform
        self._evaluated = set(refresh.details.get("audiences", ()))
        self._reasons: Mapping[str, str] = refresh.details.get("not_evaluated", {})
        self._known = _defined(settings)
        with store.ledger.reading() as connection:
            self._accounts = deliveries.accounts_of(connection, self._platform)
            ever = {known.key.audience for known in deliveries.audiences(connection)}
        self.unknown: dict[str, str] = {}
        """Audiences whose members are not known, with the reason; filled as the tasks are read."""
        names = {*self._known.definitions.names, *self._known.mistakes, *ever}
        if not self._known.nameless and (wrong := sorted(set(self._named or ()) - names)):
            raise UnknownAudienceError(
                f"no audience is called {', '.join(map(shown, wrong))}; there are {', '.join(sorted(names))}"
            )

    def __iter__(self) -> Iterator[Task]:
        known = self._known
        defined = [one for one in known.definitions if self._platform in one.platforms]
        for audience in defined:
            if self._asked(audience.name):
                yield from self._of(audience)
        for name in sorted(known.mistakes.keys() | self._accounts.keys()):
            reason = known.reason(name)
            if reason is not None and self._asked(name):
                yield from self._left_as_it_is(name, reason)
        wanted = {audience.name for audience in defined}
        for name in self._accounts:
            if name not in wanted and known.reason(name) is None and self._asked(name):
                yield Task(name, lambda: self._people().nobody, retired=True)

    def _asked(self, name: str) -> bool:
        return self._named is None or name in self._named

    def _of(self, audience: Definition) -> Iterator[Task]:
        description = " ".join(audience.description.split())
        try:
            if audience.name not in self._evaluated:
                raise MembershipError(self._reasons.get(audience.name, DEFINED_LATER))
            self._people().check(audience.name)
        except MembershipError as error:
            yield from self._left_as_it_is(audience.name, str(error), description)
        else:
            yield Task(audience.name, partial(self._wanted, audience.name), description)

    def _left_as_it_is(self, name: str, reason: str, description: str = "") -> Iterator[Task]:
        """Somebody who may not be there any more leaves all the same."""
        self.unknown[name] = reason
        account = self._accounts.get(name)
        if account is None:
            return
        key = AudienceKey(self._platform, account, name)
        if not self._store.members(key).is_empty():
            yield Task(name, partial(self._kept, key), description)

    def _wanted(self, name: str) -> pl.DataFrame:
        return self._people().wanted(name)

    def _kept(self, key: AudienceKey) -> pl.DataFrame:
        return self._people().kept(self._store, key)


def _defined(settings: Settings) -> Sound:
    """What the definition files say. Whatever is wrong with them, opt-outs are delivered all the same."""
    try:
        return load_sound(settings.audiences, **vocabulary(settings, with_segments=False))
    except DefinitionErrors as error:
        return Sound(Definitions(()), nameless=error.problems, problems=error.problems)
