"""The table of metrics: what is measured and judged of a cell, what a model may be judged by, what is compared with a baseline.

Limits, columns of reports, the history's columns, the waivers' names and the schemas derive from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Which values a limit may have.
Within = Literal["any", "not negative", "positive", "percent"]


@dataclass(frozen=True)
class Limit:
    """The limit that a metric may have: ``max`` allows at most it, ``min`` at least."""

    side: Literal["max", "min"]
    within: Within
    description: str | None = None


class _Shown:
    """How a row's values are written."""

    unit: str
    digits: int

    def shown(self, value: float) -> str:
        """The value with its unit."""
        return f"{value:.{self.digits}f}{self.unit}"

    def shown_difference(self, before: float, after: float) -> str:
        """How much more or less it is than it was, with sign and unit."""
        unit = " pp" if self.unit == " %" else self.unit
        return f"{after - before:+.{self.digits}f}{unit}"


@dataclass(frozen=True)
class Metric(_Shown):
    """One row. ``name`` ends with the unit; it is the column of reports, and with its limit's side before it the limit's name.

    ``interval`` says that it has a 95 % interval, in two more columns; ``timed`` that it is known where a target is timed,
    ``needed`` that it is what a microcontroller must have for the model, which those backends know that list it.
    """

    name: str
    label: str
    unit: str
    digits: int
    limit: Limit | None = None
    interval: bool = False
    timed: bool = False
    needed: bool = False

    @property
    def limit_name(self) -> str:
        """``max_p50_ms``; empty without a limit."""
        return f"{self.limit.side}_{self.name}" if self.limit else ""


def _least(within: Within, description: str) -> Limit:
    return Limit("min", within, description)


def _most(within: Within, description: str | None = None) -> Limit:
    return Limit("max", within, description)


_ROWS = (
    Metric("top1_percent", "top-1 accuracy", " %", 2, _least("percent", "top-1 accuracy"), interval=True),
    Metric("top5_percent", "top-5 accuracy", " %", 2, _least("percent", "top-5 accuracy"), interval=True),
    Metric(
        "worst_class_percent", "accuracy of the worst class", " %", 2,
        _least("percent", "accuracy of the class that has the lowest one"), interval=True,
    ),
    Metric(
        "class_drop_points", "accuracy lost in one class", " pp", 2,
        _most("percent", "largest loss of accuracy of one class"),
    ),
    Metric("mse", "mean squared error", "", 6, _most("not negative", "mean squared error"), interval=True),
    Metric(
        "psnr_db", "PSNR", " dB", 2, _least("any", "peak signal to noise ratio, mean over samples"), interval=True
    ),
    Metric("map_percent", "mAP", " %", 2, _least("percent", "COCO's mean average precision, IoU 0.50 to 0.95"), interval=True),
    Metric("map50_percent", "mAP at IoU 0.5", " %", 2, _least("percent", "mean average precision at IoU 0.5"), interval=True),
    Metric(
        "oks_ap_percent", "keypoint AP", " %", 2,
        _least("percent", "COCO's average precision of keypoints, OKS 0.50 to 0.95"), interval=True,
    ),
    Metric("miou_percent", "mean IoU", " %", 2, _least("percent", "mean of the classes' IoU, over all pixels"), interval=True),
    Metric("pixel_accuracy_percent", "pixel accuracy", " %", 2, _least("percent", "pixels of the right class"), interval=True),
    Metric("macro_f1_percent", "macro F1", " %", 2, _least("percent", "mean of the classes' F1"), interval=True),
    Metric("micro_f1_percent", "micro F1", " %", 2, _least("percent", "F1 of all classes together"), interval=True),
    Metric(
        "balanced_accuracy_percent", "balanced accuracy", " %", 2, _least("percent", "mean of the classes' recall"),
        interval=True,
    ),
    Metric(
        "calibration_error_percent", "calibration error", " %", 2,
        _most("percent", "expected calibration error of the top-1 prediction, 15 bins"), interval=True,
    ),
    Metric("mae", "mean absolute error", "", 6, _most("not negative", "mean absolute error"), interval=True),
    Metric("r2", "R squared", "", 4, _least("any", "explained variance, mean over output columns"), interval=True),
    Metric(
        "nme_percent", "normalized mean error", " %", 2,
        _most("not negative", "mean distance of landmarks over the normalizing distance"), interval=True,
    ),
    Metric("wer_percent", "word error rate", " %", 2, _most("not negative", "word errors over words"), interval=True),
    Metric(
        "cer_percent", "character error rate", " %", 2, _most("not negative", "character errors over characters"),
        interval=True,
    ),
    Metric(
        "exact_match_percent", "exact match", " %", 2, _least("percent", "samples whose whole prediction is right"),
        interval=True,
    ),
    Metric("span_f1_percent", "span F1", " %", 2, _least("percent", "F1 of whole spans of tokens"), interval=True),
    Metric(
        "eer_percent", "equal error rate", " %", 2,
        _most("percent", "where pairs are as often wrongly accepted as wrongly rejected"), interval=True,
    ),
    Metric(
        "recall_at_1_percent", "recall at 1", " %", 2,
        _least("percent", "samples whose nearest other sample is of the same identity"), interval=True,
    ),
    Metric(
        "recall_at_5_percent", "recall at 5", " %", 2,
        _least("percent", "samples with one of the same identity among the 5 nearest"), interval=True,
    ),
    Metric("ssim", "SSIM", "", 4, _least("any", "structural similarity, mean over samples"), interval=True),
    Metric(
        "si_sdr_db", "SI-SDR", " dB", 2, _least("any", "scale-invariant signal to distortion ratio, mean over samples"),
        interval=True,
    ),
    Metric(
        "score", "score", "", 4, _least("any", "your own metric where higher is better, in its unit"), interval=True
    ),
    Metric("loss", "loss", "", 4, _most("any", "your own metric where lower is better, in its unit"), interval=True),
    Metric(
        "nmse", "normalized error", "", 4,
        _most("positive", "for `metric: fidelity`: power of the outputs' error over that of the reference's variation"),
        interval=True,
    ),
    Metric(
        "metric_drop", "metric lost against the reference", "", 4,
        _most("not negative", "how much worse than the reference such a metric is, in its unit, paired"), interval=True,
    ),
    Metric(
        "metric_drop_percent", "metric lost against the reference", " %", 2,
        _most("not negative", "the same, in percent of the reference's"), interval=True,
    ),
    Metric(
        "column_drop_points", "explained variance lost in one output column", " pp", 2,
        _most("percent", "largest loss of one output column's explained variance (R squared over its targets), in pp"),
    ),
    Metric(
        "drop_points", "accuracy lost against the reference", " pp", 2,
        _most("percent", "accuracy lost against the reference, in percentage points, paired"), interval=True,
    ),
    Metric(
        "error_ratio", "errors over the reference's", "x", 2,
        _most("positive", "wrong predictions over the reference's wrong predictions"),
    ),
    Metric(
        "agreement_percent", "agreement with the reference", " %", 2,
        _least("percent", "samples with the same top-1 prediction as the reference"), interval=True,
    ),
    Metric(
        "sqnr_db", "signal to quantization noise", " dB", 1,
        _least("any", "signal to quantization noise of the raw outputs"),
    ),
    Metric(
        "output_difference", "largest output difference", "", 4,
        _most("positive", "largest difference of one dequantized output"),
    ),
    Metric("mean_ms", "mean latency", " ms", 4, _most("positive", "mean time of one inference"), interval=True, timed=True),
    Metric("p50_ms", "p50 latency", " ms", 4, _most("positive", "median time of one inference"), interval=True, timed=True),
    Metric("p90_ms", "p90 latency", " ms", 4, _most("positive"), interval=True, timed=True),
    Metric("p95_ms", "p95 latency", " ms", 4, _most("positive"), interval=True, timed=True),
    Metric("p99_ms", "p99 latency", " ms", 4, _most("positive"), interval=True, timed=True),
    Metric(
        "first_inference_ms", "first inference", " ms", 3,
        _most("positive", "first inference after a load, median of loads"), interval=True, timed=True,
    ),
    Metric(
        "load_ms", "load time", " ms", 3, _most("positive", "time to load, median of loads"), interval=True, timed=True
    ),
    Metric("size_kb", "file size", " KB", 1, _most("positive", "size of the file, 1 KB = 1,000 bytes")),
    Metric("gzip_kb", "gzip size", " KB", 1, _most("positive", "size of the file after gzip")),
    Metric(
        "peak_memory_mb", "peak memory growth", " MB", 2,
        _most("positive", "growth of the runner's resident memory, 1 MB = 1,000,000 bytes"), timed=True,
    ),
    Metric(
        "arena_kb", "tensor arena", " KB", 1,
        _most("positive", "memory of a microcontroller for the model's tensors, 1 KB = 1,000 bytes"), needed=True,
    ),
    Metric(
        "flash_kb", "flash", " KB", 1, _most("positive", "flash of a microcontroller for the model, 1 KB = 1,000 bytes"),
        needed=True,
    ),
    Metric(
        "cpu_ops", "operators left to the processor", "", 0,
        _most("not negative", "operators that the compiler of an NPU leaves to the microcontroller's processor"), needed=True,
    ),
    Metric(
        "delegated_percent", "delegated share of the graph", " %", 1,
        _least("percent", "graph nodes that the backend's delegate took"),
    ),
    Metric(
        "consistency_percent", "same prediction as on the first target", " %", 2,
        _least("percent", "same top-1 prediction as on the first target"), interval=True,
    ),
)  # fmt: skip
#: Name -> row.
METRICS: dict[str, Metric] = {row.name: row for row in _ROWS}
#: Name of a limit -> its metric, of what a microcontroller must have for a model.
NEEDED_LIMITS: dict[str, str] = {row.limit_name: row.name for row in _ROWS if row.needed}
#: The names of limits that hold only where times and memory are the device's own.
TIMED_LIMITS = frozenset(row.limit_name for row in _ROWS if row.timed)


#: The task of outputs that are scores of classes.
CLASSIFICATION = "classification"
#: The one that needs no targets: how close the outputs are to the float reference's.
FIDELITY = "fidelity"


@dataclass(frozen=True)
class Quality:
    """What a model may be judged by: ``name`` in models.yaml, the metric that has its value, and the header in tables.

    ``top_k`` is set where a prediction is right if the label is among the k best classes.
    """

    name: str
    metric: str
    header: str
    unit: str
    higher_is_better: bool = True
    top_k: int | None = None

    @property
    def in_points(self) -> bool:
        """Whether what is lost of it is counted in percentage points: its values are shares of what is judged."""
        return self.unit == "%" and self.name != "nme"  # a distance, of which 1 pp may be as much as there is

    @property
    def lost(self) -> str:
        """The metric that says what is lost of it against the reference: an error against the reference says both."""
        if self.name == FIDELITY:
            return self.metric
        return "drop_points" if self.in_points else "metric_drop_percent"


#: Name -> row. A function of the user's is none of these; its values are a score or a loss.
QUALITIES: dict[str, Quality] = {
    row.name: row
    for row in (
        Quality("top1", "top1_percent", "top-1 %", "%", top_k=1),
        Quality("top5", "top5_percent", "top-5 %", "%", top_k=5),
        Quality("mse", "mse", "mse", "", higher_is_better=False),
        Quality("psnr", "psnr_db", "PSNR dB", "dB"),
        Quality("mae", "mae", "MAE", "", higher_is_better=False),
        Quality("r2", "r2", "R2", ""),
        Quality("macro_f1", "macro_f1_percent", "macro F1 %", "%"),
        Quality("micro_f1", "micro_f1_percent", "micro F1 %", "%"),
        Quality("balanced_accuracy", "balanced_accuracy_percent", "balanced %", "%"),
        Quality("calibration_error", "calibration_error_percent", "ECE %", "%", higher_is_better=False),
        Quality("map", "map_percent", "mAP %", "%"),
        Quality("map50", "map50_percent", "mAP50 %", "%"),
        Quality("oks_ap", "oks_ap_percent", "OKS AP %", "%"),
        Quality("nme", "nme_percent", "NME %", "%", higher_is_better=False),
        Quality("miou", "miou_percent", "mIoU %", "%"),
        Quality("pixel_accuracy", "pixel_accuracy_percent", "pixels %", "%"),
        Quality("wer", "wer_percent", "WER %", "%", higher_is_better=False),
        Quality("cer", "cer_percent", "CER %", "%", higher_is_better=False),
        Quality("exact_match", "exact_match_percent", "exact %", "%"),
        Quality("span_f1", "span_f1_percent", "span F1 %", "%"),
        Quality("eer", "eer_percent", "EER %", "%", higher_is_better=False),
        Quality("recall_at_1", "recall_at_1_percent", "R@1 %", "%"),
        Quality("recall_at_5", "recall_at_5_percent", "R@5 %", "%"),
        Quality("ssim", "ssim", "SSIM", ""),
        Quality("si_sdr", "si_sdr_db", "SI-SDR dB", "dB"),
        Quality("fidelity", "nmse", "NMSE", "", higher_is_better=False),
    )
}


def quality_of(name: str, *, higher_is_better: bool) -> Quality:
    """The row of what a model is judged by; of a function or a task of the user's, whose direction is known, one of its own."""
    if name in QUALITIES:
        return QUALITIES[name]
    column = "score" if higher_is_better else "loss"
    return Quality(name, column, name.rpartition(":")[2], "", higher_is_better)


def in_points(name: str) -> bool:
    """Whether what is lost of what a model is judged by is counted in percentage points; not of a function of the user's."""
    return name in QUALITIES and QUALITIES[name].in_points


#: Those of classifiers that count right predictions.
TOP_K: dict[str, int] = {name: row.top_k for name, row in QUALITIES.items() if row.top_k is not None}


@dataclass(frozen=True)
class Compared(_Shown):
    """What is compared with a baseline: label, unit and digits, and what larger and smaller values are called.

    ``metric`` is the row of METRICS that is compared; empty where it differs between models.
    """

    label: str
    unit: str
    digits: int
    larger: str
    smaller: str
    metric: str = ""


def _compared(name: str, larger: str, smaller: str) -> Compared:
    """A metric that is compared as its own row shows it."""
    row = METRICS[name]
    return Compared(row.label, row.unit, row.digits, larger, smaller, name)


#: Everything that is compared; ``cell`` is the cell as a whole.
COMPARED: dict[str, Compared] = {
    "accuracy": Compared("accuracy", " %", 2, "higher", "lower"),
    "metric": Compared("metric", "", 6, "higher", "lower"),
    "agreement": Compared("agreement with the baseline", " %", 2, "more", "less"),
    "latency": _compared("p50_ms", "slower", "faster"),
    "load": _compared("load_ms", "slower", "faster"),
    "memory": _compared("peak_memory_mb", "more", "less"),
    "size": _compared("size_kb", "larger", "smaller"),
    "gzip": _compared("gzip_kb", "larger", "smaller"),
    "arena": _compared("arena_kb", "more", "less"),
    "flash": _compared("flash_kb", "more", "less"),
    "cpu_ops": _compared("cpu_ops", "more", "fewer"),
    "delegated": _compared("delegated_percent", "more", "less"),
    "cell": Compared("the cell", "", 0, "", ""),
}
