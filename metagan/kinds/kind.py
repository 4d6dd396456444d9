"""What a kind of sample is: one row of functions, which the rest of the program is handed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from metagan.core.gan import MakePlayers


@dataclass(frozen=True)
class Kind:
    """A row of the table of kinds.

    Attributes:
        players: Networks, and the augmentation inside of the discriminator.
        to_tensor: Stored samples (N, ...) -> what networks see, floats.
        to_samples: What networks draw -> stored samples.
    """

    players: MakePlayers
    to_tensor: Callable[[np.ndarray], Tensor]
    to_samples: Callable[[Tensor], np.ndarray[Any, Any]]
