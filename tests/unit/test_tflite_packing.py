"""A .tflite packed anew is the same model in fewer bytes."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from edgeworthy.variants.conversion import tflite_packing
from edgeworthy.variants.conversion.tflite_packing import packed
from numpy.typing import NDArray

from tests.tflite_files import CLASSES, linear

ALIGNED = 16


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An int8 classifier with a scale and a zero point for every class, in its weights and in its bias."""
    weights = np.random.default_rng(0).normal(size=(64, CLASSES))
    path = tmp_path_factory.mktemp("packing") / "int8.tflite"
    return linear(path, weights, quantized=True, per_channel=True).read_bytes()


def behind(content: bytes) -> bytes:
    """The same model with its constants behind the FlatBuffer, as AI Edge Quantizer writes all but small ones."""
    tree = unpacked(content)
    buffers = [buffer for buffer in tree.buffers if buffer.data is not None]
    constants = [buffer.data.tobytes() for buffer in buffers]
    for buffer, constant in zip(buffers, constants, strict=True):
        # 2: offsets of 0 and 1 mean that there is none; that the field is there makes the length what it will be.
        buffer.data, buffer.offset, buffer.size = None, 2, len(constant)
    end = len(written(tree))
    for buffer, constant in zip(buffers, constants, strict=True):
        buffer.offset = -(-end // ALIGNED) * ALIGNED
        end = buffer.offset + len(constant)
    whole = written(tree)
    for buffer, constant in zip(buffers, constants, strict=True):
        whole = whole.ljust(buffer.offset, b"\0") + constant
    return whole


def written(tree: Any) -> bytes:
    """By the plain builder, which shares nothing."""
    builder = flatbuffers.Builder(0)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def unpacked(content: bytes) -> Any:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def plain(part: Any) -> Any:
    """A FlatBuffer's tree of objects as values that compare."""
    if isinstance(part, np.ndarray):
        return part.tolist()
    if isinstance(part, list):
        return [plain(entry) for entry in part]
    return {key: plain(value) for key, value in vars(part).items()} if hasattr(part, "__dict__") else part


def answers(content: bytes, kernels: OpResolverType) -> bytes:
    runner = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=kernels)
    runner.allocate_tensors()
    images: NDArray[np.int8] = np.random.default_rng(1).integers(-128, 128, (20, 1, 8, 8, 1), np.int8)
    answered = []
    for image in images:
        runner.set_tensor(runner.get_input_details()[0]["index"], image)
        runner.invoke()
        answered.append(runner.get_tensor(runner.get_output_details()[0]["index"]))
    assert len({one.tobytes() for one in answered}) > 1
    return np.stack(answered).tobytes()


def test_packing_keeps_the_model_and_saves_bytes(model: bytes) -> None:
    """Every field is as it was, zero points of as many channels are stored once, and a second time changes nothing."""
    made = packed(model, schema)
    assert plain(unpacked(made)) == plain(unpacked(model))
    assert len(model) - len(made) >= 8 * CLASSES
    zeros = np.zeros(CLASSES, np.int64).tobytes()
    assert (model.count(zeros), made.count(zeros)) == (2, 1)
    assert packed(made, schema) == made


@pytest.mark.parametrize("kernels", [OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES])
def test_packing_keeps_the_outputs(model: bytes, kernels: OpResolverType) -> None:
    """LiteRT answers the same to the bit, by XNNPACK and by its own kernels."""
    assert answers(packed(model, schema), kernels) == answers(model, kernels)


def test_external_constants_are_moved_into_the_flatbuffer(model: bytes) -> None:
    """What lies behind is taken in, so that the file is the one that was never split."""
    split = behind(model)
    assert max(buffer.offset for buffer in unpacked(split).buffers) > 1
    assert answers(split, OpResolverType.AUTO) == answers(model, OpResolverType.AUTO)
    assert packed(split, schema) == packed(model, schema)


def test_constants_are_aligned(model: bytes) -> None:
    """Constants begin at multiples of 16 bytes, as the schema wants it; runtimes compute on them where they lie."""
    made = packed(model, schema)
    constants = [buffer.data for buffer in unpacked(made).buffers if buffer.data is not None and buffer.data.any()]
    assert constants
    assert not any(made.index(constant.tobytes()) % ALIGNED for constant in constants)


def test_file_beyond_the_offset_range_is_unchanged(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file near 2 GB is given back as it is."""
    monkeypatch.setattr(tflite_packing, "MAX_BYTES", len(model) - 1)
    assert packed(model, schema) is model
