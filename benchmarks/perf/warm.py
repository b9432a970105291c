"""A warm ``pytest benchmarks/``: what it spends besides measuring, the size of its page, and what its main process imports."""

from finding import Finding
from pytest_runs import warm_run

MOST_S = 0.3
MOST_REPORT_MB = 2.5
HEAVY = ("tensorflow", "torch", "keras", "tf_keras")


def measure_overhead(selected, models_yaml="benchmarks/models.yaml"):
    """Seconds a cell outside measuring windows."""
    run = warm_run(selected, models_yaml)
    told = f"{run.cells} cells of {models_yaml}: {run.outside_s:.1f} s outside measuring windows, {run.inside_s:.1f} s inside"
    yield Finding("warm run outside measuring, a cell", run.outside_s / run.cells, "s", told, most=MOST_S)


def measure_report(selected):
    """The page of the digits' run, with the pictures of its samples."""
    run = warm_run(selected, "benchmarks/models.yaml")
    told = f"report.html of {run.cells} cells"
    yield Finding("the digits' report", run.report_bytes / 1e6, "MB", told, most=MOST_REPORT_MB)


def measure_imports(selected):
    """How many heavy modules the main process had imported."""
    modules = warm_run(selected, "benchmarks/models.yaml").modules
    heavy = sorted({module.partition(".")[0] for module in modules} & set(HEAVY))
    told = f"{', '.join(heavy) or 'none of ' + ', '.join(HEAVY)} among {len(modules):,} modules"
    yield Finding("heavy imports of a warm run", len(heavy), "packages", told, most=0)
