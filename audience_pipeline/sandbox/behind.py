"""What happens behind an advertiser's back: audiences vanish, members get lost."""

from __future__ import annotations

from pyroaring import BitMap

from audience_pipeline.sandbox.faults import Fault, Trouble
from audience_pipeline.sandbox.google_lists import expire
from audience_pipeline.sandbox.state import Audience
from audience_pipeline.sandbox.world import World

SIZE_SHOWN_FROM = {"meta": 1_000, "google": 100, "tiktok": 1}
"""Matched people from which a platform shows a size that tells of a loss."""
LOST = 3
"""Every third row is lost."""


def happens(world: World, platform: str, trouble: Trouble) -> None:
    """Let a trouble of these kinds befall one audience of the platform, if there is one to befall."""
    if trouble.fault not in {Fault.DELETED, Fault.SHRINKAGE}:
        return
    found = [
        one
        for one in world.state.audiences(platform, "kind = 'members'")
        if trouble.fault is Fault.DELETED or _shows_loss(world, one)
    ]
    if not found:
        return
    chosen = found[trouble.form % len(found)]
    world.faults.strikes(trouble.fault)
    if trouble.fault is Fault.DELETED:
        world.state.delete(chosen)
    else:
        world.members.lose(chosen, BitMap(world.members.held(chosen)[trouble.form % LOST :: LOST]))


def _shows_loss(world: World, audience: Audience) -> bool:
    if audience.platform == "google":
        expire(world, audience)
    return (
        world.members.settled(audience)
        and world.members.matched(audience) >= SIZE_SHOWN_FROM[audience.platform]
    )
