"""Other vectors to measure on, read as a run's own were."""

from collections.abc import Collection, Iterable
from typing import Any

from metagan.config.vector import VectorData
from metagan.data.dataset import Dataset
from metagan.data.form import Form
from metagan.kinds.vector.convert import far_from
from metagan.kinds.vector.scales import numbered


def other_settings(
    data: VectorData,  # noqa: ARG001 - the form has what they came to
    form: Form,
    source: str,
    said: Collection[str],
) -> dict[str, Any]:
    """Changes in a run's data settings for other vectors: they need the run's own columns.

    Args:
        data: The run's.
        form: Of the run's vectors.
        source: The layout of the other vectors.
        said: Names of fields of `data` that are said of them.
    """
    columns = list(form.facts["columns"])
    # Arrays need no names of their columns; then their order is all there is to go by.
    is_numbered = columns == numbered(len(columns)) and source != "table"
    return {} if "columns" in said or is_numbered else {"columns": tuple(columns)}


def other_looks(dataset: Dataset, form: Form, data: VectorData) -> str | None:  # noqa: ARG001
    """A warning where columns lie far outside of what was learned from.

    Args:
        dataset: The other vectors.
        form: Of the run's.
        data: The settings that the others were read by.
    """
    if dataset.sample_shape != form.shape:
        return None  # Refused as soon as they are converted.
    return far_from([dataset.samples], form)


def other_notes(notes: Iterable[str], said: Collection[str]) -> list[str]:  # noqa: ARG001
    """All notes on other vectors: a trained run can follow each.

    Args:
        notes: On the vectors.
        said: Names of fields of `data` that are said of them.
    """
    return list(notes)
