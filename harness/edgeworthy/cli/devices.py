"""``edgeworthy devices``: list and probe them, add one, install the runtimes on a board."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from edgeworthy.cli.device_entry import new_entry
from edgeworthy.cli.options import DevicesOption, ModelsOption
from edgeworthy.config import check_runtimes, load_devices, load_models
from edgeworthy.device_schema import Device, DevicesFile, LinuxDevice
from edgeworthy.errors import ConfigError
from edgeworthy.measurements.probe import DeviceReport, probe
from edgeworthy.pytest_ini import ini_path
from edgeworthy.runtimes import RUNTIMES, Runtime
from edgeworthy.suggestions import did_you_mean
from edgeworthy.targets.device_lock import device_lock
from edgeworthy.targets.linux.setup import set_up
from edgeworthy.targets.open_targets import Targets
from edgeworthy.user_code.own_runtimes import all_runtimes

devices_app = typer.Typer(
    add_completion=False, help="The devices of devices.yaml: which are connected, and which backends work."
)


@devices_app.callback(invoke_without_command=True)
def devices(
    context: typer.Context,
    devices: DevicesOption,
    only: Annotated[list[str] | None, typer.Option("--only", help="this device; may be repeated")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Check every device by running a tiny model on each of its backends. Exits with 1 if a required one does not work."""
    if context.invoked_subcommand:
        return
    file, _ = load_devices(devices)
    for name in only or ():
        _device(file, name, devices)
    reports = _probed(file, devices.absolute().parent, only or list(file.devices))
    print(json.dumps([asdict(report) for report in reports], indent=1)) if as_json else _show(reports)
    raise typer.Exit(int(not all(_works(report) for report in reports if report.required)))


@devices_app.command()
def add(
    name: Annotated[str, typer.Argument(help="what to call the device")],
    devices: DevicesOption,
    serial: Annotated[str | None, typer.Option(help="a phone by USB: its serial number, see 'adb devices'")] = None,
    address: Annotated[str | None, typer.Option(help="a phone by TCP, or a board: host name or address")] = None,
    port: Annotated[int | None, typer.Option(help="of its adbd or SSH server")] = None,
    user: Annotated[str | None, typer.Option(help="a board: SSH user name")] = None,
    key: Annotated[str | None, typer.Option(help="private key")] = None,
    known_hosts: Annotated[str | None, typer.Option(help="a board: file of trusted host keys")] = None,
    benchmark_model: Annotated[str | None, typer.Option(help="a phone: TFLite's tool, see docs/devices.md")] = None,
) -> None:
    """Check a device, and add it with the backends that work to devices.yaml."""
    reached = {
        "serial": serial, "address": address, "port": port, "user": user, "key": key, "known_hosts": known_hosts,
        "benchmark_model": benchmark_model,
    }  # fmt: skip
    entry = new_entry(name, {option: value for option, value in reached.items() if value is not None}, devices)
    with contextlib.closing(Targets(entry.file, devices.absolute().parent)) as targets:
        report = probe(name, entry.file.devices[name], targets, lambda text: typer.echo(text, err=True))
    _show([report])
    print(f"wrote {name} with {', '.join(entry.write(report))} to {devices}")
    if any(backend.runtime_missing for backend in report.backends):
        print(f"next: edgeworthy devices setup {name}")


@devices_app.command()
def setup(
    name: Annotated[str, typer.Argument(help="a board of devices.yaml")], devices: DevicesOption, models: ModelsOption
) -> None:
    """Install the runtimes of a board's backends there, and the packages that those of your own name in models.yaml.

    It needs no internet, the wheels are fetched here.
    """
    file, document = load_devices(devices)
    entry = _device(file, name, devices)
    if not isinstance(entry, LinuxDevice):
        raise ConfigError(
            f"devices setup {name}: it is of kind {entry.kind}",
            hint="only boards of kind linux are set up; a phone takes benchmark_model, the host pip",
        )
    backends = entry.backends.values()
    known = _runtimes(models)
    check_runtimes(file, document, known)
    runtimes = [row for row in known.values() if not all(backend.why_not(row) for backend in backends)]
    with contextlib.closing(Targets(file, devices.absolute().parent)) as targets, device_lock(entry.connection, print):
        installed = set_up(targets.board(name), runtimes, print)
    print(f"{name} has {', '.join(f'{runtime} {version}' for runtime, version in installed.items())}")


def _runtimes(models: Path) -> dict[str, Runtime]:
    """The runtimes that there are; a board may be set up before there is a models.yaml. Raises ConfigError."""
    if models == ini_path("edge_models") and not models.exists():
        return {**RUNTIMES}
    file, document = load_models(models)
    return all_runtimes(file.runtimes, document)


def _device(file: DevicesFile, name: str, path: Path) -> Device:
    if name not in file.devices:
        raise ConfigError(
            f"{path} has no device {name!r}; {did_you_mean(name, file.devices)}",
            hint=f"correct the name, or add it: edgeworthy devices add {name}",
        )
    return file.devices[name]


def _probed(file: DevicesFile, base: Path, names: Sequence[str]) -> list[DeviceReport]:
    """All devices at once, in the order of ``names``."""

    def one(name: str) -> DeviceReport:
        with contextlib.closing(Targets(file, base)) as targets:
            return probe(name, file.devices[name], targets, lambda text: typer.echo(text, err=True))

    with ThreadPoolExecutor(max_workers=max(len(names), 1)) as pool:
        return list(pool.map(one, names))


def _works(report: DeviceReport) -> bool:
    return not report.problem and all(backend.works for backend in report.backends)


def _show(reports: Sequence[DeviceReport]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for report in reports:
        facts = {**report.identity, **{name: f"{value:g}" for name, value in report.state.items()}}
        console.print(Text(report.device, "bold"), Text(", ".join(f"{name} {value}" for name, value in facts.items())))
        if report.problem:
            console.print(_line("absent" if not report.required else "error", report.problem, report.hint))
        for backend in report.backends:
            word = Text("works", "green") if backend.works else Text("no   ", "bold red")
            console.print(Text.assemble(f"  {backend.target} {backend.runtime}: ", word, f" {backend.said}"))
            if backend.hint:
                console.print(Text(f"    hint: {backend.hint}"))


def _line(status: str, message: str, hint: str) -> Text:
    return Text.assemble(("  " + status, "bold red"), f" {message}" + (f"\n    hint: {hint}" if hint else ""))
