"""Coupons, devices, Global Privacy Control, legal signals and requests for erasure."""

from __future__ import annotations

import polars as pl
import pytest

from audience_pipeline.sources.contract import Kind

DEVICE = "6D92078A-8246-4BA4-AE5B-76104861E7DC"
NOTHING = "00000000-0000-0000-0000-000000000000"


def test_coupons_land_in_upper_case(shop):
    shop.land(
        "customer_id,transaction_date,transaction_amount,coupon\n"
        "c1,2025-01-02,1, spring10 \nc2,2025-01-02,1,\nc3,2025-01-02,1,20250000012345\n"
    )
    shop.land("event_at,event,customer_id,coupon\n2025-01-02,checkout,c1,Spring10\n", Kind.WEB)
    assert shop.rows()["coupon"].to_list() == ["SPRING10", None, "20250000012345"]
    assert shop.rows(Kind.WEB)["coupon"].to_list() == ["SPRING10"]


@pytest.mark.parametrize(
    ("said", "landed"),
    [
        *((said, True) for said in ("true", "TRUE", "1", "yes", " Yes ")),
        *((said, False) for said in ("false", "0", "No")),
        ("", None),
    ],
)
def test_global_privacy_control_is_read_in_six_words(shop, said, landed):
    shop.land(f"event_at,event,customer_id,gpc\n2025-01-02,search,c1,{said}\n", Kind.WEB)
    assert shop.rows(Kind.WEB)["gpc"].to_list() == [landed]


def test_global_privacy_control_in_other_words_is_left_out_and_counted(shop):
    report = shop.land(
        "event_at,event,customer_id,gpc\n2025-01-02,search,c1,perhaps\n2025-01-02,search,c2,2\n", Kind.WEB
    )
    assert shop.rows(Kind.WEB)["gpc"].to_list() == [None, None]
    assert "2 gpc values other than true, false, 1, 0, yes and no, left out" in report.notices


def test_truth_of_json_and_parquet_is_read_too(shop, tmp_path):
    shop.land('{"event_at": "2025-01-02", "event": "search", "customer_id": "j", "gpc": true}\n', Kind.WEB)
    path = tmp_path / "web.parquet"
    pl.DataFrame(
        {
            "event_at": ["2025-01-03"] * 2,
            "event": ["search"] * 2,
            "customer_id": ["p", "q"],
            "gpc": [True, None],
        }
    ).write_parquet(path)
    shop.land(path, Kind.WEB)
    landed = dict(shop.rows(Kind.WEB).select("customer_id", "gpc").rows())
    assert landed == {"j": True, "p": True, "q": None}


@pytest.mark.parametrize("kind", [Kind.CRM, Kind.WEB])
def test_advertising_ids_land_in_lower_case_and_placeholders_do_not(shop, kind):
    needed = "country,US" if kind is Kind.CRM else "event,search"
    name, value = needed.split(",")
    rows = "".join(
        f"c{number},2025-01-02,2025-01-02,{value},{device}\n"
        for number, device in enumerate((f" {DEVICE} ", NOTHING, "ann@example.org", "", "f" * 36))
    )
    report = shop.land(f"customer_id,event_at,updated_at,{name},device_id\n{rows}", kind)
    assert shop.rows(kind)["device_id"].to_list() == [DEVICE.lower(), None, None, None, None]
    assert "device_id: 3 of 4 values cannot be used, left out" in report.notices
    assert report.quarantined == 0


def test_the_browser_of_a_form_and_the_card_of_a_contact_land(shop):
    shop.land("customer_id,loyalty_id,anonymous_id\nc1,L1,a81f\n", Kind.CRM)
    row = shop.rows(Kind.CRM).row(0, named=True)
    assert (row["loyalty_id"], row["anonymous_id"], row["device_id"], row["extra"]) == (
        "L1",
        "a81f",
        None,
        None,
    )


def test_an_erasure_and_its_signal_are_statements(shop):
    report = shop.land(
        "event_at,status,customer_id,signal\n"
        "2025-01-02,Erase,c1,\n2025-01-02,denied,c2,GPC\n2025-01-02,denied,c3,ccpa\n2025-01-02,denied,c4,dnt\n",
        Kind.CONSENT,
    )
    assert shop.rows(Kind.CONSENT).select("status", "signal").rows() == [
        ("erase", None),
        ("denied", "gpc"),
        ("denied", "ccpa"),
    ]
    assert shop.quarantine(report) == [(5, "signal", "not one of gpc, ccpa")]
