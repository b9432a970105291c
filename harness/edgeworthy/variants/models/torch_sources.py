"""PyTorch modules as the user gives them: a factory, a model of torchvision by name, or a torch.export file.

Nothing here unpickles: weights are loaded with ``weights_only``, and a .pt2 archive is searched for pickled objects
before torch, which would load them, opens it.
"""

from __future__ import annotations

import inspect
import io
import json
import re
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeworthy.datasets.samples import IMAGE_RANK, shape_in_layout
from edgeworthy.errors import SourceError
from edgeworthy.records import Layout
from edgeworthy.source_schema import RANDOM
from edgeworthy.suggestions import did_you_mean
from edgeworthy.tensors import NamedInput, by_name, is_ragged
from edgeworthy.user_code.functions import load_function, users_code
from edgeworthy.variants.conversion.converter_errors import reason_line, refusing
from edgeworthy.variants.models.model_ends import check_inputs, torch_with_output
from edgeworthy.variants.models.model_inputs import ModelInput, as_input, values_of, wanted_input
from edgeworthy.variants.models.same_model import Images
from edgeworthy.variants.models.source_files import Shape, checked_file, reading
from edgeworthy.variants.models.torch_checkpoints import load_weights

SEED = 0
FLOAT = np.dtype(np.float32)
#: Operators that torchvision's own binary declares; there is none for a CPU build of torch, and no classifier needs one.
TORCHVISION_OPERATORS = ("nms", "qnms")
#: What torch.export.save writes for a model without custom objects and compiled parts.
PLAIN_MEMBERS = re.compile(
    r"[^/]+/(archive_format|archive_version|byteorder|version|\.data/\w+|extra/.+|models/[^/]+\.json"
    r"|data/(weights|constants)/((weight|tensor)_\d+|[^/]+_config\.json)|data/sample_inputs/[^/]+\.pt)"
)


def load_factory(
    factory: str, base_dir: Path, weights: str, output: str | None, images: Images, inputs: Sequence[NamedInput] = ()
) -> Any:
    """The factory's torch.nn.Module in eval mode, tried on ``images`` (N, H, W, C), or on rows of several ``inputs``."""
    with refusing("torch"):
        import torch

    torch.manual_seed(SEED)
    build = load_function(factory, base_dir)
    with users_code(f"{factory}: the factory", "correct the factory"):
        module = build()
    if not isinstance(module, torch.nn.Module):
        raise SourceError(
            f"{factory}: the factory returned {type(module).__name__}, not a torch.nn.Module",
            hint="let the factory return the module",
        )
    if inputs:
        check_inputs(factory, arguments_of(module, inputs), inputs)
    return _ready(module, factory, base_dir, weights, output, images, inputs)


def load_torchvision(name: str, classes: int, base_dir: Path, weights: str, images: Images) -> Any:
    """torchvision's classifier of that name for ``classes``, in eval mode, tried on ``images`` (N, H, W, C)."""
    with refusing("torchvision"):
        import torch

        models = _torchvision().models
    known = models.list_models(module=models)
    if name not in known:
        raise SourceError(
            f"torchvision has no model {name!r}; {did_you_mean(name, known)}", hint="correct the name of the model"
        )
    title = f"torchvision's {name}"
    torch.manual_seed(SEED)
    with users_code(f"{title}: building it", "choose another architecture, or give the model as a factory"):
        module = models.get_model(name, weights=None, num_classes=classes)
    return _ready(module, title, base_dir, weights, None, images, ())


def load_exported(path: Path, output: str | None, images: Images, inputs: Sequence[NamedInput] = ()) -> Any:
    """The module of a torch.export file; its ``fixed_batch`` is the only batch size that it takes, or None."""
    with refusing("torch"):
        import torch
    _refuse_pickles(path)
    with reading(path, "a torch.export file"):
        program = torch.export.load(path)
        module = program.module()
    if program.example_inputs and program.example_inputs[1]:
        raise SourceError(
            f"{path}: it was exported with the keyword arguments {', '.join(program.example_inputs[1])}",
            hint="export it again with positional arguments alone: torch.export.export(module, (x, y))",
        )
    taken = [node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    check_inputs(path, [node.name for node in taken], inputs)
    batched = [each.name for each in inputs if each.constant is None and not each.is_state]
    batch = next(node for node in taken if not inputs or node.name in batched).meta["val"].shape[0]
    module.fixed_batch = batch if isinstance(batch, int) else None
    module.input_names = [node.name for node in taken]
    for part in module.modules():  # its eval() raises: the graph is in its mode, only the flag is not
        part.training = False
    chosen = _tried(module, str(path), output, images, inputs, module.fixed_batch or 1)
    chosen.fixed_batch, chosen.input_names = module.fixed_batch, module.input_names
    return chosen


def inputs_of(module: Any, inputs: Sequence[NamedInput], sample: Shape) -> list[ModelInput]:
    """The inputs of a module, in its order, of the sizes and types in which it is given them."""
    if not inputs:
        return [ModelInput(module.input_names[0], (None, *shape_in_layout(sample, "nchw")), FLOAT)]
    return [
        wanted_input(name, given, torch_dtype(given), None, "nchw") or ModelInput(name, given.shape, torch_dtype(given))
        for name, given in zip(module.input_names, by_name(inputs, module.input_names), strict=True)
    ]


def torch_dtype(given: NamedInput) -> np.dtype[Any]:
    """In which type PyTorch gets an array of the dataset: whole numbers as int64, as it has indices; images as float32."""
    image = len(given.shape) + 1 == IMAGE_RANK
    return FLOAT if image or np.dtype(given.dtype).kind == "f" else np.dtype(np.int64)


def _torchvision() -> Any:
    try:
        import torchvision
    except RuntimeError:
        import torch

        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        # Kept: a library that is collected takes its operators with it.
        _torchvision.declared = torch.library.Library("torchvision", "DEF")  # type: ignore[attr-defined]
        for operator in TORCHVISION_OPERATORS:
            _torchvision.declared.define(  # type: ignore[attr-defined]
                f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
        import torchvision
    return torchvision


def _ready(
    module: Any,
    title: str,
    base_dir: Path,
    weights: str,
    output: str | None,
    images: Images,
    inputs: Sequence[NamedInput],
) -> Any:
    names = arguments_of(module, inputs) if inputs else [each.name for each in _parameters(module)[:1]] or ["images"]
    if weights != RANDOM:
        load_weights(module, checked_file(base_dir / weights), title)
    module.eval()
    module.input_names = names
    module = _tried(module, title, output, images, inputs, 1)
    module.input_names = names
    if weights == RANDOM:
        _settle_batch_norm(module, images, inputs)
    return module


def arguments_of(module: Any, inputs: Sequence[NamedInput]) -> list[str]:
    """The arguments of the module's forward up to the last that is given something or must be: it is called by their places."""
    if not inputs:
        return ["images"]
    given = {each.name for each in inputs}
    found = _parameters(module)
    needed = [place for place, each in enumerate(found) if each.name in given or each.default is each.empty]
    return [each.name for each in found[: max(needed, default=-1) + 1]]


def _parameters(module: Any) -> list[inspect.Parameter]:
    """Those of the module's forward that have places."""
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each for each in inspect.signature(module.forward).parameters.values() if each.kind not in variable]


def tensors_of(images: Images, inputs: Sequence[NamedInput], layout: Layout) -> list[Any]:
    """The tensors that a module of these ``inputs``, in its order, is called with: float32 of a single one."""
    import torch

    values = values_of(images, inputs, layout, [each.shape for each in inputs])
    kinds = [torch_dtype(each) for each in inputs] or [FLOAT]
    return [torch.from_numpy(as_input(each, kind)) for each, kind in zip(values, kinds, strict=True)]


def _tried(
    module: Any, title: str, output: str | None, images: Images, inputs: Sequence[NamedInput], batch: int
) -> Any:
    """The module with the chosen output alone, after it has taken a batch of the shape of ``images``."""
    import torch

    taken = inputs_of(module, inputs, images.shape[1:])
    shapes = [each.closed(batch) for each in taken]
    try:
        with torch.inference_mode():
            given = module(
                *(torch.from_numpy(np.zeros(shape, each.dtype)) for each, shape in zip(taken, shapes, strict=True))
            )
    except Exception as error:
        sample = " and ".join(str(each.shape) for each in inputs) or str(images.shape[1:])
        raise SourceError(
            f"{title}: its module does not take {' and '.join(map(str, shapes))}, which the dataset's samples"
            f" {sample} become: {reason_line(error)}",
            hint="choose a dataset whose samples the module takes, or correct the module",
        ) from error
    if isinstance(given, dict | list | tuple):
        parts = given.values() if isinstance(given, dict) else given
        if nested := [type(each).__name__ for each in parts if not isinstance(each, torch.Tensor)]:
            raise SourceError(
                f"{title}: its module returns a {type(given).__name__} with a {nested[0]} in it, not tensors alone",
                hint="let the module return a tuple or a dictionary of tensors: (y, h, c) and not (y, (h, c))",
            )
        module = torch_with_output(module, title, given, output, module.input_names).eval()
        given = next(iter(given.values())) if isinstance(given, dict) else given[0]
    if not isinstance(given, torch.Tensor) or given.ndim < 2 or len(given) != batch:
        what = f"shape {tuple(given.shape)}" if isinstance(given, torch.Tensor) else type(given).__name__
        raise SourceError(
            f"{title}: its module returns {what}, not one tensor of (batch, values) or a batch of images",
            hint="let the module return the one tensor that is judged, its first axis the batch",
        )
    return module


def _settle_batch_norm(module: Any, images: Images, inputs: Sequence[NamedInput]) -> None:
    """Take the statistics of batch normalization from ``images``.

    With the initial ones the signal dies on its way through a deep network of random weights, and all outputs are equal.
    """
    import torch

    layers = [layer for layer in module.modules() if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)]
    before = [layer.momentum for layer in layers]
    images = images[:1] if is_ragged(inputs) else images
    for layer in layers:
        layer.momentum = 1.0
        layer.train()
    with torch.no_grad():
        module(*tensors_of(images, by_name(inputs, module.input_names) if inputs else (), "nchw"))
    for layer, momentum in zip(layers, before, strict=True):
        layer.momentum = momentum
        layer.eval()


def _refuse_pickles(path: Path) -> None:
    """Raise SourceError where the archive holds what torch.export.load would unpickle or run."""
    with reading(path, "a torch.export file"), zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        if damaged:
            raise SourceError(f"{path}: damaged: {damaged} fails its checksum", hint="export or copy the file again")
        names = archive.namelist()
        strange = [name for name in names if not PLAIN_MEMBERS.fullmatch(name) or names.count(name) > 1]
        for name in names:
            if name.endswith(".pt") and not _plain_tensors(archive.read(name)):
                strange.append(name)
            if name.endswith("_config.json"):
                strange += _unplain_entries(json.loads(archive.read(name)))
    if strange:
        raise SourceError(
            f"{path}: not plain weights but a pickle of other objects, or damaged; it is not loaded",
            hint=f"export the model with torch.export.save, without custom objects; {strange[0]} is one",
        )


def _plain_tensors(content: bytes) -> bool:
    import torch

    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception:
        return False
    return True


def _unplain_entries(config: dict[str, Any]) -> list[str]:
    """Names of the archive's weights and constants that are not the plain bytes of a tensor."""
    return [
        name
        for name, entry in config["config"].items()
        if entry["use_pickle"] or not entry["path_name"].startswith(("weight_", "tensor_"))
    ]
