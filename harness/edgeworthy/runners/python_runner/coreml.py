"""A Core ML package, zipped, on a Mac's processor. Written by Apple's documentation: no Mac has run it yet."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from .declared import Declared
from .jobs import Array, Job, shape_text
from .signatures import check_signature

#: The folder in the zip.
PACKAGE = "model.mlpackage"
#: Core ML's numbers of the types of arrays.
TYPES = {65552: np.float16, 65568: np.float32, 65600: np.float64, 131104: np.int32}


class CoreMlModel(Declared):
    """A Core ML model, whose shapes are fixed; how many threads compute is Core ML's own choice."""

    def __init__(self, job: Job) -> None:
        import coremltools

        self.folder = tempfile.TemporaryDirectory(dir=job["out"])
        with zipfile.ZipFile(job["artifact"]) as archive:
            archive.extractall(self.folder.name)
        package = Path(self.folder.name) / PACKAGE
        self.model = coremltools.models.MLModel(str(package), compute_units=coremltools.ComputeUnit.CPU_ONLY)
        described = self.model.get_spec().description
        self.names = [each.name for each in described.input]
        self.output_names = [each.name for each in described.output]
        arrays = [each.type.multiArrayType for each in described.input]
        outputs = [np.dtype(TYPES[each.type.multiArrayType.dataType]) for each in described.output]
        check_signature(
            job,
            [(str(place), shape_text(each.shape)) for place, each in enumerate(arrays)],
            [(str(place), dtype) for place, dtype in enumerate(outputs)],
        )
        super().__init__(
            job,
            [tuple(each.shape) for each in arrays],
            [np.dtype(TYPES[each.dataType]) for each in arrays],
            len(outputs),
        )
        self.given: dict[str, Array] = {}
        self.results: dict[str, Any] = {}

    def feed(self, native: list[Array]) -> None:
        """Set the inputs."""
        self.given = {self.names[place]: values for place, values in zip(self.input_places, native, strict=True)}

    def invoke(self) -> None:
        """One inference."""
        self.results = self.model.predict(self.given)

    def output(self) -> list[Array]:
        """The wanted outputs, in the model's own types."""
        return [np.asarray(self.results[self.output_names[place]]) for place in self.output_places]
