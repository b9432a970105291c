"""A phone with one backend: artifacts are run and timed by TFLite's stock benchmark_model."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgeworthy.config import LatencyPlan
from edgeworthy.datasets.samples import Samples
from edgeworthy.device_schema import Abi, AnyAndroidBackend
from edgeworthy.errors import (
    InputMismatch,
    ToolUnusable,
)
from edgeworthy.records import Artifact, Conditions, Delegation, Outputs, Timing
from edgeworthy.runners.python_runner.interleaving import alternating
from edgeworthy.runtimes import RUNTIMES, Runtime
from edgeworthy.targets.android import shards, telemetry
from edgeworthy.targets.android.benchmark_tool import BenchmarkTool, install
from edgeworthy.targets.android.command import ONE_SHOT, PROFILE, command, profile_flags, timing_flags
from edgeworthy.targets.android.evidence import check_ran, delegation, partial_delegation
from edgeworthy.targets.android.graph import read_graph
from edgeworthy.targets.android.op_profile import nodes_left, parse_profile
from edgeworthy.targets.android.processes import Processes, Ran, Side
from edgeworthy.targets.android.result_file import with_results
from edgeworthy.targets.android.running import Prepared, Running
from edgeworthy.targets.android.timings import averages_ns, timed_run, timing_of
from edgeworthy.targets.android.transcript import Transcript, parse
from edgeworthy.targets.base import InterleavedBlock, Job, fingerprint
from edgeworthy.targets.base import Side as TimedSide
from edgeworthy.targets.device_files import DeviceFiles
from edgeworthy.targets.device_jobs import once_more
from edgeworthy.targets.links.base import Link
from edgeworthy.targets.links.patience import at_first_contact, patiently
from edgeworthy.targets.runner_target import INTERLEAVED_PLAN
from edgeworthy.temporary import temporary_folder
from edgeworthy.tensors import length_of

if TYPE_CHECKING:
    import pandas as pd

Tell = Callable[[str], None]
#: A tool has 5 to 10 MB, and there is one for each build that was tried.
TOOLS_BYTES = 200_000_000
#: A profile is of so many inferences.
PROFILE_PLAN = LatencyPlan(loads=3, samples_per_load=10, min_load_ms=0, warmup=2)


class AndroidTarget:
    """Runs LiteRT artifacts on a phone, in new processes of benchmark_model that survive a lost connection."""

    def __init__(
        self,
        device: str,
        backend_name: str,
        backend: AnyAndroidBackend,
        link: Link,
        *,
        work_folder: str,
        tool: str | Mapping[Abi, Path],
        abi: str | None = None,
        tell: Tell = lambda said: None,
    ) -> None:
        """``tool`` is the tool's path on the phone, or files here by ABI; ``abi`` is asked of the phone where not given."""
        self.device = device
        self.name = f"{device}:{backend_name}"
        self.backend = backend
        self.link = link
        # Apart, so that many samples never push out the tool or the model that they are for.
        self.tools = DeviceFiles(link, f"{work_folder}/tools", TOOLS_BYTES)
        self.models = DeviceFiles(link, f"{work_folder}/models")
        self.samples = DeviceFiles(link, f"{work_folder}/samples")
        self.processes = Processes(link, work_folder)
        self.tell = tell
        self._given_tool, self._given_abi = tool, abi
        self._identity: dict[str, str] | None = None
        self._tool: BenchmarkTool | None = None

    # -- what it is -------------------------------------------------------------------------------------------

    def identity(self) -> dict[str, str]:
        """The phone and this backend's options. Raises what the link does."""
        if self._identity is None:
            self._identity = at_first_contact(lambda: telemetry.identity(self.link))
        options = self.backend.model_dump(exclude={"min_delegated_percent"})
        return {**self._identity, **{name: str(value) for name, value in options.items()}}

    def governor(self) -> str:
        """The frequency governor of the phone's first core, or ``unknown``."""
        return telemetry.governor(self.link)

    def version_of(self, runtime: Runtime) -> str:
        """The tool's sha256, for the version of the runtime that is linked into it."""
        return f"{runtime} benchmark_model {self.tool().sha256[:12]}"

    def state(self) -> dict[str, float]:
        """Charge, temperature, throttling, load, screen, memory; a link that is down for a while is waited for."""
        return patiently(lambda: telemetry.state(self.link))

    def tool(self) -> BenchmarkTool:
        """The tool, pushed and tried on first use. Raises ToolUnusable."""
        if self._tool is None:
            abi = self._given_abi or self.identity()["abi"]
            self._tool = patiently(lambda: install(self.link, self.tools, self._given_tool, abi))
        return self._tool

    @property
    def pushed_bytes(self) -> int:
        """What went to the phone since this was made."""
        return sum(files.pushed_bytes for files in (self.tools, self.models, self.samples))

    def close(self) -> None:
        """End the connection."""
        self.link.close()

    # -- answers ----------------------------------------------------------------------------------------------

    def outputs(self, job: Job) -> Outputs:
        """Every sample's dequantized output. Raises TargetError."""
        return once_more(lambda: self._outputs(job))

    def _outputs(self, job: Job) -> Outputs:
        start, before = time.monotonic(), self.state()
        end = start + job.timeout_s
        if length_of(job.inputs.inputs) and not job.artifact.state:
            raise InputMismatch(
                f"{self.name}: the model keeps its state inside, and benchmark_model gives every inference of a process the same"
                " values: no sequence can be run there",
                hint="judge its outputs on the host or on a board; a phone times its steps: -k latency",
            )
        with shards.single_steps(job.inputs) as samples, temporary_folder() as folder:
            model = self._prepare(job.artifact, samples)
            answering = time.monotonic()
            words = [*command(self.tool().path, self.backend), *ONE_SHOT]
            running = Running(model, job, words, self.processes, self.samples, self._check, self.tell, end)
            found = running.outputs(samples, folder)
        now = time.monotonic()
        conditions = self._conditions(before, {})
        seconds = now - answering, time.monotonic() - start
        return Outputs(found.values, found.batch, *seconds, conditions, found.shapes, found.sizes)

    # -- times ------------------------------------------------------------------------------------------------

    def timing(self, job: Job, plan: LatencyPlan) -> Timing:
        """One process for each load: its load, first inference and the averages that the tool prints. Raises TargetError."""
        return once_more(lambda: self._timing(job, plan))

    def _timing(self, job: Job, plan: LatencyPlan) -> Timing:
        start, before = time.monotonic(), self.state()
        with shards.single_steps(job.inputs) as samples:
            model = self._prepare(job.artifact, samples)
            side = self._side(model, samples)
        ran = self.processes.interleaved(self._words(plan), [0] * plan.loads, (side, side), job.timeout_s)
        said = self._timed(model, ran)
        taken = self._delegation(model, side, said[-1], job.timeout_s)
        conditions = self._conditions(before, ran.during)
        return timing_of(said, taken, time.monotonic() - start, conditions)

    def interleaved(
        self, baseline: TimedSide, candidate: TimedSide, inputs: Samples, rounds: int, timeout_s: float
    ) -> InterleavedBlock:
        """Interleaved new processes of the two; which goes first alternates.

        Medians, or means where the tool prints no more. Raises TargetError.
        """
        if baseline.injected_delay_ns or candidate.injected_delay_ns:
            raise ToolUnusable(
                f"{self.name}: benchmark_model runs nothing but the model, so that no slowdown can be seeded",
                hint="study the noise on the host or on a board",
            )
        with shards.single_steps(inputs) as samples:
            models = [self._prepare(side.artifact, samples) for side in (baseline, candidate)]
            sides = (self._side(models[0], samples), self._side(models[1], samples))
        order = [side for _, side in alternating(rounds)]
        words = self._words(LatencyPlan(**INTERLEAVED_PLAN))
        ran = once_more(lambda: self.processes.interleaved(words, order, sides, timeout_s))
        said = self._timed(models[order[len(ran.said) - 1]] if ran.said else models[0], ran)
        numbers, _ = averages_ns([timed_run(one) for one in said])
        medians = np.zeros((2, rounds), np.int64)
        for side in (0, 1):
            medians[side] = numbers[np.array(order) == side]
        return InterleavedBlock(medians, ran.during)

    def _words(self, plan: LatencyPlan) -> list[str]:
        tool = self.tool()
        return [*command(tool.path, self.backend), *timing_flags(plan, tool.writes_result)]

    def _timed(self, model: Prepared, ran: Ran) -> list[Transcript]:
        """What the processes said and, where the tool can, wrote. Raises TargetError."""
        said = self._check(model, ran)
        if not self.tool().writes_result:
            return said
        return with_results(said, ran.results, lambda words: self.tell(f"{model.where}: {words}"))

    def profile(self, job: Job) -> pd.DataFrame:
        """The time of every node, in the order in which they run (columns: op_times.COLUMNS). Raises TargetError."""

        def profiled() -> pd.DataFrame:
            with shards.single_steps(job.inputs) as samples:
                model = self._prepare(job.artifact, samples)
                return self._profile(model, self._side(model, samples), job.timeout_s)

        return once_more(profiled)

    def _profile(self, model: Prepared, side: Side, timeout_s: float) -> pd.DataFrame:
        words = [
            *command(self.tool().path, self.backend),
            *timing_flags(PROFILE_PLAN),
            *profile_flags(self.backend),
        ]
        ran = self.processes.interleaved(words, [0], (side, side), timeout_s, fetch=PROFILE)
        self._check(model, ran)
        return parse_profile(ran.fetched.decode(errors="replace"))

    def _delegation(self, model: Prepared, side: Side, said: Transcript, timeout_s: float) -> Delegation:
        nodes = model.graph.nodes
        return delegation(self.backend, said, nodes) or partial_delegation(
            self.backend, said, nodes, nodes_left(self._profile(model, side, timeout_s))
        )

    # -- what is common ---------------------------------------------------------------------------------------

    def _conditions(self, before: dict[str, float], during: dict[str, float]) -> Conditions:
        """What was measured is not lost for a link that breaks just afterwards."""
        return Conditions(patiently(lambda: fingerprint(self, RUNTIMES["litert"])), before, self.state(), during=during)

    def _prepare(self, artifact: Artifact, samples: Samples) -> Prepared:
        name = f"{artifact.path.name} ({artifact.recipe})"
        graph = read_graph(artifact.path)
        if not graph.outputs:
            raise InputMismatch(f"{name}: the model has no output", hint="export the model with an output")
        fed = tuple(graph.fed(name, samples.inputs, artifact.inputs))
        for each in fed:
            shards.check_shape(name, each, samples, artifact.layout)
        self.tool()
        wanted, back = tuple(graph.wanted(artifact.outputs)), graph.given_back(name, fed, artifact.state)
        return Prepared(artifact, graph, fed, wanted, back, self.models.put(artifact.path), f"{self.name}: {name}")

    def _side(self, model: Prepared, samples: Samples) -> Side:
        with temporary_folder() as folder:
            files = shards.write_sample(samples, model.fed, model.artifact.layout, folder)
            shapes = tuple(shards.timed_shape(samples, each, model.artifact.layout) for each in model.fed)
            return Side(model.remote, shapes, tuple(self.samples.put(file) for file in files))

    def _check(self, model: Prepared, ran: Ran) -> list[Transcript]:
        """What the processes said, all of which ran on the backend. Raises TargetError."""
        said = [parse(text) for text in ran.said]
        if not said:
            raise ToolUnusable(f"{model.where}: benchmark_model left no output", hint="run it again")
        for index, one in enumerate(said):
            check_ran(model.where, self.backend, one, ran.status if index == len(said) - 1 else 0)
        return said
