"""The error tree.

::

    EdgegateError
    |-- ConfigError            models.yaml or devices.yaml says something that cannot be
    |-- SourceError            a model file or a dataset is missing, corrupt or of the wrong kind
    |-- StoreError             the artifact store or a run folder cannot be written or read
    |-- HistoryError           the history's database cannot be reached, read or written
    |-- DiagnosisError         a variant's graph cannot be compared with its float one
    |-- VariantError           a source could not be made into a variant
    |   |-- RecipeRefused      the recipe or its converter says no; the same answer every time
    |   |-- PackageMissing     the converter is not installed
    |   |-- NotTheSameModel    the converter made a model of other answers, and said nothing
    |   `-- ConversionCrashed  the converting process died, hung or was killed
    `-- TargetError            the artifact could not be run
        |-- RuntimeMissing     the runtime that the artifact needs is not installed there
        |-- InputMismatch      the dataset does not fit the artifact's input or output
        |-- ArtifactUnusable   the runtime cannot load or run the file
        |-- RunnerCrashed      the runner died: a signal, an abort, out of memory
        |-- RunnerTimeout      the runner did not finish in time and was killed
        |-- ProfileUnavailable the target does not tell the time of single ops
        `-- DeviceError        the device, or the link to it, does not do what was asked
            |-- DeviceAbsent       nothing answers: unplugged, switched off, not listening
            |-- DeviceRefuses      it answers, and does not let us in: an unknown key, another host key
            |-- LinkLost           the link broke, and connecting again did not help
            |-- DeviceRebooted     it started anew while it was measuring, more than once
            |-- DeviceFull         no space is left in the work folder
            |-- CommandFailed      a command that must succeed on the device did not
            |-- CommandTimeout     a command did not finish in time and was killed on the device
            |-- DeviceUnsettled    it is too hot, too busy or too empty to measure on, and stays so
            |-- ToolUnusable       the benchmark tool is missing, of another ABI, or says what it should not
            |   `-- ResultUnreadable its file of results is missing or damaged
            `-- BackendUnused      the backend that was asked for did not run the model

Every error is one sentence that names the file and key (or the device and command), and a next step.
"""

from __future__ import annotations


class EdgegateError(Exception):
    """Base of everything edgegate raises on purpose.

    ``message`` says what is wrong and where; ``next_step`` what to do about it; ``log_tail`` is the end of a
    child process's log where one exists.
    """

    def __init__(self, message: str, *, next_step: str = "", log_tail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.log_tail = log_tail

    def __str__(self) -> str:
        parts = [self.message]
        if self.next_step:
            parts.append(f"Next: {self.next_step}")
        if self.log_tail:
            parts.append("End of its log:\n" + self.log_tail)
        return "\n".join(parts)


class ConfigError(EdgegateError):
    """models.yaml or devices.yaml says something that cannot be."""


class SourceError(EdgegateError):
    """A model file or a dataset is missing, corrupt or of the wrong kind."""


class StoreError(EdgegateError):
    """The artifact store or a run folder cannot be written or read."""


class HistoryError(EdgegateError):
    """The history's database cannot be reached, read or written."""


class DiagnosisError(EdgegateError):
    """A variant's graph cannot be compared with its float one."""


class VariantError(EdgegateError):
    """A source could not be made into a variant."""


class RecipeRefused(VariantError):
    """The recipe, or its converter, cannot take this source; asking again gives the same answer."""


class PackageMissing(VariantError):
    """A package that the recipe needs is not installed."""


class NotTheSameModel(VariantError):
    """A converter changed the model's answers and said nothing."""


class ConversionCrashed(VariantError):
    """The process that converts died, hung or was killed."""


class TargetError(EdgegateError):
    """An artifact could not be run on a target."""


class RuntimeMissing(TargetError):
    """The runtime that an artifact needs is not installed where it should run."""


class InputMismatch(TargetError):
    """The dataset does not fit the artifact's input or output."""


class ArtifactUnusable(TargetError):
    """The runtime cannot load or run the artifact."""


class RunnerCrashed(TargetError):
    """The runner process died: a signal, an abort, no memory."""


class RunnerTimeout(TargetError):
    """The runner did not finish in time and was killed."""


class ProfileUnavailable(TargetError):
    """The target does not tell the time of single ops."""


class DeviceError(TargetError):
    """The device, or the link to it, does not do what was asked."""


class DeviceAbsent(DeviceError):
    """Nothing answers: unplugged, switched off, not listening; ``required`` as devices.yaml has it."""

    required = True


class DeviceRefuses(DeviceError):
    """The device answers, and does not let us in: an unknown key, another host key."""


class LinkLost(DeviceError):
    """The link broke, and connecting again did not help."""


class DeviceRebooted(DeviceError):
    """The device started anew while it was measuring, more than once."""


class DeviceFull(DeviceError):
    """No space is left in the device's work folder."""


class CommandFailed(DeviceError):
    """A command that must succeed on the device did not."""


class CommandTimeout(DeviceError):
    """A command did not finish in time and was killed on the device."""


class DeviceUnsettled(DeviceError):
    """The device is too hot, too busy or too empty to measure on, and stays so."""


class ToolUnusable(DeviceError):
    """The benchmark tool is missing, of another ABI, or says what it should not."""


class ResultUnreadable(ToolUnusable):
    """The file of results that the benchmark tool was to write is missing or damaged."""


class BackendUnused(DeviceError):
    """The backend that was asked for did not run the model."""
