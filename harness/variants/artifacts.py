"""Artifacts by content: find them in the store, or have the missing ones of a model made in one child process."""

from __future__ import annotations

import functools
import gzip
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import harness.errors
from harness.config import CANARY, RANDOM, Model, Source
from harness.errors import ConfigError, ConversionCrashed, EdgegateError, RecipeRefused, SourceError, VariantError
from harness.records import Artifact
from harness.sources.datasets import PreparedDataset
from harness.sources.function_files import function_digest
from harness.sources.samples import Samples
from harness.storage import Store, digest, file_digest, read_json, write_json
from harness.variants.canary import wrong_calibration
from harness.variants.conversion import child_events
from harness.variants.kinds import Kind, kind_of
from harness.variants.registry import Recipe
from harness.variants.source_content import content_digest, existing

#: Distributions that shape what a source becomes on its way to a recipe, by the source's kind.
ROUTE_PACKAGES: dict[Kind, tuple[str, ...]] = {
    "keras": ("tensorflow", "keras", "tf2onnx", "onnxscript"),
    "torch": ("torch", "torchvision", "onnx", "onnxscript", "onnx2tf"),
    "onnx": ("onnx", "onnx2tf"),
    "saved_model": ("tensorflow", "tf2onnx", "onnxscript"),
    "frozen_graph": ("tensorflow", "tf2onnx", "onnxscript"),
    "tflite": (),
}
#: What else does where the source names a route.
LITERT_TORCH_PACKAGES = ("litert-torch", "litert-converter", "jax")
#: Files of this folder that shape every artifact.
MACHINERY = (
    "opened_source.py",
    "converters.py",
    "keras_sources.py",
    "tensorflow_sources.py",
    "torch_sources.py",
)
TRAINING_ARRAYS = ("train_x", "train_y", "validation_x", "validation_y")
TRAINING_PACKAGES = ("tensorflow", "keras", "torch", "numpy")
#: Real samples on which every conversion is compared with its source.
FEW_IMAGES = 8
Progress = Callable[[str], None]


@dataclass(frozen=True)
class VariantPlan:
    """One model made by one recipe with its options."""

    model: str
    variant: str
    recipe: Recipe
    options: Mapping[str, Any]
    required: bool


class ArtifactMaker:
    """Makes the planned variants of one model, all that are missing together, and remembers which ones failed."""

    def __init__(
        self,
        store: Store,
        base: Path,
        name: str,
        model: Model,
        dataset: PreparedDataset,
        plans: Sequence[VariantPlan],
        recipe_files: Sequence[Path],
        timeout_s: float,
        progress: Progress,
        alone: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """``alone`` is held while a child trains or converts, so that nothing is timed on this machine meanwhile."""
        self.store = store
        self.base = base
        self.name = name
        self.source = model.source
        self.dataset = dataset
        self.plans = {plan.variant: plan for plan in plans}
        self.recipe_files = [str(path) for path in recipe_files]
        self.timeout_s = timeout_s
        self.progress = progress
        self.alone = alone
        self._failures: dict[str, EdgegateError] = {}
        self._source_failure: EdgegateError | None = None

    def artifact(self, variant: str) -> Artifact:
        """The variant's artifact, made now if the store lacks it.

        Raises RecipeRefused, ConversionCrashed, ConfigError where an option cannot be met, or SourceError when the
        model's source is unusable.
        """
        plan = self.plans[variant]
        key = self._key(plan)
        found = self.stored(key, plan.recipe)
        if found is None and variant not in self._failures:
            with self.store.lock(self._source_key), self.alone():
                self._make([other for other in self.plans.values() if self._is_missing(other)])
            found = self.stored(key, plan.recipe)
        if found is None:
            raise self._failures[variant]
        return found

    def _is_missing(self, plan: VariantPlan) -> bool:
        try:
            return plan.variant not in self._failures and self.store.find("artifacts", self._key(plan)) is None
        except (RecipeRefused, ConfigError):  # said when this variant itself is asked for
            return False

    def stored(self, key: str, recipe: Recipe) -> Artifact | None:
        """The artifact of that key which ``recipe`` once made, if the store still has it. Raises RecipeRefused."""
        folder = self.store.find("artifacts", key)
        if folder is None:
            return None
        facts = read_json(folder / "artifact.json")
        if "refused" in facts:
            raise RecipeRefused(facts["refused"], next_step=facts["next_step"])
        if facts["runtime"] != recipe.runtime:  # a recipe of the user's own that was written anew
            return None
        return Artifact(
            key=key,
            path=folder / f"artifact{recipe.suffix}",
            recipe=recipe.name,
            runtime=recipe.runtime,
            layout=facts["layout"],
            size_bytes=facts["size_bytes"],
            gzip_bytes=facts["gzip_bytes"],
        )

    # -- what shapes an artifact ------------------------------------------------------------------------------

    def _key(self, plan: VariantPlan) -> str:
        calibration = self._calibration(plan)
        return digest(
            {
                "format": "artifact 3",
                "machinery": [_digest_of(Path(__file__).with_name(name)) for name in MACHINERY],
                "source": self._source_key,
                "input_shape": self.dataset.input_shape,
                "recipe": [plan.recipe.name, *map(_digest_of, plan.recipe.files)],
                "options": dict(plan.options),
                "calibration": _used(calibration, plan.options.get("calibration_samples")) if calibration else None,
                "training": [self.dataset.sha256[array] for array in self._training(plan)],
                "versions": _versions((*plan.recipe.packages, *self._route_packages)),
            }
        )

    def _calibration(self, plan: VariantPlan) -> Samples | None:
        if not plan.recipe.calibrated:
            return None
        if plan.variant == CANARY:
            return wrong_calibration(self.store, self.dataset.samples("evaluation"), self.dataset.input_shape)
        if "calibration_x" not in self.dataset.sha256:
            raise RecipeRefused(
                f"{plan.recipe.name} calibrates, and the dataset {self.dataset.name!r} has no calibration_x",
                next_step="add calibration samples to the dataset, apart from the evaluation samples",
            )
        calibration = self.dataset.samples("calibration")
        wanted = plan.options.get("calibration_samples")
        if wanted is not None and wanted > len(calibration):
            raise ConfigError(
                f"models.{plan.model}.variants.{plan.variant}.options.calibration_samples is {wanted},"
                f" and the dataset {self.dataset.name!r} has {len(calibration)} calibration samples",
                next_step="lower it, give the dataset more, or leave the option out to use them all",
            )
        return calibration

    def _training(self, plan: VariantPlan) -> tuple[str, ...]:
        """The names of the arrays that the recipe trains on."""
        if not plan.recipe.trained:
            return ()
        if missing := self._missing_for_training():
            raise RecipeRefused(
                f"{plan.recipe.name} trains, and the dataset {self.dataset.name!r} has no {missing}",
                next_step="add train and validation splits to the dataset",
            )
        return TRAINING_ARRAYS

    @functools.cached_property
    def _kind(self) -> Kind:
        """The kind of model that the source is or becomes."""
        try:
            return kind_of(self.source, self.base)
        except SourceError as error:
            raise SourceError(f"model {self.name!r}: {error.message}", next_step=error.next_step) from error

    @property
    def _route_packages(self) -> tuple[str, ...]:
        return ROUTE_PACKAGES[self._kind] + (LITERT_TORCH_PACKAGES if self.source.route else ())

    @functools.cached_property
    def _source_key(self) -> str:
        source, parts = self.source, {"kind": self._kind, **self.source.model_dump(exclude={"path", "weights"})}
        for part in ("factory", "trainer"):
            function = getattr(source, part)
            if function:
                parts[part] = function_digest(function, self.base)
        for part in ("path", "weights"):
            file = getattr(source, part)
            if file and file != RANDOM:
                parts[part] = content_digest(self.base / file, f"model {self.name!r}")
        if source.trainer:
            parts["data"] = [self.dataset.sha256[array] for array in self._training_arrays()]
            parts["versions"] = _versions(TRAINING_PACKAGES)
        if source.torchvision or source.keras_application:
            parts["classes"] = self.dataset.classes
        if source.random:
            parts["images"] = hashlib.sha256(self._few_images().tobytes()).hexdigest()
        return digest(parts)

    def _few_images(self) -> NDArray[np.float32]:
        """The samples on which a conversion is compared with its source."""
        return self.dataset.samples("evaluation").read(0, FEW_IMAGES)

    def _training_arrays(self) -> tuple[str, ...]:
        if missing := self._missing_for_training():
            raise SourceError(
                f"model {self.name!r} is trained, and the dataset {self.dataset.name!r} has no {missing}",
                next_step="add train and validation splits to the dataset, or give a trained model's path",
            )
        return TRAINING_ARRAYS

    def _missing_for_training(self) -> str | None:
        return next((array for array in TRAINING_ARRAYS if array not in self.dataset.sha256), None)

    # -- making -----------------------------------------------------------------------------------------------

    def _make(self, plans: list[VariantPlan]) -> None:
        """Make what is missing; a variant that kills the child is noted, and the rest goes on in a new one."""
        try:
            source = self.ready_source()
        except EdgegateError as error:
            self._failures.update({plan.variant: error for plan in plans})
            return
        while plans:
            plans = self._convert(source, plans)

    def _convert(self, source: Source, plans: list[VariantPlan]) -> list[VariantPlan]:
        """Run one child over ``plans``; returns those that are left because it died."""
        current = 0
        with self.store.scratch() as folder:
            images = folder / "images.npy"
            np.save(images, self._few_images())
            work = [self._work(plan, folder / f"{index}{plan.recipe.suffix}") for index, plan in enumerate(plans)]
            job = {
                "action": "convert",
                "source": source.model_dump(),
                "base_dir": str(self.base),
                "images": str(images),
                "classes": self.dataset.classes,
                "recipe_files": self.recipe_files,
                "work": work,
            }
            try:
                for event in child_events(job, self.timeout_s):
                    current = event.get("index", current)
                    self._take(event, plans, work)
            except ConversionCrashed as error:
                self._failures[plans[current].variant] = error
                return plans[current + 1 :]
        return []

    def _work(self, plan: VariantPlan, out: Path) -> dict[str, Any]:
        calibration = self._calibration(plan)
        return {
            "recipe": plan.recipe.name,
            "options": dict(plan.options),
            "calibration": calibration.to_json() if calibration else None,
            "training": {array: self._told(array) for array in self._training(plan)},
            "out": str(out),
        }

    def _take(self, event: dict[str, Any], plans: list[VariantPlan], work: list[dict[str, Any]]) -> None:
        """Act on one event of the child."""
        if event["event"] == "progress":
            self.progress(f"{self.name}: {event['text']}")
            return
        plan = plans[event["index"]]
        if event["event"] == "started":
            self.progress(f"converting {self.name}: {plan.variant} ({event['index'] + 1}/{len(plans)})")
        elif event["event"] == "made":
            self._keep(plan, Path(work[event["index"]]["out"]), event["layout"])
        elif event["event"] == "refused":
            with self.store.create("artifacts", self._key(plan)) as folder:
                write_json(
                    folder / "artifact.json", {"refused": event["message"], "next_step": event.get("next_step", "")}
                )
        else:
            self._failures[plan.variant] = _failure(event)

    def _keep(self, plan: VariantPlan, made: Path, layout: str) -> None:
        content = made.read_bytes()
        with self.store.create("artifacts", self._key(plan)) as folder:
            made.rename(folder / f"artifact{plan.recipe.suffix}")
            facts = {
                "layout": layout,
                "runtime": plan.recipe.runtime,
                "size_bytes": len(content),
                "gzip_bytes": len(gzip.compress(content, mtime=0)),
                "made_from": {"model": self.name, "recipe": plan.recipe.name, "options": dict(plan.options)},
            }
            write_json(folder / "artifact.json", facts)

    def ready_source(self) -> Source:
        """The source as the child opens it, trained first where there is a trainer. Raises SourceError and the like."""
        if self.source.trainer is None:
            return self.source
        trained = "weights" if self.source.factory else "path"
        return self.source.model_copy(update={"trainer": None, trained: str(self._trained().absolute())})

    def _trained(self) -> Path:
        """The file that the trainer wrote, trained now if the store lacks it."""
        key = self._source_key
        name = "weights.pt" if self.source.factory else "model.keras"
        if self.store.find("trained", key) is None:
            arrays = self._training_arrays()
            with self.store.create("trained", key) as folder:
                job = {
                    "action": "train",
                    "trainer": self.source.trainer,
                    "base_dir": str(self.base),
                    "splits": {array: self._told(array) for array in arrays},
                    "out": str(folder / name),
                }
                self.progress(f"training {self.name} (first use)")
                for event in child_events(job, self.timeout_s):
                    if event["event"] == "progress":
                        self.progress(f"training {self.name}: {event['text']}")
                    elif event["event"] == "failed":
                        raise _failure(event)
                existing(folder / name, f"model {self.name!r}: what {self.source.trainer} should have written")
        return self.store.root / "trained" / key / name

    def _told(self, array: str) -> Any:
        """A split's samples or labels, as the child is told of them."""
        split, _, part = array.rpartition("_")
        return self.dataset.samples(split).to_json() if part == "x" else str(self.dataset.array(array))


def _failure(event: dict[str, Any]) -> EdgegateError:
    """The error that the child reported, in the type it had there."""
    kind = getattr(harness.errors, event["error_type"], VariantError)
    error: EdgegateError = kind(
        event["message"], next_step=event.get("next_step", ""), log_tail=event.get("log_tail", "")
    )
    return error


def _used(calibration: Samples, count: int | None) -> str:
    """The checksum of the samples that a recipe is given: of all, or of the first ``count``."""
    return (
        calibration.checksum() if count is None else hashlib.sha256(calibration.read(stop=count).tobytes()).hexdigest()
    )


@functools.cache
def _digest_of(path: Path) -> str:
    return file_digest(path)


def _versions(packages: Sequence[str]) -> dict[str, str]:
    return {package: _version(package) for package in sorted(set(packages))}


@functools.cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"
