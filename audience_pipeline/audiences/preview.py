"""How many people an audience holds on each platform, why the others fall out, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from audience_pipeline.audiences.activity_table import Activity
from audience_pipeline.audiences.composition import Share, composition, composition_fields
from audience_pipeline.audiences.definition import Definition, Definitions
from audience_pipeline.audiences.errors import EvaluationError
from audience_pipeline.audiences.evaluation import Evaluator, evaluator
from audience_pipeline.audiences.fields import FIELDS, Field
from audience_pipeline.audiences.holdouts import DEFAULT_SALT
from audience_pipeline.audiences.masks import Mask, PackedMasks
from audience_pipeline.audiences.match_rate import (
    LOW_RATE,
    Delivered,
    ExpectedMatches,
    MatchModel,
    MissingIdentifier,
    match_model,
)
from audience_pipeline.audiences.membership import Selection, selected, with_references
from audience_pipeline.audiences.policy import Flag, flagged
from audience_pipeline.audiences.reach import Reach, Reached, audience_standing
from audience_pipeline.audiences.relaxing import changes
from audience_pipeline.audiences.suggestions import (
    SECONDS,
    USEFUL_SIZE,
    Counted,
    Suggestions,
    suggestions,
)
from audience_pipeline.platforms.contract import CAPABILITIES, Capabilities, Platform


@dataclass(frozen=True, slots=True)
class PlatformPreview:
    """What of an audience can be sent to one platform, and what the platform is expected to make of it."""

    platform: Platform
    eligible: int
    left_out: Mapping[str, int]
    """Number of members per reason, in the order of the reasons; each member counts once."""
    lacking: Mapping[str, int]
    """Of those without consent, who agreed to advertising but not to a purpose that is asked for besides."""
    expected: ExpectedMatches
    missing: tuple[MissingIdentifier, ...]
    """What more identifiers would bring; where the expected match rate is below ``LOW_RATE``."""
    minimum_audience: int
    """Matched people below which the platform does not deliver."""
    warning: str
    """What is wrong with the size, or empty."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The size of one audience, step by step, and what it is made of."""

    audience: str
    customers: int
    """Rows of the profile."""
    included: int
    excluded: int
    """Included, and met by ``exclude``."""
    suppressed: Mapping[str, int]
    """Per suppression rule, those neither excluded nor met by an earlier rule."""
    members: int
    platforms: tuple[PlatformPreview, ...]
    suggestions: Suggestions
    composition: tuple[Share, ...]
    flags: tuple[Flag, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A preview, and the members that it counted, row by row of the profile."""

    preview: Preview
    members: Mask


def preview(
    name: str,
    definitions: Definitions,
    *,
    profile: pl.DataFrame,
    identifiers: pl.DataFrame,
    consent: pl.DataFrame,
    activity: Activity | None = None,
    lists: Mapping[str, pl.Series] | None = None,
    history: Mapping[Platform, Sequence[Delivered]] | None = None,
    capabilities: Mapping[Platform, Capabilities] = CAPABILITIES,
    fields: Mapping[str, Field] = FIELDS,
    salt: str = DEFAULT_SALT,
) -> Preview:
    """Evaluate one audience and decide, as a delivery would, who of it can be sent where.

    Raises:
        KeyError: no audience has that name.
        EvaluationError: one of its rules cannot be answered.
    """
    wanted = {platform: capabilities[platform] for platform in definitions[name].platforms}
    standing = audience_standing(profile, identifiers, consent, wanted)
    return look(
        name,
        definitions,
        profile=profile,
        standing=standing,
        activity=activity,
        lists=lists,
        history=history,
        capabilities=capabilities,
        fields=fields,
        salt=salt,
    ).preview


def look(
    name: str,
    definitions: Definitions,
    *,
    profile: pl.DataFrame | pl.LazyFrame,
    standing: pl.DataFrame,
    activity: Activity | None = None,
    lists: Mapping[str, pl.Series] | None = None,
    history: Mapping[Platform, Sequence[Delivered]] | None = None,
    capabilities: Mapping[Platform, Capabilities] = CAPABILITIES,
    fields: Mapping[str, Field] = FIELDS,
    salt: str = DEFAULT_SALT,
    seconds: float = SECONDS,
) -> Seen:
    """As :func:`preview`, where everybody's standing is known already.

    Args:
        name: the audience.
        definitions: the workspace.
        profile: the ``customer_profile`` of a date; of a lazy one only what is needed is read.
        standing: ``reach.audience_standing`` of the same profile.
        activity: what the customers of this profile did.
        lists: the customer ids that each uploaded list names.
        history: what was delivered to each platform.
        capabilities: the platforms.
        fields: the fields of the profile.
        salt: what makes the holdouts of this workspace its own.
        seconds: how long suggestions are looked for.

    Raises:
        KeyError: no audience has that name.
        EvaluationError: one of its rules cannot be answered, or the tables do not belong together.
    """
    chosen = with_references(definitions, [name])
    definition = chosen[name]
    with evaluator(profile, chosen, activity=activity, lists=lists, fields=fields) as asked:
        if standing.height != asked.rows:
            raise EvaluationError("the standing of the customers belongs to another profile")
        members = _referred(chosen, definition, asked)
        selection = selected(definition, chosen, asked, members)
        reach = Reach(standing, {platform: capabilities[platform] for platform in definition.platforms})
        counted = _counted(selection, reach, history or {}, capabilities, salt)
        small = any(counted.matches(platform) < USEFUL_SIZE for platform in definition.platforms)
        tried = suggestions(
            counted,
            changes(definition, chosen.suppressions_of(definition), fields) if small else (),
            chosen,
            asked,
            members,
            reach,
            salt=salt,
            seconds=seconds,
        )
    described_by = [standing[field] for field in composition_fields(standing.columns)]
    seen = Preview(
        audience=name,
        customers=asked.rows,
        included=_count(selection.included),
        excluded=_count(selection.included & selection.excluded),
        suppressed=_suppressed(selection),
        members=_count(counted.members),
        platforms=tuple(
            _on_platform(counted.reached[platform], counted.models[platform], capabilities[platform])
            for platform in definition.platforms
        ),
        suggestions=tried,
        composition=tuple(composition(counted.members, described_by)),
        flags=tuple(flagged(definition.name, definition.description)),
    )
    return Seen(seen, counted.members)


def _referred(chosen: Definitions, definition: Definition, asked: Evaluator) -> PackedMasks:
    members = PackedMasks(asked.rows)
    for other in chosen:
        if other is not definition:
            members.keep(other.name, selected(other, chosen, asked, members).members)
    return members


def _counted(
    selection: Selection,
    reach: Reach,
    history: Mapping[Platform, Sequence[Delivered]],
    capabilities: Mapping[Platform, Capabilities],
    salt: str,
) -> Counted:
    definition, members = selection.audience, selection.members
    reached = reach.count(members, definition.name, definition.holdout_percent, salt=salt)
    models = {
        platform: match_model(capabilities[platform], definition.name, one.signals, history.get(platform, ()))
        for platform, one in reached.items()
    }
    return Counted(members, reached, models)


def _on_platform(reached: Reached, model: MatchModel, capabilities: Capabilities) -> PlatformPreview:
    expected = model.expected(reached.signals)
    low = expected.rate.expected < LOW_RATE
    return PlatformPreview(
        platform=capabilities.platform,
        eligible=reached.sendable,
        left_out=reached.left_out,
        lacking=reached.lacking,
        expected=expected,
        missing=model.missing(reached.signals + reached.unreached) if low else (),
        minimum_audience=capabilities.minimum_audience,
        warning=_warning(expected, capabilities),
    )


def _suppressed(selection: Selection) -> Mapping[str, int]:
    left = selection.included & ~selection.excluded
    counts = {}
    for rule, mask in selection.suppressed.items():
        counts[rule] = _count(left & mask)
        left = left & ~mask
    return counts


def _warning(expected: ExpectedMatches, capabilities: Capabilities) -> str:
    if expected.matches.expected >= USEFUL_SIZE:
        return ""
    floor, platform, range_ = capabilities.minimum_audience, capabilities.platform.value, expected.matches
    number = round(range_.expected)
    matches = "1 match is" if number == 1 else f"{number:,} matches are"
    said = f"{matches} expected ({round(range_.low):,} to {round(range_.high):,})"
    least = f"{platform} needs {floor:,} to deliver ads"
    if range_.expected < floor == USEFUL_SIZE:
        return f"{said}; {least}"
    below = f"{said}; below {USEFUL_SIZE:,} an audience hardly pays"
    return f"{below}, and {least}" if range_.expected < floor else f"{below} ({least})"


def _count(mask: Mask) -> int:
    return int(np.count_nonzero(mask))
