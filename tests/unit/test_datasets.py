"""Datasets of images and arrays: what becomes of them on disk, what is never done twice, and what is refused."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from edgeworthy.dataset_schema import Dataset
from edgeworthy.datasets import decoding
from edgeworthy.datasets.geometry import Geometry
from edgeworthy.datasets.pixel_file import PAGE, drop_cached, write_at
from edgeworthy.datasets.prepared import PreparedDataset, prepare
from edgeworthy.errors import SourceError
from edgeworthy.storage import Store, digest
from PIL import Image

CLASSES = ("cat", "dog", "eel")
Prepare = Callable[..., PreparedDataset]


@pytest.fixture
def prepared(tmp_path: Path) -> Prepare:
    """Prepare a dataset of the test's folder."""
    store = Store(tmp_path / "store")
    return lambda **keys: prepare(store, "mine", Dataset.model_validate(keys), tmp_path)


def write_images(
    folder: Path, count: int, seed: int = 0, size: tuple[int, int] = (10, 12), suffix: str = ".png"
) -> None:
    """``count`` random images for each class, a folder per class."""
    random = np.random.default_rng(seed)
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{seed}_{index}{suffix}")


def test_class_folders_are_classes_in_sorted_order(tmp_path: Path, prepared: Prepare) -> None:
    """A folder per class: labels by sorted folder name, pixels as Pillow decodes them, other files passed over."""
    write_images(tmp_path / "val", 4)
    (tmp_path / "val" / "cat" / "Thumbs.db").touch()
    made = prepared(kind="images", path="val")
    assert made.classes == len(made.class_names) == 3
    assert made.class_names == tuple(sorted(path.name for path in (tmp_path / "val").iterdir()))
    assert made.labels().tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert made.input_shape == (10, 12, 3)
    with Image.open(tmp_path / "val" / "dog" / "0_1.png") as image:
        np.testing.assert_array_equal(made.samples("evaluation").read(5, 6)[0], np.asarray(image, np.float32))
    assert "12 evaluation samples of 10x12x3; values as they are" in made.description


def imagenet_like(folder: Path, first: int) -> None:
    """A flat folder of six images beside a text file of file names and labels."""
    write_images(folder / "classes", 2)
    (folder / "val").mkdir()
    lines = []
    for number, path in enumerate(sorted((folder / "classes").rglob("*.png"))):
        path.rename(folder / "val" / f"ILSVRC2012_val_{number}.png")
        lines.append(f"ILSVRC2012_val_{number}.png {first + number // 2}")
    (folder / "val.txt").write_text("\n".join(lines) + "\n")


def test_labels_file_of_imagenets_layout(tmp_path: Path, prepared: Prepare) -> None:
    """A flat folder with a text file of names and labels, which may count from another number than 0."""
    imagenet_like(tmp_path, first=1)
    made = prepared(kind="images", path="val", labels="val.txt", label_offset=1, classes=3)
    assert made.labels().tolist() == [0, 0, 1, 1, 2, 2]
    assert made.class_names == ()


@pytest.mark.parametrize("classes", [3, None])
def test_labels_off_by_one_are_named(tmp_path: Path, prepared: Prepare, classes: int | None) -> None:
    """Labels 1 to N where classes count from 0 are refused with the key that repairs them."""
    imagenet_like(tmp_path, first=1)
    with pytest.raises(
        SourceError, match=r"dataset 'mine': .*val\.txt: labels off by one: they run from 1 to 3"
    ) as caught:
        prepared(kind="images", path="val", labels="val.txt", classes=classes)
    assert "label_offset: 1" in caught.value.hint
    assert prepared(kind="images", path="val", labels="val.txt", classes=4).classes == 4


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_table_of_paths_labels_and_splits(tmp_path: Path, prepared: Prepare, suffix: str) -> None:
    """A CSV or Parquet index with columns of one's own; class names are numbered in sorted order."""
    write_images(tmp_path / "all", 4)
    paths = sorted((tmp_path / "all").rglob("*.png"))
    rows = [
        {"file": str(path.relative_to(tmp_path)), "kind": path.parent.name, "fold": "test" if index % 2 else "train"}
        for index, path in enumerate(paths)
    ]
    table = pd.DataFrame(rows)
    if suffix == ".csv":
        table.to_csv(tmp_path / "index.csv", index=False)
    else:
        table.to_parquet(tmp_path / "index.parquet")
    made = prepared(
        kind="table",
        path=f"index{suffix}",
        columns={"path": "file", "label": "kind", "split": "fold"},
        split="test",
        calibration={"split": "train", "count": 3},
    )
    assert made.labels().tolist() == [0, 0, 1, 1, 2, 2]
    assert made.class_names == tuple(sorted(table["kind"].unique()))
    assert len(made.samples("calibration")) == 3


def test_regression_targets_are_read(tmp_path: Path, prepared: Prepare) -> None:
    """A column of fractions is no class: the targets are numbers, and there are no classes."""
    write_images(tmp_path / "all", 1)
    lines = [f"{path.name},{index / 4}" for index, path in enumerate(sorted((tmp_path / "all" / "cat").iterdir()))]
    write_images(tmp_path / "all", 3, seed=1)
    lines = [f"cat/{path.name},{index / 4}" for index, path in enumerate(sorted((tmp_path / "all" / "cat").iterdir()))]
    (tmp_path / "all" / "index.csv").write_text("path,label\n" + "\n".join(lines))
    made = prepared(kind="table", path="all/index.csv")
    assert made.classes is None
    np.testing.assert_array_equal(made.labels()[:, 0], np.arange(4, dtype=np.float32) / 4)


def test_cached_dataset_is_not_decoded_again(
    tmp_path: Path, prepared: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prepared twice, no image is opened again; nor for another mean, which is another checksum."""
    write_images(tmp_path / "val", 4)
    keys = {"kind": "images", "path": "val"}
    first = prepared(**keys)
    monkeypatch.setattr(decoding, "decoded", lambda *_: pytest.fail("an image was decoded again"))
    again = prepared(**keys)
    assert again == first
    scaled = prepared(**keys, preprocessing={"scale": "1/255", "mean": [0.5], "std": [0.25]})
    assert scaled.checksum != first.checksum
    np.testing.assert_allclose(
        scaled.samples("evaluation").read(), (first.samples("evaluation").read() / 255 - 0.5) / 0.25, atol=1e-6
    )


def test_one_changed_calibration_image_decodes_only_its_split(tmp_path: Path, prepared: Prepare) -> None:
    """The evaluation samples, their file and their checksum stay; the calibration samples are others."""
    write_images(tmp_path / "val", 4)
    write_images(tmp_path / "train", 3, seed=7)
    keys = {"kind": "images", "path": "val", "calibration": {"path": "train", "count": 6}}
    first = prepared(**keys)
    for path in (tmp_path / "train").rglob("*.png"):
        Image.new("RGB", (12, 10), (1, 2, len(path.name))).save(path)
    second = prepared(**keys)
    assert second.samples("evaluation") == first.samples("evaluation")
    assert second.checksum == first.checksum
    assert second.sha256["calibration_x"] != first.sha256["calibration_x"]


def test_a_file_that_keeps_its_size_and_time_is_read_again(tmp_path: Path, prepared: Prepare) -> None:
    """Bytes changed under an unchanged size and modification time are other samples."""
    import os

    write_images(tmp_path / "val", 2, suffix=".bmp")
    changed = tmp_path / "val" / "eel" / "0_0.bmp"
    first = prepared(kind="images", path="val")
    stat, content = changed.stat(), bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(bytes(content))
    os.utime(changed, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert prepared(kind="images", path="val").checksum != first.checksum


def test_subsets_are_deterministic_and_stratified(tmp_path: Path, prepared: Prepare) -> None:
    """A count takes as many of each class; the same seed the same ones, another seed others; splits share none."""
    write_images(tmp_path / "val", 8)
    keys = {"kind": "images", "path": "val", "count": 6}
    first, again, other = prepared(**keys), prepared(**keys), prepared(**keys, seed=1)
    assert first.labels().tolist() == [0, 0, 1, 1, 2, 2]
    assert again.checksum == first.checksum != other.checksum
    with_calibration = prepared(**keys, calibration={"count": 9})
    assert with_calibration.checksum == first.checksum
    evaluated = {row.tobytes() for row in with_calibration.samples("evaluation").read()}
    assert not evaluated & {row.tobytes() for row in with_calibration.samples("calibration").read()}


def test_overlap_is_refused_with_names(tmp_path: Path, prepared: Prepare) -> None:
    """A calibration image that is an evaluation image, under whatever name, is refused with both names."""
    write_images(tmp_path / "val", 3)
    write_images(tmp_path / "train", 3, seed=1)
    (tmp_path / "train" / "cat" / "copy.png").write_bytes((tmp_path / "val" / "eel" / "0_2.png").read_bytes())
    with pytest.raises(
        SourceError, match=r"1 of 10 calibration samples are evaluation samples too: cat/copy\.png = eel/0_2"
    ):
        prepared(kind="images", path="val", calibration={"path": "train"})


def test_training_samples_are_no_validation_samples(prepared: Prepare, tmp_path: Path) -> None:
    """The epoch is chosen on the validation samples: one that was trained on is refused with both names."""
    images = np.random.default_rng(0).random((6, 4, 4, 1), dtype=np.float32)
    splits = {"evaluation": images[:2], "train": images[2:5], "validation": images[4:]}
    arrays = {f"{split}_x": values for split, values in splits.items()}
    targets = {f"{split}_y": np.arange(len(values)) % 2 for split, values in splits.items()}
    np.savez(tmp_path / "shared.npz", **arrays, **targets)
    with pytest.raises(SourceError, match="1 of 3 train samples are validation samples too: train 2 = validation 0"):
        prepared(kind="npz", path="shared.npz", classes=2)


def test_images_of_16_bits_are_refused_by_name(tmp_path: Path, prepared: Prepare) -> None:
    """One among others, and where there are no others."""
    write_images(tmp_path / "val", 2)
    deep = Image.fromarray(np.full((10, 12), 40000, np.uint16))
    deep.save(tmp_path / "val" / "cat" / "0_0.png")
    with pytest.raises(
        SourceError, match=r"1 of 6 images cannot be used: .*cat/0_0\.png holds more than 8 bits a pixel"
    ):
        prepared(kind="images", path="val")
    for path in (tmp_path / "val").rglob("*.png"):
        deep.save(path)
    with pytest.raises(SourceError, match=r"none of 6 images can be used; the first: .*cat/0_0\.png holds more than 8"):
        prepared(kind="images", path="val")


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


BROKEN: dict[str, tuple[Callable[[Path], object], dict[str, object], str]] = {
    "corrupt": (
        lambda root: [damage(root / "val" / "cat" / f"0_{index}.png") for index in (0, 2)],
        {},
        r"2 of 9 images cannot be used: .*cat/0_0\.png is not a readable image",
    ),
    "text": (
        lambda root: (root / "val" / "cat" / "0_1.png").write_text("not an image"),
        {},
        r"1 of 9 images cannot be used: .*cat/0_1\.png is not a readable image \(cannot identify image file",
    ),
    "empty class": (
        lambda root: [path.unlink() for path in (root / "val" / "dog").iterdir()],
        {},
        r"val/dog: no images \(\.apng",
    ),
    "no folder": (lambda root: None, {"path": "vla"}, r"vla: no such folder"),
    "class count": (lambda root: None, {"classes": 4}, r"val: 3 class folders, 'classes' says 4"),
    "sizes": (
        lambda root: Image.new("RGB", (3, 3)).save(root / "val" / "dog" / "0_1.png"),
        {},
        r"1 of 9 .*0_1\.png is 3x3 where the first image is 10x12: give preprocessing a size",
    ),
    "small for its crop": (
        lambda root: None,
        {"preprocessing": {"center_crop": 11}},
        r"none of 9 images|is 10x12, which is smaller than the crop of 11x11",
    ),
    "too few": (lambda root: None, {"count": 10}, r"evaluation asks for 10 samples of val, of which 9 are left"),
    "mean": (
        lambda root: None,
        {"preprocessing": {"mean": [1, 2]}},
        r"preprocessing\.mean has 2 numbers, the samples have 3 channels",
    ),
    "never scaled": (
        lambda root: None,
        {"preprocessing": {"mean": [0.5], "std": [0.2]}},
        r"mean and std are for values from 0 to 1, evaluation samples have values up to 2\d\d",
    ),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_unusable_images_are_named(tmp_path: Path, prepared: Prepare, name: str) -> None:
    """Each defect is named with the dataset, the file and a hint, and nothing half-made is kept."""
    write_images(tmp_path / "val", 3)
    (tmp_path / "flat").mkdir()
    harm, keys, message = BROKEN[name]
    harm(tmp_path)
    with pytest.raises(SourceError, match=rf"(?s)dataset 'mine': .*({message})"):
        prepared(**{"kind": "images", "path": "val", **keys})
    assert not list((tmp_path / "store" / "scratch").glob("*"))


def test_a_metric_that_needs_labels_names_where_they_would_be(tmp_path: Path, prepared: Prepare) -> None:
    """Images without class folders can be judged by fidelity alone; arrays without targets too."""
    write_images(tmp_path / "val", 3)
    (tmp_path / "flat").mkdir()
    for path in (tmp_path / "val").rglob("*.png"):
        path.rename(tmp_path / "flat" / f"{path.parent.name}_{path.name}")
    np.savez(tmp_path / "x.npz", evaluation_x=np.zeros((3, 5), np.float32))
    flat, arrays = prepared(kind="images", path="flat"), prepared(kind="npz", path="x.npz")
    with pytest.raises(
        SourceError, match="'mine': its evaluation samples have no labels, which the metric top1 needs"
    ) as one:
        flat.check_labelled("top1")
    with pytest.raises(SourceError, match="'mine' lacks 'evaluation_y', which the metric top1 needs") as other:
        arrays.check_labelled("top1")
    assert ["folder per class" in str(one.value), "evaluation_y" in str(other.value.hint)] == [True, True]
    assert [flat.labels().shape, arrays.labels().shape] == [(9, 0), (3, 0)]


LABELS = {
    "mixed": ("a.png 0\nb.png cat\n", r"labels\.txt: unreadable labels: sample 1 has 'cat' among numbers"),
    "no label": ("a.png 0\nb.png\n", r"labels\.txt:2: unreadable labels: 'b\.png' is not a file name and a label"),
    "missing": ("a.png 0\nz.png 1\n", r"labels\.txt: 1 of its 2 files cannot be used: .*z\.png: no such file"),
    "twice": ("a.png 0\na.png 1\n", r"labels\.txt: 'a\.png' is listed twice"),
    "range": ("a.png 0\nb.png 9\n", r"labels\.txt: 1 labels out of range \(0 to 2\): sample 1 is 9"),
    "none": ("\n", r"labels\.txt: no samples in it"),
    "names": ("a.png cat\nb.png dog\n", r"labels\.txt: 2 class names, 'classes' says 3"),
}


@pytest.mark.parametrize("name", list(LABELS))
def test_unusable_labels_are_named(tmp_path: Path, prepared: Prepare, name: str) -> None:
    """Each defect of a labels file is named with the file, and the line or the sample."""
    (tmp_path / "flat").mkdir()
    for file in ("a.png", "b.png"):
        Image.new("RGB", (4, 4), (len(file), 0, ord(file[0]))).save(tmp_path / "flat" / file)
    text, message = LABELS[name]
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(SourceError, match=message):
        prepared(kind="images", path="flat", labels="labels.txt", classes=3)


def test_unusable_tables_are_named(tmp_path: Path, prepared: Prepare) -> None:
    """A column that is not there, a row without a label, a file that is no table, a split that no row has."""
    (tmp_path / "index.csv").write_text("file,label\na.png,0\nb.png,\n")
    with pytest.raises(SourceError, match=r"index\.csv: no column 'path' for the path"):
        prepared(kind="table", path="index.csv")
    with pytest.raises(SourceError, match=r"index\.csv: row 1 has no label"):
        prepared(kind="table", path="index.csv", columns={"path": "file"})
    (tmp_path / "index.csv").write_text("path;label\na.png;0\n")
    with pytest.raises(SourceError, match=r"index\.csv: no column 'path' for the path") as semicolons:
        prepared(kind="table", path="index.csv")
    assert semicolons.value.hint == "separate the columns by ',' instead of ';'"
    (tmp_path / "index.csv").write_text("path,label\na.png,0\n")
    with pytest.raises(SourceError, match=r"index\.csv: no column 'split' to find the split 'test' in"):
        prepared(kind="table", path="index.csv", split="test")
    (tmp_path / "index.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(SourceError, match=r"index\.parquet: not a readable Parquet file"):
        prepared(kind="table", path="index.parquet")


def test_parallel_decoding_equals_serial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that worker processes write is the one that a single process writes, also where it is too large to stay
    in the system's cache, and problems come in order."""
    write_images(tmp_path / "val", 6)
    keys = {"kind": "images", "path": "val", "preprocessing": {"resize": [7, 5], "channels": "bgr"}}
    made = []
    for few, chunk, cached, store in ((1000, 64, 1 << 30, "one"), (0, 4, 1 << 30, "many"), (0, 4, 0, "large")):
        monkeypatch.setattr(decoding, "FEW", few)
        monkeypatch.setattr(decoding, "CHUNK", chunk)
        monkeypatch.setattr(decoding, "CACHED_BYTES", cached)
        made.append(prepare(Store(tmp_path / store), "mine", Dataset.model_validate(keys), tmp_path))
    one, many, large = (each.samples("evaluation").path.read_bytes() for each in made)
    assert one == many == large
    damage(tmp_path / "val" / "eel" / "0_3.png")
    with pytest.raises(SourceError, match=r"1 of 18 images cannot be used: .*eel/0_3\.png"):
        prepare(Store(tmp_path / "many"), "mine", Dataset.model_validate(keys), tmp_path)


def test_the_checksum_covers_the_checked_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every so many images of each chunk go into the checksum and the extremes, as they lie in the file."""
    write_images(tmp_path / "val", 6)
    monkeypatch.setattr(decoding, "CHUNK", 7)
    monkeypatch.setattr(decoding, "CHECK_EVERY", 3)
    found = decoding.decode(sorted((tmp_path / "val").rglob("*.png")), Geometry(), tmp_path / "x.npy", print)
    stored = np.load(tmp_path / "x.npy")
    checked = [stored[start : start + 7][::3] for start in range(0, len(stored), 7)]
    assert found.sha256 == digest([hashlib.sha256(images.tobytes()).hexdigest() for images in checked])
    assert (found.low, found.high) == (min(map(np.min, checked)), max(map(np.max, checked)))


def test_a_file_too_large_for_the_cache_leaves_it(tmp_path: Path) -> None:
    """What is written and dropped is no longer in memory, and reads as it was written."""
    wanted = bytes(range(256)) * 4096
    with (tmp_path / "x").open("wb", buffering=0) as stream:
        stream.write(wanted)
        os.fsync(stream.fileno())
        drop_cached(stream.fileno(), len(wanted))
    if sys.platform == "linux":
        assert not in_memory(tmp_path / "x", len(wanted) // 2)
    assert (tmp_path / "x").read_bytes() == wanted


def in_memory(path: Path, position: int) -> bool:
    """Whether the system has this byte of a file in its cache."""
    with path.open("rb") as stream:
        try:
            return os.preadv(stream.fileno(), [bytearray(1)], position, os.RWF_NOWAIT) == 1
        except BlockingIOError:
            return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what it caches")
@pytest.mark.parametrize(("position", "size"), [(PAGE, 3 * PAGE), (PAGE + 1, 3 * PAGE), (PAGE, 3 * PAGE - 1)])
def test_large_files_bypass_the_page_cache(tmp_path: Path, position: int, size: int) -> None:
    """Whole pages leave nothing in the system's cache; other content is written through it, and reads the same."""
    content = np.frombuffer(mmap.mmap(-1, 3 * PAGE), np.uint8)
    content[:] = np.random.default_rng(0).integers(0, 256, content.size)
    (tmp_path / "x").touch()
    os.truncate(tmp_path / "x", 8 * PAGE)
    write_at(tmp_path / "x", content.data[:size], position, past_cache=True)
    whole = position % PAGE == size % PAGE == 0
    assert in_memory(tmp_path / "x", 2 * PAGE) != whole
    assert (tmp_path / "x").read_bytes()[position : position + size] == content[:size].tobytes()


def test_processes_that_decode_import_no_schema() -> None:
    """They start in half the time without pydantic and YAML."""
    shown = "import sys, edgeworthy.datasets.decoding; print({'pydantic', 'yaml'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True).stdout.strip() == "set()"


# -- arrays -------------------------------------------------------------------------------------------------------


def write_arrays(path: Path, **changed: np.ndarray) -> None:
    """An .npz of 60 RGB images of distinct channel means in [0, 1], and 30 others for calibration."""
    random = np.random.default_rng(0)
    level = np.array([0.7, 0.5, 0.3])

    def images(count: int) -> np.ndarray:
        return np.clip(level + random.normal(0, 0.1, (count, 6, 6, 3)), 0, 1).astype(np.float32)

    arrays = {"evaluation_x": images(60), "evaluation_y": np.arange(60) % 3, "calibration_x": images(30)}
    np.savez(path, **{**arrays, **changed})


def test_double_scaling_is_named(tmp_path: Path, prepared: Prepare) -> None:
    """Images in [0, 1] that preprocessing would scale again."""
    write_arrays(tmp_path / "x.npz")
    with pytest.raises(SourceError, match=r"evaluation samples are scaled already .* scales them again by 0\.003922"):
        prepared(kind="npz", path="x.npz", preprocessing={"scale": "1/255"})


def test_uint8_arrays_stay_uint8(tmp_path: Path, prepared: Prepare) -> None:
    """uint8 arrays are stored as they are and read as floats, scaled; resizing arrays is refused."""
    pixels = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", evaluation_x=pixels, evaluation_y=np.arange(10))
    made = prepared(kind="npz", path="x.npz", preprocessing="keras_caffe")
    assert np.load(made.samples("evaluation").path).dtype == np.uint8
    wanted = pixels[..., ::-1].astype(np.float32) - np.array([103.939, 116.779, 123.68], np.float32)
    np.testing.assert_allclose(made.samples("evaluation").read(), wanted, atol=1e-4)
    with pytest.raises(SourceError, match="preprocessing resizes, crops and converts images, not arrays"):
        prepared(kind="npz", path="x.npz", preprocessing="torchvision")


def test_arrays_are_split_without_overlap(tmp_path: Path, prepared: Prepare) -> None:
    """Calibration may be taken of another split, a split at a time; a sample in two splits is refused by number."""
    write_arrays(tmp_path / "x.npz")
    good = dict(np.load(tmp_path / "x.npz"))
    made = prepared(kind="npz", path="x.npz", count=30, calibration={"split": "evaluation", "count": 12})
    assert (len(made.samples("evaluation")), len(made.samples("calibration"))) == (30, 12)
    assert np.bincount(made.labels()).tolist() == [10, 10, 10]
    write_arrays(tmp_path / "x.npz", calibration_x=np.r_[good["calibration_x"], good["evaluation_x"][4:5]])
    with pytest.raises(
        SourceError, match=r"1 of 31 calibration samples are evaluation samples too: calibration 30 = evaluation 4"
    ):
        prepared(kind="npz", path="x.npz")


def test_facts_of_a_dataset_are_plain_data(tmp_path: Path, prepared: Prepare) -> None:
    """What the store keeps of a dataset is JSON that says shapes, checksums and classes."""
    write_images(tmp_path / "val", 2)
    made = prepared(kind="images", path="val")
    facts = json.loads((made.folder / "dataset.json").read_text())
    assert facts["shapes"] == {"evaluation": [6, 10, 12, 3]}
    assert set(facts["sha256"]) == {"evaluation_x", "evaluation_y"}
