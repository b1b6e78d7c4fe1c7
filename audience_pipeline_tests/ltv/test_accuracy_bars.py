"""The bars of ``benchmarks/ltv_accuracy.py``, on predictions whose quality is known."""

from __future__ import annotations

import importlib.util
import math
import sys
from types import ModuleType

import polars as pl
import pytest

from audience_pipeline.ltv.held import HeldOut
from audience_pipeline.settings import PROJECT_ROOT
from audience_pipeline_tests.ltv.held_frames import make_held


@pytest.fixture(scope="module")
def bars() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ltv_bars", PROJECT_ROOT / "benchmarks" / "ltv_bars.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look themselves up by module name.
    sys.modules["ltv_bars"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def parts() -> list[HeldOut]:
    return [make_held(700, (0, 90), seed=seed) for seed in (1, 2, 3)]


def met(found: list[object]) -> dict[tuple[str, int | None], bool | None]:
    return {(bar.what, bar.age_days): bar.met for bar in found}  # type: ignore[attr-defined]


def test_the_lower_bound_is_that_of_repeated_hold_outs(bars: ModuleType) -> None:
    # Mean 2, deviation 1, three figures; one-sided 95 % quantile of t with two degrees of freedom, and a
    # quarter of the customers held out of each.
    assert bars.lower_bound([1.0, 2.0, 3.0]) == pytest.approx(2 - 2.919986 * math.sqrt(1 / 3 + 1 / 3))
    assert bars.lower_bound([0.5, 0.5]) == 0.5
    assert bars.lower_bound([0.5]) is None


def test_hold_outs_that_share_customers_are_worth_less_than_new_ones(bars: ModuleType) -> None:
    assert bars.mean_error([2.0], shared=0.25) == 2
    assert bars.mean_error([2.0] * 4, shared=0.0) == 1
    assert bars.mean_error([2.0] * 4, shared=1.0) == 2


def test_a_customer_that_was_held_out_twice_counts_as_two(bars: ModuleType) -> None:
    part = make_held(10, (0,))

    both = bars.pooled([part, part])

    assert both.ltv.height == 20
    assert both.ltv["customer_id"].n_unique() == 20
    assert both.next_12m.height == 20


def test_a_good_honest_model_meets_the_bars(bars: ModuleType, parts: list[HeldOut]) -> None:
    found, tables = bars.hold_out_bars("made up", parts, None)

    table = met(found)
    for age in (0, 90):
        for what in ("within 30 % minus rule, lower bound", "calibration error", "above p90", "below p10"):
            assert table[what, age]
        assert table["gini of ltv minus BG/NBD + Gamma-Gamma", age] is not None
    assert tables.ages == [0, 90]


def test_a_model_below_the_rule_misses_its_bar(bars: ModuleType, parts: list[HeldOut]) -> None:
    worse = [
        HeldOut(
            part.ltv.with_columns(likely=3 * pl.col("actual"), observed_value=pl.col("actual")), part.next_12m
        )
        for part in parts
    ]

    table = met(bars.hold_out_bars("made up", worse, None)[0])

    assert table["within 30 % minus rule, lower bound", 0] is False
    assert table["calibration error", 0] is False


def test_where_there_is_signal_the_rule_must_be_beaten(bars: ModuleType, parts: list[HeldOut]) -> None:
    as_rule = [
        HeldOut(part.ltv.with_columns(likely=1.29 * pl.col("observed_value")), part.next_12m)
        for part in parts
    ]

    with_signal, without = (met(bars.hold_out_bars("shop", as_rule, signal)[0]) for signal in (1.0, 0.0))

    assert with_signal["above the rule where there is signal", 90] is False
    assert without["no gain without signal", 90] is True
    assert met(bars.hold_out_bars("shop", parts, 1.0)[0])["above the rule where there is signal", 0]


def test_nobody_of_high_confidence_is_no_miss(bars: ModuleType, parts: list[HeldOut]) -> None:
    unsure = [
        HeldOut(part.ltv.with_columns(within_30_probability=pl.lit(0.5)), part.next_12m) for part in parts
    ]

    assert met(bars.hold_out_bars("made up", unsure, None)[0])["high confidence within 30 %", 90] is None


def test_a_biased_sum_of_the_next_period_is_a_miss(bars: ModuleType, parts: list[HeldOut]) -> None:
    held = parts[0].next_12m

    right, _ = bars.period_bars("made up", held)
    wrong, tables = bars.period_bars("made up", held.with_columns(pl.col("predicted") * 1.4))

    assert right[0].met
    assert wrong[0].met is False
    assert wrong[0].value == pytest.approx(0.4, abs=0.05)
    average = bars.average_bars([], [tables])
    assert {bar.what.split(" minus ")[0] for bar in average} == {"decile MAPE of the next period"}
