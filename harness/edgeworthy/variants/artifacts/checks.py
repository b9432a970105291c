"""What a recipe made of a source: whether it runs, is the same model where it must be, and bad where it must be that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeworthy.errors import SourceError
from edgeworthy.records import Layout
from edgeworthy.variants.artifacts import canary, ends
from edgeworthy.variants.conversion import onnx_models
from edgeworthy.variants.conversion.converter_errors import refusing, refusing_what_does_not_run
from edgeworthy.variants.models import model_outputs
from edgeworthy.variants.models.runner_outputs import of_runner
from edgeworthy.variants.models.same_model import check_same_outputs
from edgeworthy.variants.models.tflite_signatures import signature_names

if TYPE_CHECKING:
    from edgeworthy.variants.models.model_outputs import Inference
    from edgeworthy.variants.models.opened_source import OpenedSource
    from edgeworthy.variants.recipes.parts import Recipe


def check_written(recipe: Recipe, artifact: Path) -> None:
    """Raise SourceError where the recipe returned without writing its artifact."""
    if not artifact.is_file():
        raise SourceError(
            f"recipe {recipe.name!r} returned without writing {artifact.name}",
            hint="write the artifact to the path that the recipe is given, under just that name",
        )


def check_signature(recipe: Recipe, artifact: Path) -> None:
    """Raise SourceError where a .tflite has several signatures: nothing says which of them is measured."""
    if artifact.suffix != ".tflite":
        return
    with refusing("LiteRT"):
        names = signature_names(artifact.read_bytes())
    if len(names) > 1:
        raise SourceError(
            f"recipe {recipe.name!r} wrote a .tflite with {len(names)} signatures: {', '.join(names)}",
            hint="write a file with one of them",
        )


def check_lossless(source: OpenedSource, recipe: Recipe, artifact: Path, layout: Layout) -> None:
    """Raise NotTheSameModel unless the float artifact gives the outputs of the source; a copied .tflite is the source."""
    if source.kind == "tflite":
        return
    with refusing("the artifact's runtime"):
        check_same_outputs(f"recipe {recipe.name!r}", source.outputs(), _inference(source, recipe, artifact, layout))


def check_runs(source: OpenedSource, recipe: Recipe, artifact: Path, layout: Layout) -> None:
    """Raise RecipeRefused where the artifact's own runtime cannot load and run it; ArtifactUnusable for a class of the user's."""
    with refusing_what_does_not_run(f"{recipe.name} made an artifact", artifact):
        _inference(source, recipe, artifact, layout)(source.images[:1])


def check_canary(source: OpenedSource, recipe: Recipe, artifact: Path, layout: Layout) -> None:
    """Raise RecipeRefused where an artifact that was made to be bad is not."""
    with refusing("the artifact's runtime"):
        canary.check_bad(source.outputs(), _inference(source, recipe, artifact, layout))


def _inference(source: OpenedSource, recipe: Recipe, artifact: Path, layout: Layout) -> Inference:
    """The artifact in its own runtime."""
    if model_outputs.reads(artifact) and not recipe.runtime.class_name:
        return model_outputs.of_artifact(artifact, layout, source.ends())
    called = ends.called(source, recipe.runtime, artifact)
    return of_runner(recipe.runtime, artifact, layout, source.ends(), called, source.scratch)


def check_opset(source: OpenedSource, artifact: Path) -> None:
    """Raise RecipeRefused where an ONNX artifact is not of the opset that the source asks for."""
    if artifact.suffix != ".onnx":
        return
    if source.source.opset:
        onnx_models.check_opset(artifact, source.source.opset)
