"""Who is champion: given by a verdict, taken back by a rollback, given by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from audience_pipeline.ltv.champion_history import ChampionHistory, NoSuchChampionError
from audience_pipeline.ltv.store import CHALLENGER, CHAMPION, MODEL_NAME, aliases, client_of, registered_model
from audience_pipeline.ltv.verdict import Verdict

WITHDRAWN = "withdrawn"
"""Tag of a version that somebody rolled back from: when."""
VERDICT_APPLIED = "verdict_applied"
"""Tag of a version whose verdict has been carried out: when."""
_HISTORY = "champion_history"


def champion_history(tracking_uri: str) -> ChampionHistory:
    """The line of champions."""
    return _history(client_of(tracking_uri))


def roll_back(tracking_uri: str, to: str | None = None) -> tuple[str, str]:
    """Make the champion before, or an earlier one, champion again.

    Returns:
        The champion before and the champion now; the same twice where ``to`` was champion already.

    Raises:
        NoSuchChampionError: There is none to go back to, or no version ``to``.
    """
    client = client_of(tracking_uri)
    if to is not None:
        _existing(client, to)
    before = _history(client)
    after = before.rolled_back(_now(), to)
    left, current = before.current, after.current
    if left is None or current is None:
        raise NoSuchChampionError("no model has been registered yet: audience-pipeline train trains one")
    if after == before:
        return left, current
    _make_champion(client, after)
    for version in set(before.line) - set(after.line):
        client.set_model_version_tag(MODEL_NAME, version, WITHDRAWN, _now())
    return left, current


def promote(tracking_uri: str, version: str) -> tuple[str | None, str]:
    """Make any version the champion, whatever was decided about it.

    Returns:
        The champion before, if there was one, and this version.

    Raises:
        NoSuchChampionError: There is no such version.
    """
    client = client_of(tracking_uri)
    wanted = _existing(client, version)
    before = _history(client)
    _make_champion(client, before.promoted(version, _now(), "promoted"))
    if WITHDRAWN in wanted.tags:
        client.delete_model_version_tag(MODEL_NAME, version, WITHDRAWN)
    return before.current, version


def apply_verdict(client: Any, version: str, verdict: Verdict) -> None:
    """Give a new version its alias, once."""
    line = _history(client)
    if verdict.promoted:
        if all(change.version != version for change in line.changes):
            _make_champion(client, line.promoted(version, _now()))
    elif verdict.figures:
        client.set_registered_model_alias(MODEL_NAME, CHALLENGER, version)
    client.set_model_version_tag(MODEL_NAME, version, VERDICT_APPLIED, _now())


def _existing(client: Any, version: str) -> Any:
    there = {str(one.version): one for one in client.search_model_versions(f"name = '{MODEL_NAME}'")}
    if version not in there:
        raise NoSuchChampionError(
            f"there is no version {version}; there are: {', '.join(sorted(there, key=int)) or 'none'}"
        )
    return there[version]


def _make_champion(client: Any, line: ChampionHistory) -> None:
    """The alias first: a line that is behind is brought up to date, see :meth:`ChampionHistory.found`."""
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, line.current)
    client.set_registered_model_tag(MODEL_NAME, _HISTORY, line.as_json())
    if aliases(client).get(CHALLENGER) == line.current:
        client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)


def _history(client: Any) -> ChampionHistory:
    model = registered_model(client)
    kept = ChampionHistory.from_json(None if model is None else model.tags.get(_HISTORY))
    return kept.found(aliases(client).get(CHAMPION), _now())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
