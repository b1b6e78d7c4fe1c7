"""What a preview reads: definitions, tables of the lake and the ledger. It writes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from audience_pipeline.audiences.activity_counts import asked_by
from audience_pipeline.audiences.activity_table import Activity
from audience_pipeline.audiences.composition import COMPOSED_OF
from audience_pipeline.audiences.definition import Definition, DefinitionErrors, Definitions
from audience_pipeline.audiences.errors import MembershipError
from audience_pipeline.audiences.evaluation import rules_of
from audience_pipeline.audiences.fields import FIELDS, Field
from audience_pipeline.audiences.lookup import digest, load_audience, load_file
from audience_pipeline.audiences.match_rate import Delivered
from audience_pipeline.audiences.preview import Preview, look
from audience_pipeline.audiences.reach import audience_standing
from audience_pipeline.audiences.rules import Did, InSegment, fields_of, leaves
from audience_pipeline.audiences.sound import Sound, load_sound
from audience_pipeline.audiences.widening import longer_windows
from audience_pipeline.audiences.words import nearest, shown
from audience_pipeline.commands.glance import glance
from audience_pipeline.ledger.migrations import HEAD
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Settings

STALE_AFTER = 2
"""Days after which a date is said to be old."""
MOST_OVERLAPS = 10
MOST_NAMED = 20
PROFILE, STANDING, SOUND = "customer_profile", "audience_standing", "sound_definitions"


class NotThereError(Exception):
    """A table that a preview needs is missing; the message says what to do."""


class UnknownAudienceError(Exception):
    """There is no audience of that name; the message says which there are."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Another audience, as it was stored last."""

    audience: str
    members_in_both: int
    share: float
    """Of the audience that is previewed, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Look:
    """Everything that is said of an audience."""

    as_of: date
    definition: Definition
    preview: Preview
    overlaps: tuple[Overlap, ...]
    overlaps_as_of: date | None
    """The date of the memberships that the audience was compared with."""
    notes: tuple[str, ...]
    """What to know about the date."""


def seen(settings: Settings, name: str, as_of: date | None) -> Look:
    """Preview an audience of a workspace, or one in a file.

    Args:
        settings: the workspace.
        name: the name of an audience, or the path of a file.
        as_of: the date; the newest complete one without it.

    Raises:
        DefinitionErrors: the definition, or one that it needs, has mistakes.
        UnknownAudienceError: there is no audience of that name.
        NotThereError: the tables of the date are missing.
        EvaluationError: a rule cannot be answered.
    """
    lists = {path.stem for path in (settings.lake / "lists").glob("*.parquet")}
    fields = _fields(settings)
    audience, definitions, apart = _definitions(settings, name, fields, lists)
    with ThreadPoolExecutor(1) as reader:
        # The tables of the date that is probably meant are read while the ledger is opened.
        likely = as_of or _newest_stored(settings)
        ahead = reader.submit(_tables, settings, likely, definitions) if likely else None
        day, history, notes = _known(settings, as_of)
        tables = ahead.result() if ahead and likely == day else _tables(settings, day, definitions)
    found = look(
        audience,
        definitions,
        profile=tables.profile,
        standing=tables.standing,
        activity=_activity(settings, day, definitions),
        lists=_listed(settings, day, definitions),
        history=history,
        fields=fields,
        salt=settings.config.audiences.holdout_salt,
    )
    overlaps, compared = _overlaps(settings, day, audience, tables.standing, found.members)
    return Look(day, definitions[audience], found.preview, overlaps, compared, (*apart, *notes))


@dataclass(frozen=True, slots=True)
class _Tables:
    profile: pl.DataFrame
    """What the rules read of it."""
    standing: pl.DataFrame


def _tables(settings: Settings, day: date, definitions: Definitions) -> _Tables:
    path = _table(settings, PROFILE, day)
    standing = _standing(settings, day)
    wanted = frozenset().union(*(fields_of(rule) for rule in rules_of(definitions)))
    if any(isinstance(condition, InSegment) for condition in _conditions(definitions)):
        wanted |= {"segment"}
    if not wanted:
        wanted |= {"customer_id"}
    table = pl.scan_parquet(path)
    columns = table.collect_schema()
    return _Tables(table.select(name for name in columns if name in wanted).collect(), standing)


def _newest_stored(settings: Settings) -> date | None:
    stored = sorted(path.stem for path in (settings.lake / STANDING).glob("????-??-??.parquet"))
    return date.fromisoformat(stored[-1]) if stored else None


def _definitions(
    settings: Settings, name: str, fields: Mapping[str, Field], lists: set[str]
) -> tuple[str, Definitions, tuple[str, ...]]:
    """The name of the audience, what it is made of, and what to say about the files that have mistakes."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return *load_file(path, settings.audiences, fields=fields, lists=lists), ()
    if _sound(settings):
        try:
            return name, load_audience(settings.audiences, name, fields=fields, lists=lists), ()
        except KeyError:
            pass
    found = load_sound(settings.audiences, fields=fields, lists=lists)
    there = found.definitions.names
    if found.reason(name) is not None:
        raise DefinitionErrors(found.problems)
    if name not in there:
        near = nearest(name, there)
        known = "" if near else f"; there are {', '.join(there[:MOST_NAMED])}"
        more = f" and {len(there) - MOST_NAMED} more" if known and len(there) > MOST_NAMED else ""
        raise UnknownAudienceError(f"no audience is called {shown(name)}{near}{known}{more}")
    only = load_audience(settings.audiences, name, fields=fields, lists=lists, apart=found.apart)
    return name, only, _set_aside(found)


def _set_aside(found: Sound) -> tuple[str, ...]:
    files = sorted(Path(file).name for file in found.apart)
    if not files:
        return ()
    more = f" and {len(files) - MOST_NAMED} more" if len(files) > MOST_NAMED else ""
    said = (
        f"Other definitions have mistakes, or refer to one that has: {', '.join(files[:MOST_NAMED])}{more}; "
        "audience-pipeline audiences validate says what is wrong"
    )
    return (said,)


def _sound(settings: Settings) -> bool:
    """Whether the newest refresh found the definitions, as they are now, without a mistake."""
    found = sorted((settings.lake / STANDING).glob("????-??-??.parquet"))
    said = pl.read_parquet_metadata(found[-1]).get(SOUND) if found else None
    return said is not None and said == digest(settings.audiences)


def _known(
    settings: Settings, as_of: date | None
) -> tuple[date, Mapping[Platform, Sequence[Delivered]], tuple[str, ...]]:
    """The date to look at, what the ledger knows of earlier deliveries, and what to say about the date."""
    known = glance(settings.ledger_url, HEAD)
    if as_of is None and not known.complete:
        raise NotThereError("no as-of date is complete yet: run audience-pipeline refresh")
    day = as_of or known.complete[-1]
    history: dict[Platform, list[Delivered]] = defaultdict(list)
    for platform, audience, people, low, high in known.rates:
        history[Platform(platform)].append(Delivered(audience, people, low, high))
    return day, history, _notes(settings, day, known.complete, known.stale)


def _notes(settings: Settings, day: date, complete: Sequence[date], stale: Sequence[date]) -> tuple[str, ...]:
    notes = []
    last = settings.config.calendar.last_day
    today = datetime.now(ZoneInfo(settings.config.shop.time_zone)).date()
    newest = complete[-1] if complete else day
    behind = ((min(today, last) if last else today) - newest).days
    if behind > STALE_AFTER:
        notes.append(
            f"The newest complete date, {newest}, is {behind} days old: run audience-pipeline refresh"
        )
    if day < newest:
        notes.append(f"There is a newer date, {newest}; deliveries are made from that one")
    if day in stale:
        notes.append(
            f"Files that landed later have rows up to {day}: run audience-pipeline refresh --as-of {day}"
        )
    return tuple(notes)


def _table(settings: Settings, name: str, day: date) -> Path:
    path = settings.lake / name / f"{day.isoformat()}.parquet"
    if not path.is_file():
        there = sorted(one.stem for one in path.parent.glob("????-??-??.parquet"))
        newest = f"; the newest date is {there[-1]}" if there else ""
        raise NotThereError(
            f"{path}: {day} is not there; run audience-pipeline refresh --as-of {day}{newest}"
        )
    return path


def _fields(settings: Settings) -> Mapping[str, Field]:
    from audience_pipeline.audiences.fields import fields_with

    reading = settings.config.sources.get("crm")
    return fields_with(reading.keep) if reading and reading.keep else FIELDS


def _standing(settings: Settings, day: date) -> pl.DataFrame:
    """Where everybody stands: as the refresh has stored it, or computed where that is missing or old."""
    tables = {name: _table(settings, name, day) for name in (PROFILE, "identifiers", "consent")}
    stored = settings.lake / STANDING / f"{day.isoformat()}.parquet"
    if stored.is_file():
        written = stored.stat().st_mtime_ns
        if all(path.stat().st_mtime_ns <= written for path in tables.values()):
            return pl.read_parquet(stored)
    columns = pl.read_parquet_schema(tables[PROFILE])
    wanted = [name for name in ("customer_id", "customer_no", "person_key", *COMPOSED_OF) if name in columns]
    from audience_pipeline.defs.addresses import addresses_of_opted_out

    consent = pl.read_parquet(tables["consent"])
    people = settings.lake / "identities" / f"{day.isoformat()}.parquet"
    same = pl.read_parquet(people, columns=["source_id", "customer_id"]) if people.is_file() else None
    return audience_standing(
        pl.read_parquet(tables[PROFILE], columns=wanted),
        pl.read_parquet(tables["identifiers"]),
        consent,
        addresses=addresses_of_opted_out(settings, day, consent, same),
    )


def _listed(settings: Settings, day: date, definitions: Definitions) -> Mapping[str, pl.Series]:
    """The customers of the lists that are asked for; a list that nobody has uploaded holds nobody."""
    nobody = pl.Series("customer_id", [], dtype=pl.String)
    found = dict.fromkeys(definitions.lists, nobody)
    there = [name for name in sorted(found) if (settings.lake / "lists" / f"{name}.parquet").is_file()]
    if not there:
        return found
    from audience_pipeline.defs.list_files import list_members_as_of

    return found | list_members_as_of(settings, day, there)


def _activity(settings: Settings, day: date, definitions: Definitions) -> Activity | None:
    dids = [leaf for leaf in _conditions(definitions) if isinstance(leaf, Did)]
    if not dids:
        return None
    from audience_pipeline.defs.activity_files import activity_as_of

    mart = settings.lake / "customer_activity.parquet"
    if not mart.is_file():
        raise NotThereError(f"{mart}: what customers did is not there; run audience-pipeline refresh")
    return activity_as_of(settings.lake, day, {**asked_by(dids), "within_days": furthest(dids)})


def furthest(dids: Sequence[Did]) -> int | None:
    """How many days conditions, and wider ones that may be suggested, look back; None for ever."""
    windows = []
    for did in dids:
        if did.within_days is None:
            return None
        windows += [did.within_days, *longer_windows(did.within_days)]
    return max(windows)


def _conditions(definitions: Definitions) -> Iterator[object]:
    for rule in rules_of(definitions):
        yield from leaves(rule)


def _overlaps(
    settings: Settings, day: date, audience: str, standing: pl.DataFrame, members: np.ndarray
) -> tuple[tuple[Overlap, ...], date | None]:
    """The other audiences that hold most of the members, of the date or else of the newest one."""
    from audience_pipeline.audiences.stored import People, overlaps

    size = int(np.count_nonzero(members))
    folder = settings.lake / "audience_memberships"
    dates = sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))
    stored = folder / f"{day.isoformat()}.parquet"
    path = stored if stored.is_file() else (dates[-1] if dates else None)
    if path is None or not size or "customer_no" not in standing.columns:
        return (), None
    people = People(pl.Series([], dtype=pl.String), standing["customer_no"].to_numpy())
    try:
        both = overlaps(path, people.bitmap(np.flatnonzero(members)))
    except MembershipError:
        return (), None
    others = both.filter((pl.col("audience") != audience) & (pl.col("members_in_both") > 0))
    largest = others.sort(["members_in_both", "audience"], descending=[True, False]).head(MOST_OVERLAPS)
    found = tuple(Overlap(name, shared, shared / size) for name, shared in largest.iter_rows())
    return found, date.fromisoformat(path.stem)
