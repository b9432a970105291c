"""Files of the installed packages, as magika reads them: what each is, its suffix says."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
from fetch import MODELS
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
SEED = 0
#: What a file of this suffix is, in magika's words.
KINDS = {
    ".py": "python", ".pyc": "pythonbytecode", ".json": "json", ".html": "html", ".css": "css", ".js": "javascript", ".so": "elf",
    ".md": "markdown", ".rst": "rst", ".c": "c", ".cpp": "cpp", ".png": "png", ".csv": "csv", ".xml": "xml", ".toml": "toml",
    ".yaml": "yaml", ".npy": "npy", ".npz": "npz", ".gz": "gzip", ".ttf": "ttf", ".svg": "svg", ".proto": "proto", ".sh": "shell",
}  # fmt: skip
MOST_OF_A_KIND, FEWEST_OF_A_KIND = 30, 3
#: Of a larger file, and of a smaller one, magika decides otherwise.
MOST_BYTES, FEWEST_BYTES = 2_000_000, 64


def files() -> Arrays:
    """Files of the installed packages as magika reads them: the first and the last 1,024 bytes; labels by their suffixes."""
    folder = MODELS / "magika-1.0.3" / "magika" / "models" / "standard_v3_3"
    config = json.loads((folder / "config.min.json").read_text())
    labels, random = config["target_labels_space"], np.random.default_rng(SEED)
    rows: dict[bytes, tuple[NDArray[np.int32], int]] = {}
    for kind, paths in sorted(_by_kind(Path(sysconfig.get_path("purelib"))).items()):
        for path in [paths[index] for index in random.permutation(len(paths))[:MOST_OF_A_KIND]]:
            row = _features(path.read_bytes(), config)
            rows.setdefault(row.tobytes(), (row, labels.index(kind)))
    chosen = list(rows.values())
    order = random.permutation(len(chosen))
    x, y = np.stack([row for row, _ in chosen])[order], np.array([label for _, label in chosen])[order]
    calibration = len(x) // 5
    return {"evaluation_x": x[calibration:], "evaluation_y": y[calibration:], "calibration_x": x[:calibration]}


def _by_kind(root: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        kind = KINDS.get(path.suffix)
        if kind and path.is_file() and FEWEST_BYTES <= path.stat().st_size <= MOST_BYTES:
            found.setdefault(kind, []).append(path)
    return {kind: paths for kind, paths in found.items() if len(paths) >= FEWEST_OF_A_KIND}


def _features(content: bytes, config: dict[str, Any]) -> NDArray[np.int32]:
    """As magika's own package makes them: white space at both ends is left out, and what is missing is padded."""
    first = content[: config["block_size"]].lstrip()[: config["beg_size"]]
    last = content[-config["block_size"] :].rstrip()[-config["end_size"] :]
    row = np.full(config["beg_size"] + config["end_size"], config["padding_token"], np.int32)
    row[: len(first)] = list(first)
    row[len(row) - len(last) :] = list(last)
    return row
