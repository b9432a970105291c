"""A project whose run has cells of every status that a run can give, for the tests of its page."""

from __future__ import annotations

import asyncssh
import yaml

from tests.integration.conftest import Project
from tests.integration.test_own_targets import TARGET

#: Text that is markup, a script, right to left, or moves a terminal's cursor, where it is not shown as text.
HOSTILE = "<script>alert('x')</script> \"&amp; </td> \u202egnp.exe \x1b[31mred"

RECIPES = f"""
from edgeworthy import RecipeRefused, recipe

@recipe("never", runtime="onnxruntime", packages=("onnx",))
def never(source, out):
    raise RecipeRefused({HOSTILE!r}, hint="use another recipe")
"""

STAND = (
    TARGET
    + """
class Stand(Base):
    def __init__(self, loss=0.0, hot=False):
        super().__init__(loss)
        self.hot, self.asked = hot, 0

    def state(self):
        self.asked += self.hot
        return {**super().state(), "throttled_since_boot": self.asked}
"""
)

WAIVER = {
    "model": "linear",
    "variant": "ort_dynamic",
    "target": "stand:lossy",
    "reason": "the stand loses a tenth of the predictions",
    "issue": "https://example.org/issues/7",
    "expires": "2999-12-31",
}


def with_every_status(project: Project) -> Project:
    """Variants and targets of which some fail, are waived, refused, absent and not comparable; a history, and a baseline."""
    (project.root / "stand.py").write_text(STAND)
    project.add_recipes(RECIPES)
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(project.root / "key")
    backends = {
        name: {"runtimes": ["onnxruntime"], "options": options}
        for name, options in {"good": {}, "lossy": {"loss": 0.1}, "hot": {"hot": True}}.items()
    }
    project.devices["devices"]["stand"] = {"kind": "own", "target": "stand.py:Stand", "backends": backends}
    project.devices["devices"]["board"] = {
        "kind": "linux",
        "address": "127.0.0.1",
        "port": 9,
        "user": "nobody",
        "key": "key",
        "required": False,
        "backends": {"cpu": {}},
    }
    project.models["models"]["linear"]["variants"] = {"ort_fp32": {}, "ort_dynamic": {}, "never": {}}
    project.models["budgets"] = [{"max_drop_points": 2.0, "max_p50_ms": 50}]
    project.models["regression"] = {"latency_floor_us": 10_000, "load_floor_ms": 1000}
    settings = project.root / "pytest.ini"
    settings.write_text(settings.read_text().replace("edge_history = off\n", ""))
    (project.root / "benchmarks" / "waivers.yaml").write_text(yaml.safe_dump({"version": 1, "waivers": [WAIVER]}))
    project.write()
    return project
