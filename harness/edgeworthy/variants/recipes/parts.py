"""What a recipe is made of: preparations, which train, in order, and the one function that exports, each with its options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints, is_typeddict

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from edgeworthy.errors import ConfigError, RecipeMisfit
from edgeworthy.records import Layout
from edgeworthy.runtimes import Runtime
from edgeworthy.source_schema import FixedSource
from edgeworthy.suggestions import did_you_mean

#: Arguments of a part's function that are no options.
GIVEN = ("calibration", "training")

#: The type that weights are stored in; "" where a recipe does not say.
Weights = Literal["float32", "float16", "int8", "int4", "palettized", ""]


@dataclass(frozen=True)
class Option:
    """An option of a recipe: the type that its value must have, and whether it must be given."""

    annotation: Any
    required: bool


#: The option of every recipe that calibrates; the samples are cut before its function is given them.
CALIBRATION_SAMPLES = Option(Annotated[int, Field(ge=1)], required=False)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A function with a name and options.

    ``learns`` says that it is given ``training``. What shapes its result: ``packages``, the distributions whose installed
    versions do, and ``files``, of which the first defines the function (all of edgeworthy's own converting code counts
    besides). For people: ``cost`` is the time and memory it typically takes, ``reference`` where the method is described.
    ``weights`` is the type of those that it stores, or trains for.
    """

    name: str
    learns: bool
    packages: tuple[str, ...]
    files: tuple[Path, ...]
    cost: str
    reference: str
    weights: Weights

    @property
    def file(self) -> Path:
        """The file that defines its function."""
        return self.files[0]


@dataclass(frozen=True, kw_only=True)
class Preparation(Part):
    """What runs before a recipe's export, in the source's own framework, for example to fine-tune.

    ``prepare`` is given an OpenedSource and returns one. ``undone_by`` are those that may not come after it, by name, "*"
    any, with the reason. ``another`` is the source that takes the model's place, from the options; None where none does.
    """

    prepare: Callable[..., Any]
    another: Callable[[Mapping[str, Any]], FixedSource] | None = None
    undone_by: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def options(self) -> dict[str, Option]:
        """The options that models.yaml may set."""
        return _options(self.prepare, self)

    def call(self, options: Mapping[str, Any]) -> str:
        """Its function with ``options``: equal where what one recipe prepared serves another."""
        return f"{self.prepare.__qualname__} {sorted(options.items())}"


@dataclass(frozen=True, kw_only=True)
class Recipe(Part):
    """A named way to make a variant: ``preparations``, in order, then ``make``, which writes the artifact.

    ``calibrated`` says that ``make`` is given samples. ``framework`` is the one that it needs, None where it needs only the
    source's own. The artifact of a ``lossless`` recipe has float input and output, and its outputs must equal the source's.
    """

    runtime: Runtime
    make: Callable[..., Layout]
    calibrated: bool
    lossless: bool
    framework: Literal["tensorflow", "torch"] | None
    preparations: tuple[Preparation, ...] = ()
    #: What models.yaml calls ``make``; ``name`` may be that of a list.
    export: str = ""

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of its parts, in order."""
        return (*(each.name for each in self.preparations), self.export or self.name)

    @property
    def trained(self) -> bool:
        """Whether one of its parts is given ``training``."""
        return self.learns or any(each.learns for each in self.preparations)

    @property
    def options_of(self) -> dict[str, dict[str, Option]]:
        """The options that models.yaml may set, by the part that they belong to."""
        own = _options(self.make, self)
        own |= {"calibration_samples": CALIBRATION_SAMPLES} if self.calibrated else {}
        return dict(zip(self.steps, [*(each.options for each in self.preparations), own], strict=True))

    @property
    def options(self) -> dict[str, Option]:
        """Those of all parts."""
        return {name: option for options in self.options_of.values() for name, option in options.items()}

    @property
    def needs_options(self) -> bool:
        """Whether one of them must be given."""
        return any(option.required for option in self.options.values())

    @property
    def all_files(self) -> tuple[Path, ...]:
        """Those of all parts."""
        return tuple(dict.fromkeys(file for part in (*self.preparations, self) for file in part.files))

    @property
    def all_packages(self) -> tuple[str, ...]:
        """Those of all parts."""
        return tuple(dict.fromkeys(package for part in (*self.preparations, self) for package in part.packages))


def check_options(
    name: str, known: Mapping[str, Option], given: Mapping[str, Any], keys: tuple[str | int, ...]
) -> None:
    """Raise RecipeMisfit where an option that the recipe ``name`` is given is none of ``known``, or of another type."""
    for option, value in given.items():
        if option not in known:
            raise RecipeMisfit(
                f"recipe {name!r} has no option {option!r}; {did_you_mean(option, known)}",
                hint="correct the option's name, or remove it",
                keys=keys,
            )
        try:
            # Strict: YAML has types of its own, and the function is given the value as it stands.
            TypeAdapter(known[option].annotation, config=ConfigDict(strict=True)).validate_python(value)
        except ValidationError as error:
            problem = error.errors()[0]
            at = "".join(f"[{part!r}]" for part in problem["loc"])
            message = problem["msg"].removeprefix("Value error, ")
            message = message[0].lower() + message[1:]
            raise RecipeMisfit(
                f"recipe {name!r}, option {option}{at}: {message} (given: {problem['input']!r})",
                hint="correct the option's value",
                keys=keys,
            ) from error


def _options(function: Callable[..., Any], part: Part) -> dict[str, Option]:
    """The options that the parameters of the part's ``function`` are."""
    types = _annotations(function, part)
    options: dict[str, Option] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            for shared in filter(is_typeddict, get_args(types.get(name))):
                hints = get_type_hints(shared, include_extras=True)
                options |= {key: Option(hint, key in shared.__required_keys__) for key, hint in hints.items()}
        elif parameter.kind is parameter.KEYWORD_ONLY and name not in GIVEN:
            options[name] = Option(types.get(name, Any), parameter.default is parameter.empty)
    return options


def _annotations(function: Callable[..., Any], part: Part) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ConfigError(
            f"recipe {part.name!r} in {part.file}: an annotation of its function cannot be resolved: {error}",
            hint="import the name outside TYPE_CHECKING, or drop the annotation",
        ) from error
