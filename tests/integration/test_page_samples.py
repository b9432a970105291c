"""Samples of every kind in the page of a run, and hostile names and texts in each place of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from edgeworthy.cells import CellId
from edgeworthy.datasets.prepared import PreparedDataset
from edgeworthy.datasets.samples import Samples as StoredSamples
from edgeworthy.records import Artifact, Change, Conditions, Delegation, Outputs, Timing, Verdict
from edgeworthy.reports.html.beside import Beside, CellTrend, Moment, Turn
from edgeworthy.reports.html.page import page_of
from edgeworthy.reports.html.shown.samples import Samples
from edgeworthy.reports.run_folder import finish, rows_of
from edgeworthy.runners.python_runner.texts import text_numbers
from edgeworthy.runs.run import Run
from edgeworthy.runs.run_file import Scope
from edgeworthy.runtimes import RUNTIMES
from edgeworthy.storage import write_json
from edgeworthy.tensors import NamedInput, in_a_row
from edgeworthy.text import printable
from edgeworthy.truth import Truth

from tests.browser import chromium, opened
from tests.waiting import until

#: Of names there is all but "/", which none has.
NAME = "<img src=x onerror=alert(1)>\"'&amp;<!--\u202ecod\x1b[31m"
TEXT = "</script><script>alert(2)</script>" + NAME
CELL = CellId(NAME, f"variant {NAME}", f"{NAME}:cpu")
CONDITIONS = Conditions({"runtime": TEXT, NAME: TEXT}, {"temperature_c": 40.0}, {"temperature_c": 50.0})


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@dataclasses.dataclass(frozen=True)
class Case:
    """A model's reference outputs and a variant's, what they are judged by, and its samples."""

    truth: Truth
    values: np.ndarray
    inputs: np.ndarray
    kind: str = "npz"
    text_of: Any = None
    inputs_of: tuple[NamedInput, ...] = ()


def measured(folder: Path, case: Case) -> Run:
    """A run of one cell, called as nobody should call one."""
    run = Run.begin(folder, [CELL], Scope())
    artifact = Artifact("0" * 64, Path("none"), TEXT, RUNTIMES["onnxruntime"], "nhwc", 1000, 900)
    run.journal.save_truth(CELL.model, case.truth)
    run.journal.save_dataset("dataset", TEXT)
    run.journal.save(CELL, "", artifact, Outputs(case.values, 1, 1.0, 1.0, CONDITIONS, ((case.values.shape[1],),)))
    times, some = np.arange(30, dtype=np.int64) * 1000 + 1_000_000, np.full(3, 1_000_000, np.int64)
    ran = Delegation(TEXT, 1, 2, TEXT)
    timing = Timing(times, np.arange(30) // 10, some, some, None, None, ran, 1.0, CONDITIONS)
    run.journal.save(CELL, "", artifact, timing)
    run.journal.save_profile(CELL, artifact.key, profile())
    run.log.add(Verdict(CELL, "accuracy", "fail", "exact", TEXT, TEXT, {"top1_percent": 50.0}, waived_by=(TEXT,)))
    finish(run, folder, complete=True, notes=[TEXT])
    (run.folder / "diagnosis").mkdir()
    write_json(run.folder / "diagnosis" / "one.json", diagnosis())
    return run


def page(folder: Path, case: Case) -> Path:
    """Its page, with a baseline, a history and samples that are as hostile."""
    run, stored = measured(folder, case), folder / "inputs.npy"
    np.save(stored, case.inputs)
    inputs = {"evaluation": StoredSamples(stored, (), case.inputs_of)}
    names = (f"{TEXT}\udce9", "one")
    dataset = PreparedDataset(
        "dataset", case.kind, folder, inputs, {}, (), len(case.inputs), None, "", class_names=names
    )
    moments = [Moment(TEXT, "2026-01-01", TEXT, value, True) for value in (1.0, 2.0)]
    beside = Beside(
        notes=[TEXT],
        troubles=[TEXT],
        changes=[Change(CELL, "latency", "regressed", "exact", 1.0, 2.0, TEXT, TEXT)],
        samples=lambda model: Samples(dataset, case.text_of),
        trends=[CellTrend(CELL, "p50_ms", moments, [Turn(TEXT, TEXT, True)])],
    )
    file = folder / "report.html"
    file.write_text(page_of(run, rows_of(run), beside))
    return file


def profile() -> str:
    """As a phone's target gives it: two nodes of one op, a slower one, and work that is no inference."""
    nodes = [
        ("inference", TEXT, 0.25),
        ("inference", "SOFTMAX", 1.5),
        ("inference", TEXT, 0.25),
        ("initialization", "x", 9),
    ]
    rows = [{"part": part, "node_type": op, "mean_ms": time, "percent": 50 * time} for part, op, time in nodes]
    return pd.DataFrame(rows).to_csv(index=False)


def diagnosis() -> dict[str, Any]:
    """As ``edgeworthy diagnose --json`` writes it."""
    numbers = {"share_percent": 80.0, "added_sqnr_db": 1.5, "calibrated": [0, 1], "seen": [0, 2]}
    layer = {"tensor": TEXT, "op": TEXT, "cause": TEXT, **numbers}
    left = {"left": [{"op": TEXT, "tensors": [TEXT, TEXT]}]}
    traced = {"layers": [layer], "delegated": left}
    findings = [{"message": TEXT, "hint": TEXT}]
    return {**CELL._asdict(), "traced": traced, "findings": findings}


def texts() -> Case:
    """Sums of characters as a CTC decoder reads them; sample 1 is lost."""
    task = {"kind": "text", "decoder": {"kind": "ctc", "alphabet": "a<>b", "blank": 0}}
    reference = np.eye(5, dtype=np.float32)[[[2, 1, 3], [2, 4, 3]]].reshape(2, -1)
    other = reference.copy()
    other[1] = np.eye(5, dtype=np.float32)[[2, 1, 3]].ravel()
    labels = np.array(["<a>", "<b>"])
    truth = Truth(labels, reference, "exact_match", "d", outputs={"": (3, 5)}, task=task)
    return Case(truth, other, np.array([[1, 2], [3, 4]]), text_of=lambda ids: f"{ids} {TEXT}")


def boxes() -> Case:
    """One object an image; the variant's box of sample 0 is elsewhere."""
    rows = np.array([[[2, 2, 10, 10, 0.9, 1]], [[4, 4, 12, 12, 0.8, 0]]], np.float32)
    decoder = {"kind": "boxes", "boxes": "boxes", "scores": "scores", "classes": "classes"}
    task = {"kind": "detection", "decoder": decoder, "classes": 2, "image_size": [16, 16]}
    labels = np.array([[[2, 2, 10, 10, 1]], [[4, 4, 12, 12, 0]]], np.float32)
    reference = np.concatenate([rows[:, 0, :4], rows[:, 0, 4:5], rows[:, 0, 5:6]], axis=1)
    other = reference.copy()
    other[0, :4] = (9, 9, 15, 15)
    shapes = {"boxes": (1, 4), "scores": (1,), "classes": (1,)}
    truth = Truth(labels, reference, "map", "d", outputs=shapes, task=task)
    return Case(truth, other, np.random.default_rng(0).integers(0, 255, (2, 16, 16, 3), dtype=np.uint8), "coco")


def masks() -> Case:
    """Two classes of 4x4 pixels; the variant's mask of sample 1 is empty."""
    reference = np.zeros((2, 4, 4, 2), np.float32)
    reference[..., :2, 1] = 1
    reference[..., 2:, 0] = 1
    other = reference.copy()
    other[1] = (1, 0)
    task = {"kind": "segmentation", "layout": "hwc", "classes": 2}
    labels = reference.argmax(axis=-1)
    truth = Truth(labels, reference.reshape(2, -1), "miou", "d", outputs={"": (4, 4, 2)}, task=task)
    return Case(truth, other.reshape(2, -1), np.random.default_rng(0).random((2, 4, 4, 3)).astype(np.float32), "masks")


def sounds() -> Case:
    """Classes of sounds; sample 0 is lost."""
    reference = np.array([[1, 0], [0, 1]], np.float32)
    truth = Truth(np.array([0, 1]), reference, "top1", "d", outputs={"": (2,)})
    return Case(
        truth,
        np.array([[0, 1], [0, 1]], np.float32),
        np.sin(np.arange(4000)).reshape(2, 2000).astype(np.float32),
        "audio",
    )


def numbers() -> Case:
    """Numbers to predict; sample 1 is worse, sample 0 better."""
    targets = np.array([[1.0], [2.0]], np.float32)
    truth = Truth(targets, np.array([[1.5], [2.0]], np.float32), "mse", "d", higher_is_better=False, outputs={"": (1,)})
    return Case(truth, np.array([[1.1], [9.0]], np.float32), np.arange(20, dtype=np.float32).reshape(2, 10))


def several() -> Case:
    """An image beside a text; sample 0 is lost."""
    arrays = {"image": np.arange(32.0).reshape(2, 4, 4, 1), "words": np.array(["yes <b>", "no"])}
    inputs = in_a_row(arrays)
    rows = np.concatenate([arrays["image"].reshape(2, -1), text_numbers(arrays["words"], 7).reshape(2, -1)], axis=1)
    return dataclasses.replace(sounds(), inputs=rows.astype(np.float32), kind="npz", inputs_of=inputs)


@pytest.mark.parametrize("case", [texts, boxes, masks, sounds, numbers, several], ids=lambda case: case.__name__)
def test_samples_of_every_kind_are_shown(case: Any, browser: Any, tmp_path: Path) -> None:
    """What was lost, as the kind of dataset and task has it; whatever is written anywhere is text, and does nothing."""
    file = page(tmp_path / "20260101-000000-hostile", case())
    with opened(browser, file) as found:
        page_ = found.page
        page_.evaluate("[...waiting.keys()].forEach(drawNow)")
        assert "\u202e" not in page_.inner_text("body")
        page_.locator("#numbers a").first.click()
        assert page_.inner_text("#chosen h2").startswith(str(CELL))
        assert "\u202e" not in page_.inner_text("body") + page_.title()
        assert page_.locator("#page script, #page img[src=x]").count() == 0
        times = page_.locator("[aria-label='Time by op'] tbody tr").all_inner_texts()
        assert times == [
            "SOFTMAX\tthe graph\t1\t1.5 ms\t 75.0 %", f"{printable(TEXT)}\tthe graph\t2\t0.5 ms\t 25.0 %",
        ]  # fmt: skip
        lost = page_.locator("#chosen h4:has-text('Lost: 1 of 2') + ul li").first
        zero = f"0 {printable(TEXT)}\\xe9"
        if case in (sounds, several):
            assert lost.locator("dd").all_inner_texts() == ["0", zero, zero, "1 one"]
            [mixed] = page_.locator("[aria-label='What is mixed up otherwise'] tbody tr").all_inner_texts()
            assert mixed == f"{zero}\t{zero} \u2713\t1 one\t1"
        if case is boxes:
            labels = lost.locator("rect title").evaluate_all("all => all.map(one => one.textContent)")
            assert labels == ["1 one", "1 one 0.90", "1 one 0.90"]
        shown = {
            "texts": lambda: printable(TEXT) in lost.locator(".text").inner_text() and "<b>" in lost.inner_text(),
            "boxes": lambda: lost.locator("rect").count() == 3 and lost.locator("img").count() == 3,
            "masks": lambda: lost.locator("img.over").count() == 3,
            "sounds": lambda: lost.locator("img").evaluate("one => one.naturalWidth") > 50,
            "several": lambda: lost.locator("img").count() == 1 and "words: yes <b>" in lost.inner_text(),
            "numbers": lambda: lost.inner_text().startswith("10, 11, 12"),
        }
        assert shown[case.__name__](), lost.inner_text()
        assert found.violations() == []


def test_filter_of_many_rows_and_the_way_back(browser: Any, tmp_path: Path) -> None:
    """Rows of matrices that are out of sight come a frame later, and all of them come; what is typed meanwhile counts."""
    cells = [CellId(f"m{model}", f"v{variant}", "host:cpu") for model in range(3) for variant in range(30)]
    run = Run.begin(tmp_path / "20260101-000000-many", cells, Scope())
    finish(run, run.folder, complete=True, notes=[])
    file = run.folder / "report.html"
    file.write_text(page_of(run, rows_of(run), Beside()))
    shown = "() => [...document.querySelectorAll('.matrix tbody tr')].filter(row => row.checkVisibility()).length"
    with opened(browser, file) as found:
        field = found.page.get_by_label("Find")
        assert found.page.evaluate(shown) == 90
        for text, rows in (("v7", 3), ("", 90), ("m2/v1", 11)):
            field.fill(text)
            until(lambda rows=rows: found.page.evaluate(shown) == rows)
        field.fill("")
        field.fill("m1")
        until(lambda: found.page.evaluate(shown) == 30)
        assert found.page.locator("#matrices .dim").count() == 60
