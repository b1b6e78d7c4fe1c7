"""Names that Meta's integrity rules flag: they hint at somebody's health or money troubles."""

from __future__ import annotations

import re

from audience_pipeline.sandbox.faults import Fault
from audience_pipeline.sandbox.meta_calls import GraphError
from audience_pipeline.sandbox.state import Audience
from audience_pipeline.sandbox.world import World

EDIT_PEOPLE, EDIT_AUDIENCE, LOOKALIKE = 1713230, 1713231, 1713232
_HINTS = re.compile(
    r"(?<![a-z])(low.?income|in.?debt|bankrupt|bad.?credit|poor.?credit|payday|foreclos|cancer|diabet|hiv|"
    r"depressi|addict|pregnan|disab|obes|arthriti|asthma|erectile|std(?![a-z]))",
    re.IGNORECASE,
)


def violating(world: World, audience: Audience) -> list[str]:
    """The fields of an audience that break the rules."""
    fields = {"name": audience.name, "description": audience.details.get("description") or ""}
    found = [field for field, text in fields.items() if _HINTS.search(text)]
    by_chance = audience.details.get("flagged") and world.faults.active(Fault.FLAGGED)
    return found or (["name"] if by_chance else [])


def draw(world: World, audience: Audience) -> None:
    """Flag an audience that was created or renamed, when the faults say so."""
    if world.faults.strikes(Fault.FLAGGED):
        audience.details["flagged"] = True


def refuse_flagged(world: World, audience: Audience, subcode: int) -> None:
    """Let no flagged audience be used or changed.

    Raises:
        GraphError: 100 with the subcode.
    """
    if violating(world, audience):
        text = "This audience was flagged: its name or description suggests prohibited information."
        raise GraphError(100, text, subcode=subcode)
