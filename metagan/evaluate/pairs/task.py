"""A target domain of pairs, for one repetition: pairs that are shown, and inputs that are asked.

Shapes: K pairs that are shown, Q that are asked, S source domains.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metagan.data.dataset import DataError, Dataset
from metagan.data.form import Form
from metagan.data.tasks import members
from metagan.kinds.registry import find_kind
from metagan.seeding import generator

MOST_ASKED = 1000
"""Pairs of a domain that are asked; what more would add is less than what domains differ by."""


@dataclass(frozen=True)
class Library:
    """Answers of source domains to the same inputs; NaN where a domain lacks a label.

    Attributes:
        shown: (S, K, *sample_shape), their answers to the inputs of the support.
        asked: (S, Q, *sample_shape), and to those that are asked.
    """

    shown: Tensor
    asked: Tensor


@dataclass(frozen=True)
class PairTask:
    """A target's pairs.

    Attributes:
        shown: (K, *sample_shape), the samples that are shown.
        inputs: (K, *given_shape), theirs.
        asked: (Q, *given_shape), inputs whose samples are to be predicted.
        truth: (Q, *sample_shape), these.
        known: (Q,), whether training domains have the label of what is asked.
        library: Where inputs have labels, which other domains share.
        seed: Names every further draw.
    """

    shown: Tensor
    inputs: Tensor
    asked: Tensor
    truth: Tensor
    known: NDArray[np.bool_]
    library: Library | None
    seed: int


@dataclass(frozen=True)
class Sources:
    """Training domains whose labels are those of the targets.

    Attributes:
        dataset: Theirs.
        places: {domain: {label: class}}.
    """

    dataset: Dataset
    places: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, dataset: Dataset, classes: Sequence[int]) -> "Sources":
        """The domains of training classes."""
        places: dict[str, dict[str, int]] = {}
        for index in classes:
            record = dataset.classes[index]
            places.setdefault(record.domain, {})[record.label] = index
        return cls(dataset, places)

    @property
    def labels(self) -> frozenset[str]:
        """All labels that any of them has."""
        return frozenset(label for places in self.places.values() for label in places)

    def answers(self, labels: Sequence[str], places: NDArray[np.int64], form: Form) -> Tensor:
        """(S, n, *sample_shape): each domain's samples of n labels, NaN where it has none.

        Args:
            labels: n labels.
            places: (n,), which of its samples, counted round.
            form: Of the samples.
        """
        data, to_tensor = self.dataset, find_kind(form.kind).to_tensor
        table = [[known.get(label, -1) for label in labels] for known in self.places.values()]
        classes = np.array(table, np.int64)
        there = classes >= 0
        counts = data.offsets[classes[there] + 1] - data.offsets[classes[there]]
        wanted = np.broadcast_to(places, classes.shape)[there] % counts
        found = torch.full((*classes.shape, *form.shape), torch.nan)
        samples = data.samples[data.offsets[classes[there]] + wanted]
        found[torch.from_numpy(there)] = to_tensor(samples, form)
        return found


Places = NDArray[np.int64]


def pick_pairs(
    dataset: Dataset,
    classes: Sequence[int],
    sources: Sources | None,
    *,
    most_shots: int,
    seed: int,
) -> tuple[Places, Places]:
    """Places of a domain's pairs that are shown (most_shots, 2), and asked (Q, 2), as class, place.

    Args:
        dataset: All samples.
        classes: The domain's, indices into the data set.
        sources: Training domains, where labels say what goes with what.
        most_shots: The largest number of shots.
        seed: Names the draw.

    Raises:
        DataError: If the domain has too few pairs.
    """
    where = members(dataset, classes)
    where = where[generator(seed, "pairs").permutation(len(where))]
    shown, asked = where[:most_shots], where[most_shots:]
    if sources is not None:
        labels = np.array(_labels(dataset, where))
        known = np.isin(labels, sorted(sources.labels))
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
    sources: Sources | None,
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
        sources: Training domains, where labels say what goes with what.
        shots: K.
        most_shots: The largest number of shots.
        seed: Names every draw.

    Raises:
        DataError: If the domain has too few pairs.
    """
    picked, asked = pick_pairs(dataset, classes, sources, most_shots=most_shots, seed=seed)
    picked = picked[:shots]
    kind = find_kind(form.kind)
    make_inputs = kind.make_inputs(dataset, form)

    def pairs(part: Places) -> tuple[Tensor, Tensor]:
        samples = kind.to_tensor(dataset.samples[dataset.offsets[part[:, 0]] + part[:, 1]], form)
        return samples, make_inputs(part[:, 0], part[:, 1], samples, seed)

    known, library = np.ones(len(asked), bool), None
    if sources is not None:
        labels = _labels(dataset, asked)
        known = np.isin(labels, sorted(sources.labels))
        library = Library(
            sources.answers(_labels(dataset, picked), picked[:, 1], form),
            sources.answers(labels, asked[:, 1], form),
        )
    (shown, inputs), (truth, told) = pairs(picked), pairs(asked)
    return PairTask(shown, inputs, told, truth, known, library, seed)
