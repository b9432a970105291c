"""``make weights``: train the two embedded models, and a student, anew and write what ships with the package.

The same machine and package versions give the same bytes; another processor gives other last bits, and after some
epochs other weights. That is why they ship: nobody's first run should depend on what training came to there.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

from edgeworthy.config import Timeouts
from edgeworthy.dataset_schema import Dataset
from edgeworthy.datasets.prepared import PreparedDataset, prepare
from edgeworthy.storage import open_store
from edgeworthy.variants.artifacts.child_process import Children
from edgeworthy.variants.artifacts.fork_servers import ForkServers
from edgeworthy.variants.artifacts.keys import TRAINING_ARRAYS

REPOSITORY = Path(__file__).parents[1]
WEIGHTS = REPOSITORY / "harness" / "edgeworthy" / "weights"
#: What the package may carry.
MOST_BYTES = 1_000_000
#: The trainer of each file.
TRAINERS = {
    "cnn.pt": "edgeworthy.variants.zoo.cnn:train",
    "mobilenet.keras": "edgeworthy.variants.zoo.mobilenet:train",
    "student.keras": "edgeworthy.variants.zoo.mobilenet:train_student",
}
#: The CNN as an ONNX file: what `edgeworthy init` begins with needs neither torch nor TensorFlow.
EXPORT = """
import sys
from pathlib import Path
import onnx, torch
from edgeworthy.variants.zoo import cnn

weights, out = Path(sys.argv[1]), Path(sys.argv[2])
model = cnn.build().eval()
model.load_state_dict(torch.load(weights, weights_only=True))
batch = ({0: torch.export.Dim("batch", min=1, max=1024)},)
images = torch.zeros(2, 1, 32, 32)
names = {"input_names": ["image"], "output_names": ["logits"]}
made = torch.onnx.export(model, (images,), dynamic_shapes=batch, verbose=False, **names).model_proto
for node in made.graph.node:
    del node.metadata_props[:]  # the lines of Python that it came from
del made.metadata_props[:], made.graph.metadata_props[:]
for value in (*made.graph.value_info, *made.graph.input, *made.graph.output, *made.graph.initializer):
    del value.metadata_props[:]
onnx.checker.check_model(made, full_check=True)
onnx.save(made, out)
"""


def main() -> None:
    """Train them, one after the other, each in a process of its own."""
    dataset = prepare(open_store(REPOSITORY / ".edgeworthy"), "digits", Dataset(kind="digits", classes=10), REPOSITORY)
    WEIGHTS.mkdir(exist_ok=True)
    for name, trainer in TRAINERS.items():
        train(trainer, dataset, WEIGHTS / name)
        if name.endswith(".keras"):
            without_dates(WEIGHTS / name)
    subprocess.run([sys.executable, "-c", EXPORT, str(WEIGHTS / "cnn.pt"), str(WEIGHTS / "cnn.onnx")], check=True)
    total = 0
    for file in sorted(WEIGHTS.iterdir()):
        print(f"{file}: {file.stat().st_size:,} bytes")
        total += file.stat().st_size
    if total > MOST_BYTES:
        raise SystemExit(f"the weights are {total:,} bytes, more than {MOST_BYTES:,}")


def train(trainer: str, dataset: PreparedDataset, out: Path) -> None:
    """Have the trainer write ``out``; exits with its message where it fails."""
    splits = {}
    for array in TRAINING_ARRAYS:
        split, _, part = array.rpartition("_")
        splits[array] = dataset.samples(split).to_json() if part == "x" else str(dataset.array(array))
    job = {"action": "train", "trainer": trainer, "base_dir": str(REPOSITORY), "splits": splits, "out": str(out)}
    for event in Children(Timeouts(), ForkServers()).events(job):
        print(event.get("text") or event.get("message") or event["event"])
        if event["event"] == "failed":
            raise SystemExit(1)


def without_dates(path: Path) -> None:
    """Write the archive anew without the moment at which it was saved, so that equal weights are equal files."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in sorted(archive.namelist())}
    metadata = json.loads(members["metadata.json"])
    members["metadata.json"] = json.dumps({**metadata, "date_saved": ""}).encode()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    path.write_bytes(written.getvalue())


if __name__ == "__main__":
    main()
