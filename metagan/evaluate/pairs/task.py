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
    """What source domains answer to the same inputs; NaN where a domain lacks a label.

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
        found = torch.full((len(self.places), len(labels), *form.shape), torch.nan)
        for row, known in enumerate(self.places.values()):
            columns = [i for i, label in enumerate(labels) if label in known]
            classes = np.array([known[labels[i]] for i in columns], np.int64)
            counts = data.offsets[classes + 1] - data.offsets[classes]
            where = data.offsets[classes] + places[columns] % counts
            found[row, columns] = to_tensor(data.samples[where], form)
        return found


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
    where = members(dataset, classes)
    where = where[generator(seed, "pairs").permutation(len(where))]
    labels = np.array([dataset.classes[index].label for index in where[:, 0].tolist()])
    if sources is None:
        known = np.ones(len(where), bool)
        shown, asked = where[:most_shots], np.arange(len(where)) >= most_shots
    else:
        known = np.isin(labels, sorted(sources.labels))
        shown = where[known][:most_shots]
        asked = ~np.isin(labels, labels[known][:most_shots])
    if len(shown) < most_shots or not asked.any():
        domain = dataset.classes[classes[0]].domain
        raise DataError(
            f"domain {domain} has {len(where)} pairs, too few for {most_shots} shots (evaluate."
            "shots) and others to ask for; lower evaluate.shots"
        )
    shown, query = shown[:shots], np.flatnonzero(asked)[:MOST_ASKED]
    kind = find_kind(form.kind)
    make_inputs = kind.make_inputs(dataset, form)

    def pairs(part: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        samples = kind.to_tensor(dataset.samples[dataset.offsets[part[:, 0]] + part[:, 1]], form)
        return samples, make_inputs(part[:, 0], part[:, 1], samples, seed)

    library = None
    if sources is not None:
        names = [dataset.classes[index].label for index in shown[:, 0].tolist()]
        library = Library(
            sources.answers(names, shown[:, 1], form),
            sources.answers(labels[query].tolist(), where[query, 1], form),
        )
    (samples, inputs), (truth, told) = pairs(shown), pairs(where[query])
    return PairTask(samples, inputs, told, truth, known[query], library, seed)
