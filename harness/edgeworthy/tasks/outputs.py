"""Which of a model's outputs an option means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from edgeworthy.errors import SourceError
from edgeworthy.suggestions import did_you_mean

T = TypeVar("T")


def chosen(outputs: Mapping[str, T], name: str | None, option: str) -> T:
    """The output that is called ``name``; the only one where no name is given.

    ``option`` is what the name is called in models.yaml. Raises SourceError for a name that no output has, and where there
    are several outputs and none is named.
    """
    if name is None:
        return _only(outputs, option)
    if name not in outputs:
        named = [each for each in outputs if each]
        hint = did_you_mean(name, named) if named else f"leave out {option!r}: the model has one output, without a name"
        raise SourceError(f"{option}: the model has no output {name!r}", hint=hint)
    return outputs[name]


def _only(outputs: Mapping[str, T], option: str) -> T:
    if len(outputs) != 1:
        raise SourceError(
            f"the model has {len(outputs)} outputs: {', '.join(outputs)}, and the task takes one",
            hint=f"choose it by the task's option {option!r}",
        )
    return next(iter(outputs.values()))
