"""Recipes by name: what each needs, and whether given options fit. Importing this loads no TensorFlow and no torch.

A recipe is a function that writes one artifact::

    @recipe("int8", runtime="litert", calibrated=True, packages=("tensorflow",))
    def int8(source: OpenedSource, out: Path, *, calibration: FloatArray, some_option: int = 3) -> Layout: ...

Its keyword-only parameters, apart from ``calibration`` and ``training``, are the options that models.yaml may set;
their annotations are the schema. Options that recipes share are a TypedDict: ``**options: Unpack[Shared]``.
It returns the layout of the artifact's input, and raises RecipeRefused where it cannot convert the source.

A preparation is a function that lists of models.yaml name before a recipe: it returns the source that the recipe is given::

    @preparation("pruned", trained=True, packages=("scipy",))
    def pruned(source: OpenedSource, *, training: Training, sparsity: float = 0.5) -> OpenedSource: ...
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from edgeworthy.errors import ConfigError, SourceError
from edgeworthy.records import Layout
from edgeworthy.runtimes import RUNTIMES, Runtime
from edgeworthy.source_schema import FixedSource
from edgeworthy.suggestions import did_you_mean
from edgeworthy.user_code.function_files import imported_files
from edgeworthy.user_code.functions import load_file
from edgeworthy.variants.recipes.composition import LISTS, Recipes
from edgeworthy.variants.recipes.parts import Preparation, Recipe, Weights

BUILTIN_MODULES = ("litert", "trained", "distilled", "onnx_runtime", "pytorch", "openvino", "executorch", "coreml")

#: The framework that distributions belong to.
FRAMEWORK_PACKAGES: dict[Literal["tensorflow", "torch"], frozenset[str]] = {
    "tensorflow": frozenset({"tensorflow", "keras", "tf_keras", "tf2onnx", "onnx2tf"}),
    "torch": frozenset({"torch", "torchvision", "torchao"}),
}

Make = Callable[..., Layout]
#: From a source to the source that a recipe is given, an OpenedSource both.
Prepare = Callable[..., Any]
MakeT = TypeVar("MakeT", bound=Make)
PrepareT = TypeVar("PrepareT", bound=Prepare)
Found = Recipe | Preparation

#: By defining file, then name: files of other projects in this process do not clash, files used together must not. Of each the
#: name of its runtime, which is one of the project's, and the recipe without it; of a preparation no runtime.
_defined: dict[Path, dict[str, tuple[str | None, Callable[[Any], Found]]]] = {}


def recipe(
    name: str,
    *,
    runtime: str,
    packages: Sequence[str],
    calibrated: bool = False,
    trained: bool = False,
    lossless: bool = False,
    weights: Weights = "",
    cost: str = "",
    reference: str = "",
    framework: Literal["tensorflow", "torch"] | None = None,
    prepare: Prepare | None = None,
) -> Callable[[MakeT], MakeT]:
    """Register the decorated function as ``name``; the rest as in :class:`Recipe`.

    Without ``framework``, it is the one whose distributions are among ``packages``, if only one is. ``prepare`` runs before it,
    as a preparation of this recipe alone does, and is given ``training`` in its place.
    """

    def register(make: MakeT) -> MakeT:
        file = Path(inspect.getfile(make)).resolve()
        own = _preparation(f"{name}.prepare", prepare, trained, packages, file) if prepare else None
        _defined.setdefault(file, {})[name] = (
            runtime,
            lambda row: Recipe(
                name=name, learns=trained and own is None, packages=tuple(packages), files=(file,), cost=cost,
                reference=reference, weights=weights, runtime=row, make=make, calibrated=calibrated, lossless=lossless,
                framework=framework or _framework_among(packages), preparations=(own,) if own else (),
            ),
        )  # fmt: skip
        return make

    return register


def preparation(
    name: str,
    *,
    packages: Sequence[str] = (),
    trained: bool = False,
    weights: Weights = "",
    undone_by: Mapping[str, str] | None = None,
    another: Callable[[Mapping[str, Any]], FixedSource] | None = None,
    cost: str = "",
    reference: str = "",
) -> Callable[[PrepareT], PrepareT]:
    """Register the decorated function as what lists of models.yaml call ``name``; the rest as in :class:`Preparation`."""

    def register(prepare: PrepareT) -> PrepareT:
        file = Path(inspect.getfile(prepare)).resolve()
        made = _preparation(name, prepare, trained, packages, file)
        made = replace(
            made, weights=weights, undone_by=undone_by or {}, another=another, cost=cost, reference=reference
        )
        _defined.setdefault(file, {})[name] = (None, lambda _: made)
        return prepare

    return register


def _preparation(name: str, prepare: Prepare, trained: bool, packages: Sequence[str], file: Path) -> Preparation:
    return Preparation(
        name=name,
        learns=trained,
        packages=tuple(packages),
        files=(file,),
        cost="",
        reference="",
        weights="",
        prepare=prepare,
    )


def all_recipes(recipe_files: Sequence[Path], runtimes: Mapping[str, Runtime] = RUNTIMES) -> Recipes:
    """The built-in recipes and those of the user's files; ``runtimes`` are the project's.

    Raises ConfigError where a file cannot be imported, two files define one name, or a recipe is of no such runtime.
    """
    known = dict(builtin_recipes().parts)
    for file in recipe_files:
        for name, entry in load_recipe_file(file, runtimes).items():
            if name in LISTS or known.setdefault(name, entry).file != entry.file:
                other = known[name].file if name in known else "edgeworthy"
                raise ConfigError(
                    f"two files define the recipe {name!r}: {other} and {entry.file}",
                    hint=f"rename the recipe in {file.name}",
                )
    return Recipes(known)


def builtin_recipes() -> Recipes:
    """The recipes that come with edgeworthy."""
    modules = [importlib.import_module(f"edgeworthy.variants.recipes.{module}") for module in BUILTIN_MODULES]
    files = (Path(str(module.__file__)).resolve() for module in modules)
    return Recipes({name: entry for file in files for name, entry in _of_runtimes(file, RUNTIMES).items()})


def load_recipe_file(path: Path, runtimes: Mapping[str, Runtime] = RUNTIMES) -> dict[str, Found]:
    """What the user's Python file defines, of ``runtimes``. Raises ConfigError where it is missing or raises."""
    try:
        load_file(path)
    except SourceError as error:
        raise ConfigError(f"recipe_files: {error.message}", hint=error.hint) from error
    path = path.resolve()
    files = imported_files(path, path.parent)[1:]
    return {name: _with_files(entry, files) for name, entry in _of_runtimes(path, runtimes).items()}


def _with_files(entry: Found, files: Sequence[Path]) -> Found:
    """The recipe or preparation with what its file imports."""
    own = (*entry.files, *files)
    if isinstance(entry, Preparation):
        return replace(entry, files=own)
    return replace(
        entry, files=own, preparations=tuple(replace(part, files=(*part.files, *files)) for part in entry.preparations)
    )


def _of_runtimes(file: Path, runtimes: Mapping[str, Runtime]) -> dict[str, Found]:
    """What is defined in a file. Raises ConfigError where a recipe is of no such runtime."""
    found = {}
    for name, (runtime, with_row) in _defined.get(file, {}).items():
        if runtime is not None and runtime not in runtimes:
            raise ConfigError(
                f"{file}: recipe {name!r}: unknown runtime {runtime!r}; {did_you_mean(runtime, runtimes)}",
                hint="correct the name, or name the class that runs such artifacts under 'runtimes' in models.yaml",
            )
        found[name] = with_row(runtimes[runtime] if runtime else None)
    return found


def _framework_among(packages: Sequence[str]) -> Literal["tensorflow", "torch"] | None:
    named = [framework for framework, known in FRAMEWORK_PACKAGES.items() if known & set(packages)]
    return named[0] if len(named) == 1 else None
