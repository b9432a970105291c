"""The layout of an ONNX file's images where its sizes allow for both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeworthy.errors import SourceError
from edgeworthy.records import Layout
from edgeworthy.variants.models import model_outputs, source_files
from edgeworthy.variants.models.model_inputs import as_in_source

if TYPE_CHECKING:
    from edgeworthy.variants.models.opened_source import OpenedSource


def layout_that_runs(source: OpenedSource, path: Path) -> Layout:
    """The only layout that the sizes of the file's inputs allow, else the only one in which it runs. Raises SourceError."""
    inputs = source.ends().inputs
    layouts = source_files.layouts_of_inputs(as_in_source(source_files.onnx_inputs(path), inputs), inputs, path)
    running = [layout for layout in layouts if _runs_in(source, path, layout)] if len(layouts) > 1 else layouts
    if len(running) != 1:
        raise SourceError(
            f"{source.title}: its inputs of four axes may be images with channels first or last",
            hint="fix the sizes of the ONNX file's inputs, or give arrays of other than four axes",
        )
    return running[0]


def _runs_in(source: OpenedSource, path: Path, layout: Layout) -> bool:
    try:
        model_outputs.of_artifact(path, layout, source.ends())(source.images[:1])
    except Exception:  # of half a dozen types
        return False
    return True
