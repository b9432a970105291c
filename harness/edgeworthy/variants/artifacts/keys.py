"""What shapes an artifact: its address in the store, and the samples and splits that it is made from."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeworthy import variants
from edgeworthy.config import CANARY
from edgeworthy.datasets.prepared import PreparedDataset
from edgeworthy.datasets.samples import Samples
from edgeworthy.errors import ConfigError, RecipeRefused, SourceError
from edgeworthy.installed import installed_version
from edgeworthy.model_schema import Listed
from edgeworthy.runtimes import Runtime
from edgeworthy.source_schema import RANDOM, FixedSource
from edgeworthy.storage import Store, digest, file_digest
from edgeworthy.user_code.function_files import function_digest
from edgeworthy.variants.artifacts.canary import calibration_count, wrong_calibration
from edgeworthy.variants.artifacts.frameworks import OPENED_BY
from edgeworthy.variants.models.kinds import TITLES, Kind, kind_of
from edgeworthy.variants.models.source_content import content_digest
from edgeworthy.variants.recipes.parts import Recipe

#: Distributions that shape what a source becomes on its way to a recipe, by the source's kind.
ROUTE_PACKAGES: dict[Kind, tuple[str, ...]] = {
    "keras": ("tensorflow", "keras", "tf2onnx", "onnxscript"),
    "torch": ("torch", "torchvision", "onnx", "onnxscript", "onnx2tf", "tf_keras"),
    "onnx": ("onnx", "onnx2tf", "tf_keras"),
    "saved_model": ("tensorflow", "tf2onnx", "onnxscript"),
    "frozen_graph": ("tensorflow", "tf2onnx", "onnxscript"),
    "tflite": (),
}
#: Further distributions, for a source that names a route.
LITERT_TORCH_PACKAGES = ("litert-torch", "litert-converter", "jax")
#: The splits of which a model with state is run over the sequences before it is converted.
SEQUENCES = ("evaluation", "calibration")
TRAINING_ARRAYS = ("train_x", "train_y", "validation_x", "validation_y")
TRAINING_PACKAGES = ("tensorflow", "keras", "torch", "numpy")


@dataclass(frozen=True)
class VariantPlan:
    """One model made by one recipe: ``given`` and ``given_options`` as models.yaml has them, ``options`` by the recipe's part."""

    model: str
    variant: str
    recipe: Recipe
    options: Mapping[str, Mapping[str, Any]]
    required: bool
    given: str | Sequence[Listed]
    given_options: Mapping[str, Any]

    @property
    def shown_options(self) -> Mapping[str, Any]:
        """All that are given: of a list by the part that they belong to."""
        if isinstance(self.given, str):
            return self.given_options
        return {name: dict(options) for name, options in self.options.items() if options}

    @property
    def calibration_samples(self) -> int | None:
        """How many are asked for; None for all."""
        return self.options[self.recipe.steps[-1]].get("calibration_samples")


@dataclass(eq=False)
class ArtifactKeys:
    """The keys of one model's artifacts and exports, and what they are made from."""

    store: Store
    base: Path
    name: str
    source: FixedSource
    dataset: PreparedDataset
    _artifacts: dict[str, str] = field(default_factory=dict, repr=False)

    def artifact(self, plan: VariantPlan) -> str:
        """The artifact's key. Raises RecipeRefused, ConfigError or SourceError."""
        if plan.variant not in self._artifacts:
            self._artifacts[plan.variant] = self._artifact(plan)
        return self._artifacts[plan.variant]

    def _artifact(self, plan: VariantPlan) -> str:
        calibration = self.calibration(plan)
        return digest(
            {
                "format": "artifact 8",
                "machinery": _machinery(),
                "source": self.source_key,
                "student": self._student_digest(plan),
                "input_shape": self.dataset.input_shape,
                "samples": self.dataset.sha256["evaluation_x"],
                "recipe": [*plan.recipe.steps, *map(_digest_of, plan.recipe.all_files)],
                "runtime": _runtime(plan.recipe.runtime),
                "options": plan.options,
                "calibration": _used(calibration, self.calibration_count(plan)) if calibration else None,
                "training": [self.dataset.sha256[array] for array in self.training(plan)],
                "versions": _versions(
                    (*plan.recipe.all_packages, *self._route_packages, *ROUTE_PACKAGES[self.kind_of(plan)])
                ),
            }
        )

    def export(self, plan: VariantPlan) -> str:
        """The key of what another framework's process is given of the source, prepared as the plan's recipe does."""
        parts = plan.recipe.preparations
        training = [self.dataset.sha256[array] for array in self.training(plan)] if parts else []
        prepared = [[part.call(plan.options[part.name]), *map(_digest_of, part.files)] for part in parts]
        packages = [package for part in parts for package in part.packages]
        return digest(
            {
                "format": "export 4",
                "machinery": _machinery(),
                "source": self.source_key,
                "student": self._student_digest(plan),
                "samples": self.dataset.sha256["evaluation_x"],
                "prepared": [*prepared, training] if parts else None,
                "versions": _versions((*self._route_packages, *ROUTE_PACKAGES[self.kind_of(plan)], *packages)),
            }
        )

    def steps(self, sequences: Mapping[str, Samples]) -> str:
        """The key of the steps that the source is run over, with the states that it has before each."""
        facts = {"format": "steps 1", "machinery": _machinery(), "source": self.source_key}
        versions = _versions(self._route_packages)
        return digest(
            {**facts, "sequences": {split: each.checksum() for split, each in sequences.items()}, "versions": versions}
        )

    def calibration(self, plan: VariantPlan) -> Samples | None:
        """The samples that the recipe calibrates with, None where it does not. Raises RecipeRefused or ConfigError."""
        if not plan.recipe.calibrated:
            return None
        if plan.variant == CANARY:
            return wrong_calibration(self.dataset.samples("evaluation"))
        if "calibration_x" not in self.dataset.sha256:
            raise RecipeRefused(
                f"{plan.recipe.name} calibrates, and the dataset {self.dataset.name!r} has no calibration_x",
                hint="add calibration samples to the dataset, apart from the evaluation samples",
            )
        calibration = self.dataset.samples("calibration")
        wanted, there = plan.calibration_samples, len(self.dataset.calibration_ends or calibration)
        if wanted is not None and wanted > there:
            where = "options" if "calibration_samples" in plan.given_options else "recipe"
            raise ConfigError(
                f"models.{plan.model}.variants.{plan.variant}.{where}.calibration_samples is {wanted},"
                f" and the dataset {self.dataset.name!r} has {there} calibration samples",
                hint="lower it, give the dataset more, or leave the option out to use them all",
            )
        return calibration

    def calibration_count(self, plan: VariantPlan) -> int | None:
        """How many of the calibration samples are used; None uses all."""
        if plan.variant == CANARY:
            return calibration_count(self.dataset.input_shape)
        count, ends = plan.calibration_samples, self.dataset.calibration_ends
        return ends[count - 1] if count and ends else count

    def training(self, plan: VariantPlan) -> tuple[str, ...]:
        """The names of the arrays that the recipe trains on. Raises RecipeRefused where the dataset lacks one."""
        if not plan.recipe.trained:
            return ()
        if missing := self._missing_for_training():
            training = next(part.name for part in (*plan.recipe.preparations, plan.recipe) if part.learns)
            raise RecipeRefused(
                f"{training} trains, and the dataset {self.dataset.name!r} has no {missing}",
                hint="add train and validation splits to the dataset",
            )
        return TRAINING_ARRAYS

    @functools.cached_property
    def kind(self) -> Kind:
        """The kind of model that the source is or becomes."""
        try:
            return kind_of(self.source, self.base)
        except SourceError as error:
            raise SourceError(f"model {self.name!r}: {error.message}", hint=error.hint) from error

    def student(self, plan: VariantPlan) -> FixedSource | None:
        """The source that takes the model's place before it is exported, None where none does."""
        parts = [(part, plan.options[part.name]) for part in plan.recipe.preparations]
        return next((part.another(options) for part, options in parts if part.another), None)

    def kind_of(self, plan: VariantPlan) -> Kind:
        """The kind of model that is exported: the source's, or a student's.

        Raises RecipeRefused where the source and its student need different frameworks.
        """
        student = self.student(plan)
        if student is None:
            return self.kind
        kind = kind_of(student, self.base)
        if OPENED_BY[self.kind] not in (None, OPENED_BY[kind]):
            raise RecipeRefused(
                f"the student is {TITLES[kind]} and its teacher {TITLES[self.kind]}: no process holds both frameworks",
                hint="give a student of the teacher's framework, or the teacher as an ONNX file",
            )
        return kind

    def _student_digest(self, plan: VariantPlan) -> list[str]:
        """What of the student's files shapes the artifact."""
        student = self.student(plan)
        if student is None:
            return []
        files = [file for file in (student.path, student.weights) if file and file != RANDOM]
        functions = [function_digest(student.factory, self.base)] if student.factory else []
        return [*functions, *(content_digest(self.base / file, f"the student of {plan.variant}") for file in files)]

    @property
    def _route_packages(self) -> tuple[str, ...]:
        return ROUTE_PACKAGES[self.kind] + (LITERT_TORCH_PACKAGES if self.source.route else ())

    @functools.cached_property
    def source_key(self) -> str:
        """The key of the model's source: its files, its weights or what they are trained on. Raises SourceError."""
        source, parts = self.source, {"kind": self.kind, **self.source.model_dump(exclude={"path", "weights"})}
        for part in ("factory", "trainer"):
            function = getattr(source, part)
            if function:
                parts[part] = function_digest(function, self.base)
        for part in ("path", "weights"):
            file = getattr(source, part)
            if file and file != RANDOM:
                parts[part] = content_digest(self.base / file, f"model {self.name!r}")
        if source.trainer:
            parts["data"] = [self.dataset.sha256[array] for array in self.training_arrays()]
            parts["versions"] = _versions(TRAINING_PACKAGES)
        if source.torchvision or source.keras_application:
            parts["classes"] = self.dataset.classes
        if source.random:
            parts["images"] = hashlib.sha256(self.dataset.samples("evaluation").few().tobytes()).hexdigest()
        return digest(parts)

    def training_arrays(self) -> tuple[str, ...]:
        """The names of the arrays that a trainer is given. Raises SourceError where the dataset lacks one."""
        if missing := self._missing_for_training():
            raise SourceError(
                f"model {self.name!r} is trained, and the dataset {self.dataset.name!r} has no {missing}",
                hint="add train and validation splits to the dataset, or give a trained model's path",
            )
        return TRAINING_ARRAYS

    def _missing_for_training(self) -> str | None:
        return next((array for array in TRAINING_ARRAYS if array not in self.dataset.sha256), None)

    def split_reference(self, array: str) -> Any:
        """Where the child finds a split's samples or labels."""
        split, _, part = array.rpartition("_")
        return self.dataset.samples(split).to_json() if part == "x" else str(self.dataset.array(array))


@functools.cache
def _machinery() -> str:
    """What of edgeworthy shapes artifacts: its version, and the text of all that opens, converts and checks models."""
    files = sorted(Path(variants.__file__).parent.rglob("*.py"))
    return digest([installed_version("edgeworthy"), *map(file_digest, files)])


def _used(calibration: Samples, count: int | None) -> str:
    """The checksum of the samples that a recipe is given: of all, or of the first ``count``."""
    return (
        calibration.checksum() if count is None else hashlib.sha256(calibration.read(stop=count).tobytes()).hexdigest()
    )


def _runtime(runtime: Runtime) -> list[str]:
    """What of it shapes an artifact: of the user's own their class too, which the same file may be something else for."""
    return [runtime.name, runtime.suffix, runtime.version(_versions(runtime.packages)) if runtime.class_name else ""]


@functools.cache
def _digest_of(path: Path) -> str:
    return file_digest(path)


def _versions(packages: Sequence[str]) -> dict[str, str]:
    return {package: installed_version(package) for package in sorted(set(packages))}
