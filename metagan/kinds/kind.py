"""What a kind of sample is: one row of functions, which the rest of the program is handed.

Shapes: N samples, W classes of K samples each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from metagan.config.data import DataConfig
from metagan.core.gan import MakePlayers
from metagan.data.dataset import Dataset, Samples
from metagan.data.form import Form


class Support(dict[str, Samples]):
    """Classes that were read from a user's files: {label: (n, *sample_shape) stored samples}.

    Attributes:
        form: How these samples were read, which may differ from how the run's own were.
    """

    def __init__(self, classes: Mapping[str, Samples], form: Form) -> None:
        """The same classes, and how they were read."""
        super().__init__(classes)
        self.form = form


class Model(Protocol):
    """The target's own model: a classifier whose body gives features to a linear head."""

    body: nn.Module
    head: nn.Linear
    num_features: int
    sample_shape: tuple[int, ...]

    def features(self, samples: Tensor) -> Tensor:
        """(B, *sample_shape) on any device to (B, num_features) on the model's."""

    def __call__(self, samples: Tensor) -> Tensor:
        """(B, *sample_shape) to logits (B, number of classes)."""


@dataclass(frozen=True)
class Kind:
    """A row of the table of kinds.

    Attributes:
        fit: (data, training classes, settings) -> the form of the data's samples.
        to_tensor: (stored samples (..., *sample_shape), form) -> (..., *form.shape) float32.
        to_samples: (what networks draw, form) -> samples as their owner's own files have them.
        within: What a generator draws, brought to what samples can be.
        check_support: Refuses, by DataError, a support tensor (W, K, *form.shape) that has values
            which no sample has.
        check_classes: (classes that Python code hands in, form, name for messages) -> stored
            samples; DataError if they are no such samples.
        other_looks: (stored samples, form, what mends it) -> a warning where they look as if they
            were read in another way than the run's own, else None.
        players: Networks, and the augmentation inside of the discriminator.
        classical: (samples (B, *form.shape), random numbers, word of `evaluate.classical`) ->
            randomly changed copies.
        model: (number of classes, form) -> an untrained model of the target's, with weights from
            torch's global generator.
        look: (rows of groups of samples as `to_samples` gives them, form) -> one PNG.
        read: (path, form, settings of data that are said of these files) -> a user's examples, and
            notes on them.
        write: (folder, labels, samples of each as `to_samples` gives them, support of each in the
            same form, seed, form) -> what was written, in words; the folder is new.
        network_note: How samples outside of the program differ from what an exported network
            takes and draws, in words; None where they do not.
    """

    fit: Callable[[Dataset, Sequence[int], DataConfig], Form]
    to_tensor: Callable[[Samples, Form], Tensor]
    to_samples: Callable[[Tensor, Form], NDArray[Any]]
    within: Callable[[Tensor], Tensor]
    check_support: Callable[[Tensor, Form], None]
    check_classes: Callable[[object, Form, str], dict[Any, Samples]]
    other_looks: Callable[[Sequence[Samples], Form, str | None], str | None]
    players: MakePlayers
    classical: Callable[[Tensor, np.random.Generator, str], Tensor]
    model: Callable[[int, Form], Any]
    look: Callable[[Sequence[Sequence[NDArray[Any]]], Form], bytes]
    read: Callable[[Path, Form, Mapping[str, Any]], tuple[Support, list[str]]]
    write: Callable[
        [Path, Sequence[str], Sequence[NDArray[Any]], Sequence[NDArray[Any]], int, Form], str
    ]
    network_note: Callable[[Form], str | None]
