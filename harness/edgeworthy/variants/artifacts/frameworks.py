"""TensorFlow and torch in processes of their own.

Both bring an LLVM. With the package registry's CUDA build of torch, which imports triton, a process that also imports
TensorFlow dies by a signal. So each conversion process holds at most one of them: the one that its recipes need. What
a torch module becomes in TensorFlow starts there from an export (:mod:`edgeworthy.variants.models.handover`).
"""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import Any, Literal, get_args

from edgeworthy.errors import FrameworkClash
from edgeworthy.source_schema import Source
from edgeworthy.variants.models.kinds import Kind
from edgeworthy.variants.recipes.parts import Recipe

Framework = Literal["tensorflow", "torch"]
FRAMEWORKS: tuple[Framework, ...] = get_args(Framework)
#: The framework that opens a source of the kind; None where none is needed.
OPENED_BY: dict[Kind, Framework | None] = {
    "keras": "tensorflow",
    "saved_model": "tensorflow",
    "frozen_graph": "tensorflow",
    "torch": "torch",
    "onnx": None,
    "tflite": None,
}


def framework_of(recipe: Recipe, source: Source, kind: Kind) -> Framework | None:
    """The framework of the process in which ``recipe`` makes its artifact of ``source``.

    A recipe without one, and one whose form the source has without TensorFlow, runs where the source is opened. So
    does a torch recipe of a TensorFlow source, which has no PyTorch module to give.
    """
    own = OPENED_BY[kind]
    has_tflite = recipe.runtime.name == "litert" and (kind == "tflite" or source.route is not None)
    if recipe.framework is None or has_tflite or own == "tensorflow":
        return own
    return recipe.framework


def loaded_frameworks() -> list[Framework]:
    """The frameworks that this process has imported."""
    return [name for name in FRAMEWORKS if name in sys.modules]


class OneFramework(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Refuses to import a framework beside another one, or beside ``only``, with the name of the importer.

    The refusal is a ModuleNotFoundError: a library that can do without the framework does. One that first looks for
    an installed framework (importlib.util.find_spec) finds only the one that this process holds.
    """

    def __init__(self, only: Framework | None, *, lean: bool) -> None:
        self.only = only
        self.lean = lean

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec that refuses, for a framework that may not be imported here."""
        if fullname in FRAMEWORKS and self._holder(fullname) and not _is_probe():
            return ModuleSpec(fullname, self)
        if fullname == "sklearn" and self.lean and _is_wrapper():
            raise ModuleNotFoundError("scikit-learn is not imported for Keras' wrappers of it", name=fullname)
        return None

    def hides(self, name: str) -> bool:
        """Whether other finders must not find the module."""
        return name in FRAMEWORKS and name != self.only and (self._holder(name) is not None or _is_probe())

    def exec_module(self, module: ModuleType) -> None:
        """Raise FrameworkClash."""
        name = module.__name__
        raise FrameworkClash(
            f"{_importer()} imports {name} in a process that holds {self._holder(name)}",
            hint=f"name the one framework that the recipe needs: @recipe(..., framework={name!r}),"
            " and get the other one's part from source.onnx_file()",
        )

    def _holder(self, name: str) -> str | None:
        """The other framework that is, or will be, in this process."""
        return next((other for other in (self.only, *loaded_frameworks()) if other not in (None, name)), None)


class _Hiding:
    """Another finder, without what is hidden."""

    def __init__(self, finder: Any, rule: OneFramework) -> None:
        self._finder = finder
        self._rule = rule

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The other finder's spec."""
        if self._rule.hides(fullname):
            return None
        spec: ModuleSpec | None = self._finder.find_spec(fullname, path, target)
        return spec

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


def _caller() -> FrameType | None:
    """The first frame outside of this file and of the import system."""
    frame: FrameType | None = sys._getframe()
    while frame and (frame.f_code.co_filename == __file__ or "importlib._bootstrap" in frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def _is_probe() -> bool:
    """Whether somebody asks by importlib.util.find_spec, and imports nothing."""
    frame = _caller()
    return frame is not None and frame.f_globals.get("__name__") == "importlib.util"


def _is_wrapper() -> bool:
    """Whether Keras asks, on its own account."""
    frame = _caller()
    return frame is not None and str(frame.f_globals.get("__name__")).startswith("keras.src.wrappers.")


def _importer() -> str:
    frame = _caller()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "something"


def keep_apart(only: Framework | None, *, lean: bool = False) -> None:
    """Let this process import ``only`` that framework; with None, whichever comes first.

    ``lean`` where no code of a user's runs: Keras then does without scikit-learn, a fifth of the time that TensorFlow takes to
    start.
    """
    rule = OneFramework(only, lean=lean)
    sys.meta_path[:] = [rule, *(_Hiding(finder, rule) for finder in sys.meta_path)]
