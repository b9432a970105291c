#!/usr/bin/python3
"""The lab's stand-in of benchmark_model with faults: what real builds lack, say or leave out, by the words of FAULTS.

``means``: no percentiles and no file of results, as 2.14. ``no_xnnpack``: a build without it. ``partial``, ``refused``: what
XNNPACK answers. ``silent``: the last lines are missing. ``no_result``, ``cut_result``, ``other_result``: the file of results
is missing, cut, or of another mean. A profile of ops, which the stand-in does not know, is written here: two kernels of
XNNPACK and the nodes in LEFT.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

STAND_IN = Path(__file__).parent / "lab" / "benchmark_model.py"
WHOLLY = "Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate."
FAULTS = {
    "means": (r" p5=\d+ median=\d+ p95=\d+|.*--result_file_path.*\n", ""),
    "no_xnnpack": (rf"INFO: {re.escape(WHOLLY)}", "WARN: Unconsumed cmdline flags: --use_xnnpack=true"),
    "partial": (r"completely executed by the delegate\.", "partially executed by the delegate w/ 2 delegate kernels."),
    "refused": (re.escape(WHOLLY), "Though XNNPACK delegate is explicitly applied, the model graph will not be executed by"
                " the delegate."),
    "silent": (r"INFO: Inference timings.*\n", ""),
}  # fmt: skip


def main() -> int:
    faults = [word for word in os.environ.get("FAULTS", "").split(",") if word]
    given = [word for word in sys.argv[1:] if "profiling" not in word]
    if not faults and given == sys.argv[1:]:
        os.execv(sys.executable, [sys.executable, str(STAND_IN), *given])
    if "partial" in faults and "--require_full_delegation=true" in given:
        print("ERROR: Disallowed CPU fallback detected.\nERROR: Benchmarking failed.")
        return 1
    done = subprocess.run(
        [sys.executable, str(STAND_IN), *given], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    said = done.stdout.decode()
    for fault in faults:
        said = re.sub(*FAULTS.get(fault, ("^$", "")), said)
    sys.stdout.write(said)
    for word in sys.argv[1:]:
        if word.startswith("--profiling_output_csv_file="):
            Path(word.partition("=")[2]).write_text(profile())
        if word.startswith("--result_file_path="):
            damage(Path(word.partition("=")[2]), faults)
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def damage(result: Path, faults: list[str]) -> None:
    whole = result.read_bytes()
    if "no_result" in faults:
        result.unlink()
    elif "cut_result" in faults:
        result.write_bytes(whole[: len(whole) // 2])
    elif "other_result" in faults:
        result.write_bytes(whole + b"\x12\x05\x0d\x00\x00\x80\x40")  # what comes last counts: a mean of 4 ms


def profile() -> str:
    kinds = [*["TfLiteXNNPackDelegate"] * 2, *os.environ.get("LEFT", "").split()]
    rows = "".join(f"{kind}, 0.004, 0.003, 10%, 10%, 0, 1, [x]:{index}\n" for index, kind in enumerate(kinds))
    return (
        "Operator-wise Profiling Info for Regular Benchmark Runs:\n"
        "============================== Run Order ==============================\n"
        f"node type, first, avg_ms, %, cdf%, mem KB, times called, name\n{rows}\nNumber of nodes executed: {len(kinds)}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
