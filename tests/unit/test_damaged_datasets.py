"""Damaged and hostile files of a dataset: each reader raises SourceError, or reads what is left, and nothing else."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from edgeworthy.dataset_schema import Columns, Dataset
from edgeworthy.datasets.arrays import load_arrays
from edgeworthy.datasets.decoding import decoded
from edgeworthy.datasets.geometry import Geometry
from edgeworthy.datasets.index_file import read_index
from edgeworthy.datasets.labels import numbered
from edgeworthy.datasets.prepared import prepare
from edgeworthy.errors import SourceError
from edgeworthy.storage import Store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

BOUNDED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
ARRAYS = {"evaluation_x": np.zeros((3, 2, 2, 1), np.float32), "evaluation_y": np.arange(3)}


def npz(folder: Path) -> Path:
    np.savez_compressed(folder / "whole.npz", **ARRAYS)
    return folder / "whole.npz"


def table(folder: Path, suffix: str) -> Path:
    path = folder / f"whole{suffix}"
    frame = pd.DataFrame({"path": ["a.png", "b.png"], "label": ["cat", "dog"]})
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".parquet":
        frame.to_parquet(path)
    else:
        path.write_text("a.png 0\nb.png 1\n")
    return path


def picture(folder: Path, suffix: str) -> Path:
    path = folder / f"whole{suffix}"
    Image.fromarray(np.arange(768, dtype=np.uint8).reshape(16, 16, 3)).save(path)
    return path


def read_npz(path: Path) -> object:
    return load_arrays(Dataset(kind="npz", path=path.name), path.parent)[0]


def read_table(path: Path) -> object:
    index = read_index(path, Columns())
    return numbered(index.labels, 0, None, str(path))


READERS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "npz": (npz, read_npz),
    **{suffix: (lambda folder, s=suffix: table(folder, s), read_table) for suffix in (".csv", ".txt", ".parquet")},
    **{
        suffix: (lambda folder, s=suffix: picture(folder, s), lambda path: decoded(str(path), Geometry()))
        for suffix in (".png", ".jpg", ".gif", ".tif", ".webp", ".bmp")
    },
}
DAMAGE = st.one_of(
    st.tuples(st.just("cut"), st.floats(0, 1), st.binary(max_size=8)),
    st.tuples(st.just("overwrite"), st.floats(0, 1), st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("insert"), st.floats(0, 1), st.binary(min_size=1, max_size=8)),
)


@pytest.mark.parametrize("reader", list(READERS))
@BOUNDED
@given(damages=st.lists(DAMAGE, min_size=1, max_size=3))
def test_damage_is_a_source_error(
    tmp_path_factory: pytest.TempPathFactory, reader: str, damages: list[tuple[str, float, bytes]]
) -> None:
    """Bytes cut off, changed or inserted anywhere: SourceError, which names the file, or nothing."""
    write, read = READERS[reader]
    path = write(tmp_path_factory.getbasetemp())
    content = path.read_bytes()
    for kind, where, new in damages:
        at = int(where * len(content))
        rest = {"cut": b"", "overwrite": content[at + len(new) :], "insert": content[at:]}[kind]
        content = content[:at] + (b"" if kind == "cut" else new) + rest
    path.write_bytes(content)
    try:
        read(path)
    except SourceError as error:
        assert error.message  # noqa: PT017


def header(text: str) -> bytes:
    """An .npy file whose header is ``text``."""
    encoded = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(encoded).to_bytes(2, "little") + encoded


def plain(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def odd_npz(path: Path, name: str) -> None:
    """An .npz that is odd in one way."""
    member, compression = plain(ARRAYS["evaluation_x"]), zipfile.ZIP_STORED
    if name == "brackets":
        member = header("(" * 9000 + ")" * 9000)
    elif name == "huge":
        member = header("{'descr': '<f4', 'fortran_order': False, 'shape': (150000000000000, 1, 1, 1)}")
    elif name == "negative":
        member = header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 1, 1, 1)}")
    elif name == "beyond":
        member = header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**30}, 1, 1, 1)}}")
    elif name == "lzma":
        compression = zipfile.ZIP_LZMA
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("evaluation_x.npy", member)
        archive.writestr("evaluation_y.npy", plain(ARRAYS["evaluation_y"]))
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    if name == "encrypted":
        content[6] |= 1
        content[central + 8] |= 1
    if name == "compression":
        content[8:10] = content[central + 10 : central + 12] = (99).to_bytes(2, "little")
    if name == "crc":
        content[content.index(b"NUMPY") + 140] ^= 0xFF
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("name", ["brackets", "huge", "negative", "beyond", "encrypted", "compression", "crc"])
def test_odd_npz_files_are_named(tmp_path: Path, name: str) -> None:
    """9,000 brackets, 546 TiB, encryption, an unknown compression: the file, the reason and what to do."""
    odd_npz(tmp_path / "odd.npz", name)
    with pytest.raises(SourceError, match=r"odd\.npz: not a readable \.npz of plain arrays \(.") as caught:
        read_npz(tmp_path / "odd.npz")
    assert "numpy.savez" in caught.value.hint


def test_an_npz_of_another_compression_is_read(tmp_path: Path) -> None:
    odd_npz(tmp_path / "odd.npz", "lzma")
    np.testing.assert_array_equal(read_npz(tmp_path / "odd.npz")["evaluation_x"], ARRAYS["evaluation_x"])  # type: ignore[index]


@pytest.mark.parametrize("kind", ["npz", "images", "table"])
@pytest.mark.parametrize("path", ["x" * 5000, "a/" * 3000, "nul\0nul"])
def test_paths_that_no_system_takes_are_named(tmp_path: Path, kind: str, path: str) -> None:
    """Too long for the system, or with a NUL in it: SourceError, not the system's own."""
    with pytest.raises(SourceError, match="dataset 'mine': "):
        prepare(Store(tmp_path / "store"), "mine", Dataset.model_validate({"kind": kind, "path": path}), tmp_path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["0", "9" * 40], "sample 1 is 9999"),
        (["0.5", "1e300"], r"sample 1 is 1e\+300, beyond the largest number that is read, 3\.403e\+38"),
        (["0", "5000000"], r"1 labels out of range \(0 to 999999\): sample 1 is 5000000"),
        (["0", "nan"], "sample 1 has 'nan' among numbers"),
        (["0", "9" * 5000], "among numbers"),
    ],
)
def test_numbers_beyond_the_platforms_are_named(labels: list[str], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        numbered(labels, 0, None, "labels.txt")


def test_a_file_name_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    """A name with a byte that no text has is a file like another, also where samples are chosen by name."""
    (tmp_path / "val" / "0").mkdir(parents=True)
    for index in range(3):
        name = b"caf\xe9" + str(index).encode() + b".png"
        (tmp_path / "val" / "0" / name.decode(errors="surrogateescape")).write_bytes(b"")
        Image.new("RGB", (2, 2), (index, 0, 0)).save(tmp_path / "x.png")
        (tmp_path / "x.png").rename(tmp_path / "val" / "0" / name.decode(errors="surrogateescape"))
    keys = {"kind": "images", "path": "val", "count": 2}
    assert prepare(Store(tmp_path / "store"), "mine", Dataset.model_validate(keys), tmp_path).count == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([0.0, 1e300]), r"evaluation_x: sample 1 holds 1e\+300, beyond the range of float32"),
        (np.array([1j, 0]), "evaluation_x is complex128 of shape"),
        (np.array([b"a", b"b"]), r"evaluation_x is \|S1 of shape .* not as bytes"),
        (np.array([True, False]), "evaluation_x is bool of shape"),
    ],
)
def test_values_that_float32_cannot_hold_are_named(tmp_path: Path, values: np.ndarray, message: str) -> None:
    np.savez(tmp_path / "x.npz", evaluation_x=values.reshape(2, 1, 1, 1), evaluation_y=np.arange(2))
    with pytest.raises(SourceError, match=message):
        read_npz(tmp_path / "x.npz")


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", ">i4", "uint32", "int64", "uint64"])
def test_integers_keep_their_type(tmp_path: Path, dtype: str) -> None:
    """As a model with an integer input takes them; read as floats elsewhere."""
    values = np.array([np.iinfo(dtype).max, 1], dtype).reshape(2, 1, 1, 1)
    np.savez(tmp_path / "x.npz", evaluation_x=values, evaluation_y=np.arange(2))
    made = prepare(Store(tmp_path / "store"), "mine", Dataset(kind="npz", path="x.npz"), tmp_path)
    stored = np.load(made.samples("evaluation").path)
    assert stored.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(stored, values)
    assert made.samples("evaluation").read().dtype == np.float32
