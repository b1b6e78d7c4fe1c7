"""How long the synthetic shop takes: ``python benchmarks/shop.py [--customers N]``; 1,000,000 is the bar."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from audience_pipeline.sandbox.shop import ShopParameters, make_shop

BAR_CUSTOMERS, BAR_SECONDS = 1_000_000, 120.0
RESULTS = Path(__file__).parent / "results" / "shop.json"


def main() -> int:
    """Make a shop in a temporary folder, print what it took, and write the figures as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--customers", type=int, default=100_000)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--format", choices=("csv", "csv.gz", "parquet"), default="csv")
    given = options.parse_args()
    parameters = ShopParameters(customers=given.customers, file_format=given.format)
    with tempfile.TemporaryDirectory(prefix="shop-") as folder:
        start = time.perf_counter()
        made = make_shop(Path(folder), parameters, workers=given.workers)
        seconds = time.perf_counter() - start
        megabytes = {name: getattr(made, name).stat().st_size / 1e6 for name in made.rows}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {
        "customers": given.customers,
        "format": given.format,
        "workers": given.workers,
        "seconds": round(seconds, 2),
        "peak_mib": round(peak),
        "rows": dict(made.rows),
        "megabytes": {name: round(size, 1) for name, size in megabytes.items()},
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")

    print(f"{'file':<22}{'rows':>14}{'MB':>10}")
    for name, rows in made.rows.items():
        print(f"{name:<22}{rows:>14,}{megabytes[name]:>10,.1f}")
    print(f"{'all':<22}{sum(made.rows.values()):>14,}{sum(megabytes.values()):>10,.1f}")
    print(f"\n{given.customers:,} customers: {seconds:.1f} s, {peak:,.0f} MiB at most; details in {RESULTS}")
    if given.customers == BAR_CUSTOMERS and seconds > BAR_SECONDS:
        print(f"The bar is {BAR_SECONDS:.0f} s.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
