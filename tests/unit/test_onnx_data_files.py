"""Where an .onnx keeps its weights, read without onnx: as onnx itself says, wherever the tensor stands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgeworthy.errors import SourceError
from edgeworthy.variants.models.onnx_data_files import data_files
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

NAMES = st.sampled_from(["", "model.onnx.data", "weights/ä.bin", "location"])


def tensor(location: str) -> TensorProto:
    """A tensor in the file, or in another one."""
    made = numpy_helper.from_array(np.arange(300, dtype=np.float32), "weights")
    if location:
        made.ClearField("raw_data")
        made.data_location = TensorProto.EXTERNAL
        for key, value in (("offset", "0"), ("location", location), ("length", "1200")):
            made.external_data.add(key=key, value=value)
    return made


def graph(name: str, initializer: str, attribute: str) -> object:
    constant = helper.make_node("Constant", [], ["c"], value=tensor(attribute), name="location")
    return helper.make_graph([constant], name, [], [], [tensor(initializer)])


def model(initializer: str, attribute: str, inner: str, listed: str, sparse: str, function: str) -> ModelProto:
    """A model whose tensors stand wherever one may."""
    branch = helper.make_node(
        "If", ["x"], ["y"], then_branch=graph("then", inner, ""), else_branch=graph("else", "", "")
    )
    own = helper.make_node("Own", [], ["o"], domain="own")
    own.attribute.append(
        AttributeProto(name="tensors", type=AttributeProto.TENSORS, tensors=[tensor(""), tensor(listed)])
    )
    own.attribute.append(helper.make_attribute("scale", 0.5))
    outer = graph("outer", initializer, attribute)
    outer.node.extend([branch, own])
    outer.sparse_initializer.add().values.CopyFrom(tensor(sparse))
    made = helper.make_model(outer)
    body = helper.make_node("Constant", [], ["f"], value=tensor(function))
    made.functions.append(helper.make_function("own", "Own", [], ["f"], [body], [helper.make_opsetid("", 17)]))
    made.metadata_props.add(key="location", value="Zurich")
    return made


def trouble(path: Path) -> str:
    """What is said of the file; nothing where it can be read."""
    try:
        data_files(path)
    except SourceError as error:
        return error.message
    return ""


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NAMES, min_size=6, max_size=6))
@example(["a", "b", "c", "d", "e", "f"])
def test_all_external_tensors_are_found(tmp_path: Path, names: list[str]) -> None:
    """In initializers, attributes, branches, lists, sparse tensors and functions; and nothing else is taken for one."""
    path = tmp_path / "model.onnx"
    path.write_bytes(model(*names).SerializeToString())
    assert set(data_files(path)) == {tmp_path / name for name in names if name}


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_read_or_named(tmp_path: Path, data: st.DataObject) -> None:
    """Bytes cut off or changed anywhere end in an answer or in SourceError with the file."""
    content = bytearray(model("a.data", "b.data", "c.data", "", "", "").SerializeToString())
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=3)):
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path / "model.onnx"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    assert str(path) in (trouble(path) or str(path))


def test_embedded_tensors_need_no_data_file(tmp_path: Path) -> None:
    """What says where it lay, but lies in the .onnx, is not asked of another file."""
    made = model("gone.data", "", "", "", "", "")
    made.graph.initializer[0].data_location = TensorProto.DEFAULT
    path = tmp_path / "model.onnx"
    path.write_bytes(made.SerializeToString())
    assert data_files(path) == []


@pytest.mark.parametrize("content", [b"\n", b"no protobuf: location", b"\xff" * 50 + b"location"])
def test_garbage_is_no_model(tmp_path: Path, content: bytes) -> None:
    """What cannot hold a data file has none, and what might is refused by name."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    if b"location" in content:
        with pytest.raises(SourceError, match=r"model\.onnx: cannot be read as an ONNX model"):
            data_files(path)
    else:
        assert data_files(path) == []
