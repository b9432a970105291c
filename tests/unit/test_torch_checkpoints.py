"""Checkpoints as people save them: taken, or refused with the keys that do not fit."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

#: Saves checkpoints of one small module and tries to load each; prints the message of each that is refused.
SCRIPT = """
import collections, json, pathlib, sys, torch
from edgeworthy.errors import SourceError
from edgeworthy.variants.models.torch_checkpoints import load_weights

def module():
    return torch.nn.Sequential(collections.OrderedDict(conv=torch.nn.Conv2d(1, 2, 3), norm=torch.nn.BatchNorm2d(2)))

def prefixed(text, state):
    return {text + name: value for name, value in state.items()}

trained = module()
for value in trained.parameters():
    torch.nn.init.normal_(value)
state = trained.state_dict()
without = {name: value for name, value in state.items() if name != "conv.bias"}
checkpoints = {
    "plain": state,
    "state_dict": {"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}},
    "model": {"model": state},
    "model_state_dict": {"model_state_dict": state, "loss": 0.5},
    "ddp": prefixed("module.", state),
    "compiled": prefixed("_orig_mod.", state),
    "compiled ddp": prefixed("module._orig_mod.", state),
    "lightning": {"state_dict": prefixed("model.", state)},
    "ddp in state_dict": {"state_dict": prefixed("module.", state), "epoch": 1},
    "wrapped module": torch.nn.DataParallel(trained).state_dict(),
    "keys": {**without, "head.weight": torch.zeros(1), "head.bias": torch.zeros(1)},
    "shape": {"state_dict": {**state, "conv.weight": torch.zeros(3, 1, 3, 3)}},
    "two": {"model": state, "state_dict": {name: value + 1 for name, value in state.items()}},
    "tensor": torch.zeros(3),
    "numbers": {1: torch.zeros(3)},
    "nothing": {},
    "pickle": pathlib.PurePosixPath("x"),
}
found = {}
for name, checkpoint in checkpoints.items():
    path = pathlib.Path(sys.argv[1]) / "weights.pt"
    torch.save(checkpoint, path)
    fresh = module()
    try:
        load_weights(fresh, path, "net.py:build")
        found[name] = all(torch.equal(value, state[key]) for key, value in fresh.state_dict().items())
    except SourceError as error:
        found[name] = error.message.partition("weights.pt: ")[2]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Checkpoint -> whether all weights are its own, or why it is refused."""
    command = [sys.executable, "-c", SCRIPT, str(tmp_path_factory.mktemp("weights"))]
    found: dict[str, object] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def test_containers_and_prefixes_are_taken(loaded: dict[str, object]) -> None:
    """state_dict, model_state_dict and model; DDP's, torch.compile's and Lightning's prefixes, one in the other."""
    assert [name for name, found in loaded.items() if found is True] == [
        "plain", "state_dict", "model", "model_state_dict", "ddp", "compiled", "compiled ddp", "lightning",
        "ddp in state_dict", "wrapped module",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("keys", "do not fit net.py:build: missing keys: conv.bias; unexpected keys: head.weight, head.bias"),
        ("shape", "do not fit net.py:build: other shapes: conv.weight is (3, 1, 3, 3), the module's (2, 1, 3, 3)"),
        ("two", "holds several weights that fit, 'state_dict' and 'model'"),
        ("tensor", "holds a Tensor, not a state_dict"),
        ("numbers", "holds a dict, not a state_dict"),
        ("nothing", "missing keys: conv.weight, conv.bias, norm.weight and 4 more"),
        ("pickle", "not plain weights but a pickle of other objects"),
    ],
)
def test_what_does_not_fit_is_named(loaded: dict[str, object], name: str, message: str) -> None:
    """Missing and unexpected keys together, shapes, two sets of weights, and what is no state_dict."""
    assert message in str(loaded[name])
