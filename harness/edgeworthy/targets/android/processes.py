"""Runs of the tool on the phone: each a new process, several of them one detached job that survives a lost connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgeworthy.errors import ToolUnusable
from edgeworthy.targets import telemetry_samples
from edgeworthy.targets.android.command import OUTPUTS, RESULT, SHAPES_FLAG, graph_flag, input_flags, model_flags
from edgeworthy.targets.android.telemetry import SAMPLE_SCRIPT, parse_thermal
from edgeworthy.targets.device_jobs import job_folder, run_detached
from edgeworthy.targets.links.base import Link
from edgeworthy.targets.links.patience import patiently
from edgeworthy.targets.links.reading import reading
from edgeworthy.temporary import temporary_folder

COMMAND_S = 60.0
#: The script's own status where a file could not be read or written on the phone.
STORAGE_FAILED = 125

# In turn, as the digits of $1 say; then the model and the sample of either side. The phone is looked at between two
# processes: asking it takes longer than asking a board, and would show in the times of the one that runs.
_INTERLEAVED = f"""
order=$1 inputs=$2 graph0=$3 shape0=$4 graph1=$5 shape1=$6; shift 6
for side in 0 1; do
  mkdir $side || exit 125
  for place in $inputs; do cat "$1" >$side/in$place.bin || exit 125; shift; done
done
run=0
for side in $order; do
  mv $side/in*.bin . || exit 125
  if [ $side = 0 ]; then graph=$graph0 shape=$shape0; else graph=$graph1 shape=$shape1; fi
  "$@" "$graph" "$shape" >said.$run 2>&1 || exit
  mv in*.bin $side
  if [ -f {RESULT} ]; then mv {RESULT} result.$run || exit 125; fi
  {{ {SAMPLE_SCRIPT}; echo '{telemetry_samples.MARK}'; }} >>{telemetry_samples.FILE} 2>/dev/null
  run=$((run+1))
done
"""
# $1 processes; with each of $2 a sequence begins. Then the file of each input, the bytes that a process takes of it, whether
# the next one takes those that follow (1) or the same (0), and from where on in what a process wrote the next one takes them
# within a sequence (-1: from nowhere). Their outputs are put together.
_OUTPUTS = f"""
batches=$1 begins=" $2 " inputs=$3 batch=0; shift 3
for place in $inputs; do
  eval "samples$place=\\$1 bytes$place=\\$2 step$place=\\$3 back$place=\\$4"; shift 4
done
: >outputs || exit 125
while [ $batch -lt $batches ]; do
  case $begins in *" $batch "*) goes_on=0;; *) goes_on=1;; esac
  for place in $inputs; do
    eval "samples=\\$samples$place bytes=\\$bytes$place step=\\$step$place back=\\$back$place"
    if [ $back -ge 0 ] && [ $goes_on = 1 ]; then
      tail -c +$((back+1)) {OUTPUTS} | head -c $bytes >in$place.bin || exit 125
    else
      dd if="$samples" of=in$place.bin bs=$bytes skip=$((batch*step)) count=1 2>/dev/null || exit 125
    fi
  done
  rm -f {OUTPUTS}
  "$@" >said.0 2>&1 || exit
  if [ -f {OUTPUTS} ]; then cat {OUTPUTS} >>outputs || exit 125; fi
  batch=$((batch+1))
done
"""
# $1 processes, one for each of the first lines of $2: the shapes of its inputs, and the bytes of each. Then the file of each
# input, and the bytes of the frame that every sample begins there. Of each process its outputs, after a line with their size.
_EACH = f"""
count=$1 plan=$2 inputs=$3 sample=0; shift 3
for place in $inputs; do eval "samples$place=\\$1 frame$place=\\$2"; shift 2; done
: >outputs || exit 125
while [ $sample -lt $count ] && read -r shapes sizes; do
  for place in $inputs; do
    eval "samples=\\$samples$place frame=\\$frame$place"
    dd if="$samples" of=frame.bin bs=$frame skip=$sample count=1 2>/dev/null || exit 125
    head -c "${{sizes%% *}}" frame.bin >in$place.bin || exit 125
    sizes=${{sizes#* }}
  done
  rm -f {OUTPUTS}
  "$@" "{SHAPES_FLAG}=$shapes" >said.0 2>&1 </dev/null || exit
  if [ -f {OUTPUTS} ]; then stat -c %s {OUTPUTS}; cat {OUTPUTS}; else echo 0; fi >>outputs || exit 125
  sample=$((sample+1))
done <"$plan"
"""
_SAID = f"""
cd "$1"; show() {{ if [ -f "$1" ]; then stat -c %s "$1"; cat "$1"; else echo 0; fi; }}
show {telemetry_samples.FILE}; run=0
while [ -f said.$run ]; do show said.$run; show result.$run; run=$((run+1)); done
"""


def _contents(shown: bytes) -> Iterator[bytes]:
    """The files of _SAID or the outputs of _EACH, each after a line with its size. Raises ValueError where a size is none."""
    while shown:
        size, _, shown = shown.partition(b"\n")
        yield shown[: int(size)]
        shown = shown[int(size) :]


@dataclass(frozen=True)
class Side:
    """A model on the phone, the shapes of its inputs, and files there that hold such inputs."""

    graph: str
    shapes: tuple[tuple[int, ...], ...]
    samples: tuple[str, ...]

    @property
    def places(self) -> str:
        """The places of the inputs, as the scripts take them."""
        return " ".join(str(place) for place in range(len(self.samples)))


@dataclass(frozen=True)
class Taken:
    """What a process takes of an input: so many bytes, others for each batch where it ``varies``.

    A state is taken ``back`` from what the last process wrote, beginning at that byte.
    """

    size_bytes: int
    varies: bool
    back: int = -1


@dataclass(frozen=True)
class Ran:
    """Processes one after the other, up to the first that failed: what each printed (for outputs: the last), the last one's exit
    status, the file that was wanted, where it is 0, and what was seen of the phone between them. ``results`` are the files
    that the tool wrote of each, empty where it wrote none."""

    said: tuple[str, ...]
    results: tuple[bytes, ...]
    status: int
    fetched: bytes
    during: dict[str, float]


class Processes:
    """Starts the tool in folders of its own below ``work_folder``."""

    def __init__(self, link: Link, work_folder: str) -> None:
        self.link = link
        self.work_folder = work_folder

    def interleaved(
        self, command: Sequence[str], order: Sequence[int], sides: tuple[Side, Side], timeout_s: float, fetch: str = ""
    ) -> Ran:
        """One process for each of ``order``, which names a side; then ``fetch`` a file of the folder. Raises DeviceError."""
        graphs = [word for side in sides for word in model_flags(side.graph, side.shapes)]
        files = [file for side in sides for file in side.samples]
        words = [" ".join(map(str, order)), sides[0].places, *graphs, *files]
        flags = input_flags(len(sides[0].samples))
        return self._run([_INTERLEAVED, "sh", *words, *command, *flags], timeout_s, fetch)

    def outputs(
        self,
        command: Sequence[str],
        side: Side,
        taken: Sequence[Taken],
        batches: int,
        timeout_s: float,
        begins: Sequence[int] = (),
    ) -> Ran:
        """One process for each of the first batches of ``side.samples``; fetches all outputs.

        ``begins`` are the batches that sequences begin with. Raises DeviceError.
        """
        given = zip(side.samples, taken, strict=True)
        words = [
            str(batches),
            " ".join(map(str, begins)),
            side.places,
            *(str(each) for file, of in given for each in (file, of.size_bytes, int(of.varies), of.back)),
        ]
        flags = [
            *model_flags(side.graph, side.shapes),
            *input_flags(len(side.samples)),
            f"--output_filepath={OUTPUTS}",
        ]
        return self._run([_OUTPUTS, "sh", *words, *command, *flags], timeout_s, "outputs")

    def each(
        self,
        command: Sequence[str],
        graph: str,
        files: Sequence[str],
        frames: Sequence[int],
        plan: str,
        count: int,
        timeout_s: float,
    ) -> tuple[Ran, list[bytes]]:
        """One process for each of the first ``count`` samples of different sizes, as ``plan`` says; and what each wrote.

        Raises DeviceError.
        """
        places = " ".join(str(place) for place in range(len(files)))
        given = (str(each) for pair in zip(files, frames, strict=True) for each in pair)
        flags = [graph_flag(graph), *input_flags(len(files)), f"--output_filepath={OUTPUTS}"]
        ran = self._run([_EACH, "sh", str(count), plan, places, *given, *command, *flags], timeout_s, "outputs")
        with reading(self.link.device, "'stat -c %s' and 'cat' of the outputs of single samples", ran.fetched[:200]):
            return ran, [*_contents(ran.fetched)]

    def _run(self, script: Sequence[str], timeout_s: float, fetch: str) -> Ran:
        with job_folder(self.link, self.work_folder) as folder:
            status = run_detached(self.link, ["sh", "-c", *script], folder, timeout_s).status
            telemetry, printed = self._printed(folder, status)
            fetched = self._fetched(f"{folder}/{fetch}") if fetch and status == 0 else b""
        said = tuple(each.decode(errors="replace") for each, _ in printed)
        during = telemetry_samples.parse_samples(telemetry.decode(errors="replace"), parse_thermal)
        return Ran(said, tuple(result for _, result in printed), status, fetched, during)

    def _printed(self, folder: str, status: int) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """The looks, then of each process what it said and the result that it wrote."""
        if status == STORAGE_FAILED:
            raise ToolUnusable(
                f"{self.link.device}: files in {folder} could not be read or written",
                hint="check the space left on the phone, and its work_folder",
            )
        shown = patiently(lambda: self.link.run(["sh", "-c", _SAID, "sh", folder], COMMAND_S)).stdout
        with reading(self.link.device, f"'stat -c %s' and 'cat' of what was printed in {folder}", shown):
            telemetry, *printed = _contents(shown)
            return telemetry, [*zip(printed[::2], printed[1::2], strict=True)]

    def _fetched(self, remote: str) -> bytes:
        with temporary_folder() as folder:
            local = folder / "fetched"
            patiently(lambda: self.link.pull(remote, local))
            return local.read_bytes()
