"""The error tree.

::

    EdgeworthyError
    |-- ConfigError            models.yaml, devices.yaml or an option is invalid
    |   `-- RecipeMisfit       the parts of a recipe, or its options, do not fit together
    |-- SourceError            a model file or a dataset is missing, corrupt or of the wrong kind
    |-- StoreError             the artifact store or a run folder cannot be written or read
    |-- HistoryError           the history's database cannot be reached, read or written
    |-- DiagnosisError         a variant's graph cannot be compared with its float one
    |-- VariantError           a source could not be made into a variant
    |   |-- RecipeRefused      the recipe or its converter cannot take the model; trying again does not help
    |   |-- PackageMissing     the converter is not installed
    |   |-- FrameworkClash     something would bring TensorFlow and torch into one process
    |   |-- NotTheSameModel    the converter silently changed the model's outputs
    |   `-- ConversionCrashed  the converting process died, hung or was killed
    `-- TargetError            the artifact could not be run
        |-- RuntimeMissing     the runtime that the artifact needs is not installed there
        |-- InputMismatch      the dataset does not fit the artifact's input or output
        |-- ArtifactUnusable   the runtime cannot load or run the file
        |-- NotRepeatable      it is random, or its outputs depend on the order of the samples
        |-- RunnerCrashed      the runner was killed by a signal or ran out of memory
        |-- RunnerTimeout      the runner did not finish in time and was killed
        |-- ProfileUnavailable the target cannot time single ops
        |-- Emulated           the target is emulated: it has outputs, and no times and no memory of its own
        `-- DeviceError        the device, or the link to it, failed
            |-- DeviceAbsent       not reachable: unplugged, switched off, not listening
            |-- DeviceRefuses      reachable, but authentication failed: an unknown key, another host key
            |-- LinkLost           the link broke, and connecting again did not help
            |-- DeviceRebooted     it rebooted while it was measuring, more than once
            |-- DeviceFull         no space is left in the work folder
            |-- CommandFailed      a command that must succeed on the device did not
            |-- CommandTimeout     a command did not finish in time and was killed on the device
            |-- DeviceNotReady     it stays too hot, too busy or too low on battery to measure on
            |-- ToolUnusable       the benchmark tool is missing, of another ABI, or prints something unexpected
            |   `-- ResultUnreadable its result file is missing or damaged
            `-- BackendUnused      the backend that was asked for did not run the model
                `-- NodesLeft          it left nodes of the graph to the processor

Every error has a message, one sentence that names the file and key (or the device and command), and a hint: what to do next.
"""

from __future__ import annotations

from edgeworthy.text import LONGEST, printable


class EdgeworthyError(Exception):
    """Base class of edgeworthy's errors.

    ``message`` says what is wrong and where; ``hint`` what to do about it; ``log_tail`` is the end of a
    child process's log where one exists.
    """

    def __init__(self, message: str, *, hint: str, log_tail: str = "") -> None:
        self.message = printable(message)
        super().__init__(self.message)
        self.hint = printable(hint)
        self.log_tail = printable(log_tail[-LONGEST:])

    def __str__(self) -> str:
        parts = [self.message]
        if self.hint:
            parts.append(f"Hint: {self.hint}")
        if self.log_tail:
            parts.append("End of its log:\n" + self.log_tail)
        return "\n".join(parts)


class ConfigError(EdgeworthyError):
    """models.yaml, devices.yaml or an option is invalid."""


class RecipeMisfit(ConfigError):
    """The parts of a recipe, or its options, do not fit together; ``keys`` say where in the variant's entry."""

    def __init__(self, message: str, *, hint: str, keys: tuple[str | int, ...]) -> None:
        super().__init__(message, hint=hint)
        self.keys = keys


class SourceError(EdgeworthyError):
    """A model file or a dataset is missing, corrupt or of the wrong kind."""


class StoreError(EdgeworthyError):
    """The artifact store or a run folder cannot be written or read."""


class HistoryError(EdgeworthyError):
    """The history's database cannot be reached, read or written."""


class DiagnosisError(EdgeworthyError):
    """A variant's graph cannot be compared with its float one."""


class VariantError(EdgeworthyError):
    """A source could not be made into a variant."""


class RecipeRefused(VariantError):
    """The recipe, or its converter, cannot take this model; trying again does not help.

    The one error that recipes of users raise, too: without a ``hint`` it has the one that always holds.
    """

    def __init__(self, message: str, *, hint: str = "drop this variant for this model", log_tail: str = "") -> None:
        super().__init__(message, hint=hint, log_tail=log_tail)


class PackageMissing(VariantError):
    """A package that the recipe needs is not installed."""


class FrameworkClash(VariantError, ModuleNotFoundError):
    """Something would bring TensorFlow and torch into one process."""


class NotTheSameModel(VariantError):
    """A converter silently changed the model's outputs."""


class ConversionCrashed(VariantError):
    """The process that converts died, hung or was killed; ``timed_out`` says that it hung."""

    timed_out = False


class TargetError(EdgeworthyError):
    """An artifact could not be run on a target."""


class RuntimeMissing(TargetError):
    """The runtime that an artifact needs is not installed where it should run."""


class InputMismatch(TargetError):
    """The dataset does not fit the artifact's input or output."""


class ArtifactUnusable(TargetError):
    """The runtime cannot load or run the artifact."""


class NotRepeatable(TargetError):
    """The artifact gives other outputs for the same samples: it is random, or keeps state from one to the next."""


class RunnerCrashed(TargetError):
    """The runner process was killed by a signal or ran out of memory."""


class RunnerTimeout(TargetError):
    """The runner did not finish in time and was killed."""


class ProfileUnavailable(TargetError):
    """The target cannot time single ops."""


class Emulated(TargetError):
    """The target is emulated: it has outputs, and no times and no memory of its own."""

    def __init__(self, target: str) -> None:
        super().__init__(
            f"{target} is emulated: its times and its memory are those of this machine, and are not measured",
            hint="measure latency and memory on the device itself",
        )


class DeviceError(TargetError):
    """The device, or the link to it, failed."""


class DeviceAbsent(DeviceError):
    """The device is not reachable: unplugged, switched off, not listening; ``required`` as in devices.yaml."""

    required = True


class DeviceRefuses(DeviceError):
    """The device is reachable, but authentication failed: an unknown key, another host key."""


class LinkLost(DeviceError):
    """The link broke, and connecting again did not help."""


class DeviceRebooted(DeviceError):
    """The device rebooted while it was measuring, more than once."""


class DeviceFull(DeviceError):
    """No space is left in the device's work folder."""


class CommandFailed(DeviceError):
    """A command that must succeed on the device did not."""


class CommandTimeout(DeviceError):
    """A command did not finish in time and was killed on the device."""


class DeviceNotReady(DeviceError):
    """The device stays too hot, too busy or too low on battery to measure on."""


class ToolUnusable(DeviceError):
    """The benchmark tool is missing, of another ABI, or prints something unexpected."""


class ResultUnreadable(ToolUnusable):
    """The benchmark tool's result file is missing or damaged."""


class BackendUnused(DeviceError):
    """The backend that was asked for did not run the model."""


class NodesLeft(BackendUnused):
    """The accelerator that was asked for left nodes of the graph to the processor."""
