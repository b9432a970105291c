"""A task of the user's own: a class in one of their files."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from edgeworthy.schema import Strict

OWN = "own"


class OwnTask(Strict):
    """A subclass of ``edgeworthy.Task``, which measures one metric."""

    kind: Literal["own"]
    class_: str = Field(alias="class", description="'module:Class' or 'file.py:Class', a subclass of edgeworthy.Task")
    options: dict[str, Any] = Field(default_factory=dict, description="the fields of the class")
    better: Literal["higher", "lower"] = Field(description="which values of its metric are better")
    unit: str = Field("", max_length=20, description="the unit of its metric")
