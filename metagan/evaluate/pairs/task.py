"""A target domain of pairs, for one repetition: pairs that are shown, and inputs that are asked.

Shapes: K pairs that are shown, Q that are asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from metagan.data.dataset import DataError, Dataset
from metagan.data.form import Form
from metagan.data.library import Library
from metagan.data.tasks import members
from metagan.kinds.registry import find_kind
from metagan.seeding import generator

MOST_ASKED = 1000
"""Pairs of a domain that are asked; what more would add is less than what domains differ by."""


@dataclass(frozen=True)
class PairTask:
    """A target's pairs.

    Attributes:
        shown: (K, *sample_shape), the samples that are shown.
        inputs: (K, *given_shape), theirs.
        asked: (Q, *given_shape), inputs whose samples are to be predicted.
        truth: (Q, *sample_shape), these.
        shown_labels: K labels.
        asked_labels: Q labels.
        known: (Q,), whether training domains have the label of what is asked.
        library: Of training domains, where inputs have labels that domains share.
        seed: Names every further draw.
    """

    shown: Tensor
    inputs: Tensor
    asked: Tensor
    truth: Tensor
    shown_labels: Sequence[str]
    asked_labels: Sequence[str]
    known: NDArray[np.bool_]
    library: Library | None
    seed: int


Places = NDArray[np.int64]


def pick_pairs(
    dataset: Dataset,
    classes: Sequence[int],
    library: Library | None,
    *,
    most_shots: int,
    seed: int,
) -> tuple[Places, Places]:
    """Places of a domain's pairs that are shown (most_shots, 2), and asked (Q, 2), as class, place.

    Args:
        dataset: All samples.
        classes: The domain's, indices into the data set.
        library: Of training domains, where labels say what goes with what.
        most_shots: The largest number of shots.
        seed: Names the draw.

    Raises:
        DataError: If the domain has too few pairs.
    """
    where = members(dataset, classes)
    where = where[generator(seed, "pairs").permutation(len(where))]
    shown, asked = where[:most_shots], where[most_shots:]
    if library is not None:
        labels = np.array(_labels(dataset, where))
        known = np.isin(labels, sorted(library.labels))
        shown = where[known][:most_shots]
        asked = where[~np.isin(labels, labels[known][:most_shots])]
    if len(shown) < most_shots or len(asked) == 0:
        raise DataError(
            f"domain {dataset.classes[classes[0]].domain} has {len(where)} pairs, too few for "
            f"{most_shots} shots (evaluate.shots) and others to ask for; lower evaluate.shots"
        )
    return shown, asked[:MOST_ASKED]


def _labels(dataset: Dataset, where: Places) -> list[str]:
    return [dataset.classes[index].label for index in where[:, 0].tolist()]


def draw_pairs(
    dataset: Dataset,
    classes: Sequence[int],
    form: Form,
    library: Library | None,
    *,
    shots: int,
    most_shots: int,
    seed: int,
) -> PairTask:
    """Draw a target from one domain's pairs.

    What is asked is the same at every number of shots, and smaller supports are parts of larger
    ones. Where inputs have labels, nothing is asked of which a pair may be shown, and what is shown
    are labels that training domains have: what was never seen is for asking.

    Args:
        dataset: All samples.
        classes: The domain's, indices into the data set.
        form: Of the samples.
        library: Of training domains, where labels say what goes with what.
        shots: K.
        most_shots: The largest number of shots.
        seed: Names every draw.

    Raises:
        DataError: If the domain has too few pairs.
    """
    picked, asked = pick_pairs(dataset, classes, library, most_shots=most_shots, seed=seed)
    picked = picked[:shots]
    kind = find_kind(form.kind)
    make_inputs = kind.make_inputs(dataset, form)

    def pairs(part: Places) -> tuple[Tensor, Tensor]:
        samples = kind.to_tensor(dataset.samples[dataset.offsets[part[:, 0]] + part[:, 1]], form)
        return samples, make_inputs(part[:, 0], part[:, 1], samples, seed)

    (shown, inputs), (truth, told) = pairs(picked), pairs(asked)
    labels = _labels(dataset, picked), _labels(dataset, asked)
    known = np.ones(len(asked), bool)
    if library is not None:
        known = np.isin(labels[1], sorted(library.labels))
    return PairTask(shown, inputs, told, truth, *labels, known, library, seed)
