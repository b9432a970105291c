"""Translate the exceptions of converters into RecipeRefused: a converter that refuses is not a crash."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeworthy.errors import ArtifactUnusable, EdgeworthyError, NotTheSameModel, PackageMissing, RecipeRefused

#: The extra of edgeworthy that installs a module which a recipe imports.
EXTRAS = {
    "ai_edge_litert": "litert",
    "ai_edge_quantizer": "quantizer",
    "coremltools": "coreml",
    "executorch": "executorch",
    "flatbuffers": "onnx2tf",
    "h5py": "tensorflow",
    "keras": "tensorflow",
    "litert_torch": "litert-torch",
    "nncf": "openvino",
    "onnx": "onnx",
    "onnx2tf": "onnx2tf",
    "onnx_graphsurgeon": "onnx2tf",
    "onnxconverter_common": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "torch",
    "openvino": "openvino",
    "sng4onnx": "onnx2tf",
    "tensorflow": "tensorflow",
    "tf2onnx": "tensorflow",
    "tf_keras": "tensorflow",
    "torch": "torch",
    "torchao": "executorch",
    "torchvision": "torchvision",
}
MAX_REASON = 300
#: LiteRT's last words: which op of the graph it could not prepare or invoke.
FAILED_NODE = re.compile(r"Node number \d+ \(([A-Z0-9_]+)\) failed")
ANOTHER_RECIPE = "drop this variant, or choose another recipe for this model"
#: ONNX Runtime puts the sizes of an input that does not fit on the lines after this.
ANNOUNCES_MORE = "for the following indices"
#: Keras says here which layer it was, and on the next line what it is about.
IN_A_LAYER = "Exception encountered when calling layer"
#: How TensorFlow begins a message with its stack, whose last line says what was raised.
USERS_CODE = "in user code:"
RAISED = re.compile(r"(\w+\.)*\w*(Error|Exception|Failure): \S")
#: The first Python for which TensorFlow has no wheels, and the packages that need it.
NO_TENSORFLOW = (3, 14)
WITHOUT_WHEELS = ("tensorflow", "keras", "tf_keras")


@contextmanager
def refusing(converter: str) -> Iterator[None]:
    """Turn what ``converter`` raises inside the block into RecipeRefused, with the line that says why.

    A full disk or memory is not the converter's fault and passes through; so do edgeworthy's own errors.
    """
    try:
        yield
    except (EdgeworthyError, OSError, MemoryError):
        raise
    except ModuleNotFoundError as error:
        raise missing_package(error) from error
    except (Exception, SystemExit) as error:  # onnx2tf exits where it cannot go on
        raise RecipeRefused(
            f"{converter} cannot convert this model: {reason_line(error)}",
            hint=ANOTHER_RECIPE,
        ) from error


def left_in_float(why: str, hint: str) -> RecipeRefused:
    """The refusal of a file in which a quantizer quantized nothing: it would be the float model under another name."""
    return RecipeRefused(f"{why}: all would stay float", hint=hint)


@contextmanager
def refusing_what_does_not_run(made: str, path: Path) -> Iterator[None]:
    """Turn what the runtime of the file at ``path`` raises inside the block into RecipeRefused; ``made`` begins the sentence.

    Another model than the source's does run, and a class of the user's is not the recipe's; these errors pass through.
    """
    try:
        yield
    except (NotTheSameModel, ArtifactUnusable):
        raise
    except Exception as error:
        reason = reason_line(error).replace(str(path), path.name)
        raise RecipeRefused(f"{made} that its runtime cannot run: {reason}", hint=_around(reason)) from error


def _around(reason: str) -> str:
    """What to do about an artifact that does not run: where LiteRT names the op, that one may stay in float."""
    failed = FAILED_NODE.search(reason)
    if failed is None:
        return ANOTHER_RECIPE
    return f"leave this op in float, by the recipe 'mixed' with float_ops: [{failed[1]}], or choose another recipe"


def missing_package(error: ModuleNotFoundError) -> PackageMissing:
    """The error that says which extra to install."""
    package = (error.name or str(error)).partition(".")[0]
    if package in WITHOUT_WHEELS and sys.version_info >= NO_TENSORFLOW:
        return PackageMissing(
            f"the Python package {package!r} is not installed: TensorFlow has no wheels for Python"
            f" {sys.version_info.major}.{sys.version_info.minor}",
            hint="use Python 3.11 to 3.13 for what needs TensorFlow",
        )
    extra = EXTRAS.get(package)
    step = f"pip install 'edgeworthy[{extra}]'" if extra else f"install the Python package {package}"
    return PackageMissing(f"the Python package {package!r} is not installed", hint=step)


def reason_line(error: BaseException) -> str:
    """The one line of a long converter message that says why, at most MAX_REASON characters."""
    reason = str(error).rpartition("Exception encountered: ")[2]  # Keras puts advice and the whole model before it
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    if isinstance(error, KeyError):
        lines = [f"KeyError: {reason}"]  # whose message is the key alone
    if lines and lines[0].startswith(USERS_CODE):
        lines = [line for line in lines if RAISED.match(line)][-1:] or lines
    explaining = [line for line in lines if re.search(r"\berror\b: *\S", line, re.IGNORECASE)]
    # MLIR puts where it was before what is wrong: loc(callsite(...)): error: ...
    reason = (explaining or [_whole(lines)] if lines else [type(error).__name__])[0]
    line = re.sub(r"^(.*?\berror: )?(loc\(.*\): )?", "", reason)
    line = re.sub(
        rf"{re.escape(tempfile.gettempdir())}[^\s'\":]*/", "", line
    )  # a folder that is gone when this is read
    return line if len(line) <= MAX_REASON else line[: MAX_REASON - 3] + "..."


def _whole(lines: list[str]) -> str:
    """A short message on one line; of a long one its first line, and the others, or the next, where that only announces them."""
    together = " ".join(lines)
    announces = lines[0].endswith(":") or ANNOUNCES_MORE in lines[0]
    if announces or len(together) <= MAX_REASON:
        return together
    return " ".join(lines[: 2 if IN_A_LAYER in lines[0] else 1])
