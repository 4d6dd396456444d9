"""Samples of any kind that Python code hands in: as arrays, and by the name of their type."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def array_of(given: Any) -> NDArray[Any]:
    """A numpy array of an array or a tensor, whichever device and type of float it has."""
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        if "bfloat16" in str(given.dtype):
            given = given.float()
        return np.asarray(given.numpy())
    return np.asarray(given)


def type_in_words(given: object) -> str:
    """The name of a value's type with its article, such as `an int`."""
    kind = type(given).__name__
    return f"an {kind}" if kind[0].lower() in "aeiou" else f"a {kind}"
