"""The schema of models.yaml, and reading it and devices.yaml.

Both files are parsed by :mod:`edgeworthy.yaml_file`, validated by pydantic and cross-checked here; every complaint
names file, line and key, and the nearest valid name. ``edgeworthy schema`` publishes the same schemas as JSON.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)

from edgeworthy.cells import CellId, CellSelector, matches
from edgeworthy.dataset_schema import Dataset
from edgeworthy.device_schema import DevicesFile
from edgeworthy.errors import ConfigError
from edgeworthy.metrics import FIDELITY, METRICS, QUALITIES, Limit
from edgeworthy.schema import Name, Percent, Positive, QualityName, Strict, validate
from edgeworthy.suggestions import did_you_mean
from edgeworthy.yaml_file import KeyPath, YamlFile, read_yaml

CANARY = "canary"


class _Limits(Strict):
    """What a cell must keep. Each limit's name is ``max_`` or ``min_``, a metric, and the metric's unit.

    Accuracy is judged in pairs against the model's reference, sample by sample; latency on the raw samples.
    """

    def given(self) -> dict[str, float]:
        """The limits that are set, by name."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


def _limit_field(limit: Limit) -> Any:
    """The type and the field of a limit, for pydantic."""
    types = {"any": float, "not negative": Annotated[float, Field(ge=0)], "positive": Positive, "percent": Percent}
    return Optional[types[limit.within]], Field(None, description=limit.description)  # noqa: UP045 - a type at run time


if TYPE_CHECKING:

    class Limits(_Limits):
        """A field for every metric that has a limit."""
else:
    Limits = create_model(
        "Limits",
        __base__=_Limits,
        __doc__=_Limits.__doc__,
        **{metric.limit_name: _limit_field(metric.limit) for metric in METRICS.values() if metric.limit},
    )


DEFAULT_LIMITS = Limits.model_validate(
    {
        "max_drop_points": 1.0,
        "max_metric_drop_percent": 1.0,
        "max_column_drop_points": 10.0,
        "min_consistency_percent": 99.0,
    }
)
#: Of a model whose accuracy says little: random weights, or a reference that is expected to be weak. A constant output has
#: 0 dB; faithful int8 variants were measured at 3.5 dB and more, canaries at -1.4 dB and less (docs/published-numbers.md).
FIDELITY_LIMITS = Limits.model_validate({"min_sqnr_db": 2.0})
#: Of a model that is judged by fidelity alone. AI Edge Quantizer's int8, at the same accuracy, was measured at up to 0.06;
#: a constant output has 1.
UNLABELLED_LIMITS = Limits.model_validate({"max_nmse": 0.1, "min_consistency_percent": 99.0})


class Budget(Limits):
    """Limits for the cells that the selectors match; a selector left out matches everything."""

    model: str | None = Field(None, description="a model, or a glob over models")
    variant: str | None = Field(None, description="a variant, or a glob over variants")
    target: str | None = Field(None, description="a target 'device:backend', or a glob over targets")

    def matches(self, cell: CellId) -> bool:
        """Whether this budget applies to the cell."""
        return CellSelector.of(self.model, self.variant, self.target).selects(cell)

    def specificity(self) -> tuple[int, int]:
        """More selectors first; among as many, more that name one thing rather than a glob."""
        given = [pattern for pattern in (self.model, self.variant, self.target) if pattern is not None]
        return len(given), sum(not any(sign in pattern for sign in "*?[") for pattern in given)

    def given(self) -> dict[str, float]:
        """The limits that are set, without the selectors."""
        return {name: value for name, value in super().given().items() if name in Limits.model_fields}


RANDOM = "random"


def _packaged(given: str) -> str:
    """``package:file`` is a file that an installed package carries; anything else is returned as it is."""
    named = re.fullmatch(r"([A-Za-z_]\w+):([^/\\].*)", given)
    spec = importlib.util.find_spec(named[1]) if named else None
    folders = spec.submodule_search_locations if spec else None
    return str(Path(folders[0]) / named[2]) if named and folders else given


#: A file relative to models.yaml, or ``package:file``.
ModelFile = Annotated[str, AfterValidator(_packaged)]


class Source(Strict):
    """Where a float model comes from: a file, a model by name with its weights, or a function that trains it."""

    path: ModelFile | None = Field(
        None,
        description=".keras, .h5, .onnx, .pt2 (torch.export), .tflite, .pb (frozen graph) or a SavedModel's folder, "
        "relative to models.yaml; 'package:file' is a file of an installed package",
    )
    factory: str | None = Field(
        None, description="'module:function' or 'file.py:function' that builds a torch.nn.Module"
    )
    torchvision: str | None = Field(None, description="a model of torchvision, by name: mobilenet_v3_small")
    keras_application: str | None = Field(None, description="a model of keras.applications, by name: MobileNetV2")
    weights: ModelFile | None = Field(
        None,
        description="file of weights: a state_dict, loaded with weights_only, or Keras' own .weights.h5, found as path is; "
        "'random': accuracy is refused as meaningless",
    )
    trainer: str | None = Field(
        None,
        description="'module:function' or 'file.py:function', called once with the dataset's splits and an output path",
    )
    signature: str | None = Field(None, description="SavedModel: the signature to take; default: serving_default")
    input: str | None = Field(None, description="frozen graph: the input's array, 'input:0'")
    output: str | None = Field(
        None,
        description="the output that is kept and judged, of a model with several; default: all; frozen graph: the output's "
        "array, 'scores:0'",
    )
    opset: int | None = Field(
        None, ge=11, le=23, description="of the ONNX file that a source becomes: exactly this one or none"
    )
    route: Literal["litert_torch"] | None = Field(
        None, description="PyTorch: straight to LiteRT by litert-torch; default: by way of ONNX and TensorFlow"
    )

    @property
    def random(self) -> bool:
        """Whether the weights say nothing, and accuracy with them."""
        return self.weights == RANDOM

    @model_validator(mode="after")
    def _one_way(self) -> Source:
        given = {key for key in _WAYS_KEYS if getattr(self, key)}
        if given not in _WAYS:
            raise ValueError(f"give one of: {'; '.join(' and '.join(sorted(way)) for way in _WAYS)}")
        suffix = Path(self.path or "").suffix.lower()
        if (suffix == ".pb") != bool(self.input) or (suffix == ".pb" and not self.output):
            raise ValueError("a frozen graph (.pb) needs its input and output arrays, and only it has an input")
        if self.signature and (suffix in (".keras", ".h5", ".onnx", ".pt2", ".tflite", ".pb") or not self.path):
            raise ValueError("only a SavedModel's folder has a signature")
        if self.opset and suffix in (".onnx", ".tflite"):
            raise ValueError(f"a {suffix} file is taken as it is; opset is for sources that become ONNX")
        if self.route and not (self.factory or self.torchvision or suffix == ".pt2"):
            raise ValueError("route is for PyTorch: a factory, a model of torchvision, or a .pt2 file")
        return self


_WAYS = [
    {"path"},
    {"trainer"},
    {"factory", "weights"},
    {"factory", "trainer"},
    {"torchvision", "weights"},
    {"keras_application", "weights"},
]
_WAYS_KEYS = set().union(*_WAYS)


class Variant(Strict):
    """A recipe applied to a model, with the recipe's options."""

    recipe: str | None = Field(None, description="default: the variant's own name")
    options: dict[str, Any] = Field(default_factory=dict, description="the recipe's keyword options")
    required: bool = Field(
        False, description="fail the run, instead of only reporting it, if the recipe refuses this model"
    )
    needs: list[Name] = Field([], description="only on devices that list all of these features")


#: ``fp32:`` alone is the recipe of that name with its own options.
NamedVariant = Annotated[
    Variant,
    BeforeValidator(lambda given: {} if given is None else given, json_schema_input_type=Variant | None),
]


class Metric(Strict):
    """How good a model's outputs are: the name of a metric, or a function of your own."""

    name: QualityName | None = Field(None, description="``metric: top1`` says the same")
    function: str | None = Field(
        None,
        description="'module:function' or 'file.py:function': of outputs and targets, a number for each sample",
    )
    better: Literal["higher", "lower"] | None = Field(None, description="of a function: which numbers are better")
    unit: str = Field("", max_length=20, description="of a function: the unit of its numbers")

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"name": TypeAdapter(QualityName).validate_python(given)}
        return given

    @model_validator(mode="after")
    def _one_way(self) -> Metric:
        if self.function and (self.name or not self.better):
            raise ValueError("a function needs 'better: higher' or 'better: lower', and has no other name")
        if not self.function and (self.better or self.unit):
            raise ValueError("only a function of your own has 'better' and 'unit'")
        return self

    @property
    def title(self) -> str:
        """The metric's name, or its function's."""
        return self.function or self.name or "top1"

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger number is the better one."""
        return self.better == "higher" if self.function else QUALITIES[self.title].higher_is_better

    @property
    def unit_of_value(self) -> str:
        """The unit of its numbers."""
        return self.unit if self.function else QUALITIES[self.title].unit


class State(Strict):
    """What a model is given back from one step of a sequence to the next: an input that is an output of the step before."""

    output: str = Field(alias="from", description="the output that becomes the input at the step after")
    initial: Literal["zeros"] | Annotated[float, Field(allow_inf_nan=False)] = Field(
        "zeros", description="the state before the first step: zeros, or a number everywhere"
    )
    shape: list[Annotated[int, Field(gt=0)]] | None = Field(
        None, description="the state's shape, with its batch of 1; needed where the source declares none (PyTorch)"
    )


class Model(Strict):
    """A float model with the variants to make of it and the budgets they must keep."""

    source: Source
    dataset: Name
    expect_weak_reference: bool = Field(
        False, description="allow a reference that is no better than the best constant prediction"
    )
    inputs: dict[str, str | int | float] = Field(
        default_factory=dict,
        description="input of the model -> the dataset's array without its split (``ids`` of ``evaluation_ids``), or a number "
        "that every sample has; default: the arrays are called as the inputs are",
    )
    state: dict[str, State] = Field(
        default_factory=dict,
        description="a model that is run step by step over sequences: input -> the output of the step before that it is given",
    )
    metric: Metric = Field(Metric(), description="what is judged: a name, or a function of your own")
    reference: Name = Field("fp32", description="the variant that all others are compared with, on the host")
    variants: dict[Name, NamedVariant]
    targets: list[str] = Field(["*"], description="globs over targets 'device:backend'")
    random_seed: int | None = Field(
        None,
        ge=0,
        description="the model is random on purpose: differing outputs are no error, and its runtime is seeded",
    )

    @field_validator("inputs", mode="before")
    @classmethod
    def _arrays_and_numbers(cls, given: Any) -> Any:
        values = given if isinstance(given, dict) else {}
        for name, value in values.items():
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not (isinstance(value, str) or number):
                raise ValueError(f"{name} is given the name of an array, or a finite number (given: {value!r})")
        if values and not any(isinstance(value, str) for value in values.values()):
            raise ValueError("at least one input is given an array of the dataset; all of these are numbers")
        return given

    @model_validator(mode="after")
    def _states_are_given_once(self) -> Model:
        if twice := sorted(self.state.keys() & self.inputs.keys()):
            raise ValueError(f"{twice[0]} is under 'inputs' and under 'state'; a state is given by the model itself")
        if self.state and self.source.output:
            raise ValueError("a model with state is taken with all of its outputs; remove 'output' at its source")
        return self


class LatencyPlan(Strict):
    """How latency is sampled: several reloads, each warmed up, then timed one inference at a time."""

    loads: int = Field(10, ge=3, le=1000, description="reloads of the artifact")
    samples_per_load: int = Field(40, ge=1, le=100_000, description="timed inferences after each load, at least")
    min_load_ms: float = Field(10, ge=0, description="keep timing each load for at least this long")
    warmup: int = Field(5, ge=0, description="untimed inferences after the first one of each load")


class Timeouts(Strict):
    """Seconds after which a child process is killed."""

    cell_s: Positive = 120
    conversion_s: Positive = 1800


class Regression(Strict):
    """How much worse than its baseline a cell may be. The unit ends each name; changes below a floor are ignored."""

    accuracy_points: Percent = Field(0.5, description="accuracy lost on the same samples, in percentage points")
    metric_percent: Positive = Field(1.0, description="another metric than accuracy, in percent of the baseline's")
    agreement_points: Percent = Field(
        1.0,
        description="samples whose prediction changed from the baseline's and is not newly correct, in percentage points",
    )
    latency_percent: Positive = Field(3.0, description="median time of one inference")
    max_seconds: Positive = Field(
        9.0, description="time limit of the interleaved A/B timing of a cell and its baseline's artifact"
    )
    latency_floor_us: float = Field(0.2, ge=0, description="ignore slowdowns below this many microseconds")
    memory_percent: Positive = Field(5.0, description="growth of the runner's peak memory")
    memory_floor_mb: float = Field(0.5, ge=0, description="ignore growth below this many MB")
    size_percent: float = Field(1.0, ge=0, description="size of the file, and its size after gzip")
    size_floor_kb: float = Field(0.5, ge=0, description="ignore growth below this many KB")
    load_percent: Positive = Field(25.0, description="time to load")
    load_floor_ms: float = Field(1.0, ge=0, description="ignore slowdowns below this many ms")
    delegated_points: Percent = Field(1.0, description="share of the graph nodes that the delegate took")
    between_session_percent: float = Field(
        20.0,
        ge=0,
        description="how far times of equal artifacts differ between sessions; widens the interval where only stored "
        "times can be compared",
    )


class ModelsFile(Strict):
    """benchmarks/models.yaml."""

    version: Literal[1]
    recipe_files: list[str] = Field(
        [], description="Python files with your own @recipe functions, relative to this file"
    )
    reports: list[str] = Field(
        [],
        description="'module:function' or 'file.py:function' of yours, called with each run when it has ended",
    )
    datasets: dict[Name, Dataset]
    models: dict[Name, Model] = Field(min_length=1)
    budgets: list[Budget] = Field([])
    latency: LatencyPlan = LatencyPlan()
    regression: Regression = Regression()
    timeouts: Timeouts = Timeouts()


def load_models(path: Path) -> tuple[ModelsFile, YamlFile]:
    """Read and cross-check models.yaml. Raises ConfigError."""
    document = read_yaml(path)
    models = validate(ModelsFile, document)
    for name, model in models.models.items():
        at = ("models", name)
        if model.dataset not in models.datasets:
            raise document.unknown_name((*at, "dataset"), "dataset", model.dataset, list(models.datasets))
        if CANARY in model.variants:
            raise document.error(
                (*at, "variants", CANARY), f"{CANARY!r} is the name of the gate's self-test; rename this variant"
            )
        if model.reference not in model.variants:
            raise document.unknown_name((*at, "reference"), "variant", model.reference, list(model.variants))
    for index, budget in enumerate(models.budgets):
        _check_budget(document, models, index, budget)
    return models, document


def load_devices(path: Path) -> tuple[DevicesFile, YamlFile]:
    """Read devices.yaml. Raises ConfigError."""
    document = read_yaml(path)
    return validate(DevicesFile, document), document


def check_targets(models: ModelsFile, models_yaml: YamlFile, devices: DevicesFile) -> None:
    """Reject target patterns in models.yaml that match nothing in devices.yaml. Raises ConfigError."""
    targets = devices.targets()
    for name, model in models.models.items():
        for index, pattern in enumerate(model.targets):
            _must_match(models_yaml, ("models", name, "targets", index), "target", pattern, targets)
    for index, budget in enumerate(models.budgets):
        if budget.target is not None:
            _must_match(models_yaml, ("budgets", index, "target"), "target", budget.target, targets)


def default_limits(model: Model) -> dict[str, float]:
    """The built-in limits of a model's cells."""
    if model.source.random:
        return FIDELITY_LIMITS.given()
    if model.metric.name == FIDELITY:
        return UNLABELLED_LIMITS.given()
    return {**DEFAULT_LIMITS.given(), **(FIDELITY_LIMITS.given() if model.expect_weak_reference else {})}


def limits_for(budgets: Iterable[Budget], cell: CellId) -> dict[str, float]:
    """The limits of one cell: of the budgets that match it, for every limit the most specific wins, then the later."""
    matching = [budget for budget in budgets if budget.matches(cell)]
    merged: dict[str, float] = {}
    for budget in sorted(matching, key=Budget.specificity):
        merged.update(budget.given())
    return merged


def parse_limit(text: str, given_by: str = "--edge-budget") -> dict[str, float]:
    """``max_p50_ms=5`` as a limit. Raises ConfigError naming who gave it, and the nearest limit."""
    name, _, value = text.partition("=")
    known = list(Limits.model_fields)
    if name not in known:
        raise ConfigError(
            f"{given_by} {text}: unknown limit {name!r}; {did_you_mean(name, known)}",
            hint="correct the limit's name; docs/configuration.md lists all of them",
        )
    try:
        return Limits.model_validate({name: value}).given()
    except ValidationError as error:
        raise ConfigError(f"{given_by} {text}: {error.errors()[0]['msg']}", hint="correct the limit's value") from error


def _check_budget(document: YamlFile, models: ModelsFile, index: int, budget: Budget) -> None:
    at = ("budgets", index)
    if budget.model is not None:
        _must_match(document, (*at, "model"), "model", budget.model, list(models.models))
    if budget.variant not in (None, CANARY):  # each model has a canary, which no file lists
        variants = [
            variant
            for name, model in models.models.items()
            if matches(name, [budget.model] if budget.model else [])
            for variant in model.variants
        ]
        _must_match(document, (*at, "variant"), "variant", budget.variant, sorted(set(variants)))


def _must_match(document: YamlFile, at: KeyPath, kind: str, pattern: str, names: list[str]) -> None:
    if not any(matches(name, [pattern]) for name in names):
        raise document.unknown_name(at, kind, pattern, names)
