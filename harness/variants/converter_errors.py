"""Translate the exceptions of converters into RecipeRefused: a converter's no is an answer, not a crash."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import EdgegateError, PackageMissing, RecipeRefused

#: The extra of edgegate that installs a module which a recipe imports.
EXTRAS = {
    "ai_edge_litert": "litert",
    "ai_edge_quantizer": "quantizer",
    "flatbuffers": "onnx2tf",
    "h5py": "tensorflow",
    "keras": "tensorflow",
    "litert_torch": "litert-torch",
    "onnx": "onnx",
    "onnx2tf": "onnx2tf",
    "onnx_graphsurgeon": "onnx2tf",
    "onnxconverter_common": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "torch",
    "sng4onnx": "onnx2tf",
    "tensorflow": "tensorflow",
    "tf2onnx": "tensorflow",
    "tf_keras": "tensorflow",
    "torch": "torch",
    "torchvision": "torchvision",
}
MAX_REASON = 300


@contextmanager
def refusing(converter: str) -> Iterator[None]:
    """Turn what ``converter`` raises inside the block into RecipeRefused, with the line that tells why.

    A full disk or memory is not the converter's opinion and passes through; so do edgegate's own errors.
    """
    try:
        yield
    except (EdgegateError, OSError, MemoryError):
        raise
    except ModuleNotFoundError as error:
        raise missing_package(error) from error
    except (Exception, SystemExit) as error:  # onnx2tf exits where it cannot go on
        raise RecipeRefused(
            f"{converter} cannot convert this model: {telling_line(error)}",
            next_step="drop this variant, or choose another recipe for this model",
        ) from error


def missing_package(error: ModuleNotFoundError) -> PackageMissing:
    """The error that says which extra to install."""
    package = (error.name or str(error)).partition(".")[0]
    extra = EXTRAS.get(package)
    step = f"pip install 'edgegate[{extra}]'" if extra else f"install the Python package {package}"
    return PackageMissing(f"the Python package {package!r} is not installed", next_step=step)


def telling_line(error: BaseException) -> str:
    """The one line of a long converter message that says why, at most MAX_REASON characters."""
    reason = str(error).rpartition("Exception encountered: ")[2]  # Keras puts advice and the whole model before it
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"\berror\b:", line, re.IGNORECASE)]
    # MLIR puts where it was before what is wrong: loc(callsite(...)): error: ...
    line = re.sub(r"^(.*?\berror: )?(loc\(.*\): )?", "", (telling or lines or [type(error).__name__])[0])
    return line if len(line) <= MAX_REASON else line[: MAX_REASON - 3] + "..."
