"""From stored vectors to what networks see, and back.

Networks see every column with its median at 0 and its scale at 1. The scale is the distance between
the quartiles / 1.349, which for a normal distribution is the standard deviation, and which a few
wild values do not move. Values farther than 10 scales from the median are drawn in to 10: networks
never see them as they are, and never generate such values.

Shapes: n samples of a class, W classes of K samples each, D columns.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metagan.config.vector import VectorData
from metagan.data.dataset import DataError, Dataset
from metagan.data.form import Form
from metagan.data.pairs import MakeInputs, reference_domain, reference_inputs
from metagan.data.paths.names import a_few, table_name
from metagan.kinds.kind import Support
from metagan.kinds.vector.samples import LARGEST, Vectors, vector_classes
from metagan.kinds.vector.scales import REACH, center_and_scale, column_names, drawn_columns
from metagan.warn import warn
from metagan.words import agreeing, counted, short


def fit(dataset: Dataset, classes: Sequence[int], config: VectorData) -> Form:
    """The center and scale of every column, from the samples of these classes alone.

    Args:
        dataset: Vectors; `origin["columns"]` may name their columns.
        classes: The classes that are learned from.
        config: The settings that they were read by.

    Returns:
        A form with the facts `columns`, `center` (median) and `scale` (see above; where it is 0 the
        standard deviation, and where that is 0 too, 1), and the names of a table's columns of
        `label` and `domain`.

    Raises:
        DataError: If there are no classes, or the samples are no vectors.
    """
    if dataset.kind != "vector" or dataset.samples.ndim != 2:
        raise DataError(
            f"samples are {dataset.kind} of shape {dataset.samples.shape}; expected vectors (N, D)"
        )
    if not classes:
        raise DataError(
            "no class is left to learn from; lower data.validation_fraction and "
            "data.test_fraction, or hold out fewer domains"
        )
    rows = np.concatenate([dataset.class_samples(index) for index in classes])
    center, scale = center_and_scale(rows)
    columns = column_names(dataset)
    facts = {
        "columns": columns,
        "center": center.tolist(),
        "scale": scale.tolist(),
        "label": config.label,
        "domain": config.domain,
    }
    reference, shape = reference_domain(dataset), tuple(dataset.sample_shape)
    if not config.inputs:
        return Form("vector", shape, facts, () if reference is None else shape)
    if reference is not None:
        raise DataError(
            f"data.inputs names {a_few(config.inputs)}, and data.reference_domain {reference}: "
            "inputs are columns, or samples of that domain; leave one out"
        )
    inputs = _named_inputs(columns, config)
    facts["inputs"] = inputs
    return Form("vector", (len(columns) - len(inputs),), facts, (len(inputs),))


def _named_inputs(columns: Sequence[str], config: VectorData) -> list[str]:
    """The columns that are inputs, in the order of the settings."""
    named, there = list(map(table_name, config.inputs)), list(columns)
    lacking = [name for name in named if name not in there]
    if lacking:
        raise DataError(
            f"data.inputs names {a_few(lacking)}, but the vectors' columns are {a_few(there)}"
        )
    if len(set(named)) < len(named):
        raise DataError(f"data.inputs is {a_few(named)}; name each column once")
    if len(named) == len(there):
        raise DataError(
            "data.inputs names every column, so that nothing is left to draw; leave one out"
        )
    return named


def to_tensor(samples: NDArray[Any], form: Form) -> Tensor:
    """Stored vectors (..., D) as float32: (value - center) / scale, drawn in to +-10.

    Columns that are inputs are left out; see `to_inputs`.

    Raises:
        DataError: If they have another number of columns than the run's data.
    """
    return _scaled(samples, form, _drawn_places(form))


def to_inputs(samples: NDArray[Any], form: Form) -> Tensor:
    """The inputs (..., *form.given) of stored vectors (..., D), converted alike.

    Raises:
        DataError: If they have another number of columns than the run's data.
    """
    return _scaled(samples, form, _places(form, _told(form)))


def form_of_inputs(form: Form) -> Form:
    """The form by which a file that has the inputs alone is read."""
    return _with_columns(form, _told(form))


def joined(
    inputs: NDArray[Any], drawn: NDArray[Any], form: Form
) -> tuple[NDArray[np.float32], Form]:
    """Rows with every column of the user's files, and their form.

    Args:
        inputs: (..., inputs), stored, in the order of the form's.
        drawn: (..., the other columns), as `to_samples` gives them.
        form: Of the pairs.
    """
    columns = list(form.facts["columns"])
    rows = np.empty((*drawn.shape[:-1], len(columns)), np.float32)
    for part, names in ((inputs, _told(form)), (drawn, drawn_columns(form))):
        rows[..., _places(form, names)] = part
    return rows, _with_columns(form, columns)


def _with_columns(form: Form, columns: Sequence[str]) -> Form:
    """The form of vectors that have these of the columns, none of them an input."""
    center, scale = (numbers[_places(form, columns)] for numbers in _numbers(form))
    facts = {key: value for key, value in form.facts.items() if key != "inputs"}
    facts |= {"columns": list(columns), "center": center.tolist(), "scale": scale.tolist()}
    return Form(form.kind, (len(columns),), facts)


def make_inputs(dataset: Dataset, form: Form) -> MakeInputs:
    """Function that looks up the inputs of samples of a data set.

    Raises:
        DataError: If the samples have none.
    """
    if not form.given:
        raise DataError(
            "gan.conditioning has input, but no column is one; name them by data.inputs, or set "
            "data.reference_domain"
        )
    if "inputs" not in form.facts:
        found = reference_inputs(dataset, lambda samples: to_tensor(samples, form))
        assert found is not None, "that is why the form has inputs"
        return found

    def inputs(
        classes: NDArray[np.int64],
        places: NDArray[np.int64],
        samples: Tensor,  # noqa: ARG001 - they do not hold their inputs
        seed: int,  # noqa: ARG001 - nothing is drawn
    ) -> Tensor:
        return to_inputs(dataset.samples[dataset.offsets[classes] + places], form)

    return inputs


def _scaled(samples: NDArray[Any], form: Form, where: list[int] | slice) -> Tensor:
    array, (center, scale) = np.asarray(samples), _numbers(form)
    if array.shape[-1] != len(center):
        raise DataError(
            f"samples have shape {array.shape}; the run's have {len(center)} columns: "
            f"{a_few(form.facts['columns'])}"
        )
    scaled = (array[..., where].astype(np.float64) - center[where]) / scale[where]
    return torch.from_numpy(np.clip(scaled, -REACH, REACH).astype(np.float32))


def _drawn_places(form: Form) -> list[int] | slice:
    """Places of the columns that a generator draws, in a stored row."""
    return _places(form, drawn_columns(form)) if form.facts.get("inputs") else slice(None)


def _places(form: Form, names: Sequence[str]) -> list[int]:
    """Places of these columns in a stored row."""
    columns = list(form.facts["columns"])
    return [columns.index(name) for name in names]


def _told(form: Form) -> list[str]:
    """The columns that are inputs."""
    if "inputs" not in form.facts:
        raise DataError(
            "this run's inputs are samples of a reference domain, which files of rows do not hold; "
            "give both to metagan.adapt_to_target, as support and inputs"
        )
    return list(form.facts["inputs"])


def to_samples(samples: Tensor, form: Form) -> Vectors:
    """Convert what networks draw, (..., D), to float32 in the units of the user's files.

    Raises:
        DataError: If they are no floats, or have another number of columns.
    """
    if not (isinstance(samples, Tensor) and samples.is_floating_point()):
        kind = samples.dtype if hasattr(samples, "dtype") else type(samples).__name__
        raise DataError(f"samples are {kind}; to_samples takes a tensor of floats")
    if tuple(samples.shape[-1:]) != form.shape:
        raise DataError(
            f"samples have shape {tuple(samples.shape)}; expected (..., {form.shape[0]})"
        )
    where = _drawn_places(form)
    center, scale = (numbers[where] for numbers in _numbers(form))
    drawn = within(samples.detach().cpu().double()).numpy()
    result: Vectors = np.clip(drawn * scale + center, -LARGEST, LARGEST).astype(np.float32)
    return result


def within(samples: Tensor) -> Tensor:
    """Limit what a generator draws to 10 scales; NaN stays, so that divergence is seen."""
    return samples.clamp(-REACH, REACH)


def check_support(support: object, form: Form) -> None:
    """Refuse a support (W, K, D) that is no tensor of floats, or has a value that is not finite.

    Raises:
        DataError: With the place, the column and the value.
    """
    if not (isinstance(support, Tensor) and support.is_floating_point()):
        given = getattr(support, "dtype", type(support).__name__)
        raise DataError(
            f"support is {given}; expected a tensor of floats, in scales from the columns' medians"
        )
    finite = torch.isfinite(support)
    if not finite.all():
        way, shot, column = torch.nonzero(~finite)[0].tolist()
        raise DataError(
            f"support[{way}, {shot}], column {drawn_columns(form)[column]!r}: "
            f"{support[way, shot, column].item()}; values must be finite"
        )


def check_classes(classes: object, form: Form) -> Support:
    """Classes that Python code hands in, in the user's units, as stored samples.

    Args:
        classes: {label: (n, D) array, tensor or list of rows}; see `vector_classes`.
        form: The run's.

    Raises:
        DataError: If they are no such samples; the message names the class.
    """
    columns = form.facts["columns"]
    found = vector_classes(classes, columns=columns, width=len(columns))
    if isinstance(classes, Support):  # What was read from files has a note on it.
        return Support(found, classes.form)
    if warning := far_from(list(found.values()), form):
        warn(warning)
    return Support(found, form)


def far_from(samples: Sequence[Vectors], form: Form) -> str | None:
    """A warning where columns lie far outside of what was learned from.

    Other units, or columns in another order, move a column's median by more than 10 scales.

    Args:
        samples: Stored samples, each (n, D).
        form: The run's.
    """
    rows = np.concatenate([np.asarray(own) for own in samples])
    center, scale = _numbers(form)
    medians = np.median(rows.astype(np.float64), axis=0)
    away = np.abs(medians - center) / scale
    far = [int(index) for index in np.argsort(-away, kind="stable") if away[index] > REACH]
    if not far:
        return None
    names = form.facts["columns"]
    named = [
        f"{names[i]} (median {short(medians[i])}, learned from {short(center[i])})" for i in far
    ]
    lies = agreeing(len(far), "lies", "lie")
    return (
        f"{len(far)} of {counted(len(names), 'column')} {lies} more than {REACH:g} scales away "
        f"from what was learned from, and networks do not see how far: {a_few(named, most=3)}; "
        "check the units, and the order of the columns"
    )


def _numbers(form: Form) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The center and the scale of every column of a stored row."""
    return (
        np.asarray(form.facts["center"], np.float64),
        np.asarray(form.facts["scale"], np.float64),
    )
