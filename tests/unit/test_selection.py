"""A choice is made from a run's numbers and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from edgeworthy.errors import ConfigError
from edgeworthy.reports.frames import RunFrames
from edgeworthy.reports.selection import choices

LIMITS = {"max_p50_ms": 1.0, "min_top1_percent": 90.0, "max_size_kb": 100.0}

JUDGED_BY = {"metric": "top1", "score": None}


def row(
    variant: str, p50: float | None, top1: float, kb: float, target: str = "phone:cpu", **more: Any
) -> dict[str, Any]:
    numbers = {"p50_ms": p50, "p50_ms_low": p50, "p50_ms_high": p50, "top1_percent": top1, "size_kb": kb}
    return {
        "model": "m",
        "variant": variant,
        "target": target,
        "status": "pass",
        "message": "why",
        **JUDGED_BY,
        **numbers,
        **more,
    }


def run(*rows: dict[str, Any]) -> RunFrames:
    return RunFrames(Path("results/one"), pd.DataFrame(rows), pd.DataFrame(), {})


def test_fastest_that_fits_is_first() -> None:
    """Size and accuracy are limits; among what keeps them latency orders. The canary is no candidate."""
    rows = [row("slow", 0.9, 99, 50), row("fast", 0.2, 95, 90), row("large", 0.1, 99, 101), row("canary", 0.1, 99, 9)]
    (choice,) = choices(run(*rows), "phone:cpu", LIMITS)
    assert [candidate.cell.variant for candidate in choice.fitting] == ["fast", "slow"]
    assert choice.fitting[0].numbers().startswith("p50 latency 0.2000 ms")


def test_nearest_breaks_its_worst_limit_least() -> None:
    """Twice too slow is nearer than three times too large, and both broken limits are told."""
    (choice,) = choices(run(row("a", 2.0, 89, 50), row("b", 0.5, 99, 300)), "phone:cpu", LIMITS)
    assert choice.fitting == []
    assert choice.nearest is not None
    assert choice.nearest.cell.variant == "a"
    assert "at most 1.0000 ms allowed" in choice.nearest.broken()
    assert "at least 90.00 % wanted" in choice.nearest.broken()


def test_unmeasured_variant_is_unknown() -> None:
    """Numbers of another target say nothing; neither does a cell that lacks one."""
    rows = [
        row("here", 0.5, 99, 50),
        row("there", 0.1, 99, 50, "host:cpu"),
        row("untimed", None, 99, 50, status="error"),
    ]
    (choice,) = choices(run(*rows), "phone:cpu", LIMITS)
    assert [candidate.cell.variant for candidate in choice.fitting] == ["here"]
    assert choice.unknown == {"there": "not measured on phone:cpu", "untimed": "error, without p50_ms: why"}


def test_failed_variant_is_not_chosen() -> None:
    """It may keep these limits and broke its own: it is named apart."""
    (choice,) = choices(run(row("red", 0.1, 99, 50, status="fail"), row("green", 0.5, 99, 50)), "phone:cpu", LIMITS)
    assert [candidate.cell.variant for candidate in choice.fitting] == ["green"]
    assert [candidate.cell.variant for candidate in choice.rejected] == ["red"]


@pytest.mark.parametrize(("target", "models"), [("phone:cpo", []), ("phone:cpu", ["n"])])
def test_unknown_name_suggests_the_nearest(target: str, models: list[str]) -> None:
    """A target or model that the run does not have is a mistake, not an empty answer."""
    with pytest.raises(ConfigError, match="nothing of that name was measured in the run one"):
        choices(run(row("a", 1, 99, 50)), target, LIMITS, models)
