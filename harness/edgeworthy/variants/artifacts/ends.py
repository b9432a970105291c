"""What an artifact calls the inputs and outputs of its source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeworthy.runtimes import Runtime
from edgeworthy.variants.models import model_outputs
from edgeworthy.variants.models.runner_outputs import Called

if TYPE_CHECKING:
    from edgeworthy.variants.models.opened_source import OpenedSource


def outputs_of(source: OpenedSource, runtime: Runtime, artifact: Path) -> tuple[str, ...]:
    """Its outputs in their order, () where there is one, without those that are a state."""
    names, states = source.output_names(), state_of(source, runtime, artifact).values()
    if len(names) == 1 and not states:
        return ()
    found = _called(runtime, artifact, names)
    return tuple(each for each in found if each not in states) or found


def state_of(source: OpenedSource, runtime: Runtime, artifact: Path) -> dict[str, str]:
    """The source's inputs that are given back an output, and what the artifact calls that output."""
    given = {each.name: each.follows for each in source.samples.inputs if each.follows}
    if not given:
        return {}
    names = source.output_names()
    found = dict(zip(names, _called(runtime, artifact, names), strict=True))
    return {name: found[output] for name, output in given.items()}


def inputs_of(source: OpenedSource, runtime: Runtime, artifact: Path) -> dict[str, str]:
    """Its inputs, {} where there is one."""
    if runtime.class_name:
        return {each.name: each.name for each in source.ends().inputs}
    return model_outputs.inputs_of(artifact, source.ends().inputs)


def called(source: OpenedSource, runtime: Runtime, artifact: Path) -> Called:
    """Its inputs, and all of its outputs in the order of the source's, those that are a state too."""
    names = source.output_names()
    outputs = _called(runtime, artifact, names) if len(names) > 1 else ()
    return Called(inputs_of(source, runtime, artifact), outputs, state_of(source, runtime, artifact))


def _called(runtime: Runtime, artifact: Path, names: Sequence[str]) -> tuple[str, ...]:
    """What the artifact calls the source's outputs ``names``; a class of the user's is given and gives these names."""
    return tuple(names) if runtime.class_name else model_outputs.outputs_of(artifact, names)
