"""The table of runtimes: everything that edgeworthy knows of one beside how to run and to make its files.

How to run a file is in ``runners/``, how to make one in the recipes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Runtime:
    """One row. Recipes are names of the registry; None or empty where the runtime has no such recipe.

    ``distribution`` is the package that installs it, ``module`` what a runner imports, ``extra`` the extra of edgeworthy.
    ``vendor_builds`` are distributions that a board's maker gives instead of it.
    ``canary`` is the statically quantizing recipe that a model's canary is made by, ``float_recipe`` the one that a diagnosis
    compares with, ``mixed`` the one that leaves chosen ops float; ``quantized`` are the fully quantized ones that a search for
    mixed variants starts from, the preferred first. ``tiny`` is the file in measurements/tiny that a device is tried with,
    and ``on_boards`` whether ``edgeworthy devices setup`` installs it by default.
    """

    name: str
    suffix: str
    distribution: str
    module: str
    extra: str
    canary: str
    float_recipe: str | None = None
    mixed: str | None = None
    quantized: tuple[str, ...] = ()
    tiny: str | None = None
    vendor_builds: tuple[str, ...] = ()
    on_boards: bool = True


_ROWS = (
    Runtime(
        "litert",
        suffix=".tflite",
        distribution="ai-edge-litert",
        module="ai_edge_litert.interpreter",
        extra="litert",
        canary="int8",
        float_recipe="fp32",
        mixed="mixed",
        quantized=("int8_float_io", "int8"),
        tiny="tiny.tflite",
    ),
    Runtime(
        "onnxruntime",
        suffix=".onnx",
        distribution="onnxruntime",
        module="onnxruntime",
        extra="onnx",
        canary="ort_int8_minmax",
        float_recipe="ort_fp32",
        mixed="ort_mixed",
        quantized=("ort_int8_minmax",),
        tiny="tiny.onnx",
        vendor_builds=("onnxruntime-gpu", "onnxruntime-openvino"),
    ),
    Runtime(
        "torch",
        suffix=".pt",
        distribution="torch",
        module="torch",
        extra="torch",
        canary="torch_int8",
        on_boards=False,
    ),
)
#: Name -> row.
RUNTIMES: dict[str, Runtime] = {row.name: row for row in _ROWS}
