"""``edgeworthy devices add`` on the lab's devices: what works is written, and what does not is not."""

from __future__ import annotations

from tests.integration.conftest import Project
from tests.lab.phone import Phone


def test_a_phone_whose_tool_is_mistyped_is_not_added(project: Project, phone: Phone) -> None:
    """All three backends fail: exit status 2 with the reason, and devices.yaml is as it was."""
    project.write()
    before = (project.root / "devices.yaml").read_text()
    reached = ("--address", phone.address, "--port", str(phone.port), "--key", str(phone.key))
    done = project.edgeworthy("devices", "add", "mine", *reached, "--benchmark-model", "/lab/bin/benchmark_modle")
    assert done.returncode == 2, done.stdout
    assert "mine was not added, none of its backends works: mine:cpu: " in done.stderr
    assert "/lab/bin/benchmark_modle: " in done.stderr
    assert "Hint: correct benchmark_model in devices.yaml" in done.stderr
    assert (project.root / "devices.yaml").read_text() == before
