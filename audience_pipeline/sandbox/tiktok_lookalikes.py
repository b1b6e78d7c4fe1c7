"""Lookalikes of TikTok: narrow, balanced or broad."""

from __future__ import annotations

from audience_pipeline.sandbox import tiktok_audiences
from audience_pipeline.sandbox.tiktok_calls import TikTokCall, TikTokError
from audience_pipeline.sandbox.world import users_in

SHARES = {"NARROW": 0.01, "BALANCED": 0.05, "BROAD": 0.1}
SYSTEMS = ("ALL", "ANDROID", "IOS")
PLACEMENTS = frozenset({"TikTok", "Pangle", "News Feed App Series", "GlobalAppBundle"})
SMALLEST_SEED = 1_000


def create(call: TikTokCall) -> object:
    """``POST /dmp/custom_audience/lookalike/create/``."""
    account = call.account()
    name = call.text("custom_audience_name", longest=tiktok_audiences.NAME_LENGTH)
    spec = call.parameters.get("lookalike_spec")
    if not isinstance(spec, dict):
        raise TikTokError(40002, "lookalike_spec: Missing data for required field.")
    inner = TikTokCall(call.world, spec)
    seed = call.audience(inner.text("source_audience_id"), account)
    if not isinstance(spec.get("include_source"), bool):
        raise TikTokError(40002, "lookalike_spec.include_source: Not a valid boolean.")
    inner.choice("mobile_os", SYSTEMS, "ALL")
    level = inner.choice("audience_size", list(SHARES))
    locations = inner.texts("location_ids", most=100)
    if not set(inner.texts("placements", most=10)) <= PLACEMENTS:
        raise TikTokError(40002, f"lookalike_spec.placements: Must be of: {', '.join(sorted(PLACEMENTS))}.")
    if seed.kind == "lookalike":
        raise TikTokError(40002, "lookalike_spec.source_audience_id: a lookalike cannot be a source.")
    state = tiktok_audiences.describe(call.world, seed)
    if not state["is_valid"] or state["cover_num"] < SMALLEST_SEED:
        raise TikTokError(
            40002, f"lookalike_spec.source_audience_id: needs {SMALLEST_SEED} matched users, and to be valid."
        )
    made = tiktok_audiences.new(call.world, account, name, "Lookalike Audience", "")
    made.details |= {"lookalike_spec": spec, "size": round(users_in(locations) * SHARES[level])}
    made.ready_at = made.created + call.world.members.delay
    call.world.state.save(made)
    return {"custom_audience_id": made.id}


def refresh(call: TikTokCall) -> object:
    """``POST /dmp/custom_audience/lookalike/update/``."""
    account = call.account()
    for audience_id in call.texts("custom_audience_ids", most=100):
        found = call.audience(audience_id, account)
        if found.kind != "lookalike":
            raise TikTokError(40002, "custom_audience_ids: holds an audience that is not a lookalike.")
        found.updated = call.world.clock.now()
        found.ready_at = found.updated + call.world.members.delay
        call.world.state.save(found)
    return {}
