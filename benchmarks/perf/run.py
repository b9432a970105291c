"""``make perf``: edgegate measured by its own promises. Exits with 1 where a bound is broken.

Every number is a ratio inside one run, or a count, or has a wide bound: it means the same on any machine.
"""

import argparse
import sys

import collection
import device_cells
import device_link
import history
import images
import latency
import throughput
import trial
import warm
from rich.console import Console
from rich.table import Table


def measurements(selected):
    """What there is to measure, by name."""
    return {
        "latency": latency.measure,
        "throughput": throughput.measure,
        "warm": lambda: warm.measure_overhead(selected),
        "collect": collection.measure,
        "trial": trial.measure,
        "history": history.measure,
        "images": images.measure,
        "adb": device_link.measure,
        "devices": device_cells.measure,
        "imports": lambda: warm.measure_imports(selected),
    }


def table(findings):
    """One row for each number."""
    shown = Table(title="edgegate, measured by its own promises", title_justify="left")
    for column, justify in (("what", "left"), ("value", "right"), ("bound", "left"), ("", "left"), ("details", "left")):
        shown.add_column(column, justify=justify)
    for finding in findings:
        verdict = "[green]met[/]" if finding.met else "[red]broken[/]"
        shown.add_row(finding.name, f"{finding.value:.3f} {finding.unit}", finding.bound, verdict, finding.told)
    return shown


def main():
    """Measure what was asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=list(measurements(())), help="may be repeated")
    parser.add_argument("--edge-model", action="append", default=[], metavar="GLOB", help="models of the warm run")
    asked = parser.parse_args()
    console, findings = Console(), []
    for name, measure in measurements(tuple(asked.edge_model)).items():
        if asked.only and name not in asked.only:
            continue
        console.print(f"measuring: {name}")
        for finding in measure():
            console.print(f"  {finding.name}: {finding.value:.3f} {finding.unit} ({finding.told})", highlight=False)
            findings.append(finding)
    Console(width=None if console.is_terminal else 170).print(table(findings))
    return 0 if all(finding.met for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
