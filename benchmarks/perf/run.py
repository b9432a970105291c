"""``make perf``: edgeworthy measured by its own promises. Exits with 1 where a bound is broken.

Every number is a ratio inside one run, or a count, or has a wide bound: it means the same on any machine.
"""

import argparse
import importlib
import sys
from functools import partial

from rich.console import Console
from rich.table import Table


def measurements(selected):
    """What there is to measure, by name."""
    return {
        "latency": partial(measure, "latency"),
        "throughput": partial(measure, "throughput"),
        "warm": partial(measure, "warm", "measure_overhead", selected),
        "collect": partial(measure, "collection"),
        "trial": partial(measure, "trial"),
        "history": partial(measure, "history"),
        "report": partial(measure, "report"),
        "site": partial(measure, "static_site"),
        "corpus": partial(measure, "corpus"),
        "images": partial(measure, "images"),
        "adb": partial(measure, "device_link"),
        "devices": partial(measure, "device_cells"),
        "tune": partial(measure, "tuning"),
        "three": partial(measure, "three_inputs"),
        "digits": partial(measure, "warm", "measure_report", selected),
        "imports": partial(measure, "warm", "measure_imports", selected),
    }


def measure(module, function="measure", *given):
    """The findings of a module, imported only now: processes that a measurement spawns import this file anew."""
    return getattr(importlib.import_module(module), function)(*given)


def table(findings):
    """One row for each number."""
    shown = Table(title="edgeworthy, measured by its own promises", title_justify="left")
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
    for name, findings_of in measurements(tuple(asked.edge_model)).items():
        if asked.only and name not in asked.only:
            continue
        console.print(f"measuring: {name}")
        for finding in findings_of():
            console.print(f"  {finding.name}: {finding.value:.3f} {finding.unit} ({finding.told})", highlight=False)
            findings.append(finding)
    Console(width=None if console.is_terminal else 170).print(table(findings))
    return 0 if all(finding.met for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
