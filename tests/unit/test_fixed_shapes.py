"""Sizes that a model leaves open, fixed in its file: in those that follow from them too, and in the place of what stays open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from edgeworthy.errors import SourceError
from edgeworthy.tensors import NamedInput
from edgeworthy.variants.models.fixed_shapes import fix_onnx, fixed_tflite, tflite_for
from edgeworthy.variants.models.model_ends import opened_tflite
from edgeworthy.variants.models.model_outputs import tflite_inputs
from onnx import helper

from tests.onnx_files import onnx_file
from tests.tflite_files import pixels


def louder(path: Path) -> None:
    """(batch, n) times a gain (n,) -> (batch, n)."""
    nodes = [helper.make_node("Mul", ["sound", "gain"], ["loud"])]
    onnx_file(path, nodes, {"sound": ["batch", "n"], "gain": ["n"]}, {"loud": ["batch", "n"]}, {})


def test_an_onnx_files_other_sizes_follow(tmp_path: Path) -> None:
    """A size that two inputs and an output share by its name is fixed in all of them; one that is left open stays so."""
    louder(tmp_path / "m.onnx")
    fix_onnx(tmp_path / "m.onnx", "m.onnx", {"gain": [4]})
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    assert [each.shape for each in session.get_inputs()] == [["batch", 4], [4]]
    assert session.get_outputs()[0].shape == ["batch", 4]
    before = (tmp_path / "m.onnx").read_bytes()
    fix_onnx(tmp_path / "m.onnx", "m.onnx", {})
    assert (tmp_path / "m.onnx").read_bytes() == before
    with pytest.raises(SourceError, match=r"m\.onnx: 'shapes' fixes the input 'gain' to 5, and in the model it is 4"):
        fix_onnx(tmp_path / "m.onnx", "m.onnx", {"gain": [5]})
    with pytest.raises(SourceError, match=r"'sound' to 1x4x4, 3 axes, and in the model it is [?]x4, 2"):
        fix_onnx(tmp_path / "m.onnx", "m.onnx", {"sound": [1, 4, 4]})


def test_a_tflites_outputs_follow(tmp_path: Path) -> None:
    """They are written into the file, where a phone reads them; with a size left open, none is invented."""
    content = pixels(tmp_path / "p.tflite", np.ones((3, 3, 3, 2), np.float32)).read_bytes()
    fixed = opened_tflite(fixed_tflite(content, "p.tflite", {"image": [1, 8, 6, 2]}))
    for side, channels in (("input", 2), ("output", 3)):
        (each,) = getattr(fixed, f"get_{side}_details")()
        assert [tuple(each[name]) for name in ("shape", "shape_signature")] == [(1, 8, 6, channels)] * 2
    half = fixed_tflite(content, "p.tflite", {"image": [1, 8, None, 2]})
    assert tflite_inputs(half)[0].shape == (1, 8, None, 2)
    assert fixed_tflite(content, "p.tflite", {}) == content


def test_open_sizes_are_those_of_the_largest_sample_until_it_is_resized(tmp_path: Path) -> None:
    """They stay open; a file that leaves none open is not touched."""
    content = pixels(tmp_path / "p.tflite", np.ones((3, 3, 3, 2), np.float32)).read_bytes()
    made = tflite_for(content, [NamedInput("x", (9, 7, 2), ragged=(0, 1))], (126,))
    (entry,) = opened_tflite(made).get_input_details()
    assert (tuple(entry["shape"]), tuple(entry["shape_signature"])) == ((1, 9, 7, 2), (1, -1, -1, 2))
    assert tflite_for(content, (), (5, 4, 2)) != content
    whole = pixels(tmp_path / "q.tflite", np.ones((3, 3, 3, 2), np.float32), side=16).read_bytes()
    assert tflite_for(whole, (), (16, 16, 2)) == whole
