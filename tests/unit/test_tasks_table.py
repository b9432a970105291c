"""The options of tasks: which task, which output, which packages."""

from __future__ import annotations

import numpy as np
import pytest
from edgeworthy.errors import SourceError
from edgeworthy.metrics import QUALITIES
from edgeworthy.tasks.classification import Classification
from edgeworthy.tasks.outputs import chosen
from edgeworthy.tasks.packages import package
from edgeworthy.tasks.segmentation import Segmentation
from edgeworthy.tasks.table import TASKS, AnyTask
from edgeworthy.tasks.text import Text
from edgeworthy.tasks.text_decoders import Ctc
from pydantic import TypeAdapter, ValidationError


def test_every_kind_is_read_as_its_class() -> None:
    """The union and the table name the same tasks."""
    adapter: TypeAdapter[AnyTask] = TypeAdapter(AnyTask)
    assert set(adapter.json_schema()["discriminator"]["mapping"]) == set(TASKS)
    assert adapter.validate_python({"kind": "segmentation", "ignore": 0}) == Segmentation(ignore=0)
    read = adapter.validate_python({"kind": "text", "decoder": {"kind": "ctc", "alphabet": "ab", "blank": "last"}})
    assert read == Text(decoder=Ctc(alphabet="ab", blank="last"))
    with pytest.raises(ValidationError, match="unknown key 'ignored'; did you mean 'ignore'"):
        adapter.validate_python({"kind": "segmentation", "ignored": 0})


def test_every_metric_of_a_task_is_in_the_table_of_metrics() -> None:
    for kind, task in TASKS.items():
        assert set(task.METRICS) <= set(QUALITIES), kind
        assert all(field.description for name, field in task.model_fields.items() if name not in ("kind", "decoder"))


def test_an_output_is_chosen_by_its_name_or_is_the_only_one() -> None:
    outputs = {"scores": 1, "boxes": 2}
    assert chosen(outputs, "boxes", "output") == 2
    assert chosen({"": 3}, None, "output") == chosen({"any": 3}, None, "output") == 3
    with pytest.raises(SourceError, match="the model has 2 outputs: scores, boxes") as refused:
        chosen(outputs, None, "output")
    assert "'output'" in refused.value.hint
    with pytest.raises(SourceError, match="no output 'box'") as refused:
        chosen(outputs, "box", "output")
    assert "did you mean 'boxes'" in refused.value.hint
    with pytest.raises(SourceError, match="no output 'x'") as refused:
        chosen({"": 3}, "x", "output")
    assert "leave out 'output'" in refused.value.hint


def test_a_task_judges_the_output_that_it_names() -> None:
    task = Classification(output="b")
    outputs = {"a": np.zeros((2, 3), np.float32), "b": np.eye(2, dtype=np.float32)}
    fit = task.fitted({name: each.shape[1:] for name, each in outputs.items()}, np.array([0, 1]), (1,))
    assert np.array_equal(fit.decode(outputs), outputs["b"])


def test_a_package_that_is_missing_is_named_with_what_installs_it() -> None:
    with pytest.raises(SourceError, match="texts are compared by no_such_package, which is not installed") as refused:
        package("no_such_package.metrics", "texts are compared by", "text")
    assert refused.value.hint == "pip install 'edgeworthy[text]'"
