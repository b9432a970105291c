"""The store: all of an entry or nothing, whoever dies and whoever else makes the same one."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from edgeworthy.errors import StoreError
from edgeworthy.storage import Store, read_json, write_atomically, write_json

FILES = 20
#: Makes entries e0, e1, ... of FILES files each, as fast as it can, until it is killed.
MAKER = f"""
import sys
from pathlib import Path
from edgeworthy.storage import Store
store = Store(Path(sys.argv[1]))
for number in range(10**6):
    with store.create("things", f"e{{number}}") as folder:
        for index in range({FILES}):
            (folder / f"{{index}}.bin").write_bytes(bytes([index]) * 5000)
    print(number, flush=True)
"""
REWRITER = """
import sys
from pathlib import Path
from edgeworthy.storage import write_atomically
for number in range(10**6):
    write_atomically(Path(sys.argv[1]), bytes([number % 256]) * 100_000)
    print(number, flush=True)
"""


def killed_after(program: str, argument: Path, seconds: float) -> None:
    """Run a program until it has begun its work, and SIGKILL it so much later."""
    process = subprocess.Popen([sys.executable, "-c", program, str(argument)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_a_killed_maker_leaves_whole_entries_only(tmp_path: Path) -> None:
    """After SIGKILL at any moment every entry that can be found has all of its files, whole."""
    for attempt in range(5):
        killed_after(MAKER, tmp_path, 0.01 + 0.013 * attempt)
        entries = [store_entry for store_entry in (tmp_path / "things").iterdir() if store_entry.is_dir()]
        assert entries
        for entry in entries:
            assert sorted(int(file.stem) for file in entry.glob("*.bin")) == list(range(FILES))
            assert all(file.read_bytes() == bytes([int(file.stem)]) * 5000 for file in entry.glob("*.bin"))


def test_a_reader_never_sees_half_an_entry(tmp_path: Path) -> None:
    """While another process makes entries, whatever find() returns is whole."""
    store = Store(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", MAKER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        try:
            for number in range(200):
                while (found := store.find("things", f"e{number}")) is None:
                    pass
                assert len(list(found.glob("*.bin"))) == FILES
        finally:
            process.kill()
            process.wait()


def test_a_killed_writer_leaves_the_old_or_the_new_file(tmp_path: Path) -> None:
    """A file that is written over and over is whole after every kill."""
    path = tmp_path / "file"
    for attempt in range(5):
        killed_after(REWRITER, path, 0.01 + 0.007 * attempt)
        content = path.read_bytes()
        assert len(content) == 100_000
        assert len(set(content)) == 1


def test_concurrent_makers_of_one_key_agree(tmp_path: Path) -> None:
    """Two makers of the same entry both succeed; the entry of the first stays, and nothing is left over."""
    store = Store(tmp_path)
    with store.create("things", "same") as first, store.create("things", "same") as second:
        (first / "who").write_text("first")
        (second / "who").write_text("second")
    found = store.find("things", "same")
    assert found is not None
    assert (found / "who").read_text() == "second"  # the inner block ended first
    assert not list((tmp_path / "scratch").iterdir())


def test_a_failed_maker_leaves_nothing(tmp_path: Path) -> None:
    """An exception in the block: no entry, no leftover."""
    store = Store(tmp_path)

    def make() -> None:
        with store.create("things", "half") as folder:
            (folder / "file").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        make()
    assert store.find("things", "half") is None
    assert not list((tmp_path / "scratch").iterdir())


def test_lock_is_exclusive(tmp_path: Path) -> None:
    """Whoever holds a name's lock makes its entry alone; another name is free, and an exception lets go of it."""
    holder = (
        "import sys, time\nfrom pathlib import Path\nfrom edgeworthy.storage import Store\n"
        "with Store(Path(sys.argv[1])).lock('name'):\n    print('held', flush=True)\n    time.sleep(0.5)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", holder, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "held\n"
        store, begun = Store(tmp_path), time.monotonic()
        with store.lock("other"):
            assert time.monotonic() - begun < 0.3
        with contextlib.suppress(ZeroDivisionError), store.lock("name"):
            assert time.monotonic() - begun > 0.3
            raise ZeroDivisionError
        with store.lock("name"):
            process.wait()


def entry(store: Store, key: str, size: int, age_s: float, kind: str = "things") -> Path:
    """An entry of that size, last used so long ago."""
    with store.create(kind, key) as folder:
        (folder / "file").write_bytes(bytes(size))
    path = store.root / kind / key
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_prune_removes_the_least_recently_used(tmp_path: Path) -> None:
    """Down to the size, the oldest first; find() counts as use."""
    store = Store(tmp_path)
    old, older, oldest = (entry(store, key, 10_000, age) for key, age in (("a", 5e3), ("b", 6e3), ("c", 7e3)))
    assert store.find("things", "c") == oldest
    assert 10_000 < store.prune(21_000) < 11_000  # a file, and the list of files
    assert [old.exists(), older.exists(), oldest.exists()] == [True, False, True]


def test_prune_keeps_what_may_be_in_use(tmp_path: Path) -> None:
    """What was used within the hour stays, whatever the size asked for."""
    store = Store(tmp_path)
    fresh = entry(store, "fresh", 1000, age_s=10)
    assert store.prune(0) == 0
    assert fresh.exists()


def test_prune_removes_what_killed_runs_left(tmp_path: Path) -> None:
    """Old scratch folders go even where there is space enough; a running maker's stays."""
    store = Store(tmp_path)
    kept = entry(store, "kept", 1000, age_s=1e6)
    for name, age in (("dead", 1e5), ("alive", 1)):
        folder = tmp_path / "scratch" / name
        folder.mkdir()
        (folder / "half").write_bytes(bytes(500))
        os.utime(folder, (time.time() - age,) * 2)
    assert store.prune(10**9) == 500
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["alive"]
    assert kept.exists()


def test_prune_may_run_twice_at_once(tmp_path: Path) -> None:
    """An entry that another run pruned meanwhile is no error."""
    store = Store(tmp_path)
    for number in range(50):
        entry(store, f"e{number}", 100, age_s=1e5)
    program = "import sys\nfrom pathlib import Path\nfrom edgeworthy.storage import Store\nStore(Path(sys.argv[1])).prune(0)\n"
    both = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert not list((tmp_path / "things").iterdir())


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_unreadable_json_names_the_file(tmp_path: Path, content: bytes) -> None:
    """A damaged file of the store is a StoreError that says what to do."""
    path = tmp_path / "facts.json"
    write_atomically(path, content)
    with pytest.raises(StoreError, match=r"facts\.json: cannot be read") as raised:
        read_json(path)
    assert "made again" in raised.value.hint


def test_json_roundtrip(tmp_path: Path) -> None:
    """What write_json writes, read_json reads; nothing else is left in the folder."""
    write_json(tmp_path / "facts.json", {"a": [1, None, "ü"]})
    assert read_json(tmp_path / "facts.json") == {"a": [1, None, "ü"]}
    assert [path.name for path in tmp_path.iterdir()] == ["facts.json"]


def test_unusable_root_is_a_store_error(tmp_path: Path) -> None:
    """A store below a file."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "file" / "store")


def entry_of(root: Path) -> Path:
    """An entry with two files, made by an earlier run."""
    with Store(root).create("things", "key") as folder:
        (folder / "x.npy").write_bytes(b"1" * 100_000)
        (folder / "facts.json").write_text("{}")
    return root / "things" / "key"


def damaged(file: Path, how: str) -> None:
    """As a disk, a full disk or a person damages a file; size and times as before where that can be."""
    times = file.stat()
    if how == "missing":
        file.unlink()
    elif how == "cut off":
        os.truncate(file, 5_000)
    else:
        with file.open("r+b") as stream:
            stream.seek(50_000)
            stream.write(bytes(100))
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("how", ["zeroed range", "cut off", "missing", "list"])
def test_damaged_entry_is_found_and_made_again(tmp_path: Path, how: str) -> None:
    """Bytes that were changed in place, also with the time of before; a file that is cut off or gone; a broken list."""
    entry = entry_of(tmp_path)
    assert Store(tmp_path).find("things", "key") == entry
    if how == "list":
        (entry / ".entry.json").write_bytes(b"\xff[")
    else:
        damaged(entry / "x.npy", how)
    assert Store(tmp_path).find("things", "key") is None
    assert entry_of(tmp_path) == Store(tmp_path).find("things", "key")
    assert (entry / "x.npy").read_bytes() == b"1" * 100_000


def test_copied_store_is_verified_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All files of a copy have new stamps: they are read once, and not again by later runs."""
    entry_of(tmp_path / "old")
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    monkeypatch.setattr("edgeworthy.store_entry.YOUNG_NS", 0)
    assert Store(tmp_path / "new").find("things", "key")
    monkeypatch.setattr("edgeworthy.store_entry._sha256", lambda path: pytest.fail(f"{path} was read again"))
    assert Store(tmp_path / "new").find("things", "key")


def test_damaged_entry_that_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only store: the folder to delete is in the hint."""
    entry = entry_of(tmp_path)
    damaged(entry / "x.npy", "cut off")
    refusal = OSError(errno.EROFS, "Read-only file system")
    monkeypatch.setattr(Path, "rename", lambda self, to: (_ for _ in ()).throw(refusal))
    with pytest.raises(
        StoreError, match=rf"{entry}: a damaged entry .*x.npy was changed.*\nHint: delete the folder {entry}"
    ):
        Store(tmp_path).find("things", "key")
