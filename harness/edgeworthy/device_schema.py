"""The schema of devices.yaml: devices, how each is reached, when it is fit to be measured on, and its backends."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from edgeworthy.backend_schema import CPU_PROVIDER, Backend, CompiledModel, EngineBackend, PluginProvider, leaves_nodes
from edgeworthy.cells import TargetId
from edgeworthy.emulator_schema import AnyEmulatedBackend
from edgeworthy.runtimes import ENGINES, Runtime
from edgeworthy.schema import Name, Percent, Positive, Strict, TargetName

Port = Annotated[int, Field(ge=1, le=65535)]
#: Android's names of its binary interfaces.
Abi = Literal["arm64-v8a", "armeabi-v7a", "x86_64", "x86"]


class Hygiene(Strict):
    """When a device is fit to be measured on. A limit left out is not held; throttling never passes."""

    min_battery_percent: Percent | None = Field(None, description="charge of the battery")
    max_temperature_c: Positive | None = Field(None, description="temperature before a measurement, degrees Celsius")
    max_load: Positive | None = Field(None, description="load average of the last minute")
    screen: Literal["on", "off"] | None = Field(None, description="state that the screen must be in")
    settle_s: Positive = Field(300, description="how long to wait for the device to settle, in seconds")
    poll_s: Positive = Field(5, description="how often to look meanwhile, in seconds")
    remeasure: int = Field(
        2, ge=0, le=20, description="how often a cell that was measured while throttled is measured again"
    )


def _not_listed(runtimes: list[str], runtime: Runtime) -> str:
    return "" if runtime.name in runtimes else f"its 'runtimes' in devices.yaml are {', '.join(runtimes)}"


class RunnerBackend(EngineBackend):
    """How edgeworthy's own runner executes artifacts: on the host, or on a board."""

    delegate: bool = Field(
        True, description="XNNPACK for LiteRT, graph optimizations for ONNX Runtime, oneDNN for torch"
    )
    runtimes: list[Name] | None = Field(None, min_length=1, description="those whose artifacts it runs; none: all")
    providers: list[str] = Field(
        [CPU_PROVIDER], min_length=1, description="ONNX Runtime's execution providers, the first preferred"
    )
    ep: PluginProvider | None = Field(
        None,
        description="an execution provider of ONNX Runtime that a package of its own brings, in place of 'providers'; it must"
        " take every node unless min_delegated_percent is less than 100",
    )
    compiled_model: CompiledModel | None = Field(
        None,
        description="run LiteRT's files, and no others, by its CompiledModel, in place of its Interpreter; a GPU or an NPU must"
        " take every node, a GPU unless min_delegated_percent is less than 100",
    )

    @model_validator(mode="after")
    def _one_kind_of_provider(self) -> RunnerBackend:
        if self.ep and "providers" in self.model_fields_set:
            raise ValueError("give one of: providers (of ONNX Runtime's own build), ep (of a package)")
        return self

    @property
    def accelerator(self) -> str:
        """The execution provider beside the processor's, empty without one."""
        if self.ep:
            return self.ep.name
        return ", ".join(self.providers) if self.providers != [CPU_PROVIDER] else ""

    def accelerates(self, runtime: Runtime) -> bool:
        """Whether a provider of ONNX Runtime beside the processor's, or LiteRT's GPU or NPU, runs them."""
        compiled = self.compiled_model is not None and self.compiled_model.accelerator != "cpu"
        return compiled or (runtime.name == "onnxruntime" and bool(self.accelerator))

    @model_validator(mode="after")
    def _what_an_accelerator_has(self) -> RunnerBackend:
        accelerator = self.compiled_model.accelerator if self.compiled_model else "cpu"
        if accelerator != "cpu" and not self.delegate:
            raise ValueError(f"delegate: false is for the processor, not for accelerator: {accelerator}")
        if accelerator == "npu" and leaves_nodes(self.min_delegated_percent):
            raise ValueError("min_delegated_percent: an NPU takes the whole graph; what it leaves is said by nobody")
        return self

    def engine(self, runtime: Runtime) -> Runtime:
        """What runs the artifacts of a runtime there: CompiledModel where it is chosen, and that runtime otherwise."""
        return ENGINES["litert_compiled"] if self.compiled_model else super().engine(runtime)

    def why_not(self, runtime: Runtime) -> str:
        """Why it runs no artifacts of this runtime; empty where it does."""
        if self.compiled_model and runtime.name != "litert":
            return f"its 'compiled_model' in devices.yaml runs LiteRT's files alone, and no {runtime}"
        if self.runtimes is not None and (listed := _not_listed(self.runtimes, runtime)):
            return listed
        if runtime.processor_alone and self.accelerator:
            return f"{runtime} runs on the processor alone, and this backend is for {self.accelerator}"
        if not (self.delegate or runtime.reference_kernels):
            return f"{runtime} has no reference kernels, and this backend has delegate: false"
        return ""

    def limits(self, runtime: str) -> dict[str, float]:
        """Limits for artifacts of this runtime, which budgets override: of XNNPACK, or of a provider beside the CPU's."""
        accelerated = runtime == "onnxruntime" and (self.ep is not None or self.providers[0] != CPU_PROVIDER)
        least = self.min_delegated_percent
        return {"min_delegated_percent": least} if least is not None and (runtime == "litert" or accelerated) else {}

    def settings(self) -> dict[str, Any]:
        """The options that the runner follows and the target's identity holds."""
        chosen = {"ep": self.ep, "compiled_model": self.compiled_model}
        given = {name: each.settings(self.min_delegated_percent) for name, each in chosen.items() if each}
        return {**self.model_dump(include={"threads", "cores", "delegate", "providers"}), **given}

    def packages(self, runtime: Runtime) -> tuple[str, ...]:
        """The distributions beside the runtime's own whose versions say what ran."""
        return (self.ep.package,) if self.ep and runtime.name == "onnxruntime" else ()

    def installed_by(self, runtime: Runtime) -> str:
        """What pip is given to install them."""
        return " ".join(self.packages(runtime))


class BoardBackend(RunnerBackend):
    """How the runner executes artifacts on a board: what ``edgeworthy devices setup`` installs there."""

    runtimes: list[Name] | None = Field(
        None, min_length=1, description="those whose artifacts it runs; none: all that boards usually have"
    )

    def why_not(self, runtime: Runtime) -> str:
        """Why it runs no artifacts of this runtime; empty where it does."""
        if self.runtimes is None and not runtime.on_boards:
            return f"a board runs {runtime} only where its 'runtimes' in devices.yaml list it"
        return super().why_not(runtime)


class AndroidBackend(EngineBackend):
    """What every backend of a phone has: benchmark_model runs LiteRT files only."""

    runtimes: ClassVar[None] = None

    def why_not(self, runtime: Runtime) -> str:
        """Why it runs no artifacts of this runtime; empty where it does."""
        return (
            "" if runtime.name == "litert" else f"phones run LiteRT's files alone, by benchmark_model, and no {runtime}"
        )


class CpuBackend(AndroidBackend):
    """The phone's processor."""

    delegate: Literal["cpu"]
    xnnpack: bool = Field(True, description="XNNPACK; false: reference kernels")


class NnapiBackend(AndroidBackend):
    """Android's Neural Networks API."""

    delegate: Literal["nnapi"]
    accelerator: str | None = Field(None, description="name of the accelerator; none: NNAPI chooses")
    fp16: bool = Field(False, description="let float32 graphs be computed in float16")
    cpu_fallback: bool = Field(False, description="let NNAPI's own processor implementation take part")


class GpuBackend(AndroidBackend):
    """The phone's graphics processor."""

    delegate: Literal["gpu"]
    precision_loss: bool = Field(True, description="let float32 graphs be computed in float16")
    api: Literal["opencl", "opengl"] | None = Field(None, description="none: the delegate chooses")


class HexagonBackend(AndroidBackend):
    """Qualcomm's Hexagon DSP."""

    delegate: Literal["hexagon"]
    library_folder: str | None = Field(None, description="folder on the phone with libhexagon_nn_skel*.so")


class ExternalBackend(AndroidBackend):
    """A delegate in a shared library of its vendor."""

    delegate: Literal["external"]
    path: str = Field(description="the library's path on the phone")
    options: dict[str, str] = Field(default_factory=dict, description="options of the library")


AnyAndroidBackend = Annotated[
    CpuBackend | NnapiBackend | GpuBackend | HexagonBackend | ExternalBackend, Field(discriminator="delegate")
]


class LocalDevice(Strict):
    """What runs on this machine."""

    here: ClassVar[bool] = True
    required: ClassVar[bool] = True
    connection: ClassVar[str] = "host"
    hygiene: ClassVar[Hygiene] = Hygiene()


class HostDevice(LocalDevice):
    """This machine."""

    kind: Literal["host"]
    features: list[Name] = Field([], description="what variants may need of a device")
    backends: dict[Name, RunnerBackend] = Field(min_length=1)


class EmulatedDevice(LocalDevice):
    """An accelerator that a vendor's own kernels stand for on this machine: it has outputs, and no times."""

    kind: Literal["emulated"]
    features: list[Name] = Field([], description="what variants may need of a device")
    stands_for: TargetName | None = Field(
        None,
        description="the target of the device that it stands for: where both are run, their predictions are compared",
    )
    backends: dict[Name, AnyEmulatedBackend] = Field(min_length=1)


class RemoteDevice(Strict):
    """What phones and boards have in common."""

    here: ClassVar[bool] = False
    required: bool = Field(True, description="its absence is an error; false: its cells are reported as absent")
    features: list[Name] = Field([], description="what variants may need of a device")
    hygiene: Hygiene = Hygiene()


class AndroidDevice(RemoteDevice):
    """A phone or tablet, over ADB by USB or TCP."""

    kind: Literal["android"]
    serial: str | None = Field(None, description="USB serial number, as 'adb devices' shows it")
    address: str | None = Field(None, description="TCP: host name or address")
    port: Port = Field(5555, description="TCP: port of its adbd")
    key: str = Field("~/.android/adbkey", description="private key that the phone knows; made where it is missing")
    work_folder: str = Field("/data/local/tmp/edgeworthy", pattern=r"^/", description="folder on the phone")
    abi: Abi | None = Field(None, description="its binary interface; none: asked of the phone")
    benchmark_model: str | dict[Abi, str] = Field(
        description="TFLite's tool: files here by ABI, relative to devices.yaml, or its path on the phone"
    )
    backends: dict[Name, AnyAndroidBackend] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_way(self) -> AndroidDevice:
        if (self.serial is None) == (self.address is None):
            raise ValueError("give one of: serial (USB), address (TCP)")
        return self

    @property
    def connection(self) -> str:
        """What tells this device from all others, whatever a devices.yaml calls it."""
        return f"usb-{self.serial}" if self.serial else f"adb-{self.address}-{self.port}"


class LinuxDevice(RemoteDevice):
    """A Raspberry Pi, a Jetson or any other board with Linux, over SSH."""

    kind: Literal["linux"]
    address: str = Field(description="host name or address")
    port: Port = 22
    user: str
    key: str = Field("~/.ssh/id_ed25519", description="private key")
    known_hosts: str = Field("~/.ssh/known_hosts", description="host keys that are trusted")
    work_folder: str = Field(".cache/edgeworthy", description="folder on the board, relative to the user's home")
    python: str = Field("python3", description="Python on the board")
    backends: dict[Name, BoardBackend] = Field(min_length=1)

    @property
    def connection(self) -> str:
        """What tells this device from all others, whatever a devices.yaml calls it."""
        return f"ssh-{self.address}-{self.port}"


class OwnBackend(Backend):
    """What a target of the user's own is made with."""

    runtimes: list[Name] = Field(min_length=1, description="the runtimes whose artifacts it runs")
    options: dict[str, bool | int | float | str] = Field(
        default_factory=dict, description="keyword arguments of the target's class"
    )

    def why_not(self, runtime: Runtime) -> str:
        """Why it runs no artifacts of this runtime; empty where it does."""
        return _not_listed(self.runtimes, runtime)


class OwnDevice(RemoteDevice):
    """A device that a class of the user's own runs artifacts on: a simulator, a test stand, another link."""

    kind: Literal["own"]
    target: str = Field(
        description="'module:Class' or 'file.py:Class', relative to devices.yaml; see docs/devices.md for what it has"
    )
    backends: dict[Name, OwnBackend] = Field(min_length=1)

    @property
    def connection(self) -> str:
        """What tells this device from all others, whatever a devices.yaml calls it."""
        return re.sub(r"[^\w.-]", "-", f"own-{self.target}")


Device = Annotated[HostDevice | EmulatedDevice | AndroidDevice | LinuxDevice | OwnDevice, Field(discriminator="kind")]


class DevicesFile(Strict):
    """devices.yaml."""

    version: Literal[1]
    devices: dict[Name, Device] = Field(min_length=1)

    def emulated(self) -> dict[str, str]:
        """The emulator of every target that is emulated."""
        return {
            f"{device}:{name}": backend.emulator
            for device, entry in self._emulated_devices()
            for name, backend in entry.backends.items()
        }

    def needs(self, target: str) -> frozenset[str]:
        """What a target says of what a microcontroller must have for a model, by metric."""
        device, backend = TargetId.parse(target)
        return self.devices[device].backends[backend].needs

    def stand_ins(self) -> dict[str, str]:
        """Of every emulated target that stands for one of a device, that one."""
        return {
            f"{device}:{name}": entry.stands_for
            for device, entry in self._emulated_devices()
            for name in entry.backends
            if entry.stands_for
        }

    def _emulated_devices(self) -> list[tuple[str, EmulatedDevice]]:
        return [(name, entry) for name, entry in self.devices.items() if isinstance(entry, EmulatedDevice)]

    def targets(self) -> list[str]:
        """Every ``device:backend`` in the order of the file."""
        return [f"{device}:{backend}" for device, entry in self.devices.items() for backend in entry.backends]
