"""The documentation says what is true: its examples run, and its tables are those of the code.

A fenced block with ``title="path"`` is a file of a user's repository; all such blocks below one ``##`` heading are one
example. ``title="output"`` is what running it must print: every line of it, ``...`` standing for anything.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
import yaml
from edgeworthy import (
    backend_schema,
    config,
    dataset_schema,
    device_schema,
    emulator_schema,
    model_schema,
    source_schema,
)
from edgeworthy.cli import TEMPLATES, app
from edgeworthy.diagnosis import diagnose, findings, proposal
from edgeworthy.history import database, trend
from edgeworthy.measurements import interleaved
from edgeworthy.metrics import METRICS
from edgeworthy.reports.frames import SAMPLE_COLUMNS
from edgeworthy.reports.rows import COLUMNS, STATUSES
from edgeworthy.runners.python_runner import outputs, timing
from edgeworthy.targets import device_files, op_times
from edgeworthy.targets.links import adb_session, adb_transport
from edgeworthy.tasks import corpus, text_decoders
from edgeworthy.tasks.decoders import finished, poses, ssd, ssd_anchors, yolo
from edgeworthy.tasks.own import OwnTask
from edgeworthy.tasks.table import TASKS
from edgeworthy.variants.artifacts import canary
from edgeworthy.variants.conversion import converters, onnx_models
from edgeworthy.variants.models import same_model
from edgeworthy.variants.recipes.registry import builtin_recipes
from edgeworthy.variants.training import distilling, fine_tuning
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from tests.commands import ended
from tests.integration.conftest import REPOSITORY, Project

DOCS = REPOSITORY / "docs"
PAGES = sorted([*REPOSITORY.glob("*.md"), *DOCS.glob("*.md"), REPOSITORY / "results" / "README.md"])
BLOCK = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
#: Heading in docs/configuration.md -> the schema whose keys stand in the table below it.
SCHEMAS: dict[str, type[BaseModel]] = {
    "The file": config.ModelsFile,
    "A dataset": config.Dataset,
    "Columns of a table": dataset_schema.Columns,
    "Log-mel energies": dataset_schema.LogMel,
    "A split of a dataset": dataset_schema.Split,
    "Preprocessing": dataset_schema.Preprocessing,
    "A letterbox": dataset_schema.Letterbox,
    "A model": model_schema.Model,
    "A metric": model_schema.Metric,
    "A state": model_schema.State,
    "Padding": model_schema.Padding,
    **{f"Task {kind}": task for kind, task in TASKS.items()},
    "A task of your own": OwnTask,
    "Decoder yolov5": yolo.Yolov5,
    "Decoder yolov8": yolo.Yolov8,
    "Decoder ssd": ssd.Ssd,
    "Anchors of an SSD": ssd_anchors.SsdAnchors,
    "Decoder boxes": finished.Finished,
    "Decoder coordinates": poses.Coordinates,
    "Decoder heatmaps": poses.Heatmaps,
    "Decoder ctc": text_decoders.Ctc,
    "Decoder tokens": text_decoders.TokenIds,
    "A source": source_schema.Source,
    "A variant": model_schema.Variant,
    "A runtime of your own": source_schema.OwnRuntime,
    "A budget": config.Budget,
    "Latency": config.LatencyPlan,
    "Regression": config.Tolerances,
    "Timeouts": config.Timeouts,
    "The devices file": device_schema.DevicesFile,
    "The host": device_schema.HostDevice,
    "A backend of the host": device_schema.RunnerBackend,
    "A compiled model": backend_schema.CompiledModel,
    "A provider of a package": backend_schema.PluginProvider,
    "An emulated device": device_schema.EmulatedDevice,
    "The emulated HTP": emulator_schema.HtpBackend,
    "The emulated GPU of LiteRT": emulator_schema.LitertGpuBackend,
    "An emulated microcontroller": emulator_schema.TflmBackend,
    "An emulated Ethos-U": emulator_schema.EthosUBackend,
    "A board": device_schema.LinuxDevice,
    "A backend of a board": device_schema.BoardBackend,
    "A phone": device_schema.AndroidDevice,
    "A phone's processor": device_schema.CpuBackend,
    "A phone's NNAPI": device_schema.NnapiBackend,
    "A phone's GPU": device_schema.GpuBackend,
    "A phone's Hexagon DSP": device_schema.HexagonBackend,
    "A phone's external delegate": device_schema.ExternalBackend,
    "A device of your own": device_schema.OwnDevice,
    "A backend of your own": device_schema.OwnBackend,
    "Hygiene": device_schema.Hygiene,
}


PLAN = config.LatencyPlan()
#: Page -> sentences whose numbers are those of the code.
NUMBERS = {
    "how-it-measures.md": (
        f"drawn with replacement {corpus.DRAWS} times",
        f"An artifact is reloaded {PLAN.loads} times.",
        f"Then come {PLAN.warmup} untimed inferences, and at least {PLAN.samples_per_load} timed ones, "
        f"for at least {PLAN.min_load_ms} ms",
        f"cycling through {timing.CYCLE} real samples",
        f"Samples are run {outputs.BATCH} at a time",
        f"the first {outputs.BATCH_CHECK} are also run singly",
        f"calibrated on real inputs times {canary.TOO_WIDE:,g}",
    ),
    "adding-a-model.md": (
        f"by {same_model.MAX_DIFFERENCE:.1%} of the spread of its column (or by {same_model.ROUNDING:.3%} of".replace(
            "%", " %"
        ),
        f"By default PyTorch becomes opset {converters.TORCH_OPSET}",
        f"Keras and TensorFlow become {onnx_models.TENSORFLOW_OPSET}",
    ),
    "diagnose.md": (
        f"on up to {diagnose.SAMPLES} evaluation samples",
        f"the comparison ends after {diagnose.SECONDS:g} seconds",
        f"(more than {findings.SATURATED_PERCENT:g} % of the values clipped)",
        f"(more than {findings.DEAD_PERCENT:g} % of a layer's)",
        f"use less than {findings.USED_PERCENT:g} % of their range",
        f"at most {proposal.LEFT_PERCENT:g} % of the error is left",
    ),
    "history.md": (f"at most the newest {trend.JUDGED}; a trend shows the newest {database.LONGEST:,}",),
    "gate.md": (f"Every {interleaved.BLOCK} rounds have a process of their own",),
    "recipes.md": (
        f"| `epochs` | all that train | {fine_tuning.EPOCHS} |",
        f"| `learning_rate` | all that train | {fine_tuning.LEARNING_RATE:g} |",
        f"| `time_limit_s` | all that train | {fine_tuning.TIME_LIMIT_S:g} |",
        f"(a [student](#students): {distilling.EPOCHS})",
        f"(a student: {distilling.LEARNING_RATE:g})",
        f"| `temperature` | {fine_tuning.TEMPERATURE:g} |",
        f"| `epochs` | {distilling.EPOCHS} |",
        f"| `learning_rate` | {distilling.LEARNING_RATE:g} |",
    ),
    "devices.md": (
        f"A phone keeps {device_files.KEPT_BYTES / 1e9:g} GB of models",
        f"within {adb_session.CONFIRM_S:g} s, or run again",
        f"no data from the phone for {adb_transport.PACKET_S:g} s",
    ),
}


class Example(NamedTuple):
    page: str
    heading: str
    files: dict[str, str]


def sections(page: Path) -> dict[str, str]:
    """Heading -> the text below it, up to the next heading of any level; code blocks may hold ``#`` lines."""
    found, heading, fenced = {"": ""}, "", False
    for line in page.read_text().splitlines(keepends=True):
        fenced ^= line.startswith("```")
        if line.startswith("#") and not fenced:
            heading = line.lstrip("#").strip()
        found[heading] = found.get(heading, "") + line
    return found


def examples() -> list[Example]:
    found = [
        Example(page.name, heading, dict(BLOCK.findall(text)))
        for page in PAGES
        for heading, text in sections(page).items()
    ]
    return [example for example in found if example.files]


def table(text: str) -> dict[str, list[str]]:
    """First cell, without backticks -> the other cells of a markdown table's rows."""
    rows = [re.split(r"\s*\|\s*", line.strip("| \n")) for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in rows}


def page(name: str) -> str:
    return (DOCS / name).read_text()


@pytest.mark.parametrize("example", examples(), ids=lambda example: f"{example.page}-{example.heading}")
def test_example_runs_as_shown(project: Project, example: Example) -> None:
    """A reader who copies an example's files gets a run that ends as the page says."""
    project.write()
    benchmarks = project.root / "benchmarks"
    shutil.copy(benchmarks / "linear.onnx", benchmarks / "my_model.onnx")
    shutil.copy(benchmarks / "digits.npz", benchmarks / "my_data.npz")
    shown = example.files.get("output", "")
    for name, text in example.files.items():
        if name != "output":
            (project.root / name).write_text(text)

    # What the page does not speak of is left out to be quick.
    done = ended(project.command("-k", "accuracy or footprint or tail or canary"), project.root, project.environment())

    broken = re.search(r"^(fail|error) ", shown, re.MULTILINE)
    assert done.returncode == (1 if broken else 0), done.stdout + done.stderr
    for line in filter(None, shown.splitlines()):
        assert re.search(re.escape(line).replace(r"\.\.\.", ".*"), done.stdout), (line, done.stdout)
    for name in example.files:
        if "/" not in name and name.endswith(".py"):
            script = ended([sys.executable, name], project.root, project.environment())
            assert script.returncode == 0, script.stderr


@pytest.mark.parametrize("heading", SCHEMAS)
def test_every_key_is_described(heading: str) -> None:
    """The tables of docs/configuration.md have each schema's keys and defaults, and no others."""
    schema = SCHEMAS[heading]
    fields = {
        field.alias or name: shown_default(field.default if field.default_factory is None else {})
        for name, field in schema.model_fields.items()
        if name not in config.Limits.model_fields or issubclass(schema, backend_schema.Backend)
    }
    assert {key: cells[0] for key, cells in table(sections(DOCS / "configuration.md")[heading]).items()} == fields


def shown_default(default: Any) -> str:
    if default is PydanticUndefined:
        return "required"
    if isinstance(default, BaseModel):
        return "see below"
    return (
        "none" if default is None else yaml.safe_dump(default, default_flow_style=True).split("\n")[0].replace("'", '"')
    )


def test_every_schema_is_described() -> None:
    """A schema that is added to the YAML files is added to docs/configuration.md."""
    known = {schema.__name__ for schema in SCHEMAS.values()}
    for file in (config.ModelsFile, device_schema.DevicesFile):
        assert file.model_json_schema()["$defs"].keys() <= known


def test_every_built_in_limit_is_described() -> None:
    """docs/configuration.md names the limits that hold without a budget, with their values."""
    text = sections(DOCS / "configuration.md")["Budgets"]
    first = re.search(r"^1\. (.*?)^2\. ", text, re.MULTILINE | re.DOTALL)
    assert first
    given = config.DEFAULT_LIMITS.given() | config.FIDELITY_LIMITS.given()
    assert re.findall(r"`(\w+: [\d.]+)`", first[1]) == [f"{name}: {value}" for name, value in given.items()]


def test_every_status_is_described_worst_first() -> None:
    """docs/reports.md gives the order of the statuses, docs/first-run.md what each means."""
    assert f"worst to best:\n{', '.join(STATUSES)}." in page("reports.md")
    described = re.findall(r"^\| ([a-z ]+) \|", sections(DOCS / "first-run.md")["Reading the table"], re.MULTILINE)
    assert sorted(described) == sorted(STATUSES)


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_those_of_the_code(name: str) -> None:
    """A number in a sentence changes with the constant that it stands for."""
    text = " ".join(page(name).split())
    assert not [sentence for sentence in NUMBERS[name] if sentence not in text]


def test_every_file_that_init_writes_is_described() -> None:
    """docs/first-run.md lists the files of ``edgeworthy init``."""
    assert set(table(sections(DOCS / "first-run.md")["The first run"])) == {*TEMPLATES.values(), ".gitignore"}


def test_every_extra_is_described() -> None:
    """The README's table of extras has those of pyproject.toml and no others; the page on installing has the same."""
    pyproject = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    rows = extras_table(REPOSITORY / "README.md")
    named = {name for row in rows for name in re.findall(r"`([\w-]+)`", row.split("|")[2])}
    assert named == pyproject["project"]["optional-dependencies"].keys() - {"dev"}
    assert rows == extras_table(DOCS / "installing.md")


def extras_table(path: Path) -> list[str]:
    """The rows of the table 'You want to | Extras'."""
    _, _, below = path.read_text().partition("| You want to | Extras |\n|---|---|\n")
    return below.partition("\n\n")[0].splitlines()


def test_every_limit_is_described() -> None:
    """docs/configuration.md has all limits and no others; each is of a metric that is judged."""
    described = table(sections(DOCS / "configuration.md")["Limits"])
    assert described.keys() == config.Limits.model_fields.keys()
    assert {name.partition("_")[2] for name in described} == METRICS.keys()


@pytest.mark.parametrize(
    ("heading", "columns"), [("Columns of cells", COLUMNS), ("Columns of samples", SAMPLE_COLUMNS)]
)
def test_every_column_is_described(heading: str, columns: dict[str, str]) -> None:
    """The tables of docs/reports.md are those of edgeworthy.reports, word for word."""
    wanted = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in columns.items())
    assert wanted in sections(DOCS / "reports.md")[heading], f"the table should be:\n{wanted}"


def test_every_column_of_a_profile_is_described() -> None:
    """The table of docs/devices.md is that of the profile, word for word."""
    wanted = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in op_times.COLUMNS.items())
    assert wanted in sections(DOCS / "devices.md")["Where the time goes"], f"the table should be:\n{wanted}"


def test_every_recipe_is_described() -> None:
    """docs/recipes.md has all recipes, with runtime, calibration, training and options as they are."""
    runtimes = {"litert": "LiteRT", "onnxruntime": "ONNX Runtime", "torch": "torch", "openvino": "OpenVINO"}
    runtimes |= {"executorch": "ExecuTorch", "coreml": "Core ML"}
    shared = table(sections(DOCS / "recipes.md")["Options that recipes share"]).keys()
    described = {
        name: (runtime, calibrates, trains, re.findall(r"`(\w+)`", options))
        for name, (runtime, calibrates, trains, options, _) in table(sections(DOCS / "recipes.md")["Recipes"]).items()
    }
    assert described == {
        name: (
            runtimes[recipe.runtime.name],
            "yes" if recipe.calibrated else "no",
            "yes" if recipe.trained else "no",
            [option for option in recipe.options if option not in shared],
        )
        for name, recipe in builtin_recipes().items()
    }
    assert shared <= {option for recipe in builtin_recipes().values() for option in recipe.options}


def test_every_option_of_a_student_is_described() -> None:
    """docs/recipes.md has all options of distilled."""
    described = table(sections(DOCS / "recipes.md")["Students"]).keys()
    assert described == set(builtin_recipes().parts["distilled"].options)


def test_every_recipe_says_its_cost_and_origin() -> None:
    """The table of docs/recipes.md is what the recipes say of themselves."""
    wanted = "".join(
        f"| `{name}` | {recipe.cost} | {recipe.reference} |\n" for name, recipe in builtin_recipes().items()
    )
    assert wanted in sections(DOCS / "recipes.md")["Cost and origin"], f"the table should be:\n{wanted}"


def test_every_option_is_described() -> None:
    """What ``pytest --help`` says of edgeworthy is in docs/configuration.md, and no page speaks of other options."""
    command = [sys.executable, "-m", "pytest", "--help"]
    said = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True).stdout
    options = set(re.findall(r"--edge-\w+", said))
    ini = set(re.findall(r"^  (edge_\w+)", said, re.MULTILINE)) - {"edge_budget"}
    assert options
    assert ini == table(sections(DOCS / "configuration.md")["Ini values of pytest"]).keys()
    assert {name.split()[0] for name in table(sections(DOCS / "configuration.md")["Options of pytest"])} == options
    for path in PAGES:
        assert set(re.findall(r"--edge-\w+", path.read_text())) <= options, path


def test_every_environment_variable_is_described() -> None:
    """An EDGE_ variable that the code reads is in docs/configuration.md."""
    sources = "".join(path.read_text() for path in (REPOSITORY / "harness").rglob("*.py"))
    read = set(re.findall(r"environ(?:\.get\(|\[)\"(EDGE_\w+)\"", sources))
    assert read == table(sections(DOCS / "configuration.md")["Environment variables"]).keys() - {"EDGE_..."}


def test_every_command_is_described() -> None:
    """docs/configuration.md has the subcommands of edgeworthy, and no page speaks of others."""
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    commands |= {group.name for group in app.registered_groups if group.name}
    described = table(sections(DOCS / "configuration.md")["The edgeworthy command"])
    assert {name.split()[1] for name in described} == commands
    for path in PAGES:
        assert set(re.findall(r"`edgeworthy (\w+)", path.read_text())) <= commands, path


def test_every_option_of_a_command_is_described() -> None:
    """The row of a command in docs/configuration.md names the options that it has, and no others."""
    rows = table(sections(DOCS / "configuration.md")["The edgeworthy command"])
    described = {
        re.sub(r"^edgeworthy | [A-Z\[-].*$", "", name): set(re.findall(r"--[\w-]+", " ".join([name, *cells])))
        for name, cells in rows.items()
    }
    for name, options in options_of(typer.main.get_command(app)):
        known = described.pop(name)
        assert known <= {spelling for option in options for spelling in option}, name
        assert all(known & {*option} for option in options), (name, options)
    assert not described


def options_of(command: Any, name: str = "") -> Iterator[tuple[str, list[list[str]]]]:
    """Each command that can be run, with the spellings of each of its options."""
    inner = getattr(command, "commands", {})
    if not inner or command.invoke_without_command:
        found = [[text for text in param.opts if text.startswith("--")] for param in command.params]
        yield name, [spellings for spellings in found if spellings and spellings != ["--help"]]
    for part, under in inner.items():
        yield from options_of(under, f"{name} {part}".strip())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link is to a file, or a heading, that exists."""
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        if ":" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        if anchor:
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in sections(target)}
            assert anchor in slugs, link


def test_make_targets_exist() -> None:
    """Every ``make`` target that a page names is in the Makefile."""
    targets = set(re.findall(r"^(\w+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    for path in PAGES:
        assert set(re.findall(r"(?:^|`)make (\w+)", path.read_text(), re.MULTILINE)) <= targets, path


def test_every_fault_of_the_lab_has_the_test_that_is_named() -> None:
    """The table of docs/lab.md names tests that exist."""
    written = {
        f"{path.stem}::{name}"
        for path in REPOSITORY.glob("tests/*/test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    rows = [
        line for line in sections(DOCS / "lab.md")["Every fault has its test"].splitlines() if line.startswith("|")
    ][2:]
    assert rows
    for row in rows:
        _, fault, tests, *_ = row.split("|")
        named = re.findall(r"`(\S+::\S+)`", tests)
        assert named, fault
        assert set(named) <= written, f"{fault}: {set(named) - written}"
