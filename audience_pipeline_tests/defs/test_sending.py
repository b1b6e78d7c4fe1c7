"""Under which ids somebody may stand on a platform."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pyroaring import BitMap

from audience_pipeline.audiences import eligibility
from audience_pipeline.audiences.stored import STORED_SCHEMA
from audience_pipeline.defs.sending import _Sending, any_id_of
from audience_pipeline.platforms.contract import CAPABILITIES, Platform
from audience_pipeline.settings import Config, Settings

SAME = pl.DataFrame({"source_id": ["a", "b", "c"], "customer_id": ["a", "a", "c"]})


def sending(tmp_path: Path, **advertising: bool) -> _Sending:
    consent = pl.DataFrame(
        {
            "customer_id": list(advertising),
            "advertising_meta": list(advertising.values()),
            "opted_out": [False] * len(advertising),
            "opted_out_meta": [False] * len(advertising),
        }
    )
    columns = dict.fromkeys(CAPABILITIES[Platform.META].identifiers, pl.Binary)
    identifiers = pl.DataFrame(schema={"customer_id": pl.String, **columns})
    customers = pl.DataFrame({"customer_id": list(advertising), "customer_no": range(len(advertising))})
    settings = Settings.at(tmp_path, Config(), {})
    return _Sending(settings, date(2026, 6, 30), Platform.META, customers, identifiers, consent, SAME)


def test_the_ids_of_a_customer_are_those_that_were_merged_into_it_too():
    chosen = pl.DataFrame({"customer_id": ["a"]})

    assert any_id_of(chosen, SAME) == {"a", "b"}
    assert any_id_of(chosen, None) == {"a"}


def test_who_was_delivered_before_a_merge_stays_or_leaves_with_the_customer(tmp_path: Path):
    allowed, refused = sending(tmp_path, a=True, c=True), sending(tmp_path, a=False, c=True)

    assert (allowed._may_be_sent, allowed._no_consent) == ({"a", "b", "c"}, set())
    assert (refused._may_be_sent, refused._no_consent) == ({"c"}, {"a", "b"})


def test_where_everybody_stands_is_worked_out_once_for_all_audiences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = sending(tmp_path, a=True, b=False, c=True)
    reached = pl.DataFrame({"customer_id": ["a", "b", "c"], "meta_email": [b"a" * 32, b"b" * 32, b"c" * 32]})
    asked._identifiers = asked._identifiers.drop("meta_email").join(reached, on="customer_id", how="right")
    members = {"one": [0, 1], "other": [1, 2]}
    rows = [
        {"audience": name, "members": BitMap(numbers).serialize(), "holdout": BitMap().serialize()}
        for name, numbers in members.items()
    ]
    empty = {name: None for name in STORED_SCHEMA if name not in rows[0]} | {"numbering": ""}
    asked._memberships.parent.mkdir(parents=True)
    pl.DataFrame([{**empty, **row} for row in rows], schema=STORED_SCHEMA).write_parquet(asked._memberships)
    calls: list[Any] = []
    standing = eligibility.standing
    monkeypatch.setattr(eligibility, "standing", lambda *tables: calls.append(tables) or standing(*tables))

    assert [set(asked.wanted(name)) for name in members] == [{"a"}, {"c"}]
    assert len(calls) == 1
