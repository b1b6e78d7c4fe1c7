"""Is the delivery exact, quick and small? Each subject prints its rows and what they were measured against.

    python benchmarks/delivery.py all
    python benchmarks/delivery.py throughput | daily | many | optout | match | month | chaos
    python benchmarks/delivery.py chaos --seed 17      one schedule, with its story

Everything runs against the sandbox on this machine, without limits of calls. Figures go to
results/delivery.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping

from delivery_chaos import SEEDS, chaos
from delivery_many import many
from delivery_match import match
from delivery_month import month
from delivery_optout import optout
from delivery_throughput import daily, throughput

SUBJECTS: Mapping[str, Callable[[], bool]] = {
    "throughput": throughput,
    "daily": daily,
    "many": many,
    "optout": optout,
    "match": match,
    "month": month,
    "chaos": chaos,
}


def main() -> int:
    """Measure what is asked for; 0 when every bar is met."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("subject", choices=("all", *SUBJECTS))
    options.add_argument("--seed", type=int, help="chaos: only this schedule")
    options.add_argument("--seeds", type=int, default=SEEDS, help="chaos: so many schedules")
    options.add_argument("--no-sweep", action="store_true", help="chaos: no kill at every single point")
    given = options.parse_args()
    if given.subject == "chaos":
        return 0 if chaos(given.seeds, only=given.seed, sweep=not given.no_sweep) else 1
    names = SUBJECTS if given.subject == "all" else (given.subject,)
    met = [SUBJECTS[name]() for name in names]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
