"""A model with several outputs keeps the one that is chosen, or all of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime
import pytest
from edgeworthy.errors import RecipeRefused, SourceError
from edgeworthy.tensors import NamedInput
from edgeworthy.variants.models.model_ends import check_inputs, chosen_outputs, onnx_with_output, tflite_with_output
from edgeworthy.variants.models.output_names import in_order, plain_names
from edgeworthy.variants.models.torch_sources import arguments_of
from edgeworthy.variants.training.fine_tuning import fine_tuned
from onnx import TensorProto, helper, numpy_helper

from tests import tflite_files

WEIGHTS = np.random.default_rng(0).standard_normal((64, tflite_files.CLASSES)).astype(np.float32)


def test_a_chosen_output_stands_alone_and_without_a_choice_all_do() -> None:
    """A wrong name gets the nearest one."""
    assert chosen_outputs("net.onnx", ["scores"], None) == [0]
    assert chosen_outputs("net.onnx", ["aux", "scores"], None) == [0, 1]
    assert chosen_outputs("net.onnx", ["aux", "scores"], "scores") == [1]
    with pytest.raises(SourceError, match="has no output 'score'; did you mean 'scores'"):
        chosen_outputs("net.onnx", ["aux", "scores"], "score")
    with pytest.raises(SourceError, match="has no output 'score'; did you mean 'scores'"):
        chosen_outputs("net.onnx", ["scores"], "score")


@pytest.mark.parametrize(
    ("found", "names", "wanted"),
    [
        (["scores", "boxes"], ["boxes", "scores"], ("boxes", "scores")),
        (["output_0", "output_1"], ["a:0", "b:0"], ("output_0", "output_1")),
        (
            [f"StatefulPartitionedCall_{n}" for n in (10, 9, 2)],
            list("abc"),
            tuple(f"StatefulPartitionedCall_{n}" for n in (2, 9, 10)),
        ),
        (["x", "y"], ["boxes", "scores"], ("x", "y")),
    ],
    ids=["by name", "by plain name", "by number", "as they come"],
)
def test_outputs_are_found_again(found: list[str], names: list[str], wanted: tuple[str, ...]) -> None:
    assert in_order(found, names) == wanted


def test_a_model_of_several_outputs_is_not_fine_tuned() -> None:
    source: Any = SimpleNamespace(kind="keras", output_names=lambda: ("boxes", "scores"))
    with pytest.raises(RecipeRefused, match="the model has 2 outputs, boxes, scores") as refused:
        fine_tuned(source, cast(Any, None), {}, cast(Any, None))
    assert "output: NAME" in refused.value.hint


def test_names_that_no_signature_can_have_become_numbers() -> None:
    assert plain_names(["boxes", "scores"]) == ("boxes", "scores")
    assert plain_names(["boxes", "Identity:1"]) == ("output_0", "output_1")


def test_inputs_of_a_model_are_those_of_the_dataset() -> None:
    """In any order; otherwise all that the model has, or the nearest name, is said. One array fits any one input."""
    check_inputs("net.onnx", ["image"], ())
    check_inputs("net.onnx", ["image", "mask"], (NamedInput("mask"), NamedInput("image")))
    with pytest.raises(SourceError, match=r"the model has 2 inputs: image, mask, and the dataset one array"):
        check_inputs("net.onnx", ["image", "mask"], ())
    with pytest.raises(SourceError, match="the model has no input, and the dataset one array"):
        check_inputs("net.onnx", [], ())
    with pytest.raises(SourceError, match="the model's input 'mask' is given nothing; did you mean 'masks'"):
        check_inputs("net.onnx", ["image", "mask"], (NamedInput("image"), NamedInput("masks")))
    with pytest.raises(SourceError, match="the model has no input 'masks'; known: image"):
        check_inputs("net.onnx", ["image"], (NamedInput("image"), NamedInput("masks")))


@pytest.mark.parametrize(
    ("given", "called"),
    [
        ("x", ["x"]),
        ("x mask", ["x", "extra", "mask"]),
        ("mask", ["x", "extra", "mask"]),
        ("x extra", ["x", "extra"]),
        ("", ["images"]),
    ],
)
def test_arguments_are_called_by_their_places(given: str, called: list[str]) -> None:
    """What stands before one that is given must be given too; what comes after it may be left out."""

    def forward(x: Any, extra: Any = None, mask: Any = None, *more: Any, **others: Any) -> None: ...

    assert arguments_of(SimpleNamespace(forward=forward), [NamedInput(name) for name in given.split()]) == called


def test_an_onnx_file_keeps_what_the_chosen_output_needs(tmp_path: Path) -> None:
    """The other output, its nodes and its constants are gone; the answers are those of the whole file."""
    nodes = [
        helper.make_node("MatMul", ["flat", "aux_weights"], ["aux"]),
        helper.make_node("MatMul", ["flat", "weights"], ["scores"]),
    ]
    rows, aux, scores = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
        for name, size in (("flat", 64), ("aux", 10), ("scores", 10))
    )
    constants = [
        numpy_helper.from_array(values, name) for name, values in (("aux_weights", -WEIGHTS), ("weights", WEIGHTS))
    ]
    graph = helper.make_graph(nodes, "two", [rows], [aux, scores], constants)
    path = tmp_path / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    onnx_with_output(path, path, "scores")
    kept = onnx.load(path).graph
    assert ([each.name for each in kept.output], [each.name for each in kept.initializer]) == (["scores"], ["weights"])
    given = np.random.default_rng(1).random((5, 64), dtype=np.float32)
    (answers,) = onnxruntime.InferenceSession(path).run(None, {"flat": given})
    np.testing.assert_allclose(answers, given @ WEIGHTS, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("output", "held"),
    [
        (helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]), "class numbers"),
        (
            helper.make_value_info(
                "label",
                helper.make_sequence_type_proto(
                    helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
                ),
            ),
            "a list of maps",
        ),
    ],
    ids=["class numbers", "ZipMap"],
)
def test_an_onnx_output_without_scores_is_refused(tmp_path: Path, output: onnx.ValueInfoProto, held: str) -> None:
    """What scikit-learn's converters add to a classifier."""
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["batch", 4])
    graph = helper.make_graph([helper.make_node("Identity", ["rows"], ["label"])], "labels", [rows], [output])
    onnx.save(helper.make_model(graph), tmp_path / "labels.onnx")
    with pytest.raises(SourceError, match=f"the output 'label' is {held}, not scores or numbers to judge"):
        onnx_with_output(tmp_path / "labels.onnx", "labels.onnx", None)


def test_class_numbers_beside_other_outputs_are_kept(tmp_path: Path) -> None:
    """Of a detector, say; only fidelity judges all outputs."""
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["batch", 4])
    ends = [helper.make_tensor_value_info("same", TensorProto.FLOAT, ["batch", 4])]
    ends.append(helper.make_tensor_value_info("best", TensorProto.INT64, ["batch", 1]))
    nodes = [helper.make_node("Identity", ["rows"], ["same"]), helper.make_node("ArgMax", ["rows"], ["best"], axis=1)]
    onnx.save(helper.make_model(helper.make_graph(nodes, "two", [rows], ends)), tmp_path / "two.onnx")
    onnx_with_output(tmp_path / "two.onnx", "two.onnx", None)
    assert len(onnx.load(tmp_path / "two.onnx").graph.output) == 2


@pytest.mark.parametrize(("wanted", "factor", "nodes"), [("scores", 1, 1), ("twice", 2, 2)])
def test_a_tflite_file_keeps_what_the_chosen_output_needs(tmp_path: Path, wanted: str, factor: int, nodes: int) -> None:
    """Without a signature, outputs are called as their tensors are."""
    from ai_edge_litert.interpreter import Interpreter

    path = tflite_files.linear(tmp_path / "two.tflite", WEIGHTS, ending="twice")
    kept = Interpreter(model_content=tflite_with_output(path.read_bytes(), path, wanted))
    kept.allocate_tensors()
    image = np.random.default_rng(2).random((1, 8, 8, 1), dtype=np.float32)
    kept.set_tensor(kept.get_input_details()[0]["index"], image)
    kept.invoke()
    (output,) = kept.get_output_details()
    assert output["name"] == wanted
    assert len([each for each in kept._get_ops_details() if each["op_name"] != "DELEGATE"]) == nodes
    np.testing.assert_allclose(
        kept.get_tensor(output["index"]), factor * image.reshape(1, 64) @ WEIGHTS, rtol=1e-4, atol=1e-5
    )
