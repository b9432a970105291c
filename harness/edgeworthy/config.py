"""The schema of models.yaml, and reading it and devices.yaml.

Both files are parsed by :mod:`edgeworthy.yaml_file`, validated by pydantic and cross-checked here; every complaint
names file, line and key, and the nearest valid name. ``edgeworthy schema`` publishes the same schemas as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Optional

from pydantic import (
    Field,
    ValidationError,
    create_model,
)

from edgeworthy.cells import CellId, CellSelector, matches
from edgeworthy.dataset_schema import Dataset
from edgeworthy.device_schema import DevicesFile
from edgeworthy.errors import ConfigError
from edgeworthy.metrics import FIDELITY, METRICS, NEEDED_LIMITS, TIMED_LIMITS, Limit, in_points
from edgeworthy.model_schema import Model
from edgeworthy.runtimes import Runtime
from edgeworthy.schema import Name, Percent, Positive, Strict, number_within, validate
from edgeworthy.source_schema import OwnRuntime
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
    return Optional[number_within(limit)], Field(None, description=limit.description)  # noqa: UP045 - a type at run time


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


class Tolerances(Strict):
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
    size_percent: float = Field(
        1.0, ge=0, description="size of the file, after gzip too; a microcontroller's arena and flash"
    )
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
    runtimes: dict[Name, OwnRuntime] = Field(
        default_factory=dict,
        description="name: a class of yours that runs artifacts; a @recipe of yours with this runtime makes them",
    )
    reports: list[str] = Field(
        [],
        description="'module:function' or 'file.py:function' of yours, called with each run when it has ended",
    )
    datasets: dict[Name, Dataset]
    models: dict[Name, Model] = Field(min_length=1)
    budgets: list[Budget] = Field([])
    latency: LatencyPlan = LatencyPlan()
    regression: Tolerances = Tolerances()
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
    devices = validate(DevicesFile, document)
    known = [target for target in devices.targets() if target not in devices.emulated()]
    for emulated, target in devices.stand_ins().items():
        if target not in known:
            at = ("devices", emulated.partition(":")[0], "stands_for")
            raise document.unknown_name(at, "target of a device", target, known)
    return devices, document


def check_targets(models: ModelsFile, models_yaml: YamlFile, devices: DevicesFile) -> None:
    """Reject target patterns in models.yaml that match nothing in devices.yaml. Raises ConfigError."""
    targets = devices.targets()
    for name, model in models.models.items():
        for index, pattern in enumerate(model.targets):
            _must_match(models_yaml, ("models", name, "targets", index), "target", pattern, targets)
    for index, budget in enumerate(models.budgets):
        _check_needed(models_yaml, index, budget, devices)
        if budget.target is not None:
            at = ("budgets", index)
            _must_match(models_yaml, (*at, "target"), "target", budget.target, targets)
            named = [target for target in targets if matches(target, [budget.target])]
            unknown = sorted(TIMED_LIMITS & budget.given().keys())
            if unknown and devices.emulated().keys() >= set(named):
                raise models_yaml.error(
                    (*at, unknown[0]),
                    f"{', '.join(named)} {'is' if len(named) == 1 else 'are'} emulated: an emulation has no times and no"
                    " memory of its own",
                    hint="set this limit for the device itself, and drop it here",
                )


def _check_needed(models_yaml: YamlFile, index: int, budget: Budget, devices: DevicesFile) -> None:
    """Refuse a limit of what a microcontroller must have, of targets none of which says it."""
    named = [target for target in devices.targets() if matches(target, [budget.target] if budget.target else [])]
    known = {metric for target in named for metric in devices.needs(target)}
    for name in NEEDED_LIMITS.keys() & budget.given().keys():
        if named and NEEDED_LIMITS[name] not in known:
            raise models_yaml.error(
                ("budgets", index, name),
                f"{METRICS[NEEDED_LIMITS[name]].label}: none of {', '.join(named)} says it",
                hint="set it for a device of kind emulated, whose emulator is tflm or ethos_u, or drop it",
            )


def check_runtimes(devices: DevicesFile, devices_yaml: YamlFile, runtimes: Mapping[str, Runtime]) -> None:
    """Reject backends that list a runtime which there is not, or which they do not run. Raises ConfigError."""
    for device, entry in devices.devices.items():
        for backend, found in entry.backends.items():
            for index, name in enumerate(found.runtimes or ()):
                at = ("devices", device, "backends", backend, "runtimes", index)
                if name not in runtimes:
                    raise devices_yaml.unknown_name(at, "runtime", name, list(runtimes))
                if reason := found.why_not(runtimes[name]):
                    raise devices_yaml.error(at, reason)


def default_limits(model: Model) -> dict[str, float]:
    """The built-in limits of a model's cells."""
    if model.source.random:
        return FIDELITY_LIMITS.given()
    if model.metric.name == FIDELITY:
        return UNLABELLED_LIMITS.given()
    limits = DEFAULT_LIMITS.given()
    if model.decodes and in_points(
        model.metric.title
    ):  # a share that is lost is counted in pp, whatever the reference has
        del limits["max_metric_drop_percent"]
    return {**limits, **(FIDELITY_LIMITS.given() if model.expect_weak_reference else {})}


def limits_for(budgets: Sequence[Budget], cell: CellId) -> dict[str, float]:
    """The limits of one cell: of the budgets that match it, for every limit the most specific wins, then the later."""
    return {name: getattr(budgets[index], name) for name, index in deciding_budgets(budgets, cell).items()}


def deciding_budgets(budgets: Sequence[Budget], cell: CellId) -> dict[str, int]:
    """For each limit of the cell that budgets set, the index of the one that decides."""
    matching = [index for index, budget in enumerate(budgets) if budget.matches(cell)]
    deciding: dict[str, int] = {}
    for index in sorted(matching, key=lambda index: budgets[index].specificity()):
        deciding.update(dict.fromkeys(budgets[index].given(), index))
    return deciding


def parse_limits(texts: Iterable[str], given_by: str = "--edge-budget") -> dict[str, float]:
    """Limits from texts such as ``max_p50_ms=5``, the last of a name. Raises ConfigError as ``parse_limit`` does."""
    limits: dict[str, float] = {}
    for text in texts:
        limits.update(parse_limit(text, given_by))
    return limits


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
        given = Limits.model_validate({name: value}).given()
    except ValidationError as error:
        raise ConfigError(f"{given_by} {text}: {error.errors()[0]['msg']}", hint="correct the limit's value") from error
    if _is_share(name, given[name]):
        raise ConfigError(
            f"{given_by} {text} is a percentage: {given[name]:g} % would accept almost anything",
            hint=f"did you mean {given_by} {name}={100 * given[name]:g}?",
        )
    return given


def _is_share(name: str, value: float) -> bool:
    """Whether a least percentage was meant as a share of 1: nearly everything keeps it."""
    limit = next(metric.limit for metric in METRICS.values() if metric.limit_name == name)
    return limit is not None and (limit.side, limit.within) == ("min", "percent") and 0 < value <= 1


def _check_budget(document: YamlFile, models: ModelsFile, index: int, budget: Budget) -> None:
    at = ("budgets", index)
    for name, value in budget.given().items():
        if _is_share(name, value):
            problem = f"it is a percentage: {value:g} % would accept almost anything"
            raise document.error((*at, name), problem, hint=f"did you mean {100 * value:g}?")
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
