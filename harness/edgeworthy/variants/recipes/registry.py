"""Recipes by name: what each needs, and whether given options fit. Importing this loads no TensorFlow and no torch.

A recipe is a function that writes one artifact::

    @recipe("int8", runtime="litert", calibrated=True, packages=("tensorflow",))
    def int8(source: OpenedSource, out: Path, *, calibration: FloatArray, some_option: int = 3) -> Layout: ...

Its keyword-only parameters, apart from ``calibration`` and ``training``, are the options that models.yaml may set;
their annotations are the schema. Options that recipes share are a TypedDict: ``**options: Unpack[Shared]``.
It returns the layout of the artifact's input, and raises RecipeRefused where it cannot convert the source.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints, is_typeddict

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from edgeworthy.errors import ConfigError, SourceError
from edgeworthy.records import Layout
from edgeworthy.runtimes import RUNTIMES, Runtime
from edgeworthy.suggestions import did_you_mean
from edgeworthy.user_code.function_files import imported_files
from edgeworthy.user_code.functions import load_file

BUILTIN_MODULES = ("litert", "trained", "onnx_runtime", "pytorch")
#: Arguments of make() that are no options.
GIVEN = ("calibration", "training")

#: The framework that distributions belong to.
FRAMEWORK_PACKAGES: dict[Literal["tensorflow", "torch"], frozenset[str]] = {
    "tensorflow": frozenset({"tensorflow", "keras", "tf_keras", "tf2onnx", "onnx2tf"}),
    "torch": frozenset({"torch", "torchvision", "torchao"}),
}

Make = Callable[..., Layout]
#: From a source to the source that ``make`` is given, an OpenedSource both.
Prepare = Callable[..., Any]
MakeT = TypeVar("MakeT", bound=Make)


@dataclass(frozen=True)
class Option:
    """An option of a recipe: the type that its value must have, and whether it must be given."""

    annotation: Any
    required: bool


#: The option of every recipe that calibrates; the samples are cut before make() is given them.
CALIBRATION_SAMPLES = Option(Annotated[int, Field(ge=1)], required=False)


@dataclass(frozen=True)
class Recipe:
    """A named way to make a variant.

    ``calibrated`` and ``trained`` say which samples ``make`` is given. ``framework`` is the one that ``make`` needs, None
    where it needs only the source's own. ``prepare`` runs before it in the source's own framework, for example to
    fine-tune, and is given ``training`` in its place; ``make`` is given what it returns.

    What shapes the artifact: ``packages``, the distributions whose installed versions do, and ``files``, of which the
    first defines ``make`` (all of edgeworthy's own converting code counts besides). For people: ``keeps`` is the docstring's
    first line, ``cost`` the time and memory it typically takes, ``reference`` where the method is described. The artifact of a
    ``lossless`` recipe has float input and output, and its outputs must equal the source's.
    """

    name: str
    runtime: Runtime
    make: Make
    calibrated: bool
    trained: bool
    packages: tuple[str, ...]
    files: tuple[Path, ...]
    lossless: bool
    cost: str
    reference: str
    framework: Literal["tensorflow", "torch"] | None = None
    prepare: Prepare | None = None

    @property
    def file(self) -> Path:
        """The file that defines ``make``."""
        return self.files[0]

    @property
    def keeps(self) -> str:
        """What the artifact keeps of the source and gives, in one line."""
        return (inspect.getdoc(self.make) or "").partition("\n")[0]

    @property
    def options(self) -> dict[str, Option]:
        """The options that models.yaml may set."""
        options = {**self.prepare_options, **_options(self.make, self)}
        return {**options, "calibration_samples": CALIBRATION_SAMPLES} if self.calibrated else options

    @property
    def needs_options(self) -> bool:
        """Whether one of them must be given."""
        return any(option.required for option in self.options.values())

    @property
    def prepare_options(self) -> dict[str, Option]:
        """Those of the options that ``prepare`` is given."""
        return _options(self.prepare, self) if self.prepare else {}

    def split(self, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What ``prepare`` is given of ``options``, and what ``make`` is."""
        preparing = self.prepare_options
        sides: tuple[dict[str, Any], dict[str, Any]] = {}, {}
        for name, value in options.items():
            sides[name not in preparing][name] = value
        return sides

    def preparation(self, options: Mapping[str, Any]) -> str:
        """``prepare`` with what it is given of ``options``: equal where one preparation serves."""
        assert self.prepare is not None
        preparing, _ = self.split(options)
        return f"{self.prepare.__qualname__} {sorted(preparing.items())}"


#: By defining file, then name: files of other projects in this process do not clash, files used together must not. Of each the
#: name of its runtime, which is one of the project's, and the recipe without it.
_defined: dict[Path, dict[str, tuple[str, Callable[[Runtime], Recipe]]]] = {}


def recipe(
    name: str,
    *,
    runtime: str,
    packages: Sequence[str],
    calibrated: bool = False,
    trained: bool = False,
    lossless: bool = False,
    cost: str = "",
    reference: str = "",
    framework: Literal["tensorflow", "torch"] | None = None,
    prepare: Prepare | None = None,
) -> Callable[[MakeT], MakeT]:
    """Register the decorated make function as ``name``; the rest as in :class:`Recipe`.

    Without ``framework``, it is the one whose distributions are among ``packages``, if only one is.
    """

    def register(make: MakeT) -> MakeT:
        file = Path(inspect.getfile(make)).resolve()
        _defined.setdefault(file, {})[name] = (
            runtime,
            lambda row: Recipe(
                name,
                row,
                make,
                calibrated,
                trained,
                tuple(packages),
                (file,),
                lossless,
                cost,
                reference,
                framework or _framework_among(packages),
                prepare,
            ),
        )
        return make

    return register


def all_recipes(recipe_files: Sequence[Path], runtimes: Mapping[str, Runtime] = RUNTIMES) -> dict[str, Recipe]:
    """The built-in recipes and those of the user's files, by name; ``runtimes`` are the project's.

    Raises ConfigError where a file cannot be imported, two files define one name, or a recipe is of no such runtime.
    """
    known = builtin_recipes()
    for file in recipe_files:
        for name, entry in load_recipe_file(file, runtimes).items():
            if known.setdefault(name, entry).file != entry.file:
                raise ConfigError(
                    f"two files define the recipe {name!r}: {known[name].file} and {entry.file}",
                    hint=f"rename the recipe in {file.name}",
                )
    return known


def builtin_recipes() -> dict[str, Recipe]:
    """The recipes that come with edgeworthy, by name."""
    modules = [importlib.import_module(f"edgeworthy.variants.recipes.{module}") for module in BUILTIN_MODULES]
    files = (Path(str(module.__file__)).resolve() for module in modules)
    return {name: entry for file in files for name, entry in _of_runtimes(file, RUNTIMES).items()}


def load_recipe_file(path: Path, runtimes: Mapping[str, Runtime] = RUNTIMES) -> dict[str, Recipe]:
    """The recipes that the user's Python file defines, of ``runtimes``. Raises ConfigError where it is missing or raises."""
    try:
        load_file(path)
    except SourceError as error:
        raise ConfigError(f"recipe_files: {error.message}", hint=error.hint) from error
    path = path.resolve()
    files = imported_files(path, path.parent)[1:]
    found = _of_runtimes(path, runtimes)
    return {name: replace(entry, files=(*entry.files, *files)) for name, entry in found.items()}


def _of_runtimes(file: Path, runtimes: Mapping[str, Runtime]) -> dict[str, Recipe]:
    """The recipes that are defined in a file. Raises ConfigError where one is of no such runtime."""
    found = {}
    for name, (runtime, with_row) in _defined.get(file, {}).items():
        if runtime not in runtimes:
            raise ConfigError(
                f"{file}: recipe {name!r}: unknown runtime {runtime!r}; {did_you_mean(runtime, runtimes)}",
                hint="correct the name, or name the class that runs such artifacts under 'runtimes' in models.yaml",
            )
        found[name] = with_row(runtimes[runtime])
    return found


def check_options(recipe: Recipe, options: Mapping[str, Any]) -> None:
    """Raise ConfigError where ``options`` do not fit the recipe: an unknown name, a wrong type, one missing."""
    known = recipe.options
    for name, value in options.items():
        if name not in known:
            raise ConfigError(
                f"recipe {recipe.name!r} has no option {name!r}; {did_you_mean(name, known)}",
                hint="correct the option's name, or remove it",
            )
        _check_value(recipe, name, value, known[name].annotation)
    for name, option in known.items():
        if option.required and name not in options:
            raise ConfigError(
                f"recipe {recipe.name!r} needs the option {name!r}",
                hint="add it to the variant's options in models.yaml",
            )


def _check_value(recipe: Recipe, name: str, value: Any, annotation: Any) -> None:
    try:
        # Strict: YAML has types of its own, and make() is given the value as it stands.
        TypeAdapter(annotation, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]
        at = "".join(f"[{part!r}]" for part in problem["loc"])
        message = problem["msg"][0].lower() + problem["msg"][1:]
        raise ConfigError(
            f"recipe {recipe.name!r}, option {name}{at}: {message} (given: {problem['input']!r})",
            hint="correct the option's value",
        ) from error


def _framework_among(packages: Sequence[str]) -> Literal["tensorflow", "torch"] | None:
    named = [framework for framework, known in FRAMEWORK_PACKAGES.items() if known & set(packages)]
    return named[0] if len(named) == 1 else None


def _options(function: Callable[..., Any], recipe: Recipe) -> dict[str, Option]:
    """The options that the parameters of the recipe's ``function`` are."""
    types = _annotations(function, recipe)
    options: dict[str, Option] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            for shared in filter(is_typeddict, get_args(types.get(name))):
                hints = get_type_hints(shared, include_extras=True)
                options |= {key: Option(hint, key in shared.__required_keys__) for key, hint in hints.items()}
        elif parameter.kind is parameter.KEYWORD_ONLY and name not in GIVEN:
            options[name] = Option(types.get(name, Any), parameter.default is parameter.empty)
    return options


def _annotations(function: Callable[..., Any], recipe: Recipe) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ConfigError(
            f"recipe {recipe.name!r} in {recipe.file}: an annotation of its function cannot be resolved: {error}",
            hint="import the name outside TYPE_CHECKING, or drop the annotation",
        ) from error
