"""Files that a device keeps, each pushed once and named by the sha256 of its content.

Only POSIX sh and words that toybox and coreutils share are spoken, so that phones and boards are served alike.
"""

from __future__ import annotations

import contextlib
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeworthy.errors import CommandFailed, DeviceFull, LinkLost
from edgeworthy.storage import file_digest
from edgeworthy.targets.links.base import Done, Link
from edgeworthy.targets.links.patience import patiently

#: Files beyond this much are removed, the least recently used first.
KEPT_BYTES = 2_000_000_000
#: The last so many files that were asked for are never removed: a job needs several at a time.
IN_USE = 16
#: Left free on the device beside the file itself, for logs and answers.
SPARE_BYTES = 8_000_000
PUSHES = 3
COMMAND_S = 60.0
#: Hashing a large file on a small board takes a while.
HASH_S = 600.0

_SHA256 = '[ -f "$1" ] || exit 0; touch -c "$1"; sha256sum <"$1"'
_SIZE = '[ -f "$1" ] || exit 0; touch -c "$1"; stat -c %s "$1"'
# What keeps it from being written is said by the device itself, before a link would say no more than "failure".
_LIST = """
mkdir -p "$1" && cd "$1" && : >.writable && rm -f .writable && df -P -k . || exit 1
for file in *; do if [ -f "$file" ]; then stat -c 'file %Y %s %n' "$file"; fi; done
"""
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,12}")
_AVAILABLE_KB = re.compile(r"\s\d+\s+\d+\s+(\d+)\s+(?:\d+%|-)\s")
_KEPT = re.compile(r"^file (\d+) (\d+) (\S+)$", re.MULTILINE)


@dataclass(frozen=True, order=True)
class _Kept:
    used: int
    size: int
    name: str


class DeviceFiles:
    """The files in ``folder`` on the device; ``pushed_bytes`` counts what went over the link since this was made."""

    def __init__(self, link: Link, folder: str, max_bytes: int = KEPT_BYTES) -> None:
        self.link = link
        self.folder = folder
        self.max_bytes = max_bytes
        self.pushed_bytes = 0
        self._verified: set[str] = set()
        self._in_use: deque[str] = deque(maxlen=IN_USE)
        self._digests: dict[tuple[Path, int, int], str] = {}

    def put(self, local: Path, sha256: str | None = None) -> str:
        """The path of ``local`` on the device, pushed where it is not there yet and verified there.

        A push that broke is looked at after connecting again, and repeated. Raises DeviceError.
        """
        sha256 = sha256 or self._digest(local)
        name = sha256 + (local.suffix if _SUFFIX.fullmatch(local.suffix) else "")
        remote, size = f"{self.folder}/{name}", local.stat().st_size
        self._in_use.append(name)
        for _ in range(PUSHES):
            if patiently(lambda: self._holds(remote, sha256, size)):
                return remote
            with contextlib.suppress(LinkLost):
                self._push(local, remote, size)
        if patiently(lambda: self._holds(remote, sha256, size)):
            return remote
        raise CommandFailed(
            f"{self.link.device}: {local.name} arrived damaged in {remote}, {PUSHES} times",
            hint="check the cable or the network, and the device's storage",
        )

    def _digest(self, local: Path) -> str:
        stat = local.stat()
        key = (local.absolute(), stat.st_size, stat.st_mtime_ns)
        if key not in self._digests:
            self._digests[key] = file_digest(local)
        return self._digests[key]

    def _holds(self, remote: str, sha256: str, size: int) -> bool:
        """Whether the device has the file; its content is read once, later on only its size."""
        if remote in self._verified:
            return self._shell(_SIZE, remote).text == str(size)
        if self._shell(_SHA256, remote, timeout_s=HASH_S).text.split()[:1] != [sha256]:
            return False
        self._verified.add(remote)
        return True

    def _push(self, local: Path, remote: str, size: int) -> None:
        self._make_room(local.name, size)
        self._verified.discard(remote)
        self.pushed_bytes += size
        self.link.push(local, remote)

    def _make_room(self, name: str, size: int) -> None:
        """Remove what was not used for longest until the file fits. Raises DeviceFull, with nothing removed."""
        available, files = self._listed()
        kept = sum(file.size for file in files)
        removable = sorted(file for file in files if file.name not in self._in_use)
        doomed: list[str] = []
        while removable and (kept + size > self.max_bytes or available < size + SPARE_BYTES):
            file = removable.pop(0)
            doomed.append(f"{self.folder}/{file.name}")
            kept, available = kept - file.size, available + file.size
        if available < size + SPARE_BYTES:
            raise DeviceFull(
                f"{self.link.device}: no space in {self.folder}: {name} needs {(size + SPARE_BYTES) / 1e6:.0f} MB, "
                f"it has {available / 1e6:.0f} MB",
                hint="free some space on the device, or set another work_folder in devices.yaml",
            )
        if doomed:
            self._run(["rm", "-f", "--", *doomed])

    def _listed(self) -> tuple[int, list[_Kept]]:
        """Bytes available in the folder, which is made where it is missing, and the files in it."""
        said = self._shell(_LIST, self.folder).stdout.decode(errors="replace")
        found = _AVAILABLE_KB.search(said)
        if found is None:
            raise CommandFailed(
                f"{self.link.device}: 'df -P -k {self.folder}' printed what cannot be read: {said[:200]!r}",
                hint="check that the device has a df that knows -P and -k",
            )
        files = [_Kept(int(used), int(size), name) for used, size, name in _KEPT.findall(said)]
        return int(found[1]) * 1024, files

    def _shell(self, script: str, argument: str, timeout_s: float = COMMAND_S) -> Done:
        return self._run(["sh", "-c", script, "sh", argument], timeout_s)

    def _run(self, words: Sequence[str], timeout_s: float = COMMAND_S) -> Done:
        done = self.link.run(words, timeout_s)
        if done.status != 0:
            said = done.why
            raise CommandFailed(
                f"{self.link.device}: the folder {self.folder} cannot be used: {said}",
                hint="set work_folder in devices.yaml to a folder that its user may write in",
            )
        return done
