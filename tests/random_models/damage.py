"""Recipes that convert another model than they were given: a project's recipe file, copied beside its models.

Each kind of damage is done to the model in its own framework, before a recipe that is sound converts it. ``amount`` is
what the kind makes of it: noise as a share of the weights' own spread, a factor of the inputs, or the value above which the
first one of a sample is touched.
"""

from __future__ import annotations

import copy
from typing import Any

from edgeworthy import recipe
from edgeworthy.variants.recipes import litert, onnx_runtime, pytorch

KINDS = ("weights", "inputs", "columns", "dead", "rare")


def damage(source: Any, *, kind: str, amount: float) -> Any:
    """The source with a damaged copy of its model."""
    if source.kind == "keras":
        return source.with_model("keras_model", _keras(source.keras_model(), kind, amount))
    if source.kind == "torch":
        return source.with_model("torch_module", _torch(source.torch_module(), kind, amount))
    out = source.scratch / f"damaged-{kind}.onnx"
    _onnx(source.onnx_file(), kind, amount, out)
    return source.with_model("onnx_file", out)


def _noise(values: Any, amount: float) -> Any:
    import numpy as np

    return values + amount * values.std() * np.random.default_rng(0).normal(size=values.shape).astype(values.dtype)


def _keras(model: Any, kind: str, amount: float) -> Any:
    import keras
    import numpy as np

    damaged = keras.models.clone_model(model)
    damaged.set_weights(model.get_weights())
    if kind == "weights":
        for weight in damaged.trainable_weights:
            if weight.path.endswith("kernel"):
                weight.assign(_noise(weight.numpy(), amount))
        return damaged
    image = keras.Input(model.inputs[0].shape[1:])
    fed = keras.layers.Rescaling(amount)(image) if kind == "inputs" else image
    out = damaged(fed)
    count = out.shape[-1]
    if kind == "columns":
        out = keras.ops.roll(out, 1, axis=1) if count > 1 else 1 - out
    if kind == "dead":
        out = out * keras.ops.convert_to_tensor((np.arange(count) != count - 1).astype(np.float32)[None])
    if kind == "rare":
        touched = keras.ops.cast(fed[:, 0, 0, :1] > amount, "float32")
        out = out + touched * 3
    return keras.Model(image, out)


def _torch(module: Any, kind: str, amount: float) -> Any:
    import torch
    from torch import nn

    class Damaged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = copy.deepcopy(module)

        def forward(self, x: Any) -> Any:
            out = self.module(x * amount if kind == "inputs" else x)
            if kind == "columns":
                out = torch.cat([out[:, -1:], out[:, :-1]], 1) if out.shape[1] > 1 else 1 - out
            if kind == "dead":
                out = torch.cat([out[:, :-1], 0 * out[:, -1:]], 1)
            if kind == "rare":
                out = out + 3 * (x[:, :1, 0, 0] > amount).to(out.dtype)
            return out

    made = Damaged().eval()
    if kind == "weights":
        with torch.no_grad():
            for name, weight in made.named_parameters():
                if name.endswith("weight") and weight.ndim > 1:
                    weight.copy_(torch.from_numpy(_noise(weight.numpy(), amount)))
    return made


def _onnx(path: Any, kind: str, amount: float, out: Any) -> None:
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(path)
    graph = model.graph
    entry, end = graph.input[0].name, graph.output[0].name
    count = graph.output[0].type.tensor_type.shape.dim[1].dim_value

    def constant(name: str, values: Any) -> str:
        graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def renamed(old: str, new: str, *, read: bool) -> None:
        for node in graph.node:
            names = node.input if read else node.output
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new

    if kind == "weights":
        for weight in graph.initializer:
            values = numpy_helper.to_array(weight)
            if values.ndim > 1 and values.dtype == np.float32:
                weight.CopyFrom(numpy_helper.from_array(_noise(values, amount), weight.name))
    elif kind == "inputs":
        renamed(entry, "scaled", read=True)
        graph.node.insert(0, helper.make_node("Mul", [entry, constant("factor", np.float32(amount))], ["scaled"]))
    else:
        renamed(end, "undamaged", read=False)
        if kind == "columns" and count > 1:
            order = np.roll(np.arange(count), 1)
            made = [helper.make_node("Gather", ["undamaged", constant("order", order)], [end], axis=1)]
        elif kind == "columns":
            made = [helper.make_node("Sub", [constant("one", np.float32(1)), "undamaged"], [end])]
        elif kind == "dead":
            keep = (np.arange(count) != count - 1).astype(np.float32)[None]
            made = [helper.make_node("Mul", ["undamaged", constant("keep", keep)], [end])]
        else:
            bound = constant("bound", np.float32(amount))
            made = [
                helper.make_node("Slice", [entry, constant("from", [0, 0, 0]), constant("to", [1, 1, 1]),
                                           constant("axes", [1, 2, 3])], ["first"]),
                helper.make_node("Reshape", ["first", constant("column", [-1, 1])], ["value"]),
                helper.make_node("Greater", ["value", bound], ["above"]),
                helper.make_node("Cast", ["above"], ["touched"], to=onnx.TensorProto.FLOAT),
                helper.make_node("Mul", ["touched", constant("three", np.float32(3))], ["added"]),
                helper.make_node("Add", ["undamaged", "added"], [end]),
            ]  # fmt: skip
        graph.node.extend(made)
    onnx.checker.check_model(model)
    onnx.save(model, out)


ORT, LITERT = onnx_runtime.PACKAGES, litert.PACKAGES


@recipe("damaged_litert", runtime="litert", framework="tensorflow", packages=LITERT, prepare=damage)
def damaged_litert(source: Any, out: Any) -> str:
    """A float .tflite of another model."""
    return litert.fp32(source, out)


@recipe("damaged_int8", runtime="litert", framework="tensorflow", packages=LITERT, prepare=damage, calibrated=True)
def damaged_int8(source: Any, out: Any, *, calibration: Any) -> str:
    """An int8 .tflite of another model."""
    return litert.int8(source, out, calibration=calibration)


@recipe("damaged_ort", runtime="onnxruntime", packages=ORT, prepare=damage)
def damaged_ort(source: Any, out: Any) -> str:
    """A float .onnx of another model."""
    return onnx_runtime.ort_fp32(source, out)


@recipe("damaged_torch", runtime="torch", framework="torch", packages=("torch",), prepare=damage)
def damaged_torch(source: Any, out: Any) -> str:
    """A TorchScript file of another model."""
    return pytorch.torch_fp32(source, out)


# A damage that happens within a recipe which says that its outputs equal the source's.


@recipe("checked_litert", runtime="litert", framework="tensorflow", packages=LITERT, lossless=True)
def checked_litert(source: Any, out: Any, *, kind: str, amount: float) -> str:
    """A float .tflite of another model."""
    return litert.fp32(damage(source, kind=kind, amount=amount), out)


@recipe("checked_ort", runtime="onnxruntime", packages=ORT, lossless=True)
def checked_ort(source: Any, out: Any, *, kind: str, amount: float) -> str:
    """A float .onnx of another model."""
    return onnx_runtime.ort_fp32(damage(source, kind=kind, amount=amount), out)


@recipe("checked_torch", runtime="torch", framework="torch", packages=("torch",), lossless=True)
def checked_torch(source: Any, out: Any, *, kind: str, amount: float) -> str:
    """A TorchScript file of another model."""
    return pytorch.torch_fp32(damage(source, kind=kind, amount=amount), out)
