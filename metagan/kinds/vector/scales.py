"""The center and the scale of every column, by which vectors are converted; torch-free.

Shapes: N samples, D columns.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metagan.data.dataset import Dataset
from metagan.data.form import Form

REACH: Final = 10.0
"""The farthest value that networks see, in scales from the median."""

_QUARTILES_OF_NORMAL: Final = 1.349
"""Distance of the quartiles of a normal distribution, in standard deviations."""


def column_names(dataset: Dataset) -> list[str]:
    """The columns' names where the source knows them, else `x0`, `x1`, ..."""
    names = list(map(str, dataset.origin.get("columns") or ()))
    width = dataset.samples.shape[1]
    return names if len(names) == width else numbered(width)


def drawn_columns(form: Form) -> list[str]:
    """The columns that a generator draws: all but the inputs."""
    inputs = set(form.facts.get("inputs", ()))
    return [name for name in form.facts["columns"] if name not in inputs]


def numbered(width: int) -> list[str]:
    """Names of columns that have none: `x0`, `x1`, ..."""
    return [f"x{number}" for number in range(width)]


def center_and_scale(rows: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The median and the scale of every column of rows (N, D), each (D,)."""
    center = np.empty(rows.shape[1])
    scale = np.empty(rows.shape[1])
    # One column after the other: in float64 all of them at once would be twice the data.
    for index in range(rows.shape[1]):
        column = rows[:, index].astype(np.float64)
        low, center[index], high = np.quantile(column, [0.25, 0.5, 0.75])
        scale[index] = (high - low) / _QUARTILES_OF_NORMAL
        if scale[index] <= 0:
            scale[index] = column.std() if np.ptp(column) > 0 else 1.0
    return center, scale
