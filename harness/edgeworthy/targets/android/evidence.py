"""What a process of the tool proves: that it ran the model, and on which backend."""

from __future__ import annotations

from edgeworthy.device_schema import AnyAndroidBackend
from edgeworthy.errors import ArtifactUnusable, BackendUnused, RunnerCrashed, TargetError, ToolUnusable
from edgeworthy.records import Delegation
from edgeworthy.targets.android.command import delegate_flags, delegate_name, delegates
from edgeworthy.targets.android.transcript import Transcript

CANNOT_EXECUTE, NOT_FOUND, KILLED_BY_SIGNAL = 126, 127, 128
_OTHER_BACKEND = (
    "give the phone a benchmark_model that has this delegate, correct the backend's options, or take the backend out"
)


def check_ran(where: str, backend: AnyAndroidBackend, said: Transcript, status: int) -> None:
    """Accept a process that ran to its end on its backend. ``where`` names device and artifact.

    Raises BackendUnused with the line that proves it, and for all else that went wrong ArtifactUnusable, RunnerCrashed or
    ToolUnusable.
    """
    _check_flags(where, backend, said)
    if delegates(backend):
        _check_backend(where, backend, said)
    if status != 0 or not said.finished:
        raise _failure(where, said, status)


def delegation(backend: AnyAndroidBackend, said: Transcript, nodes: int) -> Delegation | None:
    """How many of the graph's nodes the delegate took; None where the output tells only of kernels (see nodes_left)."""
    name = delegate_name(backend)
    if not delegates(backend):
        return Delegation(name, 0, nodes, f"switched off by {delegate_flags(backend)[0]}")
    applied = next(line for line in said.applied if line.name == name)
    for replaced in said.replaced:
        if ("xnnpack" in replaced.delegate.lower()) == (backend.delegate == "cpu"):
            return Delegation(name, replaced.taken, replaced.total, f"{applied.line} {replaced.line}")
    if applied.wholly or not applied.kernels:
        return Delegation(name, nodes if applied.wholly else 0, nodes, applied.line)
    return None


def partial_delegation(backend: AnyAndroidBackend, said: Transcript, nodes: int, left: int) -> Delegation:
    """The same from a profile in which ``left`` nodes are no delegate's. Raises ToolUnusable where that cannot be."""
    applied = next(line for line in said.applied if line.name == delegate_name(backend))
    if not 0 <= left <= nodes:
        raise ToolUnusable(
            f"benchmark_model's profile has {left} nodes of the graph, the file has {nodes}",
            hint="use a benchmark_model of the version that the docs name, and report this",
        )
    return Delegation(applied.name, nodes - left, nodes, f"{applied.line} Its profile has {left} nodes beside them.")


def _check_flags(where: str, backend: AnyAndroidBackend, said: Transcript) -> None:
    line = said.line("Unconsumed cmdline flags")
    unknown = line.partition("flags:")[2].split()
    mine = [flag for flag in delegate_flags(backend) if flag.split()[0] in unknown]
    if mine and delegates(backend):
        raise BackendUnused(
            f"{where}: this build of benchmark_model does not know {mine[0].partition('=')[0]}: {line!r}",
            hint=_OTHER_BACKEND,
        )
    others = [flag for flag in unknown if flag.startswith("--") and not flag.startswith("--use_xnnpack=false")]
    if others:
        raise ToolUnusable(
            f"{where}: this build of benchmark_model does not know {others[0].partition('=')[0]}: {line!r}",
            hint="give the phone a newer benchmark_model",
        )


def _check_backend(where: str, backend: AnyAndroidBackend, said: Transcript) -> None:
    name = delegate_name(backend)
    proof = said.line(f"Failed to apply {name} delegate")
    if not proof and backend.delegate != "cpu":  # XNNPACK is still the processor: its share is judged, as on the host
        proof = said.line(f"Though {name} delegate is explicitly applied")
    if not proof and said.line("Disallowed CPU fallback"):
        proof = said.line("Disallowed CPU fallback")
    if not proof and said.finished and not any(applied.name == name for applied in said.applied):
        proof = said.line("unsupported on this platform", "Could not create", "failed to create") or (
            "its output has no word of the delegate"
        )
    if proof:
        raise BackendUnused(
            f"{where}: {name} was asked for and did not run {'all of ' * ('Disallowed' in proof)}the model: {proof!r}",
            hint=_OTHER_BACKEND,
            log_tail=said.tail,
        )


def _failure(where: str, said: Transcript, status: int) -> TargetError:
    if status in (CANNOT_EXECUTE, NOT_FOUND):
        return ToolUnusable(
            f"{where}: benchmark_model cannot be run there: {said.tail or f'status {status}'}",
            hint="push a benchmark_model that is built for this phone's ABI",
        )
    fatal = said.line("FATAL: ")
    error = said.line("ERROR: ")
    if fatal:
        return ToolUnusable(
            f"{where}: benchmark_model gave up: {fatal!r}",
            log_tail=said.tail,
            hint="see its log; try a newer benchmark_model or another backend",
        )
    if error and error != "ERROR: Benchmarking failed.":
        return ArtifactUnusable(
            f"{where}: benchmark_model cannot run it: {error!r}",
            log_tail=said.tail,
            hint="use another recipe or backend for this variant",
        )
    if status >= KILLED_BY_SIGNAL:
        return RunnerCrashed(
            f"{where}: benchmark_model was killed by signal {status - KILLED_BY_SIGNAL}",
            log_tail=said.tail,
            hint="try a smaller model, or a newer benchmark_model; see logcat on the phone",
        )
    if status != 0:
        return ArtifactUnusable(
            f"{where}: benchmark_model ended with status {status}",
            log_tail=said.tail,
            hint="try the artifact on another backend, or with a newer benchmark_model",
        )
    return ToolUnusable(
        f"{where}: benchmark_model ended with status 0 and printed no measurement",
        hint="see that it is TFLite's benchmark_model, and that nothing else writes to its output",
        log_tail=said.tail,
    )
