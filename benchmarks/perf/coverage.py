"""How often 95 % intervals of what a variant lost hold the true loss, over many made data sets.

    .venv/bin/python benchmarks/perf/coverage.py [--data-sets 2000]

The true loss is that of one very large data set. Exits with 1 where an interval holds it less or more often than 95 +- 1.5 %.
"""

import argparse
import sys

import numpy as np
from corpora import KINDS
from rich.console import Console
from rich.table import Table

#: Samples of the data set whose loss is taken as the true one, and how far from 95 % a share may be.
LARGE, MOST_OFF = 60_000, 1.5


def share_that_holds(kind, data_sets):
    """Percent of the data sets whose interval holds the true loss, and that loss."""
    large = kind.pairs(LARGE, np.random.default_rng(0))
    true = large.values[0] - large.values[1] if kind.higher_is_better else large.values[1] - large.values[0]
    random, held = np.random.default_rng(1), 0
    for _ in range(data_sets):
        found = kind.pairs(kind.samples, random).drop()
        held += found.low <= true <= found.high
    return 100 * held / data_sets, true


def main():
    """Simulate, and print a row for each metric."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-sets", type=int, default=2000)
    asked = parser.parse_args()
    shown, fit = Table("metric", "samples", "true loss, pp", "intervals that hold it, %", title="coverage"), True
    for kind in KINDS:
        share, true = share_that_holds(kind, asked.data_sets)
        fit &= abs(share - 95) <= MOST_OFF
        shown.add_row(kind.name, str(kind.samples), f"{true:.3f}", f"{share:.2f}")
    Console().print(shown)
    return 0 if fit else 1


if __name__ == "__main__":
    sys.exit(main())
