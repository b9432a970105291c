"""The schemas: the most specific budget wins, and what is wrong is named with its nearest valid neighbour."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from edgeworthy.cells import CellId
from edgeworthy.config import Budget, Limits, limits_for, load_devices, load_models, parse_limit
from edgeworthy.errors import ConfigError
from edgeworthy.source_schema import Source
from edgeworthy.text import printable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CELL = CellId("linear", "int8", "host:cpu")


def selectors(name: str) -> st.SearchStrategy[str | None]:
    """Nothing, a glob that matches, the name itself, or another one."""
    return st.sampled_from([None, "*", name[:2] + "*", name, "other"])


BUDGETS = st.builds(
    Budget,
    model=selectors(CELL[0]),
    variant=selectors(CELL[1]),
    target=selectors(CELL[2]),
    max_p50_ms=st.none() | st.integers(1, 9),
    max_size_kb=st.none() | st.integers(1, 9),
)


@given(
    st.lists(BUDGETS, unique_by=Budget.specificity).flatmap(
        lambda each: st.tuples(st.just(each), st.permutations(each))
    )
)
def test_the_order_of_unlike_budgets_does_not_matter(orders: tuple[list[Budget], list[Budget]]) -> None:
    """Where no two budgets are equally specific, any order gives the same limits."""
    one, other = orders
    assert limits_for(one, CELL) == limits_for(other, CELL)


@given(st.lists(BUDGETS))
def test_the_most_specific_wins_and_then_the_later(budgets: list[Budget]) -> None:
    """Each limit is that of the last among the most specific budgets that match and set it."""
    for limit in ("max_p50_ms", "max_size_kb"):
        setting = [budget for budget in budgets if budget.matches(CELL) and getattr(budget, limit) is not None]
        best = max((budget.specificity() for budget in setting), default=None)
        expected = [getattr(budget, limit) for budget in setting if budget.specificity() == best]
        assert limits_for(budgets, CELL).get(limit) == (expected[-1] if expected else None)


@given(st.lists(BUDGETS))
def test_budgets_of_other_cells_do_not_apply(budgets: list[Budget]) -> None:
    """A budget that does not match leaves no trace."""
    matching = [budget for budget in budgets if budget.matches(CELL)]
    assert limits_for(budgets, CELL) == limits_for(matching, CELL)


@given(st.text(string.printable))
def test_any_text_is_a_limit_or_a_config_error(text: str) -> None:
    """--edge-budget never fails in another way."""
    try:
        limits, refusal = parse_limit(text), text
    except ConfigError as error:
        limits, refusal = {}, error.message
    assert set(limits) <= set(Limits.model_fields)
    assert printable(text) in printable(refusal)


@pytest.mark.parametrize("value", ["nan", "-1", "", "fast", "101"])
def test_impossible_limit_is_refused(value: str) -> None:
    """Not a number, or out of the limit's range."""
    with pytest.raises(ConfigError, match="max_drop_points"):
        parse_limit(f"max_drop_points={value}")


@pytest.mark.parametrize("limit", ["max_p50_ms=inf", "min_sqnr_db=nan", "min_sqnr_db=-inf"])
def test_limit_that_cannot_be_exceeded_is_refused(limit: str) -> None:
    """Infinity and NaN are no limits."""
    with pytest.raises(ConfigError, match="finite"):
        parse_limit(limit)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.ascii_letters),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(string.ascii_letters), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(value=JSON, data=st.data())
def test_any_value_anywhere_is_accepted_or_named(tmp_path: Path, value: Any, data: st.DataObject) -> None:
    """Whatever stands wherever in models.yaml, the answer is a configuration or a ConfigError with file and line."""
    tree: dict[str, Any] = {
        "version": 1,
        "datasets": {"d": {"kind": "npz", "path": "d.npz"}},
        "models": {"m": {"source": {"path": "m.onnx"}, "dataset": "d", "variants": {"fp32": {}}, "targets": ["*"]}},
        "budgets": [{"model": "m", "max_p50_ms": 1}],
        "latency": {"loads": 3},
        "timeouts": {},
    }
    place: Any = tree
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if not inner or not isinstance(inner, (dict, list)) or data.draw(st.booleans()):
            place[key] = value
            break
        place = inner
    path = tmp_path / "models.yaml"
    path.write_text(yaml.safe_dump(tree))
    refusal = "models.yaml:"
    try:
        load_models(path)
    except ConfigError as error:
        refusal = error.message
    assert "models.yaml:" in refusal


def test_an_empty_variant_is_the_recipe_of_its_name(tmp_path: Path) -> None:
    """'int8:' with nothing behind it is enough."""
    path = tmp_path / "models.yaml"
    path.write_text(
        "version: 1\ndatasets: {d: {kind: digits}}\n"
        "models: {m: {source: {path: m.onnx}, dataset: d, variants: {fp32: , int8: }}}\n"
    )
    assert list(load_models(path)[0].models["m"].variants) == ["fp32", "int8"]


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_file_of_this_repository_is_valid(path: Path) -> None:
    """Also one that has a budget for the canary, which no file lists among its variants."""
    assert load_models(path)[0].models


def test_targets_are_listed_in_the_files_order(tmp_path: Path) -> None:
    """Devices and backends keep their order; the first target is what others are compared with."""
    path = tmp_path / "devices.yaml"
    path.write_text(
        "version: 1\ndevices: {z: {kind: host, backends: {b: {}, a: {}}}, a: {kind: host, backends: {x: {}}}}\n"
    )
    assert load_devices(path)[0].targets() == ["z:b", "z:a", "a:x"]


PHONE = """
version: 1
devices:
  phone:
    kind: android
    {where}
    benchmark_model: {{x86_64: tool}}
    backends:
      gpu: {{delegate: {delegate}{more}}}
"""


@pytest.mark.parametrize(
    ("where", "delegate", "more", "told"),
    [
        ("address: phone.local", "gpu2", "", r"devices\.phone\.backends\.gpu\.delegate: unknown value 'gpu2'"),
        ("address: phone.local", "gpu", ", presision_loss: true", r"gpu\.presision_loss: unknown key"),
        ("address: phone.local\n    serial: X", "gpu", "", r"devices\.phone: give one of: serial"),
        ("adress: phone.local", "gpu", "", r"devices\.phone\.adress: unknown key 'adress'.*address"),
        ("address: phone.local", "gpu", ", threads: 0", r"gpu\.threads: "),
    ],
)
def test_what_is_wrong_with_a_device_is_named(tmp_path: Path, where: str, delegate: str, more: str, told: str) -> None:
    """A wrong key or value of a device, or of one of its backends, is told with its place in the file alone."""
    path = tmp_path / "devices.yaml"
    path.write_text(PHONE.format(where=where, delegate=delegate, more=more))
    with pytest.raises(ConfigError, match=told):
        load_devices(path)


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ("{compiled_model: {accelerator: tpu}}", r"compiled_model\.accelerator: unknown value 'tpu'"),
        (
            "{compiled_model: {accelerator: npu, precision: float32}}",
            r"compiled_model: precision is for accelerator: gpu",
        ),
        (
            "{compiled_model: {accelerator: npu}, min_delegated_percent: 9}",
            r"cpu: min_delegated_percent: an NPU takes the whole",
        ),
        ("{compiled_model: {accelerator: gpu}, delegate: false}", r"cpu: delegate: false is for the processor"),
    ],
)
def test_keys_of_a_compiled_model_fit_its_accelerator(tmp_path: Path, backend: str, words: str) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(f"version: 1\ndevices: {{host: {{kind: host, backends: {{cpu: {backend}}}}}}}\n")
    with pytest.raises(ConfigError, match=words):
        load_devices(path)


@pytest.mark.parametrize(("kind", "told"), [("kind: phone", "unknown value 'phone'"), ("port: 1", "kind: this key is")])
def test_a_device_needs_a_known_kind(tmp_path: Path, kind: str, told: str) -> None:
    """A device of no kind, or of one that does not exist, is told so at its key ``kind``."""
    path = tmp_path / "devices.yaml"
    path.write_text(f"version: 1\ndevices:\n  x:\n    {kind}\n")
    with pytest.raises(ConfigError, match=told):
        load_devices(path)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({}, "give one of: path; trainer; factory and weights"),
        ({"path": "m.onnx", "weights": "random"}, "give one of: path"),
        ({"torchvision": "resnet18"}, "torchvision and weights"),
        ({"path": "m.pb"}, "a frozen graph (.pb) needs its input and output arrays"),
        ({"path": "m.onnx", "input": "x"}, "a frozen graph (.pb) needs its input and output arrays"),
        ({"path": "m.keras", "signature": "serve"}, "only a SavedModel's folder or a .tflite has a signature"),
        ({"path": "m.onnx", "opset": 17}, "a .onnx file is taken as it is"),
        (
            {"path": "m.onnx", "route": "litert_torch"},
            "route is for PyTorch: a factory, a model of torchvision, or a .pt2",
        ),
        ({"factory": "f.py:f", "weights": "w.pt", "route": "onnx"}, "litert_torch"),
        ({"trainer": "t.py:train", "opset": 10}, "greater than or equal to 11"),
        ({"keras_aplication": "MobileNetV2", "weights": "random"}, "did you mean 'keras_application'?"),
    ],
)
def test_a_source_is_of_one_kind(tmp_path: Path, source: dict[str, Any], words: str) -> None:
    """Keys of two kinds, a kind without what it needs, and misspelt keys are refused with file and key."""
    models = {"m": {"source": source, "dataset": "d", "variants": {"fp32": {}}}}
    data = {"version": 1, "datasets": {"d": {"kind": "digits"}}, "models": models}
    path = tmp_path / "models.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError) as raised:
        load_models(path)
    assert "models.m.source" in raised.value.message
    assert words in raised.value.message


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{x: a, rate: .inf}", "rate is given the name of an array, or a finite number"),
        ("{x: a, rate: true}", "rate is given the name of an array, or a finite number"),
        ("{x: [a]}", "x is given the name of an array, or a finite number"),
        ("{x: 1, rate: 2}", "at least one input is given an array of the dataset"),
    ],
)
def test_inputs_are_arrays_and_numbers(tmp_path: Path, given: str, words: str) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(
        "version: 1\ndatasets: {d: {kind: digits}}\nmodels:\n"
        f"  m: {{source: {{path: m.onnx}}, dataset: d, reference: a, variants: {{a: }}, inputs: {given}}}\n"
    )
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_models(path)


def test_a_file_of_an_installed_package_is_found_by_name() -> None:
    """``edgeworthy:weights/x`` is the file in the package, and the embedded models' weights are there, under 1 MB."""
    models = load_models(BENCHMARKS / "models.yaml")[0].models
    shipped = [Path(str(models["cnn"].source.weights)), Path(str(models["mobilenet"].source.path))]
    assert [path.name for path in shipped] == ["cnn.pt", "mobilenet.keras"]
    assert sum(path.stat().st_size for path in shipped) < 1_000_000
    for other in ("no_such_package:m.onnx", "C:/m.onnx", "folder/m.onnx"):
        assert Source(path=other).path == other
