"""The float TFLite files of both embedded models are the models that were trained."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from edgeworthy.config import Timeouts
from edgeworthy.datasets.prepared import prepare
from edgeworthy.measurements.project import Project
from edgeworthy.storage import open_store
from edgeworthy.variants.artifacts.child_process import Children
from edgeworthy.variants.artifacts.fork_servers import ForkServers
from edgeworthy.variants.artifacts.maker import ArtifactMaker
from edgeworthy.variants.artifacts.slots import Slots

from tests.integration.conftest import REPOSITORY

#: Asks the source in its own framework, and its artifact, about every evaluation sample.
ASK = """
import json, sys
from pathlib import Path
import numpy as np
from edgeworthy.source_schema import FixedSource
from edgeworthy.datasets.samples import Samples
from edgeworthy.variants.models import model_outputs
from edgeworthy.variants.models.opened_source import OpenedSource

job = json.loads(sys.argv[1])
samples, scratch = Samples.from_json(job["samples"]), Path(job["scratch"])
source = OpenedSource(FixedSource.model_validate(job["source"]), Path(job["base"]), samples, 10, scratch)
np.save(scratch / "source.npy", source.outputs().values)
np.save(scratch / "artifact.npy", model_outputs.of_artifact(Path(job["artifact"]), "nhwc")(samples.read()))
"""


@pytest.mark.parametrize("name", ["mobilenet", "cnn"])
def test_the_float_tflite_is_the_trained_model(name: str, shared_store: Path, tmp_path: Path) -> None:
    """fp32 answers every held-out digit as its source does: within 1e-4, and with the same label."""
    project = Project.load(REPOSITORY / "benchmarks" / "models.yaml", REPOSITORY / "devices.yaml")
    store, entry = open_store(shared_store), project.models.models[name]
    dataset = prepare(store, entry.dataset, project.models.datasets[entry.dataset], project.base)
    plan = project.plan(name, "fp32")
    maker = ArtifactMaker(
        store=store, base=project.base, name=name, model=entry, dataset=dataset, plans=[plan],
        recipe_files=[], own_runtimes={}, processes=Children(Timeouts(), ForkServers()),
        progress=print, slots=Slots(contextlib.nullcontext),
    )  # fmt: skip
    artifact = maker.artifact(plan)
    job = {
        "source": maker.children.ready_source().model_dump(),
        "base": str(project.base),
        "artifact": str(artifact.path),
        "samples": dataset.samples("evaluation").to_json(),
        "scratch": str(tmp_path),
    }
    subprocess.run([sys.executable, "-c", ASK, json.dumps(job)], check=True, capture_output=True, timeout=300)
    source, given = np.load(tmp_path / "source.npy"), np.load(tmp_path / "artifact.npy")
    assert len(source) == dataset.count
    np.testing.assert_allclose(given, source, atol=1e-4, rtol=0)
    assert (given.argmax(axis=1) == source.argmax(axis=1)).all()
