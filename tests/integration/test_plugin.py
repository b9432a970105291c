"""The plugin among its neighbours: xdist, -k, JUnit, pytest-benchmark, other people's tests."""

from __future__ import annotations

import importlib.util
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.commands import PYTEST, Ended, ended
from tests.integration.conftest import REPOSITORY

if TYPE_CHECKING:
    from tests.integration.conftest import Project

HEAVY = {"tensorflow", "keras", "torch", "onnxruntime", "ai_edge_litert", "pandas", "scipy", "sklearn"}

TELL_MODULES = """
import sys, pathlib
def pytest_unconfigure():
    pathlib.Path("modules.txt").write_text(" ".join({name.partition(".")[0] for name in sys.modules}))
"""
TELL_SAVES = """
from edgeworthy.runs.journal import Journal
save = Journal.save
def telling(self, cell, identity, artifact, measurement):
    with open("saves.txt", "a") as stream:
        stream.write(f"{cell} {type(measurement).__name__}\\n")
    save(self, cell, identity, artifact, measurement)
Journal.save = telling
"""
SEED_DIFFERENCE = """
import dataclasses
from edgeworthy.targets.host import HostTarget
outputs = HostTarget.outputs
def seeded(self, job):
    found = outputs(self, job)
    return dataclasses.replace(found, values=found.values[::-1].copy()) if self.name == "host:reference" else found
HostTarget.outputs = seeded
"""
TELL_LIMITS = """
import json, pytest
def tell(edge_cell, name):
    with open("limits.txt", "a") as stream:
        print(name, edge_cell.limits["max_p50_ms"], file=stream)
def test_unmarked(edge_cell):
    tell(edge_cell, "unmarked")
@pytest.mark.edge_budget(max_p50_ms=7)
class TestMarked:
    def test_class(self, edge_cell):
        tell(edge_cell, "class")
    @pytest.mark.edge_budget(max_p50_ms=8)
    def test_nearest(self, edge_cell):
        tell(edge_cell, "nearest")
"""
OWN_TESTS = """
import numpy as np
def test_stable(edge_cell):
    timing = edge_cell.timing
    assert len(timing.samples_ns) == len(timing.load_of) >= 30
    assert edge_cell.artifact.path.is_file()
def test_zeros(edge_cell):
    assert edge_cell.outputs.values.argmax(axis=1).tolist().count(0) < LIMITS[edge_cell.id.variant], "too many zeros"
LIMITS = {"ort_fp32": 1000, "ort_dynamic": 1, "ort_int8_minmax": 1000}
"""


@pytest.fixture
def two_backends(project: Project) -> Project:
    """A second backend with reference kernels: every artifact runs on both."""
    project.devices["devices"]["host"]["backends"]["reference"] = {"threads": 1, "delegate": False}
    project.write()
    return project


def inner(folder: Path, *arguments: str) -> Ended:
    """pytest in a folder that has nothing to do with edgeworthy."""
    return ended([*PYTEST, *arguments], folder, timeout=60, new_python=True)


def passed(done: Ended) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def collected(done: Ended) -> set[str]:
    return {line.rpartition("::")[2] for line in passed(done).splitlines() if "::" in line}


def test_xdist_measures_every_cell_once_into_one_run(two_backends: Project):
    """Two workers give the statuses of none, one folder and one table; a device is measured by one of them at a time."""
    project = two_backends
    passed(project.run())
    alone = project.statuses()
    (project.root / "conftest.py").write_text(TELL_SAVES)
    said = passed(project.run("-n", "2", "--dist", "load"))
    assert project.statuses() == alone
    saves = (project.root / "saves.txt").read_text().splitlines()
    assert len(saves) == len(set(saves)) == 3 * 2 * 2 + 2  # outputs and timing of six cells, outputs of two canaries
    assert len([run for run in project.root.glob("results/*/run.json") if not run.parent.is_symlink()]) == 2
    assert said.count("6 pass, 2 rejected") == 1


@pytest.mark.parametrize(
    ("selection", "tests"),
    [
        (
            ["--edge-variant", "*_fp32", "--edge-target", "*:reference"],
            {f"test_{axis}[linear-ort_fp32-host:reference]" for axis in ("accuracy", "footprint", "latency")}
            | {"test_consistency[NOTSET]", "canary[linear-canary-host:reference]"},
        ),
        (
            ["-k", "accuracy and ort_dynamic"],
            {f"test_accuracy[linear-ort_dynamic-host:{backend}]" for backend in ("cpu", "reference")}
            | {"canary[linear-canary-host:cpu]", "canary[linear-canary-host:reference]"},
        ),
        (
            ["-k", "consistency", "--edge-model", "lin*", "--edge-variant", "ort_fp32", "--edge-variant", "*minmax"],
            {f"test_consistency[linear-{name}-host:reference~host:cpu]" for name in ("ort_fp32", "ort_int8_minmax")}
            | {"canary[linear-canary-host:reference]"},
        ),
    ],
    ids=["globs", "keyword", "both"],
)
def test_selection_leaves_the_canary_in(two_backends: Project, selection: list[str], tests: set[str]):
    """Globs and -k choose cells; every model and target that is left keeps its canary."""
    assert collected(two_backends.run("--collect-only", "-q", *selection)) == tests


@pytest.mark.parametrize("selection", [["--edge-variant", "ort_dynamik"], ["--edge-budget", "max_p5_ms=1"]])
def test_misspelt_option_is_a_usage_error(project: Project, selection: list[str]):
    """With the nearest name; nothing is run."""
    done = project.run(*selection)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "did you mean" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_main_process_imports_little(project: Project):
    """Collecting imports no runtime, converter or pandas; a warm run no converter either."""
    (project.root / "conftest.py").write_text(TELL_MODULES)
    project.write()

    def loaded(*arguments: str) -> set[str]:
        passed(ended(project.command(*arguments), project.root, project.environment(), new_python=True))
        return set((project.root / "modules.txt").read_text().split())

    assert not HEAVY & loaded("--collect-only")
    assert not {"tensorflow", "keras", "torch", "onnxruntime"} & loaded()


@pytest.mark.parametrize(
    ("option", "limits"),
    [
        ([], {"unmarked 50.0", "class 7.0", "nearest 8.0"}),
        (["--edge-budget", "max_p50_ms=9"], {"unmarked 9.0", "class 9.0", "nearest 9.0"}),
    ],
    ids=["mark", "option"],
)
def test_mark_beats_yaml_and_option_beats_mark(project: Project, option: list[str], limits: set[str]):
    """And of several marks the nearest."""
    (project.root / "benchmarks" / "test_limits.py").write_text(TELL_LIMITS)
    passed(project.run("-k", "test_limits", "--edge-variant", "ort_fp32", *option))
    assert set((project.root / "limits.txt").read_text().splitlines()) == limits


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_junit_has_the_properties_of_every_cell(project: Project, workers: list[str]):
    """Which cell, its status, evidence, message and numbers, once each, as docs/reports.md lists them."""
    page = (REPOSITORY / "docs" / "reports.md").read_text().partition("## JUnit")[2].partition("## ")[0]
    documented = set(re.findall(r"`(edge_\w+)`", page)) - {"edge_p50_ms"}
    passed(project.run("--junitxml", "junit.xml", *workers))
    cases = {case.get("name"): case for case in ET.parse(project.root / "junit.xml").iter("testcase")}
    for axis, metric in (("accuracy", "drop_points"), ("latency", "p50_ms"), ("footprint", "size_kb")):
        case = cases[f"test_{axis}[linear-ort_dynamic-host:cpu]"]
        names = [found.get("name") for found in case.iter("property")]
        said = {found.get("name"): found.get("value") for found in case.iter("property")}
        assert len(names) == len(said)
        assert documented <= said.keys()
        assert (said["edge_variant"], said["edge_axis"], said["edge_status"]) == ("ort_dynamic", axis, "pass")
        assert said["edge_message"]
        assert said["edge_evidence"] in ("conclusive", "inconclusive", "exact")
        assert float(said[f"edge_{metric}"]) >= 0
    canary = {
        found.get("name"): found.get("value") for found in cases["canary[linear-canary-host:cpu]"].iter("property")
    }
    assert canary == {"edge_canary": "pass"}


def test_benchmark_options_work_on_the_devices_samples(project: Project):
    """--benchmark-json has the raw samples and names the clock, --benchmark-compare finds the run before."""
    options = ("-k", "latency", "--benchmark-storage", "file://./saved", "--benchmark-autosave")
    first = passed(project.run(*options, "--benchmark-json", "benchmark.json"))
    stored = json.loads((project.root / "benchmark.json").read_text())["benchmarks"]
    samples = project.result().samples
    assert len(stored) == 3
    for benchmark in stored:
        raw = samples[samples["variant"] == benchmark["extra_info"]["variant"]]["duration_ns"]
        assert [round(seconds * 1e9) for seconds in benchmark["stats"]["data"]] == raw.tolist()
        assert benchmark["options"]["timer"] == "device_clock"
        assert benchmark["group"] == "linear"
    assert "benchmark 'linear': 3 tests" in first
    compared = passed(project.run(*options, "--benchmark-compare"))
    assert "(0001_" in compared


def test_histogram_is_drawn(project: Project):
    """--benchmark-histogram draws the device's samples."""
    if importlib.util.find_spec("pygal") is None:  # not imported here: it changes how this process imports
        pytest.skip("the extra pytest-benchmark[histogram] is not installed")
    passed(project.run("-k", "latency", "--benchmark-histogram", "drawn"))
    assert [path.suffix for path in project.root.glob("drawn*")] == [".svg"]


def test_benchmark_table_is_the_users(project: Project):
    """edgeworthy's one table is enough, until a benchmark of the user's own is run beside it."""
    assert "benchmark 'linear'" not in passed(project.run("-k", "latency"))
    own = project.root / "benchmarks" / "test_own.py"
    own.write_text("def test_mine(benchmark):\n    benchmark(sum, range(10))\n")
    assert "test_mine" in passed(project.run("-k", "latency or mine"))


def test_plugin_is_registered_once(tmp_path: Path):
    """A conftest.py that lists the plugin and the installed entry point name one module."""
    (tmp_path / "conftest.py").write_text(
        'pytest_plugins = ["edgeworthy.pytest_plugin"]\n'
        "def pytest_configure(config):\n"
        "    found = [p for _, p in config.pluginmanager.list_name_plugin()"
        " if getattr(p, '__name__', '') == 'edgeworthy.pytest_plugin']\n"
        "    assert len(found) == 1\n"
    )
    (tmp_path / "test_any.py").write_text("def test_any(): pass\n")
    passed(inner(tmp_path, "-W", "error"))


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_unrelated_suite_is_left_alone(tmp_path: Path, workers: list[str]):
    """No table, no folder, and nothing imported that the suite did not ask for."""
    (tmp_path / "conftest.py").write_text(TELL_MODULES)
    (tmp_path / "test_any.py").write_text("def test_any(): pass\ndef test_timed(benchmark): benchmark(sum, [1])\n")
    said = passed(inner(tmp_path, "--strict-markers", "--strict-config", "-W", "error", *workers))
    assert "edgeworthy:" not in said
    assert workers or "test_timed" in said  # pytest-benchmark's own table
    neighbours = {"__pycache__", ".benchmarks"}  # Python's, and pytest-benchmark's
    assert {path.name for path in tmp_path.iterdir()} - neighbours == {"conftest.py", "test_any.py", "modules.txt"}
    assert not (HEAVY | {"numpy", "pydantic", "rich"}) & set((tmp_path / "modules.txt").read_text().split())


@pytest.mark.parametrize(("seed", "status"), [("", "pass"), (SEED_DIFFERENCE, "fail")], ids=["same", "differing"])
def test_backends_must_give_the_same_answers(two_backends: Project, seed: str, status: str):
    """Each artifact's answers on the second backend are held against those on the first."""
    (two_backends.root / "conftest.py").write_text(seed)
    done = two_backends.run("-k", "consistency", "--edge-variant", "ort_dynamic")
    assert done.returncode == (status == "fail")
    assert two_backends.statuses() == {
        "linear/ort_dynamic/host:reference": status,
        "linear/canary/host:reference": "rejected",
    }
    found = two_backends.result().cells.set_index("variant").loc["ort_dynamic"]
    assert (found["status"], found["axis"]) == (status, "consistency")
    assert "against host:cpu, largest output difference" in found["message"]
    assert (found["consistency_percent"] == 100) == (status == "pass")


def test_users_own_assertions_are_verdicts(project: Project):
    """A test that reads .timing, .outputs and .artifact itself shows in the table as it ended."""
    (project.root / "benchmarks" / "test_own.py").write_text(OWN_TESTS)
    done = project.run("-k", "test_own")
    assert done.returncode == 1
    cells = project.result().cells.set_index("variant")
    assert cells["status"].to_dict() == {
        "ort_dynamic": "fail",
        "ort_fp32": "pass",
        "ort_int8_minmax": "pass",
        "canary": "rejected",
    }
    assert cells.loc["ort_dynamic", "axis"] == "test_zeros"
    assert "too many zeros" in cells.loc["ort_dynamic", "message"]
    assert (cells["samples"].drop("canary") >= 30).all()
