"""A warm ``pytest benchmarks/``: what it spends besides measuring, and what its main process imports."""

from finding import Finding
from pytest_runs import warm_run

MOST_S = 0.3
HEAVY = ("tensorflow", "torch", "keras", "tf_keras")


def measure_overhead(selected, models_yaml="benchmarks/models.yaml"):
    """Seconds a cell outside measuring windows."""
    outside_s, inside_s, cells, _ = warm_run(selected, models_yaml)
    told = f"{cells} cells of {models_yaml}: {outside_s:.1f} s outside measuring windows, {inside_s:.1f} s inside"
    yield Finding("warm run outside measuring, a cell", outside_s / cells, "s", told, most=MOST_S)


def measure_imports(selected):
    """How many heavy modules the main process had imported."""
    modules = warm_run(selected, "benchmarks/models.yaml")[-1]
    heavy = sorted({module.partition(".")[0] for module in modules} & set(HEAVY))
    told = f"{', '.join(heavy) or 'none of ' + ', '.join(HEAVY)} among {len(modules):,} modules"
    yield Finding("heavy imports of a warm run", len(heavy), "packages", told, most=0)
