"""Pairing the tensors of two graphs, and choosing what to leave float."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgeworthy.diagnosis.graph import Graph, Node, Range, matched, without_fused
from edgeworthy.diagnosis.proposal import left_percent, prefix, propose, worst_layers
from edgeworthy.diagnosis.records import Delegated, LayerError, OpsLeft, OutputError, Traced
from edgeworthy.diagnosis.trace import Rows, opened, trace
from edgeworthy.runtimes import RUNTIMES
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from tests.onnx_files import onnx_file


def chain(*ops: str, names: str = "t") -> Graph:
    """A graph of one op after another; the tensors are t0, t1, ..."""
    nodes = [Node(op, f"{op}{i}", (f"{names}{i}", f"w{i}"), (f"{names}{i + 1}",)) for i, op in enumerate(ops)]
    return Graph(tuple(nodes), (f"{names}0",), (f"{names}{len(ops)}",))


def shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    return dict.fromkeys(graph.activations, (1, 4))


def layer(tensor: str, share: float, cause: str = "weights", op: str = "CONV_2D") -> LayerError:
    return LayerError.model_validate(
        {
            "tensor": tensor,
            "origin": tensor,
            "op": op,
            "parts": () if op == "input" else (tensor,),
            "sqnr_db": 10,
            "added_sqnr_db": 10,
            "share_percent": share,
            "output_shares_percent": (share,),
            "cause": cause,
            "calibrated": (0, 1),
            "seen": (0, 1),
            "saturated_percent": 0,
            "dead_channels": 0,
            "channels": 4,
        }
    )


def traced(*layers: LayerError, left: tuple[OpsLeft, ...] = ()) -> Traced:
    """A chain of layers, each read by the next."""
    tensors = [found.tensor for found in layers]
    consumers = {tensor: tuple(tensors[i + 1 : i + 2]) for i, tensor in enumerate(tensors)}
    delegated = Delegated(delegate="XNNPACK", kernels=2, taken=3, total=4, tensors=(), left=left) if left else None
    return Traced(
        samples=1,
        agreement_percent=50,
        outputs=(OutputError(name="", sqnr_db=1, error_percent=89),),
        layers=layers,
        entries=(tensors[0],),
        consumers=consumers,
        delegated=delegated,
    )


def test_casts_are_followed_and_are_no_layers() -> None:
    """QUANTIZE and DEQUANTIZE hand a value on; its name in the float graph finds it, whichever side has it."""
    floats = Graph((Node("CONV", "", ("x",), ("y",)), Node("SOFT", "", ("y",), ("z",))), ("x",), ("z",))
    quantized = Graph(
        (
            Node("QUANTIZE", "", ("x",), ("xq",)),
            Node("CONV", "", ("xq",), ("yq",)),
            Node("DEQUANTIZE", "", ("yq",), ("y",)),
            Node("SOFT", "", ("y",), ("z",)),
        ),
        ("x",),
        ("z",),
    )
    assert matched(floats, quantized, shapes(floats), shapes(quantized)) == {"x": "x", "y": "yq", "z": "z"}


def test_tensors_without_names_are_paired_by_position() -> None:
    """Where a converter renamed everything, the sequence of ops tells."""
    floats, quantized = chain("CONV", "RELU", "POOL", "FC"), chain("CONV", "RELU", "POOL", "FC", names="q")
    assert matched(floats, quantized, shapes(floats), shapes(quantized)) == {f"t{i}": f"q{i}" for i in range(5)}


def test_tensors_of_another_shape_are_not_paired() -> None:
    """A name alone is not enough."""
    floats, quantized = chain("CONV", "FC"), chain("CONV", "FC")
    assert "t1" not in matched(floats, quantized, shapes(floats), {**shapes(quantized), "t1": (1, 9)})


def test_unquantized_input_of_a_fused_activation_joins_its_layer() -> None:
    """Conv and Relu are one layer where only the Relu's output is quantized, two where both are."""
    graph = chain("Conv", "Relu", "Gemm")
    pairs = {f"t{i}": f"t{i}" for i in range(4)}
    held = Range(0, 1, 0.1)
    assert list(without_fused(pairs, graph, {"t2": held}, ["t3"])) == ["t0", "t2", "t3"]
    assert list(without_fused(pairs, graph, {"t1": held, "t2": held}, ["t3"])) == ["t0", "t1", "t2", "t3"]


def test_an_output_that_a_fused_activation_reads_stays() -> None:
    """Its error is asked for, whatever stands for it elsewhere."""
    pairs = {f"t{i}": f"t{i}" for i in range(4)}
    assert list(without_fused(pairs, chain("Conv", "Relu", "Gemm"), {}, ["t1", "t3"])) == ["t0", "t1", "t2", "t3"]


def test_input_range_is_traced_through_ops_that_only_move_it() -> None:
    """To where its values are still all there is, transposed or stored otherwise; not into what computes or mixes."""
    nodes = (
        Node("Transpose", "", ("x",), ("turned",)),
        Node("QuantizeLinear", "", ("turned", "scale", "zero"), ("stored",)),
        Node("Conv", "", ("stored", "weights"), ("made",)),
        Node("Concat", "", ("turned", "made"), ("mixed",)),
    )
    assert list(Graph(nodes, ("x",), ("mixed",)).moved("x")) == ["x", "turned", "stored"]


def test_layer_with_a_bad_range_is_left_float_with_its_reader() -> None:
    """Weights: the layer alone; range: also what reads it, for that would quantize it just the same."""
    others = [layer(name, 1) for name in "cdefgh"]
    assert worst_layers(traced(layer("a", 94), layer("b", 0), *others)) == ["a"]
    assert worst_layers(traced(layer("a", 94, "range"), layer("b", 0), *others)) == ["a", "b"]


def test_input_rounding_is_attributed_to_its_reader() -> None:
    """The input is no layer that could be left float."""
    found = worst_layers(traced(layer("x", 95, "range", "input"), *(layer(name, 1) for name in "abcde")))
    assert found == ["a"]


def test_nothing_is_proposed_if_all_layers_add_error() -> None:
    """Nothing is proposed where most layers would be float."""
    found = traced(*(layer(name, 10) for name in "abcdefghij"))
    assert worst_layers(found) == []
    assert propose(found, RUNTIMES["litert"], "v", accuracy=True) is None


def test_proposal_has_ops_off_the_delegate_and_no_layer_twice() -> None:
    """A layer whose op is left float anyway is not named again; ops that float does not delegate either are not."""
    left = tuple(
        OpsLeft(op=op, tensors=("a",), float_taken=taken) for op, taken in (("HARD_SWISH", True), ("PACK", False))
    )
    layers = [layer("a", 60, op="HARD_SWISH"), layer("b", 38), *(layer(name, 0.5) for name in "cdef")]
    found = propose(traced(*layers, left=left), RUNTIMES["litert"], "v", accuracy=True)
    assert found is not None
    assert found.options == {"float_ops": ["HARD_SWISH"], "float_nodes": ["b"]}
    assert (
        found.yaml() == "v:\n  recipe: mixed\n  options:\n    float_ops:\n    - HARD_SWISH\n    float_nodes:\n    - b\n"
    )
    assert propose(traced(*layers), RUNTIMES["litert"], "v", accuracy=False) is None


def two_outputs(path: Path, wrong: dict[str, float]) -> Path:
    """(b, 4) -> ``less`` (b, 3), what is left of it by a ReLU, and 100 times ``less``; ``wrong`` is added to weights."""
    random = np.random.default_rng(0)
    weights = {"matrix": random.normal(size=(4, 3)), "hundred": np.full((1,), 100.0)}
    nodes = [
        helper.make_node("MatMul", ["x", "matrix"], ["less"]),
        helper.make_node("Mul", ["less", "hundred"], ["more"]),
        helper.make_node("Relu", ["less"], ["positive"]),
    ]
    changed = {name: (values + wrong.get(name, 0)).astype(np.float32) for name, values in weights.items()}
    outputs = {name: ["b", 3] for name in ("less", "positive", "more")}
    onnx_file(path, nodes, {"x": ["b", 4]}, outputs, changed)
    return path


def test_an_error_reaches_every_output_that_follows_from_it(tmp_path: Path) -> None:
    """An output that other layers read hands its error on; each layer's part is that of each output by itself."""
    names = ("less", "positive", "more")
    floats = opened("onnxruntime", two_outputs(tmp_path / "float.onnx", {}), "nhwc", (), names)
    rows = Rows(np.random.default_rng(1).normal(size=(20, 4)).astype(np.float32))
    for wrong, layer_of, shares in (({"matrix": 0.1}, "less", (100,) * 3), ({"hundred": 10.0}, "more", (0, 0, 100))):
        other = opened("onnxruntime", two_outputs(tmp_path / "other.onnx", wrong), "nhwc", (), names)
        found = trace(floats, other, rows, names, 60, None)
        [blamed] = [layer for layer in found.layers if layer.share_percent]
        assert (blamed.tensor, blamed.output_shares_percent) == (layer_of, pytest.approx(shares))
    assert [(output.name, output.error_percent) for output in found.outputs] == [
        ("less", 0), ("positive", 0), ("more", pytest.approx(10, rel=1e-3)),
    ]  # fmt: skip
    assert found.outputs[found.worst_output].name == "more"


@given(
    st.lists(st.tuples(st.floats(0, 100), st.sampled_from(["range", "weights"])), min_size=1, max_size=12),
    st.floats(0, 100),
)
def test_prefix_leaves_no_more_than_asked(shares: list[tuple[float, str]], at_most: float) -> None:
    """Whatever the shares are, leaving the chosen layers float leaves at most so much; asking for less chooses no fewer."""
    found = traced(*(layer(f"t{i}", share, cause) for i, (share, cause) in enumerate(shares)))
    chosen = prefix(found, at_most)
    assert left_percent(found, chosen) <= at_most + 1e-9
    assert len(prefix(found, at_most / 2)) >= len(chosen)
