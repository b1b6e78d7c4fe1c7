"""Gathers what each platform holds of an audience, and what these people are like."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from audience_pipeline.audiences.eligibility import STANDING as REASONS
from audience_pipeline.audiences.sizes import newest_before
from audience_pipeline.defs.standing import STANDING, write_standing
from audience_pipeline.defs.storage import table_path
from audience_pipeline.delivery.agreement import Disagreement, Side, disagreements
from audience_pipeline.delivery.composition import DESCRIBED_BY, Profile, Rows
from audience_pipeline.ledger import deliveries, overview
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import AudienceKey, DeliveryState, MemberState
from audience_pipeline.platforms.contract import CAPABILITIES, Platform
from audience_pipeline.settings import Settings

CODES = (*REASONS, "purpose")
"""Why somebody may not be sent: ``eligibility.STANDING``, and what they did not agree to besides."""


@dataclass(frozen=True)
class Base:
    """The customers of the newest date, and where they stand with each platform."""

    as_of: date
    profile: Profile
    reasons: Mapping[Platform, np.ndarray]
    """Per row 0 (may be sent) or the n-th of ``CODES``."""


def base(settings: Settings) -> Base | None:
    """The newest date whose profile is there; None before the first refresh."""
    newest = newest_before(settings.lake / "customer_profile", date.max)
    if newest is None:
        return None
    day = newest.stem
    path = table_path(settings.lake, STANDING, day)
    if not path.is_file() or path.stat().st_mtime_ns < newest.stat().st_mtime_ns:
        write_standing(settings, day, sound=False)
    table = pl.read_parquet(path)
    customers = pl.read_parquet(newest, columns=["customer_id"])["customer_id"]
    described = [table[name] for name in DESCRIBED_BY if name in table.columns]
    reasons = {platform: _reasons(table, platform) for platform in Platform}
    return Base(date.fromisoformat(day), Profile(customers, described), reasons)


def _reasons(table: pl.DataFrame, platform: Platform) -> np.ndarray:
    codes = table[f"{platform.value}_reason"].to_numpy().astype(np.uint8)
    refused = REASONS.index("no_consent") + 1
    for purpose in CAPABILITIES[platform].purposes:
        column = f"{platform.value}_lacks_{purpose}"
        if column in table.columns:
            lacks = table[column].to_numpy()
            codes = np.where((codes == refused) & lacks, np.uint8(CODES.index("purpose") + 1), codes)
    return codes


def side(
    store: MemberStore, key: AudienceKey, base: Base, now: datetime, *, held: bool, refused: bool
) -> Side:
    """An audience on one platform, as the ledger knows it.

    Args:
        store: who was delivered.
        key: the audience.
        base: the newest customers.
        now: decides who has expired.
        held: whether its newest delivery waits for a confirmation.
        refused: whether people of it were refused by name.
    """
    members = store.members(key)
    customers, rows = members["customer_id"], base.profile.rows(members["customer_id"])
    life = CAPABILITIES[key.platform].membership_days
    arrived = (members["state"] != MemberState.ADDING.value).to_numpy()
    gone = np.zeros(len(rows), dtype=np.bool_)
    if life is not None:
        gone = (members["delivered_at"] < now - timedelta(days=life)).to_numpy()

    def each_once(chosen: np.ndarray) -> Rows:
        # Sorted by customer, and somebody whose identifiers changed is there twice.
        who = customers.filter(pl.Series(chosen))
        first: Rows = rows[chosen][(who != who.shift(1)).fill_null(value=True).to_numpy()]
        return first

    return Side(
        key.platform,
        accepted=each_once(arrived & ~gone),
        processing=rows[~arrived | members["in_flight"].to_numpy()],
        expired=rows[gone],
        refused=base.profile.rows(store.refused(key)["customer_id"]) if refused else rows[:0],
        reasons=base.reasons[key.platform],
        standing=CODES,
        held=held,
    )


def sides_of(
    store: MemberStore, base: Base, chosen: Callable[[str, Sequence[AudienceKey]], bool], now: datetime
) -> Iterator[tuple[str, list[Side]]]:
    """Each audience with what its platforms hold, by name; those that ``chosen`` refuses are left out."""
    with store.ledger.reading() as connection:
        known = deliveries.audiences(connection)
        newest = overview.newest_deliveries(connection)
        named = overview.refusals(connection)
    keys: dict[str, list[AudienceKey]] = defaultdict(list)
    for one in known:
        if one.remote_id is not None:
            keys[one.key.audience].append(one.key)
    for audience, there in keys.items():
        if chosen(audience, there):
            yield (
                audience,
                [
                    side(
                        store,
                        key,
                        base,
                        now,
                        held=key in newest and newest[key].state is DeliveryState.HELD,
                        refused=key in named,
                    )
                    for key in there
                ],
            )


def platforms_differ(
    settings: Settings, store: MemberStore, platform: Platform, *, now: datetime | None = None
) -> tuple[int, list[Disagreement]]:
    """Where a platform holds others than the platforms beside it: audiences compared, and differences in
    which it is the one that lacks people.
    """
    known = base(settings)
    if known is None:
        return 0, []

    def here(_audience: str, keys: Sequence[AudienceKey]) -> bool:
        return len(keys) > 1 and any(key.platform is platform for key in keys)

    compared, found = 0, []
    for audience, sides in sides_of(store, known, here, now or datetime.now(UTC)):
        compared += 1
        found += [one for one in disagreements(audience, sides, known.profile) if one.platform is platform]
    return compared, found
