"""The table of tasks: what ``kind`` in a task's options may be."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from edgeworthy.schema import one_of
from edgeworthy.tasks.audio import Audio
from edgeworthy.tasks.classification import Classification
from edgeworthy.tasks.detection import Detection
from edgeworthy.tasks.embeddings import Embeddings
from edgeworthy.tasks.images import Images
from edgeworthy.tasks.keypoints import Keypoints
from edgeworthy.tasks.landmarks import Landmarks
from edgeworthy.tasks.multi_label import MultiLabel
from edgeworthy.tasks.regression import Regression
from edgeworthy.tasks.segmentation import Segmentation
from edgeworthy.tasks.task import Task
from edgeworthy.tasks.text import Text
from edgeworthy.tasks.tokens import Tokens

#: The options of a task, of the class that their ``kind`` says.
AnyTask = Annotated[
    Classification
    | MultiLabel
    | Regression
    | Detection
    | Keypoints
    | Landmarks
    | Segmentation
    | Text
    | Tokens
    | Embeddings
    | Images
    | Audio,
    Field(discriminator="kind"),
]
#: Kind -> class.
TASKS: dict[str, type[Task]] = {task.model_fields["kind"].default: task for task in get_args(get_args(AnyTask)[0])}
#: A kind alone.
TaskKind = Annotated[str, *one_of(TASKS)]
