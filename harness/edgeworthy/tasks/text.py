"""Text: a transcript, what a picture of writing says, a translation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgeworthy.errors import SourceError
from edgeworthy.tasks.one_output import OneOutput
from edgeworthy.tasks.packages import package
from edgeworthy.tasks.task import Measure, Outputs, Predictions, Shapes, Targets, mean_of, of_sums
from edgeworthy.tasks.text_decoders import NO_TEXT, Ctc, TokenIds


class Text(OneOutput):
    """An output that ``decoder`` makes a text of, and targets of dtype ``U`` (samples,), the right texts.

    Word and character error rate are jiwer's over the corpus, with its default treatment of spaces.
    """

    METRICS: ClassVar[tuple[str, ...]] = ("wer", "cer", "exact_match")

    kind: Literal["text"] = "text"
    decoder: Annotated[Ctc | TokenIds, Field(discriminator="kind")]
    case: Literal["keep", "lower"] = Field("keep", description="lower: texts are compared in lower case")

    def fitted(self, outputs: Shapes, targets: Targets, inputs: tuple[int, ...]) -> Text:
        """The task as it is. Raises SourceError where the output cannot be decoded, or a target cannot be a prediction."""
        self.decoder.check(self.judged(outputs))
        if targets.dtype.kind != "U" or targets.ndim != 1:
            raise SourceError(f"the targets are {targets.dtype} of shape {targets.shape}", hint="give texts (samples,)")
        empty = np.flatnonzero(np.char.strip(targets) == "")
        if empty.size:
            raise SourceError(
                f"the target of sample {empty[0]} is an empty text",
                hint="leave it out: no error rate is defined for it",
            )
        self._check_characters(targets)
        return self

    def with_files(self, base: Path) -> Text:
        """With the text of the tokenizer that it names."""
        return self.model_copy(update={"decoder": self.decoder.with_files(base)})

    def _check_characters(self, targets: Targets) -> None:
        symbols = self.decoder.symbols()
        known = None if symbols is None else set("".join(self._cased(symbol) for symbol in symbols))
        for sample, text in enumerate(targets.tolist()):
            used = set(self._cased(text))
            strange = used & {NO_TEXT} if known is None else used - known
            if strange:
                raise SourceError(
                    f"the target of sample {sample} has characters that no prediction can have: {sorted(strange)}",
                    hint="write the targets with the symbols of the model, or set 'case: lower'",
                )

    def _cased(self, text: str) -> str:
        return text.lower() if self.case == "lower" else text

    def decode(self, outputs: Outputs) -> NDArray[np.str_]:
        """Texts (samples,); NO_TEXT where the output has none."""
        return np.array([self._cased(text) for text in self.decoder.texts(self.judged(outputs))], np.str_)

    def agree(self, first: Predictions, other: Predictions) -> NDArray[np.bool_]:
        """Whether the texts are equal; a sample without a text does not agree."""
        return np.asarray((first == other) & (first != NO_TEXT))

    def measure(self, metric: str) -> Measure:
        """As the table of metrics says. Raises SourceError where jiwer is not installed."""
        if metric == "exact_match":
            return mean_of(lambda texts, targets: 100 * (texts == self._right(targets)))
        jiwer = package("jiwer", "error rates of texts are measured by", "texts")
        process = {"wer": jiwer.process_words, "cer": jiwer.process_characters}[metric]
        return of_sums(
            lambda texts, targets: _errors(process(self._right(targets), texts.tolist())),
            lambda sums: 100 * sums[:, 0] / sums[:, 1],
        )

    def _right(self, targets: Targets) -> list[str]:
        return [self._cased(text) for text in targets.tolist()]


def _errors(processed: Any) -> NDArray[np.int64]:
    """How many words or characters are wrong in each text, and how many its target has: (samples, 2).

    ``processed`` is jiwer's alignment; what is replaced counts once.
    """
    wrong = [
        sum(
            max(part.ref_end_idx - part.ref_start_idx, part.hyp_end_idx - part.hyp_start_idx)
            for part in parts
            if part.type != "equal"
        )
        for parts in processed.alignments
    ]
    return np.array([wrong, [len(reference) for reference in processed.references]], np.int64).T
