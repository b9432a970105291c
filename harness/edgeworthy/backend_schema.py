"""What backends of several kinds of devices have in common, in devices.yaml."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from edgeworthy.runtimes import Runtime
from edgeworthy.schema import Percent, Strict

Core = Annotated[int, Field(ge=0, lt=1024)]
#: ONNX Runtime's name of the processor.
CPU_PROVIDER = "CPUExecutionProvider"
#: The whole of a graph, in percent.
ALL = 100.0


class Backend(Strict):
    """What every backend has."""

    #: Whether times and memory that are measured there are the device's own.
    timed: ClassVar[bool] = True
    #: What it says of what a microcontroller must have for a model, by metric.
    needs: ClassVar[frozenset[str]] = frozenset()

    def accelerates(self, runtime: Runtime) -> bool:
        """Whether artifacts of this runtime are run by an accelerator whose ops can be compared with the processor's."""
        return False

    def limits(self, runtime: str) -> dict[str, float]:
        """Limits for artifacts of this runtime, which budgets override."""
        return {}


class EngineBackend(Backend):
    """What every backend has whose engine edgeworthy starts: of this machine, of a board, of a phone, of an emulation."""

    threads: int = Field(1, ge=1, le=1024)
    cores: list[Core] | None = Field(None, min_length=1, description="pin the runner to these cores")
    min_delegated_percent: Percent | None = Field(
        None, description="least share of a graph that the backend's delegate must take; a budget overrides it"
    )

    def limits(self, runtime: str) -> dict[str, float]:
        """Limits for artifacts of this runtime, which budgets override."""
        least = self.min_delegated_percent
        return {} if least is None else {"min_delegated_percent": least}

    def engine(self, runtime: Runtime) -> Runtime:
        """What runs the artifacts of a runtime there: that runtime."""
        return runtime


def leaves_nodes(least: float | None) -> bool:
    """Whether an accelerator that must take this share of a graph, in percent (None: all), may leave nodes to the processor."""
    return least is not None and least < ALL


class PluginProvider(Strict):
    """An execution provider of ONNX Runtime that a package of its own brings."""

    package: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*$", description="the distribution, such as onnxruntime-qnn")
    name: str = Field(description="the provider's name, such as QNNExecutionProvider")
    options: dict[str, bool | int | float | str] = Field(default_factory=dict, description="options of the provider")

    def settings(self, least: float | None, *, emulated: bool = False) -> dict[str, Any]:
        """What the runner is given; ``least`` is the share that the provider must take, None: all of it.

        Unless it is to be ``emulated``, a library that emulates its accelerator there is refused: its times are no device's.
        """
        options = {name: _option(value) for name, value in self.options.items()}
        chosen = {"package": self.package, "name": self.name, "options": options}
        return {**chosen, "fallback": leaves_nodes(least), "emulated": emulated}


def _option(value: bool | int | float | str) -> str:
    """As ONNX Runtime takes it: a text, and of a switch 0 or 1."""
    return str(int(value)) if isinstance(value, bool) else str(value)


class CompiledModel(Strict):
    """LiteRT's CompiledModel, which runs .tflite files in place of its Interpreter."""

    accelerator: Literal["cpu", "gpu", "npu"] = Field(description="what it compiles graphs for")
    precision: Literal["float16", "float32"] = Field(
        "float16", description="what the GPU may compute float32 graphs in"
    )

    @model_validator(mode="after")
    def _precision_of_a_gpu(self) -> CompiledModel:
        if self.accelerator != "gpu" and "precision" in self.model_fields_set:
            raise ValueError(f"precision is for accelerator: gpu, and this one is {self.accelerator}")
        return self

    def settings(self, least: float | None, *, emulated: bool = False) -> dict[str, Any]:
        """What the runner is given; ``least`` is the share that the accelerator must take, None: all of it.

        Unless it is to be ``emulated``, an adapter that is software is refused: its times are no GPU's.
        """
        fallback = self.accelerator == "gpu" and leaves_nodes(least)
        return {**self.model_dump(), "fallback": fallback, "emulated": emulated}
