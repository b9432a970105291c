"""The emulators that stand for an accelerator, in devices.yaml: a class each, by the key 'emulator'."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from edgeworthy.backend_schema import CompiledModel, EngineBackend, PluginProvider
from edgeworthy.runtimes import ENGINES, Runtime
from edgeworthy.schema import Percent, Positive

#: Versions of Qualcomm's NPU that QNN's host libraries compile for.
HtpArch = Literal[68, 69, 73, 75, 79, 81]
#: Vela's names of the NPUs that it compiles for.
Accelerator = Literal[
    "ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u65-512",
    "ethos-u85-128", "ethos-u85-256", "ethos-u85-512", "ethos-u85-1024", "ethos-u85-2048",
]  # fmt: skip
#: A section of Vela's configuration; it becomes a word of a command.
VelaName = Annotated[str, Field(pattern=r"^\w+$")]


class EmulatedBackend(EngineBackend):
    """What every emulator has: its outputs are evidence, its times and its memory are those of this machine.

    By default a graph that is only partly taken fails.
    """

    timed: ClassVar[bool] = False
    runtimes: ClassVar[None] = None
    #: The runtime whose artifacts it runs.
    runs: ClassVar[str]
    emulator: str
    min_delegated_percent: Percent | None = Field(
        100, description="least share of a graph that the emulated device must take; a budget overrides it"
    )

    def accelerates(self, runtime: Runtime) -> bool:
        """Always: it stands for one."""
        return True

    def why_not(self, runtime: Runtime) -> str:
        """Why it runs no artifacts of this runtime; empty where it does."""
        return "" if runtime.name == self.runs else f"the emulator {self.emulator} runs files of {self.runs} alone"

    def settings(self) -> dict[str, Any]:
        """The options that the runner follows and the target's identity holds."""
        return {"threads": self.threads, "cores": self.cores, "delegate": True, "emulator": self.emulator}

    def packages(self, runtime: Runtime) -> tuple[str, ...]:
        """The distributions beside the runtime's own whose versions say what ran."""
        return ()

    def installed_by(self, runtime: Runtime) -> str:
        """What pip is given to install them."""
        return "'edgeworthy[accelerators]'"


class HtpBackend(EmulatedBackend):
    """The NPU (HTP) of Qualcomm's chips, emulated by the libraries of onnxruntime-qnn."""

    runs: ClassVar[str] = "onnxruntime"
    emulator: Literal["htp"]
    soc: int | None = Field(None, ge=1, description="Qualcomm's number of the chip; 57 is a Snapdragon 8 Gen 3")
    htp_arch: HtpArch | None = Field(None, description="version of the NPU; 75 is that of a Snapdragon 8 Gen 3")
    precision: Literal["float16", "none"] = Field(
        "none",
        description="float16: float graphs are computed in it, as on the chip that 'soc' names; none: as the library chooses",
    )

    @model_validator(mode="after")
    def _float16_of_a_chip(self) -> HtpBackend:
        if self.precision == "float16" and self.soc is None:
            raise ValueError("precision float16 is that of a chip: give its number as 'soc'")
        return self

    @property
    def provider(self) -> PluginProvider:
        """The execution provider whose libraries emulate the NPU."""
        given = {"soc_model": self.soc, "htp_arch": self.htp_arch}
        chip = {name: value for name, value in given.items() if value is not None}
        half = {"enable_htp_fp16_precision": True} if self.precision == "float16" else {}
        options: dict[str, bool | int | float | str] = {"backend_type": "htp", **chip, **half}
        return PluginProvider(package="onnxruntime-qnn", name="QNNExecutionProvider", options=options)

    def settings(self) -> dict[str, Any]:
        """The options that the runner follows and the target's identity holds."""
        return {**super().settings(), "ep": self.provider.settings(self.min_delegated_percent, emulated=True)}

    def packages(self, runtime: Runtime) -> tuple[str, ...]:
        """The distributions beside the runtime's own whose versions say what ran."""
        return (self.provider.package,)


class LitertGpuBackend(EmulatedBackend):
    """LiteRT's GPU accelerator, by a Vulkan driver that computes on this machine's processor."""

    runs: ClassVar[str] = "litert"
    emulator: Literal["litert_gpu"]
    precision: Literal["float16", "float32"] = Field(
        "float32", description="what it may compute float32 graphs in; SwiftShader has no float16"
    )
    vulkan_driver: str | None = Field(
        None, pattern="^/", description="path of the driver's library; none: Chromium's libvk_swiftshader.so"
    )

    def settings(self) -> dict[str, Any]:
        """The options that the runner follows and the target's identity holds."""
        gpu = CompiledModel(accelerator="gpu", precision=self.precision)
        return {**super().settings(), "compiled_model": gpu.settings(self.min_delegated_percent, emulated=True)}

    def engine(self, runtime: Runtime) -> Runtime:
        """CompiledModel, which runs LiteRT's artifacts on its accelerators."""
        return ENGINES["litert_compiled"]


class TflmBackend(EmulatedBackend):
    """A microcontroller, by the kernels of LiteRT for Microcontrollers (TFLM)."""

    runs: ClassVar[str] = "litert"
    needs: ClassVar[frozenset[str]] = frozenset({"arena_kb", "flash_kb"})
    emulator: Literal["tflm"]
    min_delegated_percent: Percent | None = Field(None, description="TFLM has no delegates: any limit fails")
    max_arena_kb: Positive | None = Field(None, description="memory for a model's tensors; a budget overrides it")
    max_flash_kb: Positive | None = Field(None, description="flash for a model; a budget overrides it")

    def accelerates(self, runtime: Runtime) -> bool:
        """No: a microcontroller's processor computes the ops."""
        return False

    def limits(self, runtime: str) -> dict[str, float]:
        """Limits for artifacts of this runtime, which budgets override."""
        own = self.model_dump(include={f"max_{metric}" for metric in self.needs}, exclude_none=True)
        return {**super().limits(runtime), **own}

    def engine(self, runtime: Runtime) -> Runtime:
        """TFLM, which runs LiteRT's artifacts."""
        return ENGINES[self.emulator]


class EthosUBackend(TflmBackend):
    """A microcontroller with an Ethos-U: outputs by TFLM's kernels, what it needs and what the NPU takes by Vela."""

    needs: ClassVar[frozenset[str]] = frozenset({"arena_kb", "flash_kb", "cpu_ops"})
    emulator: Literal["ethos_u"]  # type: ignore[assignment]
    accelerator: Accelerator = Field(description="the NPU, as Vela calls it")
    system_config: VelaName | None = Field(None, description="section of Vela's configuration; none: Vela chooses")
    memory_mode: VelaName | None = Field(None, description="section of Vela's configuration; none: Vela chooses")
    min_delegated_percent: Percent | None = Field(
        None, description="least share of the operators that the NPU must take; a budget overrides it"
    )
    max_cpu_ops: int = Field(
        0, ge=0, description="operators that Vela may leave to the processor; a budget overrides it"
    )

    def settings(self) -> dict[str, Any]:
        """The options that the runner follows and the target's identity holds."""
        return {**super().settings(), **self.model_dump(include={"accelerator", "system_config", "memory_mode"})}

    def packages(self, runtime: Runtime) -> tuple[str, ...]:
        """The distributions beside the runtime's own whose versions say what ran."""
        return ("ethos-u-vela",)


AnyEmulatedBackend = Annotated[
    HtpBackend | LitertGpuBackend | TflmBackend | EthosUBackend, Field(discriminator="emulator")
]
