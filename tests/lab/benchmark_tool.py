"""TFLite's own benchmark_model, built in a root of Debian sid from the source package of tensorflow.

Debian builds the library of TFLite and not its tools. The files and flags are those of the tools' own CMakeLists.txt;
the library has neither XNNPACK nor delegates.
"""

from __future__ import annotations

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lab.roots import mirror, starting, unpack
from tests.lab.tiers import HERE, LabError, run

SUITE = "sid"
PACKAGES = [
    "g++", "xz-utils", "libtensorflow-lite-dev", "libeigen3-dev", "libabsl-dev", "libgemmlowp-dev", "libruy-dev",
    "libpthreadpool-dev",
]  # fmt: skip
LITE = "tensorflow/lite"
SOURCES = [
    *(f"{LITE}/tools/benchmark/{name}.cc" for name in (
        "benchmark_main", "benchmark_model", "benchmark_performance_options", "benchmark_tflite_model",
        "benchmark_utils", "profiling_listener", "register_custom_op",
    )),
    "tensorflow/tsl/util/stats_calculator.cc",
    f"{LITE}/kernels/internal/utils/sparsity_format_converter.cc",
    *(f"{LITE}/profiling/{name}.cc" for name in (
        "memory_info", "memory_usage_monitor", "profile_buffer", "profile_summarizer", "profile_summary_formatter",
        "root_profiler", "telemetry/profiler", "telemetry/telemetry", "time",
    )),
    *(f"{LITE}/tools/{name}.cc" for name in (
        "command_line_flags", "delegates/default_execution_provider", "delegates/delegate_provider",
        "evaluation/utils", "model_loader", "tool_params", "utils",
    )),
]  # fmt: skip
#: What the sources include from the tree itself.
TREE = [LITE, "tensorflow/core/platform", "tensorflow/core/util", "tensorflow/tsl", "third_party/eigen3"]
COMPILE = [
    "g++", "-std=c++17", "-O2", "-include", "cstdint", "-DTFLITE_WITHOUT_XNNPACK", "-I.",
    "-I/usr/include/gemmlowp/public", "-I/usr/include/gemmlowp", "-I/usr/include/eigen3", "-c",
]  # fmt: skip
#: Where the phone finds it.
PLACE = "/opt/tflite"
#: The tool with the libraries and the loader of the system that it was built on.
STARTED = (f"{PLACE}/lib/ld-linux-x86-64.so.2", "--library-path", f"{PLACE}/lib", f"{PLACE}/lib/benchmark_model")


def make_tool(folder: Path) -> None:
    """The tool with the libraries that it loads, and a program that starts it with them. Raises LabError."""
    root = unpack(SUITE, "amd64", PACKAGES, folder / "root")
    tree = fetch_source(root)
    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(lambda source: compiled(root, tree, source), SOURCES))
    inside(root, tree, "g++", "-s", "-o", "/benchmark_model", *objects,
           "-Wl,--copy-dt-needed-entries", "-ltensorflow-lite")  # fmt: skip
    (folder / "lib").mkdir()
    for library in re.findall(r"(/\S+) \(0x", inside(root, tree, "ldd", "/benchmark_model")):
        shutil.copy(root / library.lstrip("/"), folder / "lib" / Path(library).name)
    shutil.copy(root / "benchmark_model", folder / "lib")
    shutil.copy(HERE / "launcher.c", root / "launcher.c")
    inside(root, "/", "g++", "-x", "c", "-static", starting(*STARTED), "-o", "/launcher", "/launcher.c")
    shutil.copy(root / "launcher", folder / "benchmark_model")
    shutil.rmtree(root)


def fetch_source(root: Path) -> str:
    """Unpack what is needed of the source package; gives back its folder inside the root. Raises LabError."""
    if not (sites := mirror()):
        raise LabError("needs a Debian whose apt knows a mirror")
    (root / "etc/apt/sources.list").write_text(f"deb-src {sites[0]} {SUITE} main\n")
    (root / "src").mkdir()
    # A mirror may hold an older sid; its signature is checked all the same.
    inside(root, "/src", "apt-get", "-qq", "-o", "Acquire::Check-Valid-Until=false", "update")
    inside(root, "/src", "apt-get", "-qq", "source", "--tar-only", "tensorflow")
    archive = next((root / "src").glob("tensorflow_*.orig.tar.xz")).name
    parts = [f"*/{part}/*" for part in TREE]
    inside(root, "/src", "tar", "--extract", "--strip-components=1", "--file", archive, "--wildcards", *parts)
    return "/src"


def compiled(root: Path, tree: str, source: str) -> str:
    """Compile one file; gives back its object. Raises LabError."""
    target = f"/{source.replace('/', '_')}.o"
    inside(root, tree, *COMPILE, source, "-o", target)
    return target


def inside(root: Path, folder: str, *command: str) -> str:
    """Run a command in a folder of the root; gives back what it said. Raises LabError."""
    return run("chroot", str(root), "/usr/bin/env", f"--chdir={folder}", *command)
