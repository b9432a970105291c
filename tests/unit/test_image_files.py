"""Images on disk: no file disappears, and orientation, alpha and labels are read as the entry says."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgeworthy.dataset_schema import Dataset
from edgeworthy.datasets.prepared import PreparedDataset, prepare
from edgeworthy.errors import SourceError
from edgeworthy.storage import Store
from PIL import Image

Prepare = Callable[..., PreparedDataset]


@pytest.fixture
def notes() -> list[str]:
    """What preparing a dataset reports."""
    return []


@pytest.fixture
def prepared(tmp_path: Path, notes: list[str]) -> Prepare:
    """Prepare a dataset of the test's folder."""
    store = Store(tmp_path / "store")
    return lambda **keys: prepare(store, "mine", Dataset.model_validate(keys), tmp_path, notes.append)


def write_image(path: Path, colour: tuple[int, ...] = (200, 100, 50)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA" if len(colour) == 4 else "RGB", (6, 4), colour).save(path)


def test_unusual_suffixes_are_read_or_counted(tmp_path: Path, prepared: Prepare, notes: list[str]) -> None:
    """.jfif and .avif are images to Pillow; what it does not read is counted by suffix, in the report and at once."""
    for index, name in enumerate(["a.jpg", "b.JPEG", "c.png", "d.avif", "e.webp", "f.tif"]):
        write_image(tmp_path / "val" / "0" / name, (index, 0, 0))
    (tmp_path / "val" / "0" / "a.jpg").rename(tmp_path / "val" / "0" / "a.jfif")
    write_image(tmp_path / "elsewhere" / "linked.png", (9, 9, 9))
    (tmp_path / "val" / "0" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "val" / "0" / "more" / "again").symlink_to(tmp_path / "val" / "0")
    for name in ("0/x.heic", "0/y.HEIC", "0/notes.txt", "0/.hidden", "README"):
        (tmp_path / "val" / name).write_bytes(b"something")
    made = prepared(kind="images", path="val", classes=None)
    assert made.count == 7
    note = "3 files below val are not read as images (.heic 2, .txt 1)"
    beside = "1 files below val lie beside the class folders and are not read (no suffix 1)"
    assert note in made.description
    assert beside in made.description
    assert {f"mine: {note}", f"mine: {beside}"} <= set(notes)


@pytest.mark.parametrize("kind", ["broken link", "FIFO", "device", "folder"])
def test_images_that_are_no_files_are_refused(tmp_path: Path, prepared: Prepare, kind: str) -> None:
    """Each is named with its number, in class folders and in a labels file; nothing waits for a FIFO."""
    for index in range(3):
        write_image(tmp_path / "val" / "0" / f"{index}.png")
    strange = tmp_path / "val" / "0" / "strange.png"
    make = {
        "broken link": lambda: strange.symlink_to("nowhere"),
        "FIFO": lambda: os.mkfifo(strange),
        "device": lambda: strange.symlink_to("/dev/null"),
        "folder": lambda: strange.mkdir(),
    }
    make[kind]()
    if kind != "folder":  # a folder below a class folder may be called anything
        with pytest.raises(SourceError, match=rf"1 of its 4 files cannot be used: .*strange\.png: is a {kind}"):
            prepared(kind="images", path="val")
    (tmp_path / "labels.txt").write_text("0/1.png 0\n0/strange.png 1\n")
    with pytest.raises(SourceError, match=rf"labels\.txt: 1 of its 2 files cannot be used: .*png: is a {kind}"):
        prepared(kind="images", path="val", labels="labels.txt")


def test_a_class_folder_that_is_a_broken_link_is_refused(tmp_path: Path, prepared: Prepare) -> None:
    """A class does not vanish with its disk."""
    write_image(tmp_path / "val" / "0" / "a.png")
    (tmp_path / "val" / "1").symlink_to("/nowhere")
    with pytest.raises(SourceError, match=r"val: 1 of its 1 files cannot be used: .*/1: is a broken link"):
        prepared(kind="images", path="val")


def test_images_that_a_labels_file_does_not_list_are_counted(tmp_path: Path, prepared: Prepare) -> None:
    for index in range(3):
        write_image(tmp_path / "val" / f"{index}.png", (index, 0, 0))
    (tmp_path / "labels.txt").write_text("0.png 0\n2.png 1\n")
    made = prepared(kind="images", path="val", labels="labels.txt")
    assert "1 files below val are not in labels.txt and are not read (.png 1)" in made.description


def test_exif_orientation_is_applied_only_where_the_entry_says_so(tmp_path: Path, prepared: Prepare) -> None:
    """Off by default, as in torchvision's and Keras's loaders; the report counts the images that carry one."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    (tmp_path / "val" / "0").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "val" / "0" / "a.png", exif=exif)
    as_stored = prepared(kind="images", path="val")
    np.testing.assert_array_equal(as_stored.samples("evaluation").read()[0], pixels)
    assert "1 images with an EXIF orientation, which is not applied" in as_stored.description
    upright = prepared(kind="images", path="val", preprocessing={"exif_orientation": True})
    np.testing.assert_array_equal(upright.samples("evaluation").read()[0], np.rot90(pixels, -1))
    assert "EXIF orientation applied" in upright.description
    assert "1 images with an EXIF orientation, which is applied" in upright.description
    assert upright.checksum != as_stored.checksum


def test_alpha_is_dropped_or_composited_as_the_entry_says(tmp_path: Path, prepared: Prepare) -> None:
    """Dropped by default, as convert("RGB") does in torchvision's and Keras's loaders; the report counts the images."""
    write_image(tmp_path / "val" / "0" / "clear.png", (200, 100, 0, 0))
    write_image(tmp_path / "val" / "0" / "opaque.png", (200, 100, 0, 255))
    found = {}
    for alpha in ("drop", "white", "black"):
        made = prepared(kind="images", path="val", preprocessing={"alpha": alpha})
        found[alpha] = made.samples("evaluation").read()[:, 0, 0].tolist()
        assert "1 images with transparent pixels, whose alpha is " in made.description
    opaque = [200.0, 100.0, 0.0]
    assert found == {"drop": [opaque, opaque], "white": [[255.0] * 3, opaque], "black": [[0.0] * 3, opaque]}
    assert "alpha is dropped (preprocessing.alpha)" in prepared(kind="images", path="val").description


@pytest.mark.parametrize("suffix", ["txt", "csv"])
@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (["0", "1", "2"], [0, 1, 2]),
        (["0.0", "1.0", "2.0"], [0, 1, 2]),
        (["1", "0.0", "2."], [1, 0, 2]),
        (["0.5", "1.0", "2.0"], [0.5, 1.0, 2.0]),
        (["10.0", "20.0", "40.0"], [10.0, 20.0, 40.0]),
    ],
)
def test_labels_with_a_bom_crlf_and_decimal_points(
    tmp_path: Path, prepared: Prepare, suffix: str, labels: list[str], wanted: list[float]
) -> None:
    """As spreadsheets and pandas save them: 0.0 to 2.0 are classes, other numbers are to be predicted."""
    for index in range(3):
        write_image(tmp_path / "val" / f"{index}.png", (index, 0, 0))
    header, gap = ("", " ") if suffix == "txt" else ("path,label\r\n", ",")
    text = header + "".join(f"{index}.png{gap}{label}\r\n" for index, label in enumerate(labels))
    (tmp_path / f"labels.{suffix}").write_bytes(b"\xef\xbb\xbf" + text.encode())
    made = prepared(kind="images", path="val", labels=f"labels.{suffix}")
    assert made.labels().ravel().tolist() == wanted
    assert (made.classes is None) == (max(wanted) > 2 or wanted[0] == 0.5)


def test_classes_makes_decimal_labels_class_numbers(tmp_path: Path, prepared: Prepare) -> None:
    """Where some classes have no sample, 'classes' says what 1.0 and 3.0 are."""
    for index in range(2):
        write_image(tmp_path / "val" / f"{index}.png", (index, 0, 0))
    (tmp_path / "labels.txt").write_text("0.png 1.0\n1.png 3.0\n")
    assert prepared(kind="images", path="val", labels="labels.txt", classes=4).labels().tolist() == [1, 3]


def test_without_pillow_the_extra_is_named(tmp_path: Path, prepared: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image dataset is refused with the line to install, before any file is looked at."""
    from edgeworthy.datasets import pillow

    monkeypatch.setitem(sys.modules, "PIL", None)
    pillow.image_module.cache_clear()
    with pytest.raises(SourceError, match="images are decoded by Pillow, which is not installed") as caught:
        prepared(kind="images", path="val")
    assert caught.value.hint == "pip install 'edgeworthy[images]'"


@pytest.mark.parametrize(
    ("names", "noted"), [(("1", "2", "10"), True), (("01", "02", "10"), False), (("cat", "dog", "10"), False)]
)
def test_numbers_as_names_of_classes_in_another_order_are_noted(
    tmp_path: Path, prepared: Prepare, names: tuple[str, ...], noted: bool
) -> None:
    """As text, 10 comes before 2."""
    for index, name in enumerate(names):
        write_image(tmp_path / "val" / name / "a.png", (index, 0, 0))
    description = prepared(kind="images", path="val", classes=3).description
    assert ("are numbered in the order of their names as text: 1, 10, 2" in description) == noted
