"""How good predicted values are on real shops, each figure beside the naive ones.

``python benchmarks/ltv_accuracy.py [--transactions FILE]...``; without files, the shared real data sets
(CDNOW by Fader and Hardie; Online Retail II, UCI, CC BY 4.0), from ``AUDIENCE_SHARED_DATA`` or
``../shared/data``. Every customer is predicted by trees that never saw it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from audience_pipeline.customers.orders import orders
from audience_pipeline.ltv.minimum import TooLittleHistory
from audience_pipeline.ltv.training import Trained, train
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.single import read_transactions

ROOT = Path(__file__).parent
RESULTS = ROOT / "results" / "ltv_accuracy.json"
SHARED = Path(os.environ.get("AUDIENCE_SHARED_DATA", ROOT.parent.parent / "shared" / "data"))
FIGURES = ("gini", "spearman", "decile_mape", "total_ratio", "within_30", "mae", "rmse")


def main() -> int:
    """Train on each file, print one table, and write everything as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--transactions", type=Path, action="append", metavar="FILE")
    options.add_argument("--seed", type=int, default=7)
    given = options.parse_args()
    files = given.transactions or [SHARED / "cdnow.csv.gz", SHARED / "online_retail_ii.csv.gz"]
    results: dict[str, Any] = {}
    for file in files:
        if not file.is_file():
            print(f"{file.name}: left out, it is not in {file.parent}")
            continue
        results[file.name] = _measured(file, given.seed)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0 if results else 1


def _measured(file: Path, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="ltv-") as folder:
        lines, landed = read_transactions(file, ReadOptions(), ShopFacts(), Path(folder))
        if landed.last_date is None:
            return {"refused": "no row could be used"}
        start = time.perf_counter()
        try:
            trained = train(orders(lines), landed.last_date, seed=seed)
        except TooLittleHistory as error:
            print(f"\n{file.name}: {error}")
            return {"refused": str(error)}
        seconds = round(time.perf_counter() - start, 1)
    print(f"\n{file.name}: as of {landed.last_date}, trained in {seconds} s")
    _show(trained)
    return {"seconds": seconds} | trained.report.as_dict()


def _show(trained: Trained) -> None:
    print(f"{'':>9}{'day':>5}  {'forecast':<20}{'customers':>10}" + "".join(f"{f:>12}" for f in FIGURES))
    for row in trained.report.metrics.to_dicts():
        day = "" if row["age_days"] is None else row["age_days"]
        cells = "".join("           -" if row[f] is None else f"{row[f]:>12,.3f}" for f in FIGURES)
        print(f"{row['target']:>9}{day:>5}  {row['forecast']:<20}{row['customers']:>10,}{cells}")
    print(
        f"\n{'day':>5}{'stated':>9}{'realised':>9}{'error':>8}{'> p90':>8}{'< p10':>8}{'high':>8}{'right':>8}"
    )
    for row in trained.report.probabilities.to_dicts():
        right = "       -" if row["high_within_30"] is None else f"{row['high_within_30']:>8.3f}"
        print(
            f"{row['age_days']:>5}{row['within_30_stated']:>9.3f}{row['within_30_realised']:>9.3f}"
            f"{row['calibration_error']:>8.3f}{row['above_p90']:>8.3f}{row['below_p10']:>8.3f}"
            f"{row['high_share']:>8.3f}{right}"
        )


if __name__ == "__main__":
    sys.exit(main())
