"""The entities that users know by name, as rows: audiences, segments, what they are made of and worth."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl
from pyroaring import BitMap

from audience_pipeline.audiences.composition import COMPOSED_OF
from audience_pipeline.audiences.definition import Definition, Definitions
from audience_pipeline.audiences.fields import Field
from audience_pipeline.audiences.rules import (
    AllOf,
    AnyOf,
    Did,
    In,
    InList,
    InSegment,
    Not,
    Rule,
    Where,
    leaves,
)
from audience_pipeline.delivery.composition import Profile
from audience_pipeline.ledger.records import AudienceKey, Delivery, PlatformAudience
from audience_pipeline.segments.model import SegmentModel

Row = dict[str, Any]
PREDICTED = ("predicted_ltv", "next_12m_value", "repeat_probability")
"""Columns of the profile whose means say what a group is expected to be worth."""
LTV_TABLE = "ltv_predictions"
LONGEST = 2_000
"""Characters of a condition that are published; a longer one is cut."""


def criteria(rule: Rule) -> Any:
    """A rule in plain values, shaped as in the file that defines it."""
    match rule:
        case AllOf(rules):
            return {"all": [criteria(one) for one in rules]}
        case AnyOf(rules):
            return {"any": [criteria(one) for one in rules]}
        case Not(inner):
            return {"not": criteria(inner)}
        case Where(criterion):
            return {"where": criterion.sql[:LONGEST]}
        case In(audience):
            return {"in": audience}
        case InSegment(segment):
            return {"in": {"segment": segment}}
        case InList(list_name):
            return {"in": {"list": list_name}}
        case Did():
            asked = {
                "event": rule.event,
                "at_least": rule.at_least,
                "at_most": rule.at_most,
                "within_days": rule.within_days,
                "where": rule.where.sql[:LONGEST] if rule.where else None,
            }
            return {"did": {name: value for name, value in asked.items() if value is not None}}


def data_sources(definition: Definition, fields: Mapping[str, Field]) -> list[str]:
    """The tables that an audience's rules read, sorted."""
    found = {fields[name].source for name in definition.fields if name in fields}
    for rule in definition.rules:
        for leaf in leaves(rule):
            match leaf:
                case Did():
                    found.add("customer_activity")
                case InSegment():
                    found.add("customer_segments")
                case InList(list_name):
                    found.add(f"list {list_name}")
                case In(audience):
                    found.add(f"audience {audience}")
    return sorted(found)


def unified_audiences(
    definitions: Definitions, fields: Mapping[str, Field], sizes: Mapping[str, tuple[int, int]], as_of: date
) -> list[Row]:
    """``UnifiedAudience``: each definition with its size as of a date.

    Args:
        definitions: the audiences of the workspace.
        fields: the fields of the profile.
        sizes: audience to members and those held out; those that nobody evaluated are missing.
        as_of: the date of the sizes.
    """
    return [
        {
            "name": one.name,
            "description": " ".join(one.description.split()),
            "inclusion_criteria": criteria(one.include),
            "exclusion_criteria": criteria(one.exclude) if one.exclude else None,
            "data_sources": data_sources(one, fields),
            "sync_config": {
                "platforms": [platform.value for platform in one.platforms],
                "refresh": one.refresh,
                "holdout_percent": one.holdout_percent,
                "suppress": [rule.name for rule in definitions.suppressions_of(one)],
            },
            "as_of": as_of if one.name in sizes else None,
            "members": sizes[one.name][0] if one.name in sizes else None,
            "held_out": sizes[one.name][1] if one.name in sizes else None,
        }
        for one in sorted(definitions, key=lambda one: one.name)
    ]


def segments(
    profile: pl.DataFrame,
    audiences: Mapping[str, bytes],
    discovered: Collection[str],
    as_of: date,
) -> list[Row]:
    """``AudienceSegment``: audiences (manual) and segments that were found (ai_discovered) of a date.

    Args:
        profile: ``customer_id, customer_no`` and, where it has them, ``segment``, ``PREDICTED`` and the
            fields of ``COMPOSED_OF``.
        audiences: audience to the bitmap of its members' numbers.
        discovered: names of the segments that were found.
        as_of: the date.
    """
    described = [profile[name] for name in COMPOSED_OF if name in profile.columns]
    look = Profile(profile["customer_id"], described)
    predicted = {
        name: profile[name].cast(pl.Float64).fill_nan(None).to_numpy()
        for name in PREDICTED
        if name in profile.columns
    }
    numbers = profile["customer_no"].to_numpy()
    row_of = np.full(int(numbers.max(initial=0)) + 1, -1, dtype=np.int64)
    row_of[numbers] = np.arange(len(numbers))

    def row(name: str, kind: str, rows: np.ndarray) -> Row:
        worth = {field: _mean(values[rows]) for field, values in predicted.items()}
        known = {field: value for field, value in worth.items() if value is not None}
        return {
            "name": name,
            "segment_type": kind,
            "as_of": as_of,
            "size": len(rows),
            "predicted_performance": known or None,
            "composition": {
                field: {
                    value: round(number / len(rows), 4)
                    for value, number in look.counted(field, rows).items()
                    if number
                }
                for field in look.fields
            }
            if len(rows)
            else {},
        }

    made = []
    for name, content in sorted(audiences.items()):
        members = np.asarray(BitMap.deserialize(content).to_array(), dtype=np.int64)
        rows = row_of[members[members < len(row_of)]]
        made.append(row(name, "manual", rows[rows >= 0]))
    if "segment" in profile.columns:
        found = profile["segment"].cast(pl.String)
        made += [
            row(name, "ai_discovered", np.flatnonzero((found == name).fill_null(value=False).to_numpy()))
            for name in sorted(discovered)
        ]
    return made


def discoveries(models: Mapping[date, SegmentModel], cards: Sequence[Mapping[str, Any]]) -> list[Row]:
    """``AISegmentDiscovery``: the segments of each month.

    Args:
        models: first day of the month to what was found in its data.
        cards: ``segment_scorecards`` of the newest date, for the newest month.
    """
    newest = max(models, default=None)
    worth = {card["segment_id"]: card for card in cards}
    rows = []
    for month, model in sorted(models.items()):
        stability = model.stability.get(len(model.segments))
        for segment in model.segments:
            card = worth.get(segment.segment_id) if month == newest else None
            rows.append(
                {
                    "month": month,
                    "segment_id": segment.segment_id,
                    "segment": segment.name,
                    "clustering_method": f"k-means over {len(model.scales)} standardised behaviours, "
                    f"{len(model.segments)} groups",
                    "segment_characteristics": {
                        scale.column: round(value, 4)
                        for scale, value in zip(model.scales, segment.centre, strict=True)
                    },
                    "performance_prediction": {name: card[name] for name in PREDICTED if name in card}
                    if card
                    else None,
                    "confidence_score": stability,
                    "customers": model.customers,
                    "share": segment.share,
                }
            )
    return rows


def ltv_audiences(
    definitions: Definitions,
    fields: Mapping[str, Field],
    known: Sequence[PlatformAudience],
    newest: Mapping[AudienceKey, Delivery],
) -> list[Row]:
    """``LTVAudience``: audiences that ask for predicted value, on each platform that they name.

    Args:
        definitions: the audiences of the workspace.
        fields: the fields of the profile.
        known: audiences on platforms.
        newest: the newest delivery of each.
    """
    there = {(one.key.audience, one.key.platform): one for one in known}
    rows: list[Row] = []
    for one in sorted(definitions, key=lambda one: one.name):
        asked = [
            leaf.criterion.sql[:LONGEST]
            for rule in one.rules
            for leaf in leaves(rule)
            if isinstance(leaf, Where)
            and any(name in fields and fields[name].source == LTV_TABLE for name in leaf.criterion.fields)
        ]
        for platform in one.platforms if asked else ():
            found = there.get((one.name, platform))
            last = newest.get(found.key) if found else None
            rows.append(
                {
                    "segment": one.name,
                    "platform": platform.value,
                    "account": found.key.account if found else "",
                    "segment_criteria": asked,
                    "audience_id": found.remote_id if found else None,
                    "size_low": found.size_low if found else None,
                    "size_high": found.size_high if found else None,
                    "last_sync_date": _ended(last),
                }
            )
    return rows


def _ended(delivery: Delivery | None) -> datetime | None:
    return (delivery.finished_at or delivery.started_at) if delivery else None


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return round(float(known.mean()), 4) if len(known) else None
