"""A .tflite file in the kernels of LiteRT for Microcontrollers (TFLM), which run on this machine."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .jobs import Array, Facts, Job, RunnerError, shape_text
from .litert import LiteRtModel
from .signatures import check_signature
from .standard_error import caught

#: The arena in which a model is run, more than a microcontroller has; what of it is used is what a model needs.
ARENA_BYTES = 1 << 28
_USED = re.compile(r"Arena allocation total (\d+) bytes")
#: Where in TFLM's sources something failed.
_PLACE = re.compile(r"^\S+\.(?:cc|h)(?::\d+)? ")


class TflmModel(LiteRtModel):
    """A .tflite file in TFLM. Its shapes are fixed: sizes that the file leaves open are 1."""

    def __init__(self, job: Job) -> None:
        from tflite_micro.python.tflite_micro import runtime

        self.job = job
        content = Path(job["artifact"]).read_bytes()
        with _reasons("cannot load it"):
            self.interpreter = runtime.Interpreter.from_bytes(content, arena_size=ARENA_BYTES)
        self.file: Any = runtime.convert_bytearray_to_object(content)
        self.resources: int = runtime.count_resource_variables(self.file)
        check_signature(
            job,
            [(name, shape_text(each["shape"])) for name, each in self._named("input").items()],
            [(name, np.dtype(each["dtype"])) for name, each in self._named("output").items()],
        )
        self._read_details()

    def _named(self, end: str) -> dict[str, Any]:
        """The details of inputs or outputs, as the only signature calls them, else as their tensors."""
        graph, signatures = self.file.subgraphs[0], self.file.signatureDefs or []
        tensors = [int(tensor) for tensor in getattr(graph, f"{end}s")]
        called = {tensor: graph.tensors[tensor].name for tensor in tensors}
        if len(signatures) == 1 and self.job["input_names" if end == "input" else "outputs"]:
            called |= {int(each.tensorIndex): each.name for each in getattr(signatures[0], f"{end}s")}
        names = [called[tensor].decode(errors="replace") for tensor in tensors]
        return {name: self._details(end, place, name) for place, name in enumerate(names)}

    def _details(self, end: str, place: int, name: str) -> dict[str, Any]:
        """As LiteRT's Interpreter has them; ``index`` is the place among the inputs or outputs."""
        found = getattr(self.interpreter, f"get_{end}_details")(place)
        scaled = found["quantization_parameters"]
        pairs = list(zip(scaled["scales"].tolist(), scaled["zero_points"].tolist(), strict=True))
        quantization = pairs[0] if len(pairs) == 1 else (0.0, 0)
        return {
            "name": name,
            "index": place,
            "shape": found["shape"],
            "dtype": found["dtype"],
            "quantization": quantization,
        }

    def _resize(self, shapes: list[tuple[int, ...]]) -> None:
        raise ValueError("TFLM's shapes are fixed")

    def feed(self, native: list[Any]) -> None:
        """Set the inputs."""
        for values, each in zip(native, self.input_details, strict=True):
            self.interpreter.set_input(values, each["index"])

    def invoke(self) -> None:
        """One inference. Raises RunnerError with TFLM's reason."""
        with _reasons("fails"):
            self.interpreter.invoke()

    def reset(self) -> None:
        """Set the variable tensors to their initial values."""
        self.interpreter.reset()

    def keeps_state(self) -> bool:
        """Whether it has resource variables: a load sets them to their initial values."""
        return self.resources > 0

    def output(self) -> list[Array]:
        """The wanted outputs, in the runtime's own types."""
        return [self.interpreter.get_output(each["index"]) for each in self.output_details]

    def delegation(self, native: Any) -> Facts | None:
        """None: there are no delegates."""
        return None

    def needs(self) -> dict[str, float]:
        """What a microcontroller must have for it: the arena as TFLM recorded it on this machine, and flash for the file."""
        with caught() as said:
            self.interpreter.print_allocations()
        used = _USED.search("".join(said))
        if used is None:
            raise RunnerError("artifact_unusable", "TFLM recorded no allocations of its arena")
        return {"arena_kb": int(used[1]) / 1e3, "flash_kb": Path(self.job["artifact"]).stat().st_size / 1e3}


@contextlib.contextmanager
def _reasons(problem: str) -> Iterator[None]:
    """Raise RunnerError where TFLM raises, with what it writes to standard error as the reason."""
    said: list[str] = []
    try:
        with caught() as said:
            yield
    except (RuntimeError, ValueError) as error:
        reason = reason_in("".join(said)) or str(error)
        raise RunnerError("unsupported", f"TFLM {problem}: {reason}") from error


def reason_in(said: str) -> str:
    """TFLM's reason in a clause: the node that it is about, and the first line, without its place in TFLM's sources."""
    lines = [line for each in said.splitlines() if (line := _PLACE.sub("", each).strip())]
    node = [line for line in lines if line.startswith("Node ")]
    return ": ".join(dict.fromkeys([*node[:1], *lines[:1]]))
