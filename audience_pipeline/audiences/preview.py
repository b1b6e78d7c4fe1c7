"""How many people an audience holds on each platform, and why the others fall out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from audience_pipeline.audiences.definition import Definitions
from audience_pipeline.audiences.eligibility import REASONS, eligibility
from audience_pipeline.audiences.evaluation import Mask
from audience_pipeline.audiences.membership import DEFAULT_SALT, Selection, holdout, selections
from audience_pipeline.platforms.contract import CAPABILITIES, Capabilities, Platform

USEFUL_SIZE = 1_000
"""People below which an audience hardly pays on any platform."""


@dataclass(frozen=True, slots=True)
class PlatformPreview:
    """What of an audience can be sent to one platform."""

    platform: Platform
    eligible: int
    left_out: Mapping[str, int]
    """Number of members per reason, in the order of the reasons; each member counts once."""
    minimum_audience: int
    """Matched people below which the platform does not deliver."""
    warning: str
    """What is wrong with the size, or empty."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The size of one audience, step by step."""

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


def preview(
    name: str,
    definitions: Definitions,
    *,
    profile: pl.DataFrame,
    identifiers: pl.DataFrame,
    consent: pl.DataFrame,
    capabilities: Mapping[Platform, Capabilities] = CAPABILITIES,
    salt: str = DEFAULT_SALT,
) -> Preview:
    """Evaluate one audience and decide, as a delivery would, who of it can be sent where.

    Raises:
        KeyError: no audience has that name.
    """
    definition = definitions[name]
    selection = next(
        found for found in selections(profile, definitions, [name]) if found.audience.name == name
    )
    members = (
        profile.select("customer_id", "person_key")
        .filter(pl.Series(selection.members))
        .with_columns(holdout(pl.col("person_key"), definition, salt=salt).alias("holdout"))
    )
    return Preview(
        audience=name,
        customers=profile.height,
        included=_count(selection.included),
        excluded=_count(selection.included & selection.excluded),
        suppressed=_suppressed(selection),
        members=members.height,
        platforms=tuple(
            platform_preview(members, identifiers, consent, capabilities[platform])
            for platform in definition.platforms
        ),
    )


def platform_preview(
    members: pl.DataFrame, identifiers: pl.DataFrame, consent: pl.DataFrame, capabilities: Capabilities
) -> PlatformPreview:
    """Count the members that can be sent to a platform, and the others by reason."""
    decided = eligibility(members, identifiers, consent, capabilities)
    counts = dict(decided.group_by("reason").len().iter_rows())
    eligible = counts.get(None, 0)
    return PlatformPreview(
        platform=capabilities.platform,
        eligible=eligible,
        left_out={reason: counts.get(reason, 0) for reason in REASONS},
        minimum_audience=capabilities.minimum_audience,
        warning=_warning(eligible, capabilities),
    )


def _suppressed(selection: Selection) -> Mapping[str, int]:
    left = selection.included & ~selection.excluded
    counts = {}
    for rule, mask in selection.suppressed.items():
        counts[rule] = _count(left & mask)
        left = left & ~mask
    return counts


def _warning(eligible: int, capabilities: Capabilities) -> str:
    floor, platform = capabilities.minimum_audience, capabilities.platform.value
    if eligible < floor:
        return f"{eligible:,} people can be sent; {platform} needs {floor:,} that it knows to deliver ads"
    if eligible < USEFUL_SIZE:
        return f"{eligible:,} people can be sent; below {USEFUL_SIZE:,} an audience hardly pays"
    return ""


def _count(mask: Mask) -> int:
    return int(np.count_nonzero(mask))
