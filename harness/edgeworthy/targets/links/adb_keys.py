"""The RSA key by which a phone knows this machine, in the format and the place of Android's own tools."""

from __future__ import annotations

import base64
import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from adb_shell.auth.keygen import encode_pubkey, get_user_info, keygen
from adb_shell.auth.sign_pythonrsa import PythonRSASigner

from edgeworthy.errors import ConfigError


@dataclass(frozen=True)
class AdbKey:
    """A key pair; ``is_new`` where it was made just now, so that no phone can know it."""

    path: Path
    signer: PythonRSASigner
    is_new: bool


def load_key(path: Path) -> AdbKey:
    """The key at ``path``, made where it is missing. Raises ConfigError where the file is no key or cannot be made."""
    try:
        is_new = not path.exists() and _make(path)
        public = base64.b64encode(encode_pubkey(path)).decode() + get_user_info()
        return AdbKey(path, PythonRSASigner(public, path.read_text()), is_new)
    except OSError as error:
        raise ConfigError(
            f"{path}: the ADB key cannot be read or made ({error.strerror})",
            hint="give the device another 'key' in devices.yaml, or make the folder accessible",
        ) from error
    except Exception as error:  # whatever cryptography says of a file that is no RSA key
        raise ConfigError(
            f"{path}: is not an RSA private key without a password, as adb makes it ({error})",
            hint="move it away, and a new key is made in its place; or name another 'key' in devices.yaml",
        ) from error


def _make(path: Path) -> bool:
    """Make both files in a private folder and link them into place; False where another process was faster.

    adb-shell alone would leave a private key that everybody may read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".adbkey-") as folder:
        made = Path(folder) / "key"
        keygen(str(made))
        made.chmod(0o600)
        try:
            path.hardlink_to(made)
        except FileExistsError:
            return False
        with contextlib.suppress(FileExistsError):
            os.link(f"{made}.pub", f"{path}.pub")
    return True
