"""The bars of accuracy: customer values on data of real shops and of a synthetic one, beside naive forecasts.

``python benchmarks/ltv_accuracy.py [--data NAME]... [--seeds 5] [--customers 5000] [--transactions FILE]...``

For each data set a quarter of the customers is held out, five times; models of the others predict them 0,
30, 90 and 180 days after their first order, and differences to the naive forecasts are paired. Besides, the
base of a past day is predicted for the period after it: CDNOW 39 weeks, Online Retail II 180 days, the shop a
year.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
from ltv_bars import AGES, HELD_SHARE, Bar, average_bars, hold_out_bars, period_bars
from ltv_data import NAMES, Data, data

from audience_pipeline.ltv.backtest import hold_out, next_period
from audience_pipeline.ltv.holdout import drawn
from audience_pipeline.ltv.minimum import TooLittleHistory
from audience_pipeline.ltv.report_tables import Tables

RESULTS = Path(__file__).parent / "results" / "ltv_accuracy.json"


def main() -> int:
    """Measure, print a table for each data set and whether each bar is met, and write everything as JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--data", action="append", choices=NAMES, help="all without it; repeatable")
    options.add_argument("--transactions", action="append", metavar="FILE", help="other data; repeatable")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--customers", type=int, default=5000, help="of each synthetic shop")
    options.add_argument("--no-period", action="store_true", help="leave the later period out")
    given = options.parse_args()
    names = [*(given.data or ([] if given.transactions else NAMES)), *(given.transactions or [])]
    bars: list[Bar] = []
    periods: list[Tables] = []
    results: dict[str, Any] = {"seeds": given.seeds, "shop_customers": given.customers, "data": {}}
    for name in names:
        with data(name, customers=given.customers) as found:
            if isinstance(found, str):
                print(found)
                continue
            start = time.perf_counter()
            measured, tables, period = _measured(found, given.seeds, not given.no_period)
            seconds = round(time.perf_counter() - start, 1)
        _show(found, measured, tables, period, seconds)
        bars += measured
        periods += [period] if period is not None else []
        results["data"][found.name] = {
            "origin": found.origin,
            "seconds": seconds,
            **{key: getattr(tables, key).to_dicts() for key in ("metrics", "probabilities", "coverage")},
            "next_period": [] if period is None else period.metrics.to_dicts(),
        }
    if not bars:
        return 1
    overall = average_bars(bars, periods)
    bars += overall
    print("\nOn average")
    for bar in overall:
        print(_line(bar))
    applied = [bar for bar in bars if bar.met is not None]
    missed = [bar for bar in applied if not bar.met]
    print(f"\n{len(applied) - len(missed)} of {len(applied)} bars are met.")
    for bar in missed:
        print(_line(bar))
    results["bars"] = [bar.as_dict() for bar in bars]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1, default=str) + "\n", encoding="utf-8")
    return 1 if missed else 0


def _measured(found: Data, seeds: int, with_period: bool) -> tuple[list[Bar], Tables, Tables | None]:
    parts = []
    for seed in range(1, seeds + 1):
        held = drawn(found.checkable, round(HELD_SHARE * found.checkable.len()), seed)
        _tell(f"{found.name}: hold-out {seed} of {seeds}, {held.len():,} customers")
        parts.append(hold_out(found.orders, found.as_of, held, AGES, found.activity, seed=seed))
    bars, tables = hold_out_bars(found.name, parts, found.signal)
    if not with_period:
        return bars, tables, None
    _tell(f"{found.name}: the {found.period_days} days after {found.period_from}")
    try:
        held_period = next_period(found.orders, found.period_from, found.period_days, found.activity)
    except TooLittleHistory as error:
        print(f"{found.name}: no later period. {error}")
        return bars, tables, None
    more, period = period_bars(found.name, held_period)
    return bars + more, tables, period


def _show(found: Data, bars: list[Bar], tables: Tables, period: Tables | None, seconds: float) -> None:
    print(f"\n{found.name} ({found.origin}), as of {found.as_of}, {seconds:.0f} s")
    print(
        f"{'day':>5}{'rows':>8}{'within':>8}{'rule':>8}{'gain':>9}{'low 95%':>9}  {'high':>7}{'right':>7}"
        f"  {'cal.err':>8}{'>p90':>7}{'<p10':>7}  {'sure':>7}{'orders':>7}{'stated':>8}{'multiple':>9}"
    )
    for row in tables.probabilities.to_dicts():
        of_age = {bar.what: bar for bar in bars if bar.age_days == row["age_days"]}
        against = next(bar for what, bar in of_age.items() if "rule" in what or "no gain" in what)
        gain = row["within_30_realised"] - row["within_30_rule"]
        met = {what: _mark(bar.met) for what, bar in of_age.items()}
        cells = (
            f"{row['age_days']:>5}{row['customers']:>8,}",
            f"{row['within_30_realised']:>8.3f}{row['within_30_rule']:>8.3f}{gain:>+9.4f}",
            f"{_number(against.value, 8, 4)}{_mark(against.met)}",
            f"{row['high_share']:>9.3f}{_number(row['high_within_30'], 6)}",
            f"{met['high confidence within 30 %']}",
            f"{row['calibration_error']:>9.3f}{met['calibration error']}",
            f"{row['above_p90']:>6.3f}{met['above p90']}{row['below_p10']:>6.3f}{met['below p10']}",
            f"{row['coverage']:>9.3f}{row['coverage_by_orders']:>6.3f}",
            f"{met['surest first above grouping by orders']}",
            f"{row['within_30_stated']:>8.3f}{row['best_multiple_within_30']:>9.3f}",
        )
        print("".join(cells))
    _show_ranking(bars)
    if period is not None:
        _show_period(found, bars, period)


def _show_ranking(bars: list[Bar]) -> None:
    ranked = [bar for bar in bars if bar.what.startswith(("gini", "spearman"))]
    by_baseline: dict[str, dict[tuple[str, int | None], Bar]] = {}
    for bar in ranked:
        what, baseline = bar.what.split(" minus ")
        figure, target = what.split(" of ")
        by_baseline.setdefault(f"{figure} minus {baseline}", {})[target, bar.age_days] = bar
    columns = list(dict.fromkeys(key for row in by_baseline.values() for key in row))
    names = ["next 12 m" if age is None else f"day {age}" for _, age in columns]
    print(f"{'predicted mean':<36}" + "".join(f"{name:>20}" for name in names))
    for what, row in by_baseline.items():
        cells = (
            f"{row[key].value:>+9.4f} {row[key].note}{_mark(row[key].met)}" if key in row else ""
            for key in columns
        )
        print(f"{what:<36}" + "".join(f"{cell:>20}" for cell in cells))


def _show_period(found: Data, bars: list[Bar], period: Tables) -> None:
    bias = next(bar for bar in bars if bar.what.startswith("bias"))
    title = f"{found.period_days} days after {found.period_from}"
    columns = f"{'bias':>9}{'decile':>9}{'+/-':>8}{'Gini':>9}{'Spearman':>10}{'MAE':>10}{'R2':>8}"
    print(f"{title:<36}{columns}")
    for row in period.metrics.filter(pl.col("target") == "next_12m").to_dicts():
        own = row["forecast"] == "next_12m_value"
        print(
            f"{row['forecast']:<36}{_number(row['total_ratio'] and row['total_ratio'] - 1, 8)}"
            f"{_mark(bias.met) if own else ' '}{_number(row['decile_mape'], 9)}"
            f"{_number(row['decile_mape_se'], 8)}{_number(row['gini'], 9)}{_number(row['spearman'], 10)}"
            f"{row['mae']:>10,.2f}{_number(row['r2'], 8)}"
        )


def _line(bar: Bar) -> str:
    where = bar.data if bar.age_days is None else f"{bar.data}, day {bar.age_days}"
    bounds = [f"at least {bar.least:.3f}"] if bar.least is not None else []
    bounds += [f"at most {bar.most:.3f}"] if bar.most is not None else []
    value = "-" if bar.value is None else f"{bar.value:+.4f}"
    return f"  {_mark(bar.met)} {bar.what} ({where}): {value}; {', '.join(bounds)} {bar.note}".rstrip()


def _mark(met: bool | None) -> str:
    return " " if met is None else "+" if met else "!"


def _number(value: float | None, width: int, digits: int = 3) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.{digits}f}"


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
