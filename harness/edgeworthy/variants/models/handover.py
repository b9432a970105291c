"""What one framework's process hands over to another's: the model as ONNX, and its own outputs to compare with."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING

import numpy as np

from edgeworthy.datasets.samples import Samples
from edgeworthy.errors import VariantError
from edgeworthy.source_schema import FixedSource
from edgeworthy.storage import read_json, write_json
from edgeworthy.variants.models.source_outputs import SourceOutputs

if TYPE_CHECKING:
    from edgeworthy.variants.models.opened_source import OpenedSource

ONNX, SINGLE_ONNX = "source.onnx", "single.onnx"
VALUES, ROWS, ALLOWED, FACTS = "outputs.npy", "rows.npy", "allowed.npy", "handover.json"


@dataclass(frozen=True)
class Handover:
    """An exported ``source`` in ``folder`` and the names of its outputs.

    ``fixed_batch`` is the only batch size that it takes, None where it takes any.
    """

    folder: Path
    source: FixedSource
    fixed_batch: int | None
    output_names: tuple[str, ...]

    @property
    def onnx_file(self) -> Path:
        """The source as ONNX; not to be written to."""
        return self.folder / ONNX

    def onnx_for(self, batch: int | None) -> Path:
        """The source as ONNX for that batch, None for any, or else for any."""
        single = self.folder / SINGLE_ONNX
        return single if batch == 1 and single.exists() else self.onnx_file

    def outputs(self, samples: Samples) -> SourceOutputs:
        """The source's own outputs for ``samples``, which were those of the exporting process."""
        rows, values, allowed = (np.load(self.folder / name, mmap_mode="r") for name in (ROWS, VALUES, ALLOWED))
        return SourceOutputs(samples, np.asarray(rows), values, np.asarray(allowed))

    @classmethod
    def read(cls, folder: Path) -> Handover:
        """What :func:`write_handover` wrote. Raises StoreError where it cannot be read."""
        facts = read_json(folder / FACTS)
        source = FixedSource.model_validate(facts["source"])
        return cls(folder, source, facts["fixed_batch"], tuple(facts["output_names"]))


def write_handover(source: OpenedSource, folder: Path) -> None:
    """Export ``source`` into ``folder``. Raises what its views raise."""
    copyfile(source.onnx_file(), folder / ONNX)
    outputs = source.outputs()
    for name, values in ((VALUES, outputs.values), (ROWS, outputs.rows), (ALLOWED, outputs.allowed)):
        np.save(folder / name, values)
    if source.fixed_batch() is None:
        with contextlib.suppress(VariantError):  # then the file for any batch serves for one sample too
            copyfile(source.onnx_for(1), folder / SINGLE_ONNX)
    facts = {"fixed_batch": source.fixed_batch(), "output_names": source.output_names()}
    write_json(folder / FACTS, {"source": source.source.model_dump(), **facts})
