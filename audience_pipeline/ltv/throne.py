"""Who is champion: given by a verdict, taken back by a rollback, given by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from audience_pipeline.ltv.store import CHALLENGER, CHAMPION, MODEL_NAME, aliases, client_of, registered_model
from audience_pipeline.ltv.succession import NoSuchChampionError, Succession
from audience_pipeline.ltv.verdict import Verdict

WITHDRAWN = "withdrawn"
"""Tag of a version that somebody rolled back from: when."""
SETTLED = "settled"
"""Tag of a version whose verdict has been carried out: when."""
_SUCCESSION = "succession"


def succession(tracking_uri: str) -> Succession:
    """The line of champions."""
    return _succession(client_of(tracking_uri))


def roll_back(tracking_uri: str, to: str | None = None) -> tuple[str, str]:
    """Make the champion before, or an earlier one, champion again.

    Returns:
        The version that reigned and the one that reigns now; the same twice where ``to`` reigned already.

    Raises:
        NoSuchChampionError: There is none to go back to.
    """
    client = client_of(tracking_uri)
    before = _succession(client)
    after = before.rolled_back(_now(), to)
    left, reigns = before.reigning, after.reigning
    if left is None or reigns is None:
        raise NoSuchChampionError("no model has been registered yet: audience-pipeline train trains one")
    if after == before:
        return left, reigns
    _reign(client, after)
    for version in set(before.line) - set(after.line):
        client.set_model_version_tag(MODEL_NAME, version, WITHDRAWN, _now())
    return left, reigns


def promote(tracking_uri: str, version: str) -> tuple[str | None, str]:
    """Make any version the champion, whatever was decided about it.

    Returns:
        The version that reigned, if one did, and this one.

    Raises:
        NoSuchChampionError: There is no such version.
    """
    client = client_of(tracking_uri)
    there = {str(one.version): one for one in client.search_model_versions(f"name = '{MODEL_NAME}'")}
    if version not in there:
        raise NoSuchChampionError(
            f"there is no version {version}; there are: {', '.join(sorted(there, key=int)) or 'none'}"
        )
    before = _succession(client)
    _reign(client, before.crowned(version, _now(), "promoted"))
    if WITHDRAWN in there[version].tags:
        client.delete_model_version_tag(MODEL_NAME, version, WITHDRAWN)
    return before.reigning, version


def settle(client: Any, version: str, verdict: Verdict) -> None:
    """Give a new version its alias, once."""
    line = _succession(client)
    if verdict.promoted:
        if all(change.version != version for change in line.changes):
            _reign(client, line.crowned(version, _now()))
    elif verdict.figures:
        client.set_registered_model_alias(MODEL_NAME, CHALLENGER, version)
    client.set_model_version_tag(MODEL_NAME, version, SETTLED, _now())


def _reign(client: Any, line: Succession) -> None:
    """The alias first: a line that is behind is brought up to date, see :meth:`Succession.found`."""
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, line.reigning)
    client.set_registered_model_tag(MODEL_NAME, _SUCCESSION, line.as_json())
    if aliases(client).get(CHALLENGER) == line.reigning:
        client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)


def _succession(client: Any) -> Succession:
    model = registered_model(client)
    kept = Succession.from_json(None if model is None else model.tags.get(_SUCCESSION))
    return kept.found(aliases(client).get(CHAMPION), _now())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
