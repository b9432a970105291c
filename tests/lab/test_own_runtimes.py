"""A runtime of the user's own on a bare board: set up, measured, judged and reported as on the host."""

from __future__ import annotations

import re
import venv
from pathlib import Path

import numpy as np
import packaging
import pytest
from edgeworthy.cells import CellId
from edgeworthy.records import Outputs
from edgeworthy.runs.journal import Journal

from tests.commands import Ended
from tests.integration.conftest import Project
from tests.integration.test_own_runtimes import LAYERS, RECIPES, RUNTIME, own
from tests.lab.board import Board

__all__ = ["own"]
#: The class and the module that it imports each read a table beside themselves, and a package that no runtime brings.
GAINED = RUNTIME.replace(
    "class Mlp",
    "from pathlib import Path\nGAIN = np.load(Path(__file__).parent / 'tables' / 'gain.npy')\n\nclass Mlp",
).replace("self.bias)", "self.bias) * GAIN")
SHIFTED = "import numpy as np\nimport packaging.version\nfrom pathlib import Path\n" + LAYERS.replace(
    "+ bias", "+ bias + np.load(Path(__file__).parent / 'tables' / 'shift.npy')"
)


@pytest.fixture
def both(own: Project, pi: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project on the host and on a board whose Python has nothing installed; the reference runs in the class."""
    # numpy chooses its kernels by it, and a board has its own environment.
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    benchmarks = own.root / "benchmarks"
    (benchmarks / "my_runtime.py").write_text(GAINED)
    (benchmarks / "layers.py").write_text(SHIFTED)
    (benchmarks / "tables").mkdir()
    np.save(benchmarks / "tables" / "gain.npy", np.float32(2))
    np.save(benchmarks / "tables" / "shift.npy", np.float32(0.5))
    own.add_recipes(RECIPES.replace(", lossless=True", ""))  # the tables make other outputs of it
    files = ["tables/gain.npy", "tables/shift.npy"]
    own.models["runtimes"]["numpy_mlp"] |= {"files": files}
    lossy = {"recipe": "mlp_coarse", "options": {"levels": 1}}
    own.models["models"]["linear"] |= {"reference": "mlp", "variants": {"mlp": {}, "lossy": lossy}}
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    place = {"python": str(tmp_path / "bare/bin/python"), "work_folder": str(tmp_path / "work")}
    own.devices["devices"]["pi"] = pi.devices_entry(**place, backends={"cpu": {"runtimes": ["numpy_mlp"]}})
    own.write()
    return own


def set_up(project: Project, *packages: str) -> Ended:
    """`devices setup` where the runtime's entry lists these packages; skips where they cannot be fetched."""
    project.models["runtimes"]["numpy_mlp"]["packages"] = list(packages)
    project.write()
    done = project.edgeworthy("devices", "setup", "pi")
    if "could not fetch" in done.stderr:
        pytest.skip(f"no package index: {done.stderr}")
    return done


def test_a_bare_board_is_set_up_and_judged_as_the_host_is(both: Project) -> None:
    """`devices setup` installs what the entry lists, and names what it lacks; the board gives the host's outputs, and its
    canary is rejected.
    """
    lacking = set_up(both)
    assert lacking.returncode == 2
    assert "pi: numpy_mlp cannot be imported there: ModuleNotFoundError: No module named 'numpy'" in lacking.stderr
    assert "list what the class imports in packages of the runtime in models.yaml" in lacking.stderr
    done = set_up(both, "numpy", "packaging")
    assert done.returncode == 0, done.stderr
    versions = f"numpy {np.__version__}, packaging {packaging.__version__}"
    assert re.search(rf"^pi has numpy_mlp [0-9a-f]{{12}}, {versions}$", done.stdout, re.MULTILINE)

    done = both.run()
    verdicts = {"mlp": "pass", "lossy": "fail", "canary": "rejected"}
    expected = {f"linear/{name}/{at}": status for name, status in verdicts.items() for at in ("host:cpu", "pi:cpu")}
    assert both.statuses() == expected, done.stdout
    run = both.root / "results" / "latest"
    for name in verdicts:
        here, there = (Journal(run).find(Outputs, CellId("linear", name, at)) for at in ("host:cpu", "pi:cpu"))
        assert here is not None
        assert there is not None
        assert np.array_equal(here.values, there.values)
    cells = both.result().cells.set_index(["variant", "target"])
    assert cells.loc["mlp", "pi:cpu"].runtime == cells.loc["mlp", "host:cpu"].runtime
    assert cells.loc["mlp", "pi:cpu"].p50_ms > 0
    assert "linear/lossy/pi:cpu" in done.stdout
