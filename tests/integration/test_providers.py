"""ONNX Runtime's execution providers: what was asked for is used, or said not to be."""

from __future__ import annotations

from tests.integration.conftest import Project


def providers(project: Project, *names: str, least: float | None = None) -> str:
    """The sentence and next step of a run on these providers."""
    backend = {"providers": list(names), **({"min_delegated_percent": least} if least is not None else {})}
    project.devices["devices"]["host"]["backends"] = {"cpu": {}, "asked": backend}
    project.models["models"]["linear"]["variants"] = {"ort_fp32": {}}
    done = project.run("--edge-target", "host:asked")
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_missing_provider_is_red_with_those_there(project: Project) -> None:
    """A provider that the installed ONNX Runtime does not have: its version and what it has."""
    said = providers(project, "CUDAExecutionProvider", "CPUExecutionProvider")
    assert "has no CUDAExecutionProvider there; it has " in said
    assert "CPUExecutionProvider" in said


def test_provider_that_takes_nothing_is_red(project: Project) -> None:
    """One that is there and leaves every node to the CPU fails the backend's min_delegated_percent, with the proof."""
    said = providers(project, "AzureExecutionProvider", "CPUExecutionProvider", least=50)
    assert "AzureExecutionProvider" in said
    assert "0 of 2 nodes" in said or "0 of 1 nodes" in said
