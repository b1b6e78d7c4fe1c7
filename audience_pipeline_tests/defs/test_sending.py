"""Under which ids somebody may stand on a platform."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

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
