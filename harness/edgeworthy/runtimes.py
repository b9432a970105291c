"""The table of runtimes: everything that edgeworthy knows of one beside how to run and to make its files.

How to run a file is in ``runners/``, how to make one in the recipes. Runtimes of the user's own are rows beside these, made from
models.yaml by ``user_code/own_runtimes.py``: whoever needs a row is given it, and looks none up by its name.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Systems that people call otherwise than Python does.
SYSTEMS = {"Darwin": "macOS"}


@dataclass(frozen=True)
class Runtime:
    """One row. Recipes are names of the registry; None or empty where the runtime has no such recipe.

    ``module`` is what a runner imports, ``packages`` are the distributions that install it, whose versions are its version.
    ``canary`` is the statically quantizing recipe that a model's canary is made by, ``float_recipe`` the one that a diagnosis
    compares with, ``mixed`` the one that leaves chosen ops float; ``quantized`` are the fully quantized ones that a search for
    mixed variants starts from, the preferred first. ``tiny`` is the file in measurements/tiny that a device is tried with,
    ``on_boards`` whether a board runs it where devices.yaml does not say, and ``processor_alone`` whether a backend with
    another execution provider than the processor's refuses it, ``profiled`` whether a runner gets the times of its ops.
    ``reference_kernels`` says whether a backend without delegate runs its files in another way than one with it, and
    ``systems`` are those that run them at all, () for all of them. Of the user's own, ``class_name`` is the class in the module
    that runs the files, and ``packed`` a zip of what the module consists of and reads, empty where it is installed.
    """

    name: str
    suffix: str
    module: str
    packages: tuple[str, ...]
    canary: str | None = None
    float_recipe: str | None = None
    mixed: str | None = None
    quantized: tuple[str, ...] = ()
    tiny: str | None = None
    on_boards: bool = True
    processor_alone: bool = False
    profiled: bool = False
    reference_kernels: bool = True
    systems: tuple[str, ...] = ()
    class_name: str | None = None
    packed: bytes = field(default=b"", repr=False)

    def __str__(self) -> str:
        return self.name

    def version(self, installed: Mapping[str, str]) -> str:
        """Its version where ``installed`` are those of its packages."""
        return ", ".join(installed[package] for package in self.packages)

    def why_not_here(self) -> str:
        """Why this machine's system does not run its files; empty where it does."""
        here = platform.system()
        wanted = " and ".join(SYSTEMS.get(name, name) for name in self.systems)
        return "" if here in (self.systems or [here]) else f"{self} runs on {wanted} alone, not on {here}"

    def how_to_install(self, board: str | None = None) -> str:
        """The hint where it is missing: here, or on a board."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class BuiltIn(Runtime):
    """A runtime that comes with edgeworthy, by its ``extra``.

    ``vendor_builds`` are distributions that a board's maker gives instead of the first of its packages.
    """

    extra: str
    vendor_builds: tuple[str, ...] = ()

    @property
    def distribution(self) -> str:
        """The package that installs it."""
        return self.packages[0]

    def how_to_install(self, board: str | None = None) -> str:
        """The hint where it is missing: here, or on a board."""
        return f"edgeworthy devices setup {board}" if board else f"pip install 'edgeworthy[{self.extra}]'"


_ROWS = (
    BuiltIn(
        "litert",
        suffix=".tflite",
        module="ai_edge_litert.interpreter",
        packages=("ai-edge-litert",),
        extra="litert",
        canary="int8",
        float_recipe="fp32",
        mixed="mixed",
        quantized=("int8_float_io", "int8"),
        tiny="tiny.tflite",
    ),
    BuiltIn(
        "onnxruntime",
        suffix=".onnx",
        module="onnxruntime",
        packages=("onnxruntime",),
        extra="onnx",
        canary="ort_int8_minmax",
        float_recipe="ort_fp32",
        mixed="ort_mixed",
        quantized=("ort_int8_minmax",),
        tiny="tiny.onnx",
        vendor_builds=("onnxruntime-gpu", "onnxruntime-openvino"),
        profiled=True,
    ),
    BuiltIn(
        "torch",
        suffix=".pt",
        module="torch",
        packages=("torch",),
        extra="torch",
        canary="torch_int8",
        on_boards=False,
    ),
    BuiltIn(
        "openvino",
        suffix=".openvino.zip",
        module="openvino",
        packages=("openvino",),
        extra="openvino",
        canary="ov_int8",
        on_boards=False,
        processor_alone=True,
        reference_kernels=False,
    ),
    BuiltIn(
        "executorch",
        suffix=".pte",
        module="executorch.runtime",
        packages=("executorch",),
        extra="executorch",
        canary="et_xnnpack_int8",
        on_boards=False,
        processor_alone=True,
        reference_kernels=False,
    ),
    BuiltIn(
        "coreml",
        suffix=".mlpackage.zip",
        module="coremltools",
        packages=("coremltools",),
        extra="coreml",
        on_boards=False,
        processor_alone=True,
        reference_kernels=False,
        systems=("Darwin",),
    ),
)
#: Name -> row.
RUNTIMES: dict[str, BuiltIn] = {row.name: row for row in _ROWS}

_TFLM = "tflite_micro.python.tflite_micro.runtime"
_ENGINES = (
    BuiltIn(
        "litert_compiled",
        suffix=".tflite",
        module="ai_edge_litert.compiled_model",
        packages=("ai-edge-litert",),
        extra="litert",
    ),
    BuiltIn("tflm", suffix=".tflite", module=_TFLM, packages=("tflite-micro",), extra="tflm", on_boards=False),
    BuiltIn("ethos_u", suffix=".tflite", module=_TFLM, packages=("tflite-micro",), extra="ethos-u", on_boards=False),
)
#: Name -> row of what runs the artifacts of another runtime, and is no runtime of artifacts of its own: a backend says so.
ENGINES: dict[str, BuiltIn] = {row.name: row for row in _ENGINES}
