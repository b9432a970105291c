"""What LiteRT's CompiledModel writes to standard error: which adapter it computes on, what that takes, and why it refuses."""

from __future__ import annotations

import re

#: A line begins so, with its level: of LiteRT's own log, or of absl's.
_LINE = re.compile(r"^(?:(INFO|WARNING|ERROR): (?:\[\S+:\d+\] )?|([IWEF])\d{4} [^\]]*\] )")
_ADAPTER = re.compile(r"Selected adapter: (.+)")
_SHARE = re.compile(
    r"(\d+|No) operations will run on the GPU, and (?:the remaining|all) (\d+) operations will run on the CPU"
)
_UNSUPPORTED = "Following operations are not supported by"
#: How an adapter is called that is a program on the processor.
_SOFTWARE = "adapterType=CPU"
#: What follows an error is of use to LiteRT's authors alone.
_TRACE = "=== Source Location Trace"
_LONGEST = 300


def adapter(log: str) -> str:
    """The graphics adapter that was chosen, as the log calls it; empty where it names none."""
    found = _ADAPTER.search(log)
    return found[1].strip() if found else ""


def is_software(name: str) -> bool:
    """Whether an adapter computes on the processor, in place of a GPU."""
    return _SOFTWARE in name


def has_float16(name: str) -> bool:
    """Whether a software adapter computes in float16 where it is let to: SwiftShader goes on in float32 and does not say so."""
    return "SwiftShader" not in name


def share(log: str) -> tuple[int, int, str] | None:
    """How many ops of the first graph the GPU takes and how many are left, with the line that says so; None without one."""
    found = _SHARE.search(log)
    return (0 if found[1] == "No" else int(found[1]), int(found[2]), found[0]) if found else None


def reason(error: str, log: str) -> str:
    """Why a file was refused, in the runtime's own words on one line: ``error`` is its exception's message."""
    own = [line.removeprefix("└ ").strip() for line in error.splitlines() if line.strip()]
    summary = next((line for line in reversed(own) if not line.startswith("ERROR: [")), "").partition(". ")[0]
    problems = _problems(log, "E") or _problems(log, "W")
    listed = next((each for each in problems if each.startswith(_UNSUPPORTED)), None)
    if listed:
        ops = listed.splitlines()[1:]
        counted = share(log)
        details = [*ops[:1], *([counted[2]] if counted else [])]
    else:
        details = [" ".join(each.partition(_TRACE)[0].split()) for each in problems[:1]]
    words = [part.strip().rstrip(".")[:_LONGEST] for part in (summary, *details) if part.strip()]
    return ": ".join(words) or "it gives no reason"


def _problems(log: str, level: str) -> list[str]:
    """What a log has of a level, ``E`` or ``W``, each with the lines that belong to it."""
    found: list[str] = []
    wanted = False
    for line in log.splitlines():
        begins = _LINE.match(line)
        if begins:
            wanted = (begins[1] or begins[2]).startswith(level)
            if wanted:
                found.append(line[begins.end() :])
        elif wanted:
            found[-1] += f"\n{line}"
    return found
