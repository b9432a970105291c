"""An execution provider that a package of its own brings to ONNX Runtime: its devices, its session, the nodes it takes."""

from __future__ import annotations

import contextlib
import importlib
import platform
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from .jobs import Facts, Job, RunnerError
from .standard_error import caught

#: Where ONNX Runtime counts nodes by provider; versions before have neither the key nor the call.
_RECORD = "session.record_ep_graph_assignment_info"
_NO_FALLBACK = "session.disable_cpu_ep_fallback"
#: Where a provider's library has no accelerator, and emulates it: its name -> processors.
_EMULATED_ON = {"QNNExecutionProvider": ("x86_64", "AMD64")}
#: What is logged of nodes that are left: the session's own assignment names them.
_OF_NODES = re.compile(r"assigned to the default CPU EP|Unsupported nodes")
_LOGGED = re.compile(r"\[E:onnxruntime[^\]]*\] *(.*)")
_COLOR = re.compile("\x1b\\[[0-9;]*m")
#: Left because the node between them is.
_AROUND = ("QuantizeLinear", "DequantizeLinear")
#: So many nodes are named.
NAMED = 6
#: Libraries that this process has registered, by the provider's name.
_registered: set[str] = set()


class Node(NamedTuple):
    """A node of the graph as it was divided among providers."""

    provider: str
    name: str
    op: str


def session(job: Job, onnxruntime: Any, options: Any) -> Any:
    """A session on the job's provider; what it leaves to the processor is an error unless the entry allows that.

    Raises RunnerError.
    """
    ep = job["ep"]
    if platform.machine() in _EMULATED_ON.get(ep["name"], ()) and not ep["emulated"]:
        said = f"{ep['name']} emulates its accelerator on {platform.machine()}: its times would be no device's"
        raise RunnerError("emulates", said)
    devices = _devices(onnxruntime, ep)
    _choose(job, onnxruntime, options, devices)
    if not ep["fallback"]:
        options.add_session_config_entry(_NO_FALLBACK, "1")
    opened, error, logged = _opened(job, onnxruntime, options)
    if opened is not None and not logged:
        return opened
    found = nodes(opened or _with_fallback(job, onnxruntime, devices))
    left = [node for node in found if node.provider != ep["name"]]
    if logged and (not left or len(left) == len(found)):
        raise RunnerError("provider_unused", f"{ep['name']} of {ep['package']} does not start as asked: {logged}")
    if opened is not None:
        return opened
    if left:
        raise RunnerError("nodes_left", f"{ep['name']} leaves {in_words(left)} of {len(found)} to the processor")
    assert error is not None
    raise error


def nodes(opened: Any) -> list[Node]:
    """Every node of a session's graph, and which provider took it; none of no session."""
    parts = opened.get_provider_graph_assignment_info() if opened else []
    return [Node(part.ep_name, node.name, node.op_type) for part in parts for node in part.get_nodes()]


def delegation(job: Job, opened: Any) -> Facts:
    """How many nodes the provider took, and which it left."""
    name, found = job["ep"]["name"], nodes(opened)
    left = [node for node in found if node.provider != name]
    taken = len(found) - len(left)
    proof = f"the session's assignment: {taken} of {len(found)} nodes on {name}"
    return {
        "delegate": name,
        "taken": taken,
        "total": len(found),
        "proof": f"{proof}, not {in_words(left)}" if left else proof,
    }


def in_words(left: list[Node]) -> str:
    """``2 nodes (Softmax 'probabilities', Cast 'cast')``; first those that are left for what they are."""
    ordered = sorted(left, key=lambda node: node.op in _AROUND)
    shown = ", ".join(f"{node.op} {node.name!r}" for node in ordered[:NAMED])
    more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
    return f"{len(left)} node{'s' * (len(left) != 1)} ({shown}{more})"


def _devices(onnxruntime: Any, ep: Facts) -> list[Any]:
    """What the provider's library runs on there. Raises RunnerError where it is not installed, or finds nothing."""
    package, name = ep["package"], ep["name"]
    if not hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info"):
        said = f"onnxruntime {onnxruntime.__version__} takes no provider of a package; 1.24 and later do"
        raise RunnerError("provider_missing", said)
    try:
        library = importlib.import_module(package.replace("-", "_")).get_library_path()
    except (ImportError, AttributeError) as error:
        raise RunnerError("provider_missing", f"{package}, which has {name}, is not installed ({error})") from error
    if name not in _registered:
        try:
            onnxruntime.register_execution_provider_library(name, library)
        except Exception as error:
            said = str(error).strip().splitlines()[0]
            raise RunnerError("provider_unused", f"the library of {package} cannot be loaded: {said}") from error
        _registered.add(name)
    devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]
    if not devices:
        names = ", ".join(sorted({device.ep_name for device in onnxruntime.get_ep_devices()}))
        raise RunnerError("provider_unused", f"{package} finds no device for {name}; there are those of {names}")
    return devices


def _choose(job: Job, onnxruntime: Any, options: Any, devices: list[Any]) -> None:
    """The provider on these devices, with a record of the nodes that it takes."""
    _fix_batch(job, onnxruntime, options)
    options.add_session_config_entry(_RECORD, "1")
    options.add_provider_for_devices(devices, job["ep"]["options"])


def _fix_batch(job: Job, onnxruntime: Any, options: Any) -> None:
    """One sample at a time, as deployed: some providers take fixed shapes alone."""
    plain = onnxruntime.InferenceSession(job["artifact"], providers=["CPUExecutionProvider"])
    for name in {each.shape[0] for each in plain.get_inputs() if each.shape and isinstance(each.shape[0], str)}:
        options.add_free_dimension_override_by_name(name, 1)


def _with_fallback(job: Job, onnxruntime: Any, devices: list[Any]) -> Any:
    """A session that may leave nodes to the processor, to see which; None where there is none either."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    _choose(job, onnxruntime, options, devices)
    return _opened(job, onnxruntime, options)[0]


def _opened(job: Job, onnxruntime: Any, options: Any) -> tuple[Any, Exception | None, str]:
    """The session or the error, and the first line that was logged as one: exceptions do not say the provider's reason."""
    opened, failed = None, None
    with _logged() as lines:
        try:
            opened = onnxruntime.InferenceSession(job["artifact"], options, enable_fallback=0)
        except Exception as error:
            failed = error
    return opened, failed, next((line for line in lines if not _OF_NODES.search(line)), "")


@contextlib.contextmanager
def _logged() -> Iterator[list[str]]:
    """The errors that are logged to this process's standard error meanwhile; the log still gets all of it."""
    lines: list[str] = []
    with caught() as said:
        yield lines
    lines += [line.strip() for line in _LOGGED.findall(_COLOR.sub("", "".join(said)))]
