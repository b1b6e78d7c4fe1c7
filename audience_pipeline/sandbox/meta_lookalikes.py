"""Lookalikes of Meta: a share of a country's people, found from a seed."""

from __future__ import annotations

import re
from typing import Any

from audience_pipeline.sandbox.meta_audiences import FIRST_ID
from audience_pipeline.sandbox.meta_calls import GraphCall, GraphError
from audience_pipeline.sandbox.meta_names import CREATE_PARAMETERS
from audience_pipeline.sandbox.meta_policy import LOOKALIKE, refuse_flagged
from audience_pipeline.sandbox.state import Audience
from audience_pipeline.sandbox.wire import parse_json

ACCOUNT_LIMIT = 500
SMALLEST_SEED = 100
SPEC_KEYS = frozenset(
    {
        "ratio",
        "starting_ratio",
        "country",
        "location_spec",
        "type",
        "allow_international_seeds",
        "is_financial_service",
    }
)
RATIO_OF_TYPE = {"similarity": 0.01, "reach": 0.05}


def create(call: GraphCall, account: str) -> object:
    """``POST /act_{id}/customaudiences`` with ``subtype=LOOKALIKE``."""
    call.allow(CREATE_PARAMETERS)
    name, world = call.need("name"), call.world
    seed = world.state.audience("meta", call.need("origin_audience_id"))
    if seed is None or seed.account != account or seed.kind != "members":
        raise GraphError(
            100,
            "Param origin_audience_id is no seed audience of this account.",
            fields=["origin_audience_id"],
        )
    refuse_flagged(world, seed, LOOKALIKE)
    if seed.details.get("usage_restriction") == "NO_DERIVATIVES":
        raise GraphError(2654, "The source audience may not be used for lookalikes.", subcode=1713092)
    spec = _spec(call)
    countries = _countries(spec)
    siblings = world.state.in_account("meta", account, "lookalike")
    if len(siblings) >= ACCOUNT_LIMIT:
        raise GraphError(
            2654, f"This ad account has reached the limit of {ACCOUNT_LIMIT} lookalike audiences."
        )
    if any(_same(sibling, seed, spec, countries) for sibling in siblings):
        raise GraphError(2654, "Duplicate lookalike: same source, country and size.")
    people = world.members.persons(seed)
    abroad = spec.get("allow_international_seeds") is True
    if (len(people) if abroad else world.members.people.in_countries(people, countries)) < SMALLEST_SEED:
        raise GraphError(
            2654,
            f"The source audience must hold at least {SMALLEST_SEED} people of the country. It is too small.",
        )
    details = {
        "subtype": "LOOKALIKE",
        "origin_audience_id": seed.id,
        "lookalike_spec": {**spec, "origin": [{"id": seed.id, "name": seed.name, "type": "custom_audience"}]},
        "countries": countries,
    }
    lookalike = world.new_audience("meta", account, FIRST_ID, name, "lookalike", details)
    lookalike.ready_at = world.clock.now() + world.members.delay
    world.state.save(lookalike)
    return {"id": lookalike.id}


def _spec(call: GraphCall) -> dict[str, Any]:
    spec = call.parameters.get("lookalike_spec")
    if isinstance(spec, str):
        try:
            spec = parse_json(spec)
        except ValueError:
            spec = None
    if not isinstance(spec, dict):
        raise GraphError(100, "The parameter lookalike_spec is required, as JSON.", fields=["lookalike_spec"])
    unknown = set(spec) - SPEC_KEYS
    if unknown:
        raise GraphError(100, f"lookalike_spec does not know {min(unknown)}.", fields=["lookalike_spec"])
    kind = spec.get("type")
    if kind in RATIO_OF_TYPE:
        # As reported of the real service: with these types a ratio is silently ignored.
        return {**spec, "ratio": RATIO_OF_TYPE[kind], "starting_ratio": 0.0}
    if kind not in {None, "custom_ratio"}:
        raise GraphError(100, "lookalike_spec has an unknown type.", fields=["lookalike_spec"])
    ratio, start = _share(spec, "ratio"), _share(spec, "starting_ratio", 0)
    if ratio is None or not 0.01 <= ratio <= 0.2:
        raise GraphError(
            100, "lookalike_spec needs a ratio from 0.01 to 0.20 in steps of 0.01.", fields=["lookalike_spec"]
        )
    if start is None or not 0 <= start < ratio:
        raise GraphError(
            100, "starting_ratio must be below ratio, in steps of 0.01.", fields=["lookalike_spec"]
        )
    return {**spec, "ratio": ratio, "starting_ratio": start}


def _share(spec: dict[str, Any], name: str, default: float | None = None) -> float | None:
    """A share in whole percent; None for anything else."""
    value = spec.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    percent = round(value * 100)
    return percent / 100 if abs(value * 100 - percent) < 1e-6 else None


def _countries(spec: dict[str, Any]) -> list[str]:
    places = spec.get("location_spec")
    if isinstance(places, dict):
        places = places.get("geo_locations")
    found = [spec["country"]] if "country" in spec else []
    if isinstance(places, dict):
        found += [*places.get("countries", []), *places.get("country_groups", [])]
    if not found or not all(
        isinstance(place, str) and re.fullmatch(r"[A-Za-z_]{2,}", place) for place in found
    ):
        raise GraphError(100, "lookalike_spec needs a country or a location_spec.", fields=["lookalike_spec"])
    return sorted({place.upper() for place in found})


def _same(sibling: Audience, seed: Audience, spec: dict[str, Any], countries: list[str]) -> bool:
    details = sibling.details
    return (
        details["origin_audience_id"] == seed.id
        and details["countries"] == countries
        and all(details["lookalike_spec"][name] == spec[name] for name in ("ratio", "starting_ratio"))
    )
