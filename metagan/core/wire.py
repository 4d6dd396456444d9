"""Meta-gradients as they travel from a worker to the driver.

With `outer.wire_dtype` bfloat16 each number is rounded to its upper half: the range of float32, 8
significant bits, a relative error of at most 2^-8 = 0.4 %. What is added up is float32 again. The
rounding is part of a chunk's result wherever that is computed, so weights still depend on nobody.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metagan.config.learning import WireDtype
from metagan.core.params import Vector

#: (P,) float32, or the bits of bfloat16 as uint16, a type that NumPy has not.
Sent = NDArray[np.float32] | NDArray[np.uint16]


def to_wire(vector: Tensor, dtype: WireDtype) -> Sent:
    """A (P,) float32 tensor as it is sent, rounded to the nearest number, ties to even."""
    if dtype == "float32":
        plain: Vector = vector.cpu().numpy()
        return plain
    # Through int16: there are operations on torch's uint16 that it lacks.
    bits: NDArray[np.uint16] = vector.to(torch.bfloat16).view(torch.int16).cpu().numpy().view("u2")
    return bits


def is_sent(found: NDArray[Any], num_weights: int) -> bool:
    """True if an array is of a type and shape that `to_wire` makes of so many weights."""
    return found.dtype in (np.float32, np.uint16) and found.shape == (num_weights,)


def from_wire(sent: Sent) -> Vector:
    """The tensor as float32; one that was sent as float32 is not copied."""
    if sent.dtype == np.float32:
        return sent  # type: ignore[return-value]
    return (sent.astype(np.uint32) << np.uint32(16)).view(np.float32)
