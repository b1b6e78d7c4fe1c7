"""The figures of the page: what of every stored audience can be sent where, and how the largest overlap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl
from pyroaring import BitMap

from audience_pipeline.audiences.definition import Definitions
from audience_pipeline.audiences.holdouts import DEFAULT_SALT
from audience_pipeline.audiences.match_rate import Delivered, match_model
from audience_pipeline.audiences.page import OnPlatform, Overlaps
from audience_pipeline.audiences.reach import Reach
from audience_pipeline.platforms.contract import CAPABILITIES, Capabilities, Platform

LARGEST = 8
"""Audiences whose overlap is shown."""
History = Mapping[Platform, Sequence[Delivered]]


def on_platforms(
    memberships: pl.DataFrame,
    standing: pl.DataFrame,
    definitions: Definitions,
    *,
    delivered: History | None = None,
    capabilities: Mapping[Platform, Capabilities] = CAPABILITIES,
    salt: str = DEFAULT_SALT,
) -> Iterator[tuple[str, Sequence[OnPlatform]]]:
    """What of each audience can be sent to each of its platforms.

    Args:
        memberships: ``audience, members`` (bitmaps of ``customer_no``); those without a definition are
            left out.
        standing: ``reach.audience_standing`` of the profile of the same date.
        definitions: the audiences.
        delivered: what was delivered to each platform.
        capabilities: the platforms.
        salt: what makes the holdouts of this workspace its own.
    """
    people = standing.sort("customer_no")
    reach, numbers = Reach(people, capabilities), people["customer_no"].to_numpy()
    seats = np.zeros(int(numbers.max(initial=0)) + 1, dtype=np.bool_)
    defined = {definition.name: definition for definition in definitions}
    for name, content in memberships.select("audience", "members").iter_rows():
        if name not in defined:
            continue
        members = np.asarray(BitMap.deserialize(content).to_array(), dtype=np.uint32)
        members = members[members < len(seats)]
        seats[members] = True
        reached = reach.count(seats[numbers], name, defined[name].holdout_percent, salt=salt)
        seats[members] = False
        yield (
            name,
            [
                _on_platform(
                    name,
                    capabilities[platform],
                    reached[platform].left_out,
                    reached[platform].signals,
                    (delivered or {}).get(platform, ()),
                )
                for platform in defined[name].platforms
            ],
        )


def _on_platform(
    name: str,
    capabilities: Capabilities,
    left_out: Mapping[str, int],
    signals: np.ndarray,
    delivered: Sequence[Delivered],
) -> OnPlatform:
    expected = match_model(capabilities, name, signals, delivered).expected(signals)
    return OnPlatform(
        platform=capabilities.platform,
        sendable=int(signals.sum()),
        left_out=left_out,
        expected=expected,
        minimum=capabilities.minimum_audience,
    )


def largest_overlaps(memberships: pl.DataFrame, most: int = LARGEST) -> Overlaps:
    """How many members the largest audiences have in common.

    Args:
        memberships: ``audience, size, members``.
        most: so many of the largest; of several of one size the first by name. Empty ones are left out.
    """
    largest = (
        memberships.filter(pl.col("size") > 0).sort(["size", "audience"], descending=[True, False]).head(most)
    )
    bitmaps = [BitMap.deserialize(content) for content in largest["members"]]
    return Overlaps(
        names=largest["audience"].to_list(),
        shared=[[one.intersection_cardinality(other) for other in bitmaps] for one in bitmaps],
    )
