"""What benchmark_model prints: read right, or not at all, whole, cut anywhere, or mixed with garbage."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from edgeworthy.errors import ToolUnusable
from edgeworthy.targets.android.op_profile import nodes_left, parse_profile
from edgeworthy.targets.android.transcript import Statistics, Transcript, parse
from edgeworthy.targets.op_times import COLUMNS
from hypothesis import given, settings
from hypothesis import strategies as st

GOLDEN = Path(__file__).parent.parent / "data" / "benchmark_model-2.14"
TRANSCRIPTS = {path.stem: path.read_text() for path in sorted(GOLDEN.glob("*.txt"))}
#: What each transcript's run was, in microseconds: count, first, mean.
RUNS = {
    "batch_values": (1, 2266, 2266), "constant_times": (3, 33, 31.6667), "delegate_not_built_in": (134582, 9, 7.25247),
    "float_default": (78, 2466, 2581.51), "op_profile": (5, 17, 10.6), "op_profile_csv": (5, 16, 10.8),
    "uint8_memory": (50, 21, 18.8), "unwritable_output": (1, 405, 405), "wrong_channels": (23325, 42, 42.5498),
}  # fmt: skip
#: Lines of newer builds, as their sources print them.
NEWER = """\
INFO: STARTING!
INFO: Loaded model m.tflite
INFO: NNAPI delegate created.
VERBOSE: Replacing 60 out of 64 node(s) with delegate (TfLiteNnapiDelegate) node, yielding 5 partitions for subgraph 0.
INFO: Explicitly applied NNAPI delegate, and the model graph will be partially executed by the delegate w/ 2 delegate kernels.
INFO: Initialized session in 92.318ms.
INFO: count=3 first=235158 curr=200386 min=199462 max=235158 avg=211669 std=16613 p5=199462 median=200386 p95=235158
INFO: count=25 first=187533 curr=140990 min=140071 max=195121 avg=145528 std=13583 p5=140545 median=141253 p95=187533
INFO: Inference timings in us: Init: 92318, First inference: 235158, Warmup (avg): 211669, Inference (avg): 145528
INFO: Memory footprint delta from the start of the tool (MB): init=54.2852 overall=73.4102
"""


def test_every_transcript_is_read_as_it_was_recorded():
    """The run's count, first and mean, which of one inference is its median; what failed has no run."""
    for name, text in TRANSCRIPTS.items():
        said = parse(text)
        if name in RUNS:
            count, first, mean = RUNS[name]
            only = first if count == 1 else None
            assert said.run == Statistics(count, first, mean, only, only), name
            assert said.finished
        else:
            assert (said.run, said.finished) == (None, False), name


def test_details_of_a_transcript():
    """Init, first inference, memory in bytes, and the lines that tell what went wrong."""
    said = parse(TRANSCRIPTS["uint8_memory"])
    assert said.init_us == 646
    assert said.warmup == Statistics(24279, 270, 20.4952, None, None)
    assert said.memory_growth_bytes == round(3.07812 * 2**20)
    assert parse(TRANSCRIPTS["short_value_file"]).line("FATAL") == (
        "FATAL: The size of short.bin is 100 bytes. It should be 4096 bytes."
    )
    assert parse(TRANSCRIPTS["delegate_not_built_in"]).line("Unconsumed").endswith("--use_nnapi=true")


def test_newer_builds_report_percentiles_and_nodes():
    """Median and p95; how many nodes became the delegate's, in how many kernels."""
    said = parse(NEWER)
    assert said.run == Statistics(25, 187533, 145528, 141253, 187533)
    assert [(one.name, one.wholly, one.kernels) for one in said.applied] == [("NNAPI", False, 2)]
    assert [(one.delegate, one.taken, one.total) for one in said.replaced] == [("TfLiteNnapiDelegate", 60, 64)]


def test_older_builds_print_no_levels():
    """And a constant time is printed shortly; it is its own median, with percentiles or without."""
    bare = NEWER.replace("INFO: ", "").replace("VERBOSE: ", "")
    assert parse(bare).run == parse(NEWER).run
    assert parse("count=3 curr=7(all same) p5=7 median=7 p95=7\n").warmup == Statistics(3, 7, 7, 7, 7)
    assert parse("count=3 curr=7(all same)\n").warmup == Statistics(3, 7, 7, 7, 7)
    assert parse("count=0 p5=0 median=0 p95=0\n").warmup == Statistics(0, 0, 0, 0, 0)


def agrees(part: Transcript, whole: Transcript) -> bool:
    """Whether all that was read of a part is what was read of the whole."""
    numbers = [(part.warmup, whole.warmup), (part.run, whole.run), (part.init_us, whole.init_us),
               (part.memory_growth_bytes, whole.memory_growth_bytes)]  # fmt: skip
    lists = [(part.applied, whole.applied), (part.replaced, whole.replaced), (part.lines, whole.lines)]
    return all(one in (None, other) for one, other in numbers) and all(one == other[: len(one)] for one, other in lists)


@pytest.mark.parametrize("name", [*TRANSCRIPTS, "newer"])
def test_every_truncation_is_read_right_or_not_at_all(name: str):
    """Cut after any character, a transcript gives fewer numbers, never other ones."""
    text = TRANSCRIPTS.get(name, NEWER)
    whole = parse(text)
    for end in range(len(text)):
        try:
            part = parse(text[:end])
        except ToolUnusable:
            continue
        assert agrees(part, whole), text[:end][-80:]


@settings(deadline=None)
@given(st.text() | st.binary().map(lambda raw: raw.decode(errors="replace")))
def test_garbage_is_read_as_nothing(text: str):
    """Anything may come down the line; numbers come from the tool's own lines only."""
    said = parse(text)
    assert (said.warmup, said.run, said.init_us) == (None, None, None)


@settings(deadline=None)
@given(st.sampled_from(sorted(TRANSCRIPTS)), st.integers(0, 2**32 - 1))
def test_lost_and_damaged_lines_never_make_another_number(name: str, seed: int):
    """Lines missing, twice, or with a digit changed: an error, or numbers that the transcript has."""
    randomness = random.Random(seed)
    lines = TRANSCRIPTS[name].split("\n")
    for _ in range(randomness.randint(1, 3)):
        index = randomness.randrange(len(lines))
        lines[index : index + 1] = randomness.choice([[], [lines[index]] * 2, [lines[index][::-1]]])
    try:
        said = parse("\n".join(lines))
    except ToolUnusable:
        return
    whole = parse(TRANSCRIPTS[name])
    assert not said.finished or (said.run, said.init_us) == (whole.run, whole.init_us)


NUMBERS = st.integers(0, 10**9)


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=2, max_size=20), st.booleans())
def test_statistics_roundtrip(times: list[int], percentiles: bool):
    """What a build prints of any times is what is read of them."""
    mean, ordered = sum(times) / len(times), sorted(times)
    if ordered[0] == ordered[-1]:
        line = f"count={len(times)} curr={times[-1]}(all same)"
    else:
        line = f"count={len(times)} first={times[0]} curr={times[-1]} min={ordered[0]} max={ordered[-1]} avg={mean:g} std=1"
    median, p95 = (ordered[len(times) * q // 100] for q in (50, 95))
    line += f" p5={ordered[0]} median={median} p95={p95}" * percentiles
    found = parse(f"INFO: {line}\n").warmup
    assert found is not None
    assert (found.count, found.first_us) == (len(times), times[0])
    assert math.isclose(found.mean_us, mean, rel_tol=1e-5)
    assert (found.median_us, found.p95_us) == (
        (median, p95) if percentiles or ordered[0] == ordered[-1] else (None, None)
    )


@pytest.mark.parametrize(
    "text",
    [
        "count=5 first=9 curr=9 min=10 max=20 avg=15 std=1\n",
        "count=5 first=11 curr=9 min=10 max=20 avg=25 std=1\n",
        "count=5 first=11 curr=9 min=10 max=20 avg=15 std=1 p5=10 median=19 p95=12\n",
        "count=0 curr=5\n",
        NEWER.replace("(avg): 145528", "(avg): 14552"),
        NEWER.replace("First inference: 235158", "First inference: 23515"),
        NEWER + "count=1 curr=5\n",
        "\n".join(line for line in NEWER.splitlines() if "count=" not in line) + "\n",
    ],
)
def test_contradictions_are_refused(text: str):
    """Numbers that cannot be those of the same inferences are no measurement."""
    with pytest.raises(ToolUnusable):
        parse(text)


def test_profile_is_read_as_it_was_recorded():
    """The nodes in the order in which they ran, initialization apart."""
    frame = parse_profile((GOLDEN / "op_profile.csv").read_text())
    assert list(frame.columns) == list(COLUMNS)
    inference = frame[frame["part"] == "inference"]
    assert inference["node_type"].tolist() == ["CONV_2D", "CONV_2D", "MEAN", "FULLY_CONNECTED"]
    assert inference["mean_ms"].tolist() == [0.0036, 0.0026, 0.0004, 0.0004]
    assert inference["name"].iloc[-1] == "[StatefulPartitionedCall_1:0]:3"
    assert frame[frame["part"] == "initialization"]["memory_kb"].tolist() == [128.0]
    assert nodes_left(frame) == 4


def test_delegates_nodes_are_not_left():
    """A delegate's node, and what it tells of its own work, are not the processor's."""
    text = (GOLDEN / "op_profile.csv").read_text().replace("MEAN,", "TfLiteGpuDelegateV2,")
    table = text[text.index("=" * 30) : text.index("=" * 30 + " Top")]
    own = "Delegate internal: \n" + table + "Number of nodes executed: 1\n"
    frame = parse_profile(text + own)
    assert nodes_left(frame) == 3
    assert (frame["part"] == "delegate").sum() == 1


def test_every_truncation_of_a_profile_is_refused_or_whole():
    """A table that was cut is never taken for a smaller graph."""
    text = (GOLDEN / "op_profile.csv").read_text()
    whole = parse_profile(text)
    for end in range(len(text)):
        try:
            part = parse_profile(text[:end])
        except ToolUnusable:
            continue
        assert part.equals(whole)


@settings(deadline=None)
@given(st.text())
def test_garbage_is_no_profile(text: str):
    """It is refused."""
    with pytest.raises(ToolUnusable):
        parse_profile(text)
