"""A run's page, with all that the project knows beside the run: the baseline, the history, the samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from edgeworthy.dataset_schema import Dataset
from edgeworthy.datasets.prepared import prepare
from edgeworthy.datasets.tokens import text_of
from edgeworthy.errors import EdgeworthyError
from edgeworthy.history.location import Location
from edgeworthy.history.recording import address_of
from edgeworthy.judging.gate import Gate, noise_notes, stored_changes
from edgeworthy.measurements.project import Project
from edgeworthy.reports.html.beside import Beside, CellTrend
from edgeworthy.reports.html.page import NAME, page_of
from edgeworthy.reports.html.shown.samples import Samples
from edgeworthy.reports.run_folder import rows_of
from edgeworthy.runs.run import Run
from edgeworthy.session.settings import Settings
from edgeworthy.session.troubles import troubles_of
from edgeworthy.storage import write_atomically
from edgeworthy.verdicts.regression import AXIS as REGRESSION

Rows = Sequence[dict[str, Any]]


def write_report_page(
    run: Run, rows: Rows, project: Project, gate: Gate, settings: Settings, said: Beside
) -> list[str]:
    """Write ``report.html``, with the notes and troubles ``said`` of the run; a sentence where that fails, or a part of it.

    It is written last and judges nothing: a failure here never costs the run.
    """
    try:
        return _write(run, rows, project, gate, settings, said)
    except EdgeworthyError as error:
        return [f"{NAME} was not written: {error}"]


def _write(run: Run, rows: Rows, project: Project, gate: Gate, settings: Settings, said: Beside) -> list[str]:
    trends, warnings = _trends(run, rows, settings)
    compared = gate.baselines is not None and run.complete
    beside = replace(
        said,
        changes=stored_changes(run, gate) if compared else None,
        before=gate.baselines.find if gate.baselines else said.before,
        samples=samples_of(run, project, settings),
        trends=trends,
    )
    write_atomically(run.folder / NAME, page_of(run, rows, beside).encode())
    return warnings


def write_again(run: Run, settings: Settings) -> list[str]:
    """Write the page of a run that ended, with the history and the samples of today; a sentence where a part of it fails.

    It is held against the accepted baselines where it was when it ended. Raises EdgeworthyError.
    """
    project, verdicts = settings.project(), run.verdicts()
    compared = any(verdict.axis == REGRESSION for verdict in verdicts)
    gate = settings.gate(project, settings.baselines if compared else None, run.folder)
    rows = rows_of(run)
    ending = gate.end(run.scope, verdicts) if run.complete else None
    notes = [*(ending.notes if ending else ()), *noise_notes(run)]
    said = Beside(notes, troubles_of(run, ending, rows, unasserted=False))
    return _write(run, rows, project, gate, settings, said)


def _trends(run: Run, rows: Rows, settings: Settings) -> tuple[list[CellTrend], list[str]]:
    """What the history has of the run's cells, and a sentence where it cannot be read."""
    address = address_of(run.folder, settings.history, settings.root)
    if not address:
        return [], []
    try:
        location = Location.parse(address)  # which says what is missing where the extra is
        from edgeworthy.history.page_trends import page_trends  # here: slow to import

        return page_trends(location, rows), []
    except EdgeworthyError as error:
        return [], [f"{NAME} shows no history: {error}"]


def samples_of(run: Run, project: Project, settings: Settings) -> Callable[[str], Samples | str]:
    """Finds the evaluation samples of a model, or why they are not at hand: they are another version's, or gone."""

    def find(model: str) -> Samples | str:
        entry, truth = project.models.models[model], run.journal.truth(model)
        dataset = project.models.datasets[entry.dataset]
        try:
            prepared = prepare(settings.open_store(), entry.dataset, dataset, project.base)
            if truth is None or prepared.for_model(entry).checksum != truth.dataset:
                return f"dataset {entry.dataset!r} is not what the run was judged with"
            return Samples(prepared, _reader(dataset, project))
        except EdgeworthyError as error:
            return error.message

    return find


def _reader(dataset: Dataset, project: Project) -> Callable[[list[int]], str] | None:
    """What reads the tokens of a dataset of texts; None for another dataset."""
    return text_of(project.base / dataset.tokenizer) if dataset.tokenizer else None
