"""Data sets of made predictions, of a reference and of a variant that lost something, for metrics over all samples."""

from dataclasses import dataclass

import numpy as np
from edgeworthy.statistics.paired_corpus import PairedCorpus
from edgeworthy.tasks.corpus import Corpus
from edgeworthy.tasks.detection import Detection
from edgeworthy.tasks.detections import Detections
from edgeworthy.tasks.segmentation import Segmentation
from edgeworthy.tasks.task import of_sums

SIDE = 320


@dataclass(frozen=True)
class Kind:
    """A kind of model: ``made(samples, random)`` makes both sides, the reference first."""

    name: str
    samples: int
    made: object
    higher_is_better: bool

    def pairs(self, samples, random):
        """A data set of so many samples, judged."""
        return PairedCorpus(*self.made(samples, random), self.higher_is_better)


def words(samples, random):
    """Texts of 3 to 20 words: 10 % of the words are wrong, and of the others 2 % more."""
    counts = random.integers(3, 20, samples)
    before = random.binomial(counts, 0.10)
    after = before + random.binomial(counts - before, 0.02)
    measure = of_sums(lambda wrong, targets: np.stack([wrong, targets], 1), lambda sums: 100 * sums[:, 0] / sums[:, 1])
    return [Corpus(measure, measure.evidence(wrong, counts), samples) for wrong in (before, after)]


def pixels(samples, random):
    """Masks of 8x8 pixels and four classes, of unlike share in each picture: 10 % are wrong, and 2 % more."""
    shares = random.dirichlet(np.full(4, 0.5), samples)
    targets = np.stack([random.choice(4, (8, 8), p=share) for share in shares])
    before = np.where(random.random(targets.shape) < 0.10, random.integers(4, size=targets.shape), targets)
    after = np.where(random.random(targets.shape) < 0.02, random.integers(4, size=targets.shape), before)
    measure = Segmentation(classes=4).measure("miou")
    return [Corpus(measure, measure.evidence(masks.astype(np.int32), targets), samples) for masks in (before, after)]


def boxes(samples, random, classes=3, objects=4, extra=2):
    """Pictures of some objects: boxes that are nearly right and some that are nothing; the variant's are less exact."""
    measure, size = Detection(decoder={"kind": "boxes"}, classes=classes).measure("map"), objects + extra
    corners = random.uniform(0, SIDE / 2, (samples, size, 2))
    found = np.concatenate([corners, corners + random.uniform(30, 120, (samples, size, 2))], axis=2)
    kinds = random.integers(classes, size=(samples, size))
    there = np.concatenate([found, kinds[..., None]], axis=2)[:, :objects]
    there[..., 4] = np.where(random.random((samples, objects)) < 0.2, -1, there[..., 4])
    exact = random.gamma(2, 2, (samples, size, 1)) * random.normal(size=found.shape)
    scores = random.beta(4, 2, (samples, size)) * np.where(np.arange(size) < objects, 1, 0.6)
    sides = []
    for off, less in ((exact, 0), (exact + random.normal(size=found.shape), 0.03)):
        seen = np.clip(scores + less * random.normal(size=scores.shape), 0, 1)
        order = np.argsort(-seen, axis=1)
        found_there = [
            Detections(
                (found + off)[row][best].astype(np.float32), seen[row][best].astype(np.float32), kinds[row][best]
            )
            for row, best in enumerate(order)
        ]
        sides.append(Corpus(measure, measure.evidence(found_there, there), samples))
    return sides


KINDS = (
    Kind("word error rate", 150, words, False),
    Kind("mean IoU", 150, pixels, True),
    Kind("mAP", 200, boxes, True),
)
