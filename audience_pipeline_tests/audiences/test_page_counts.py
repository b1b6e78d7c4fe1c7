from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from audience_pipeline.audiences.eligibility import REASONS, eligibility
from audience_pipeline.audiences.match_rate import Delivered
from audience_pipeline.audiences.page import REASONS as SHOWN
from audience_pipeline.audiences.page_counts import largest_overlaps, on_platforms
from audience_pipeline.audiences.reach import audience_standing
from audience_pipeline.customers.identity import IDENTIFIERS_SCHEMA
from audience_pipeline.platforms.contract import CAPABILITIES, Platform
from audience_pipeline_tests.audiences.stored_frames import definitions, read_members, store

PEOPLE = 400


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    """People with and without consent, opt-outs, e-mail addresses; ids are not in the order of numbers."""
    draw = np.random.default_rng(5)
    ids = [f"c{(number * 7) % PEOPLE:04}" for number in range(PEOPLE)]
    profile = pl.DataFrame(
        {
            "customer_id": ids,
            "person_key": [f"p{number}" for number in range(PEOPLE)],
            "customer_no": np.arange(PEOPLE, dtype=np.uint32),
        }
    ).sort("customer_id")
    emails = [name.encode() if draw.random() < 0.6 else None for name in ids]
    known = {"customer_id": ids, **{f"{one}_email": emails for one in ("meta", "google", "tiktok")}}
    needed = {column for one in CAPABILITIES.values() for column in one.identifiers}
    identifiers = pl.DataFrame(known).with_columns(
        pl.lit(None, dtype=IDENTIFIERS_SCHEMA.get(name, pl.Binary())).alias(name)
        for name in sorted({*IDENTIFIERS_SCHEMA, *needed} - set(known))
    )
    may = {f"advertising_{one.value}": draw.random(PEOPLE) < 0.7 for one in Platform}
    out = {f"opted_out_{one.value}": draw.random(PEOPLE) < 0.1 for one in Platform}
    consent = pl.DataFrame({"customer_id": ids, **may, **out, "opted_out": draw.random(PEOPLE) < 0.1})
    return {"profile": profile, "identifiers": identifiers, "consent": consent}


def test_the_page_counts_whom_a_delivery_would_send(tmp_path: Path, tables: dict[str, pl.DataFrame]) -> None:
    path = store(
        tmp_path / "2026-03-02.parquet", {"a": range(0, PEOPLE, 2), "b": range(9)}, PEOPLE, holdout=10
    )
    known = definitions("a", "b", holdout=10)
    standing = audience_standing(*tables.values())

    found = dict(on_platforms(pl.read_parquet(path), standing, known))

    assert list(found) == ["a", "b"]
    for name, platforms in found.items():
        members = read_members(path, name, tables["profile"], numbering="n")
        assert [one.platform for one in platforms] == list(Platform)
        for one in platforms:
            decided = eligibility(
                members, tables["identifiers"], tables["consent"], CAPABILITIES[one.platform]
            )
            counts = dict(decided.group_by("reason").len().iter_rows())
            assert one.sendable == counts.get(None, 0)
            assert dict(one.left_out) == {reason: counts.get(reason, 0) for reason in REASONS}
            assert one.sendable + sum(one.left_out.values()) == members.height


def test_every_reason_has_a_name_on_the_page() -> None:
    assert tuple(SHOWN) == REASONS


def test_an_audience_that_is_not_defined_any_more_is_left_out(
    tmp_path: Path, tables: dict[str, pl.DataFrame]
) -> None:
    path = store(tmp_path / "2026-03-02.parquet", {"a": {1}, "gone": {2}}, PEOPLE)

    found = dict(on_platforms(pl.read_parquet(path), audience_standing(*tables.values()), definitions("a")))

    assert list(found) == ["a"]


def test_deliveries_of_the_past_move_what_is_expected(
    tmp_path: Path, tables: dict[str, pl.DataFrame]
) -> None:
    memberships = pl.read_parquet(store(tmp_path / "2026-03-02.parquet", {"a": range(PEOPLE)}, PEOPLE))
    standing, known = audience_standing(*tables.values()), definitions("a", platforms="[meta]")
    poor = {Platform.META: [Delivered("a", 50_000, 0.05, 0.06)]}

    [usual] = dict(on_platforms(memberships, standing, known))["a"]
    [worse] = dict(on_platforms(memberships, standing, known, delivered=poor))["a"]

    assert usual.expected is not None
    assert worse.expected is not None
    assert worse.expected.matches.expected < usual.expected.matches.expected / 2


def test_overlaps_are_those_of_the_largest_and_empty_audiences_have_none(tmp_path: Path) -> None:
    path = store(
        tmp_path / "2026-03-02.parquet",
        {"a": {1, 2, 3}, "b": {2, 3, 4, 5}, "c": {1, 2, 9}, "d": {1}, "e": ()},
    )

    found = largest_overlaps(pl.read_parquet(path), most=3)

    assert found.names == ["b", "a", "c"]
    assert found.shared == [[4, 2, 1], [2, 3, 2], [1, 2, 3]]
    assert largest_overlaps(pl.read_parquet(path)).names == ["b", "a", "c", "d"]
