"""The schema of one model of models.yaml: where it comes from, its task and metric, its variants."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, TypeAdapter, field_validator, model_validator

from edgeworthy.metrics import FIDELITY, QUALITIES
from edgeworthy.schema import Name, QualityName, Strict
from edgeworthy.source_schema import FixedSource, Shapes, Source
from edgeworthy.tasks.own import OWN, OwnTask
from edgeworthy.tasks.table import TASKS, AnyTask, TaskKind
from edgeworthy.tasks.task import Task

#: A part of a recipe: a name, or ``{name: its options}``.
Listed = str | dict[str, dict[str, Any] | None]


def _name_or_list(recipe: Any) -> Any:
    if recipe is None or isinstance(recipe, str):
        return recipe
    if not isinstance(recipe, list) or not recipe:
        raise ValueError(
            "a recipe is a name, or a list of what trains, in order, and then what exports: [pruned, int8]"
        )
    for part in recipe:
        alone = isinstance(part, dict) and len(part) == 1 and isinstance(next(iter(part.values())), dict | None)
        if not (isinstance(part, str) or alone):
            raise ValueError(
                f"in a list, a recipe is a name, or one name with its options, {{pruned: {{sparsity: 0.5}}}} (given: {part!r})"
            )
    return recipe


#: A recipe's name, or the list of what trains, in order, and then what exports.
RecipeOrList = Annotated[
    str | list[Listed] | None,
    BeforeValidator(_name_or_list, json_schema_input_type=str | Annotated[list[Listed], Field(min_length=1)] | None),
]


class Variant(Strict):
    """A recipe applied to a model, with the recipe's options."""

    recipe: RecipeOrList = Field(
        None,
        description="a recipe, or a list of what trains, in order, and then what exports, each a name or {name: its options}; "
        "default: the variant's own name",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="the recipe's keyword options; of a list, each for the part that has it"
    )
    required: bool = Field(
        False, description="fail the run, instead of only reporting it, if the recipe refuses this model"
    )
    needs: list[Name] = Field([], description="only on devices that list all of these features")

    def recipe_name(self, variant: str) -> str:
        """The recipe's name, where the variant is called ``variant``; of a list the names in it, joined by "+"."""
        if not isinstance(self.recipe, list):
            return self.recipe or variant
        return "+".join(part if isinstance(part, str) else next(iter(part)) for part in self.recipe)

    @property
    def all_options(self) -> dict[str, Any]:
        """The options, and those that the list has for each of its parts, by its name."""
        listed = self.recipe if isinstance(self.recipe, list) else []
        of_parts = {name: given for part in listed if isinstance(part, dict) for name, given in part.items() if given}
        return {**of_parts, **self.options}


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


def _by_name(metric: Any) -> Any:
    """``metric: psnr`` is the metric of that name."""
    return {"name": TypeAdapter(QualityName).validate_python(metric)} if isinstance(metric, str) else metric


#: A metric's name alone, or a mapping.
NamedMetric = Annotated[Metric, BeforeValidator(_by_name, json_schema_input_type=Metric | QualityName)]


def _of_kind(task: Any) -> Any:
    """``task: detection`` is the task of that kind with its own options."""
    return {"kind": task} if isinstance(task, str) else task


_Options = Annotated[AnyTask | OwnTask, Field(discriminator="kind")]
#: A task's kind alone, or a mapping with its options.
ModelTask = Annotated[_Options, BeforeValidator(_of_kind, json_schema_input_type=_Options | TaskKind)]


def _first_metric(task: Mapping[str, Any]) -> Any:
    """What a task is judged by where nothing else is said; None of a task that there is not."""
    if task.get("kind") == OWN:
        return {"function": task.get("class"), "better": task.get("better"), "unit": task.get("unit", "")}
    kind = TASKS.get(str(task.get("kind")))
    return kind.judged_by()[0] if kind else None


def _only_task(metric: str) -> dict[str, str] | None:
    """The task that alone has a metric. Raises ValueError for a metric of several, which need one to be chosen."""
    kinds = [kind for kind, task in TASKS.items() if metric in task.METRICS]
    if len(kinds) > 1:
        raise ValueError(f"metric {metric} is one of several tasks; give task: {' or '.join(kinds)}")
    return {"kind": kinds[0]} if kinds else None


#: Where a state is that no input is given: in the variables of a .tflite.
INSIDE = "inside"


class State(Strict):
    """What a model is given back from one step of a sequence to the next: an input that is an output of the step before."""

    output: str = Field(alias="from", description="the output that becomes the input at the step after")
    initial: Literal["zeros"] | Annotated[float, Field(allow_inf_nan=False)] = Field(
        "zeros", description="the state before the first step: zeros, or a number everywhere"
    )
    shape: list[Annotated[int, Field(gt=0)]] | None = Field(
        None, description="the state's shape, with its batch of 1; needed where the source declares none (PyTorch)"
    )


def _where(state: Any) -> str:
    return INSIDE if isinstance(state, str) else "given"


#: ``state: inside``, or the inputs that are given back an output.
ModelState = Annotated[
    Annotated[Literal["inside"], Tag(INSIDE)] | Annotated[dict[str, State], Tag("given")], Discriminator(_where)
]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Padding(Strict):
    """Samples of different sizes made alike, each followed by one value: how many are its own, ``NAME.length`` says."""

    pad: Finite | dict[str, Finite] = Field(
        0.0, description="the value that follows a smaller sample; or of several arrays, array -> value, 0 of others"
    )
    multiple_of: int | None = Field(
        None,
        ge=2,
        description="only up to the next multiple, each sample for itself, which are then run one by one; default: up to"
        " the shape under 'shapes', else to the largest sample's",
    )


def _padding(given: Any) -> Any:
    """``ragged: pad`` pads with zeros."""
    return {} if given == "pad" else given


#: How samples of different sizes are run.
Ragged = Annotated[
    Literal["one_by_one"] | Padding,
    BeforeValidator(_padding, json_schema_input_type=Literal["one_by_one", "pad"] | Padding),
]


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
    shapes: Shapes = Field(
        default_factory=dict,
        description="input of the model -> its shape in every artifact, in the model's own order of axes, the batch of 1 "
        "included: fixes sizes that the model leaves open; null leaves one open",
    )
    ragged: Ragged = Field(
        "one_by_one",
        description="samples of different sizes: run one by one, each in its own size, or padded (``pad``: with zeros)",
    )
    state: ModelState = Field(
        default_factory=dict,
        description="a model that is run step by step over sequences: input -> the output of the step before that it is given; "
        "'inside': a .tflite that keeps it in its variables",
    )
    task: ModelTask | None = Field(
        None, description="what the model is for, a kind alone or with its options; default: that of its metric"
    )
    metric: NamedMetric = Field(
        Metric(),
        description="what is judged: a name, or a function of your own; default: the first of its task, else top1",
    )
    reference: Name = Field("fp32", description="the variant that all others are compared with, on the host")
    variants: dict[Name, NamedVariant]
    targets: list[str] = Field(["*"], description="globs over targets 'device:backend'")
    random_seed: int | None = Field(
        None,
        ge=0,
        description="the model is random on purpose: differing outputs are no error, and its runtime is seeded",
    )

    @model_validator(mode="before")
    @classmethod
    def _task_and_metric(cls, given: Any) -> Any:
        """The metric that a task begins with, and the task of a metric that only one has."""
        if not isinstance(given, dict):
            return given
        task, metric = _of_kind(given.get("task")), given.get("metric")
        if isinstance(task, dict) and metric is None:
            metric = _first_metric(task)
        name = metric.get("name") if isinstance(metric, dict) else metric
        if task is None and isinstance(name, str):
            task = _only_task(name)
        filled = {"task": task, "metric": metric}
        return {**given, **{key: value for key, value in filled.items() if value is not None}}

    @model_validator(mode="after")
    def _metric_is_of_the_task(self) -> Model:
        name = self.metric.name
        if self.task and isinstance(self.task, Task) and name not in (*self.task.judged_by(), FIDELITY):
            raise ValueError(
                f"task {self.task.kind} is judged by {', '.join(self.task.judged_by())} or {FIDELITY}, not by {self.metric.title}"
            )
        return self

    @property
    def fixed_source(self) -> FixedSource:
        """The source with the shapes that are fixed."""
        return FixedSource(**self.source.model_dump(), shapes=self.shapes)

    @property
    def decodes(self) -> bool:
        """Whether predictions are decoded from the outputs: else these are judged as they are."""
        if isinstance(self.task, Task):
            return self.metric.title in self.task.METRICS
        return self.task is not None

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

    @property
    def states(self) -> dict[str, State]:
        """The inputs that are given back an output; none of a state inside."""
        return self.state if isinstance(self.state, dict) else {}

    @model_validator(mode="after")
    def _states_are_given_once(self) -> Model:
        if twice := sorted(self.states.keys() & self.inputs.keys()):
            raise ValueError(f"{twice[0]} is under 'inputs' and under 'state'; a state is given by the model itself")
        if self.state == INSIDE and not str(self.source.path).lower().endswith(".tflite"):
            raise ValueError(
                "only a .tflite keeps a state inside; of another model name the inputs that are given back an output"
            )
        if self.states and self.source.output:
            raise ValueError("a model with state is taken with all of its outputs; remove 'output' at its source")
        return self
