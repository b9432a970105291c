"""A crash loses nothing: kill -9, ctrl-C and ``-x``, and what ``--edge-resume`` makes of them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import psutil
import pytest

from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.conftest import Project

COPIES = 16
#: What a measurement cannot change from run to run, as it can the time.
EXACT = ["model", "variant", "target", "status", "drop_points", "top1_percent", "artifact"]


@pytest.fixture
def long_project(project: Project) -> Project:
    """One artifact under many names, each timed for a third of a second: some five seconds in all."""
    project.models["models"]["linear"]["variants"] = {
        "ort_fp32": {},
        **{f"copy{index:02}": {"recipe": "ort_dynamic"} for index in range(COPIES)},
    }
    project.models["latency"] = {"loads": 3, "samples_per_load": 10, "min_load_ms": 100}
    project.write()
    return project


def start(project: Project, *arguments: str) -> subprocess.Popen[str]:
    """An inner run in a process group of its own, as a shell would start it."""
    log = (project.root / "log.txt").open("a")
    with log:
        return subprocess.Popen(
            project.command("--edge-resume", *arguments),
            cwd=project.root,
            env=project.environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # A shell that runs the tests in the background ignores ctrl-C for all that it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def kill_at_random(
    process: subprocess.Popen[str], seconds: float, at_the_latest: Callable[[], bool] = lambda: False
) -> None:
    """``kill -9`` of pytest alone, so long after it started a child; its children must end by themselves within 5 s."""
    while process.poll() is None and not children(process):
        time.sleep(0.01)
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end and not at_the_latest():
        time.sleep(0.01)
    left = children(process)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it ended by itself"
    deadline = time.monotonic() + 5
    while left and time.monotonic() < deadline:
        left = [child for child in left if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        time.sleep(0.05)
    assert left == [], "children outlived their parent"


def measurements(project: Project) -> dict[str, tuple[int, int]]:
    """Each finished measurement, by what a second writing of it would change."""
    files = [path for path in project.root.glob("results/*/measurements/*.npz") if "latest" not in path.parts]
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def wait_for_measurements(project: Project, process: subprocess.Popen[str], count: int) -> None:
    while len(measurements(project)) < count:
        assert process.poll() is None, (project.root / "log.txt").read_text()
        time.sleep(0.01)


def check_nothing_is_half_written(folder: Path) -> None:
    """Every file parses but those with a temporary name, which nobody reads."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.endswith(".tmp") and "scratch" not in path.parts:
            match path.suffix:
                case ".npz" | ".npy":
                    loaded = np.load(path, allow_pickle=False)
                    if path.suffix == ".npz":
                        with loaded:
                            assert all(loaded[name] is not None for name in loaded.files)
                case ".json":
                    json.loads(path.read_text())
                case ".parquet":
                    pd.read_parquet(path)


def runs(project: Project) -> list[str]:
    folders = [path.parent for path in project.root.glob("results/*/run.json")]
    return sorted(folder.name for folder in folders if not folder.is_symlink())


def exact(project: Project) -> list[dict[str, Any]]:
    cells = project.result().cells[EXACT].sort_values("variant")
    return cells.astype(object).where(cells.notna(), None).to_dict("records")


def test_killed_while_measuring_loses_nothing(long_project: Project):
    """Seven kills at random points: what was finished stays as it is, and the end is as if nothing had happened."""
    project = long_project
    assert project.run("-k", "accuracy").returncode == 0  # makes the artifacts; this run came to its end
    expected = exact(project)
    chance = random.Random(20)
    finished: dict[str, tuple[int, int]] = {}
    for path in (project.root / "results").glob("*/measurements/*"):
        path.unlink()
    for number in range(7):
        process = start(project)
        if number % 2:  # however slow the machine is, some is finished
            wait_for_measurements(project, process, len(finished) + 2)
        too_many = len(finished) + 4  # however fast it is, some is left for the next
        kill_at_random(process, chance.uniform(0, 1.2), lambda most=too_many: len(measurements(project)) >= most)
        now = measurements(project)
        assert finished.items() <= now.items()
        finished = now
        check_nothing_is_half_written(project.root / "results")
    assert 3 < len(finished) < 2 * COPIES
    done = project.run("--edge-resume")
    assert done.returncode == 0, done.stdout
    assert finished.items() <= measurements(project).items()
    assert exact(project) == expected
    assert len(runs(project)) == 2
    check_nothing_is_half_written(project.root)
    check_nothing_is_half_written(project.store)


def test_killed_while_converting_leaves_a_sound_store(long_project: Project, tmp_path: Path):
    """Three kills in a run whose store is empty: its converter dies as well, and no half artifact is left."""
    project = long_project
    project.store = tmp_path / "store"
    chance = random.Random(3)
    for _ in range(3):
        shutil.rmtree(project.store / "artifacts", ignore_errors=True)  # with them the run may end before it is killed
        measured = len(measurements(project))
        process = start(project, "-k", "accuracy and (fp32 or copy00)")
        kill_at_random(process, chance.uniform(0, 3), lambda before=measured: len(measurements(project)) > before)
        check_nothing_is_half_written(project.store)
        for artifact in project.store.glob("artifacts/*"):
            assert {path.name for path in artifact.iterdir()} == {".entry.json", "artifact.json", "artifact.onnx"}
    done = project.run("--edge-resume", "-k", "accuracy and (fp32 or copy00)")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_ctrl_c_leaves_a_report_of_what_was_not_run(long_project: Project, workers: list[str]):
    """The table says which cells were not run and how to go on; going on runs only those."""
    project = long_project
    process = start(project, *workers)
    wait_for_measurements(project, process, 3)
    until(lambda: any(path.stat().st_size for path in project.root.glob("results/*/verdicts/*.jsonl")))
    left = children(process)
    os.killpg(process.pid, signal.SIGINT)  # a terminal signals the whole group
    assert process.wait(30) == pytest.ExitCode.INTERRUPTED
    assert not psutil.wait_procs(left, timeout=5)[1]
    said = (project.root / "log.txt").read_text()
    assert re.search(r"^not run \d+ cells \(linear/(ort_fp32|copy\d\d)/host:cpu, .*\): not run$", said, re.MULTILINE), (
        said
    )
    assert "hint: resume the run with --edge-resume" in said
    statuses = project.statuses()
    assert set(statuses.values()) == {"not run", "pass"}
    assert len(statuses) == COPIES + 2
    finished = measurements(project)
    done = project.run("--edge-resume", *workers)
    assert done.returncode == 0, done.stdout
    assert set(project.statuses().values()) == {"pass", "rejected"}
    assert finished.items() <= measurements(project).items()
    assert len(runs(project)) == 1


INTERRUPTED_REPORT = """
import pytest

class OldStyle:
    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self):
        (yield).get_result()

class Interrupted:
    def pytest_runtest_makereport(self, item, call):
        if call.when == "call" and "ort_dynamic" in item.name:
            raise KeyboardInterrupt

def pytest_configure(config):
    config.pluginmanager.register(OldStyle())
    config.pluginmanager.register(Interrupted())
"""


def test_ctrl_c_between_tests_is_no_crash_of_pytest(project: Project):
    """A plugin's hook of the old style around the one that ctrl-C hits: pluggy warns, and warnings are errors here."""
    (project.root / "conftest.py").write_text(INTERRUPTED_REPORT)
    done = project.run("-k", "accuracy")
    assert done.returncode == pytest.ExitCode.INTERRUPTED, done.stdout
    assert project.statuses()["linear/ort_int8_minmax/host:cpu"] == "not run"


def test_stopping_at_the_first_failure_can_be_gone_on_from(project: Project):
    """``-x`` leaves the rest "not run", and the run unfinished: --edge-resume goes on in it, and judges anew."""
    project.models["budgets"].append({"variant": "ort_dynamic", "min_top1_percent": 100})
    assert project.run("-x").returncode == 1
    assert project.statuses() == {
        "linear/ort_fp32/host:cpu": "pass",
        "linear/ort_dynamic/host:cpu": "fail",
        "linear/ort_int8_minmax/host:cpu": "not run",
        "linear/canary/host:cpu": "not run",
    }
    finished = measurements(project)
    project.models["budgets"].pop()
    done = project.run("--edge-resume")
    assert done.returncode == 0, done.stdout
    assert set(project.statuses().values()) == {"pass", "rejected"}
    assert finished.items() <= measurements(project).items()
    assert len(runs(project)) == 1


def test_resuming_measures_again_what_would_be_measured_otherwise(project: Project):
    """A changed artifact, or backend option, makes the stored measurement another one's; the rest is kept."""
    variants = project.models["models"]["linear"]["variants"]
    variants["ort_dynamic"]["recipe"] = "ort_int8_entropy"
    assert project.run("-k", "accuracy").returncode == 0
    [run] = runs(project)
    before = measurements(project)
    variants["ort_dynamic"] = {}
    assert project.run("-k", "accuracy", "--edge-resume", run).returncode == 0
    after = measurements(project)
    assert {name for name in before if before[name] != after[name]} == {"linear+ort_dynamic+host@cpu.outputs.npz"}
    project.devices["devices"]["host"]["backends"]["cpu"]["delegate"] = False
    assert project.run("-k", "accuracy", "--edge-resume", run).returncode == 0
    assert not set(after.items()) & set(measurements(project).items())
    assert runs(project) == [run]


def test_resuming_measures_again_in_another_version_of_the_runtime(project: Project, tmp_path: Path):
    """Also what does not depend on that version: an artifact whose recipe does not list the runtime among its packages."""
    project.add_recipes(
        "import shutil\nfrom edgeworthy import recipe\n\n"
        '@recipe("copied", runtime="onnxruntime", packages=("onnx",))\n'
        "def copied(source, out):\n    shutil.copy(source.onnx_file(), out)\n    return source.onnx_layout()\n"
    )
    project.models |= {"recipe_files": ["recipes.py"]}
    project.models["models"]["linear"]["variants"] = {"ort_fp32": {}, "copied": {}}
    assert project.run("-k", "accuracy").returncode == 0
    name, artifact = "linear+copied+host@cpu.outputs.npz", artifact_of(project, "copied")
    before = measurements(project)[name]
    (tmp_path / "newer" / "onnxruntime-99.0.dist-info").mkdir(parents=True)
    (tmp_path / "newer" / "onnxruntime-99.0.dist-info" / "METADATA").write_text("Name: onnxruntime\nVersion: 99.0\n")
    [run] = runs(project)
    newer = f"pythonpath={tmp_path / 'newer'}"
    assert project.run("-k", "accuracy", "--edge-resume", run, "-o", newer).returncode == 0
    assert artifact_of(project, "copied") == artifact
    assert measurements(project)[name] != before


def artifact_of(project: Project, variant: str) -> str:
    return str(project.result().cells.set_index("variant").loc[variant].artifact)


def test_unknown_run_is_a_usage_error(project: Project):
    """It names the folder that was searched, and nothing is begun."""
    done = project.run("--edge-resume", "20200101-000000-abcd")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"--edge-resume 20200101-000000-abcd: no such run in {project.root / 'results'}" in done.stderr
    assert not (project.root / "results").exists()


def test_resuming_when_nothing_was_interrupted_begins_a_new_run(project: Project):
    """Also where there has been no run at all."""
    for count in (1, 2):
        done = project.run("--edge-resume", "-k", "accuracy")
        assert done.returncode == 0, done.stdout
        assert len(runs(project)) == count
