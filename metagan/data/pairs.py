"""Pairs of samples: a class in the reference domain (the input) and the same one elsewhere.

The reference domain is neither learned from nor measured. Its name stands in the origin of the
data, as `reference_domain`: that of their source, or of `data.reference_domain`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from metagan.config.data import DataConfig
from metagan.data.dataset import DataError, Dataset, Samples

if TYPE_CHECKING:  # Whoever only looks at data waits for no torch.
    from torch import Tensor


class MakeInputs(Protocol):
    """Function that gives the inputs of pairs."""

    def __call__(
        self, classes: NDArray[np.int64], places: NDArray[np.int64], samples: "Tensor", seed: int
    ) -> "Tensor":
        """Inputs (n, *given_shape) of the samples (n, *sample_shape) at these places (n,).

        Those that are made from the sample itself are named by the seed.
        """


_KEY: Final = "reference_domain"
_UNSEEN: Final = "unseen_labels"
_MOST_SHOWN: Final = 20
_MAX_CLASSES: Final = 5


def with_reference(dataset: Dataset, config: DataConfig) -> Dataset:
    """The data with the reference domain that the settings name, where they name one.

    Raises:
        DataError: If the data have no such domain.
    """
    if config.reference_domain is None:
        return dataset
    checked = replace(dataset, origin={**dataset.origin, _KEY: config.reference_domain})
    reference_domain(checked)
    return checked


def reference_domain(dataset: Dataset) -> str | None:
    """Name of the domain that inputs of pairs come from; None where there is none.

    Raises:
        DataError: If the data have no such domain.
    """
    name: str | None = dataset.origin.get(_KEY)
    if name is not None and name not in dataset.domains:
        raise DataError(
            f"data.reference_domain: no domain named {name!r}; there are {_some(dataset.domains)}"
        )
    return name


def _some(names: Sequence[str]) -> str:
    """The first names, and the number of the others."""
    shown = [*names[:_MOST_SHOWN]]
    if left := len(names) - len(shown):
        shown.append(f"{left} more")
    return ", ".join(shown)


def measured_classes(dataset: Dataset) -> tuple[int, ...]:
    """Indices of all classes but those of the reference domain."""
    reference = reference_domain(dataset)
    apart = set(dataset.classes_of(reference)) if reference is not None else set[int]()
    return tuple(index for index in range(dataset.num_classes) if index not in apart)


def known_as(label: str, known: Iterable[str]) -> str | None:
    """The label that is meant, or None: itself, or the one that begins with its code point.

    Args:
        label: Such as `A`, or `U+0041`.
        known: All labels, such as `U+0041 LATIN CAPITAL LETTER A` of built-in styles and fonts.
    """
    names = list(known)
    if label in names:
        return label
    point = f"U+{ord(label):04X}" if len(label) == 1 else label.partition(" ")[0]
    if not point.startswith("U+"):
        return None
    return next((name for name in names if name.partition(" ")[0] == point), None)


def unseen_labels(dataset: Dataset, config: DataConfig) -> frozenset[str]:
    """Labels that no training domain may show: those of the settings, or of the data's source.

    Raises:
        DataError: If no class has such a label, or no other is left.
    """
    labels = sorted({record.label for record in dataset.classes})
    asked = config.unseen_labels or dataset.origin.get(_UNSEEN, ())
    found = {label: known_as(label, labels) for label in asked}
    if unknown := [label for label, name in found.items() if name is None]:
        raise DataError(
            f"data.unseen_labels: no class is labelled {unknown[0]!r}; there are {_some(labels)}"
        )
    unseen = frozenset(name for name in found.values() if name is not None)
    if unseen and len(unseen) == len(labels):
        raise DataError("data.unseen_labels names every label; leave some to learn from")
    return unseen


def reference_of(dataset: Dataset, domain: str) -> NDArray[np.int64]:
    """The class of the reference domain that has the same label, for every class.

    Args:
        dataset: The data.
        domain: The reference domain.

    Returns:
        (num_classes,) indices of classes; those of the reference domain are their own.

    Raises:
        DataError: If labels are not in the reference domain.
    """
    index_of = {dataset.classes[index].label: index for index in dataset.classes_of(domain)}
    missing = [record for record in dataset.classes if record.label not in index_of]
    if missing:
        first, *others = missing
        more = [record.name for record in others[: _MAX_CLASSES - 1]]
        if left := len(others) - len(more):
            more.append(f"and {left} more")
        also = f" (nor have {', '.join(more)})" if more else ""
        raise DataError(
            f"label {first.label} of domain {first.domain} has no picture in "
            f"data.reference_domain {domain}{also}: take these classes out of the data, or add "
            f"their labels to {domain}"
        )
    return np.array([index_of[record.label] for record in dataset.classes], np.int64)


def reference_inputs(
    dataset: Dataset, to_tensor: "Callable[[Samples], Tensor]"
) -> "MakeInputs | None":
    """Function that looks up the samples of the reference domain; None where there is none.

    Args:
        dataset: The data.
        to_tensor: Converts stored samples to what networks see.

    Raises:
        DataError: If labels are not in the reference domain.
    """
    reference = reference_domain(dataset)
    if reference is None:
        return None
    same, offsets = reference_of(dataset, reference), dataset.offsets
    counts = np.diff(offsets)

    def inputs(
        classes: NDArray[np.int64],
        places: NDArray[np.int64],
        samples: "Tensor",  # noqa: ARG001 - they do not hold their inputs
        seed: int,  # noqa: ARG001 - nothing is drawn
    ) -> "Tensor":
        theirs = same[classes]
        # A class of several samples has as many inputs, as far as the reference has them.
        return to_tensor(dataset.samples[offsets[theirs] + places % counts[theirs]])

    return inputs
