"""Small Debian roots: unpacked, not configured, since nothing in them needs to start by itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab.tiers import HERE, LabError, run

QEMU = "qemu-aarch64-static"
#: The stand-in of benchmark_model, as the phone starts it: isolated, and without leaving byte code.
STAND_IN = ("/usr/bin/python3", "-IB", "/lab/benchmark_model.py")
BINFMT = Path("/proc/sys/fs/binfmt_misc")


def make_phone(folder: Path) -> None:
    """Trixie's adbd with Android's own shell and tool family, and LiteRT for the stand-in of benchmark_model."""
    root = unpack("trixie", "amd64", ["adbd", "mksh", "toybox", "python3", "util-linux"], folder / "root")
    (root / "usr/bin/sh").unlink()
    (root / "usr/bin/sh").symlink_to("mksh")
    for mount_point in ("data", "lab", "opt/tflite", "system/bin"):
        (root / mount_point).mkdir(parents=True)
    for tool in run("chroot", str(root), "/usr/bin/toybox").split():
        (root / "system/bin" / tool).symlink_to("/usr/bin/toybox")
    (root / "system/bin/sh").symlink_to("/usr/bin/mksh")
    add_user(root, "shell", 2000, "/")
    run("cc", "-shared", "-fPIC", "-o", str(root / "usr/lib/loopback_only.so"), str(HERE / "loopback_only.c"))
    run("cc", "-static", starting(*STAND_IN), "-o", str(folder / "benchmark_model"), str(HERE / "launcher.c"))
    add_python_packages(root, "x86_64", ["ai-edge-litert", "numpy"])
    run("chroot", str(root), "python3", "-m", "compileall", "-q", "-j2", "/usr/local/lib", "/usr/lib/python3")


def make_arm_board(folder: Path) -> None:
    """Bookworm for aarch64 with sshd and both runtimes."""
    packages = ["python3", "python3-pip", "python3-venv", "openssh-server"]
    root = unpack("bookworm", "arm64", packages, folder / "root")
    add_user(root, "sshd", 101, "/run/sshd")
    add_user(root, "pi", 1000, "/home/pi")
    for mount_point in ("home/pi", "run/sshd"):
        (root / mount_point).mkdir(parents=True)
    add_python_packages(root, "aarch64", ["ai-edge-litert", "onnxruntime", "numpy"])
    if sys.version_info[:2] == (3, 11):  # the byte code of bookworm's Python, made without emulation
        run(sys.executable, "-m", "compileall", "-q", "-j2", "-s", str(root), "-p", "/", str(root / "usr"))


def starting(*command: str) -> str:
    """The compiler's option that makes launcher.c start the command."""
    return "-DCOMMAND=" + ",".join(f'"{word}"' for word in command)


def unpack(suite: str, architecture: str, packages: list[str], root: Path) -> Path:
    """Debian's minimal base and ``packages`` with what they depend on. Raises LabError."""
    run("debootstrap", "--foreign", "--variant=minbase", f"--arch={architecture}",
        f"--include={','.join(packages)}", suite, str(root), *mirror())  # fmt: skip
    for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        _extract(package, root)
        package.unlink()
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / f"etc/{name}")
    if (root / "proc").is_symlink():  # debootstrap's way in a container: it would lead out to this machine's own
        (root / "proc").unlink()
        (root / "proc").mkdir()
    shutil.rmtree(root / "debootstrap")
    return root


def _extract(package: Path, root: Path) -> None:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as archive:
        # /bin and /lib are links into /usr; they must stay links.
        tar = ["tar", "--extract", "--keep-directory-symlink", "--directory", str(root)]
        done = subprocess.run(tar, stdin=archive.stdout, capture_output=True, text=True, check=False)
    if done.returncode or archive.returncode:
        raise LabError(f"{package.name} could not be unpacked: {done.stderr[-300:]}")


def mirror() -> list[str]:
    """The mirror that this machine's apt uses, where it is a Debian; else debootstrap's own."""
    if not shutil.which("apt-get"):
        return []
    listed = run("apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages")
    found = re.findall(r"^Debian (\S+/debian)/?$", listed, re.MULTILINE)
    return found[:1]


def add_user(root: Path, name: str, number: int, home: str) -> None:
    """An account with a shell, and a group of its own."""
    with (root / "etc/passwd").open("a") as accounts, (root / "etc/group").open("a") as groups:
        accounts.write(f"{name}:x:{number}:{number}::{home}:/bin/sh\n")
        groups.write(f"{name}:x:{number}:\n")


def add_python_packages(root: Path, machine: str, names: list[str]) -> None:
    """Wheels of ``names`` as constraints.txt pins them, for the root's own Python."""
    version = next((root / "usr/bin").glob("python3.*")).name.removeprefix("python")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--only-binary=:all:",
        f"--python-version={version}", f"--platform=manylinux_2_28_{machine}", f"--platform=manylinux_2_27_{machine}",
        f"--platform=manylinux2014_{machine}", f"--constraint={HERE.parents[1] / 'constraints.txt'}",
        f"--target={root}/usr/local/lib/python{version}/dist-packages", *names)  # fmt: skip


def register_qemu() -> None:
    """Let the kernel start aarch64 programs, in every root; lost with every restart of the machine. Raises LabError."""
    entry = BINFMT / "qemu-aarch64"
    if not (BINFMT / "register").exists():
        run("mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT))
    if entry.exists():
        return
    magic = r"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    mask = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
    try:
        # F opens the interpreter now, so that it need not be in the root.
        (BINFMT / "register").write_text(f":qemu-aarch64:M::{magic}:{mask}:{shutil.which(QEMU)}:F")
    except OSError as error:
        raise LabError(f"the kernel does not take {QEMU} for aarch64 programs: {error}") from error
