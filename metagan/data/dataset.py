"""The one in-memory form of all data: classes of samples, grouped in domains.

Every source turns its files into a `Dataset`, and everything after it (splits, episodes,
evaluation, reports) reads only this.

Shapes: N samples; what a sample is, its kind's `metagan.data.reader.Reader` says.
"""

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metagan.config.kinds import DEFAULT_KIND

Samples = NDArray[Any]


class DataError(ValueError):
    """The user's data cannot be used; the message names the file or setting and the fix."""


@dataclass(frozen=True)
class ClassRecord:
    """One class: a label inside a domain.

    Attributes:
        domain: The domain's name, such as an alphabet.
        label: The class's name inside its domain.
        split: The split that the data set's publisher put it in ("train", "validation" or
            "test"), or None where the publisher made none.
        group: Related domains that have to stay on one side of the split, such as the faces of a
            family; None: the domain alone. One for all classes of a domain.
    """

    domain: str
    label: str
    split: str | None = None
    group: str | None = None

    @property
    def name(self) -> str:
        """`domain/label`, unique in a data set."""
        return f"{self.domain}/{self.label}"


@dataclass(frozen=True)
class Dataset:
    """Samples sorted by class, classes sorted by domain.

    Whatever reads samples or is handed them checks their values, once; here their type and shape
    are checked, as often as a data set is made of another.

    Attributes:
        samples: (N, *sample_shape), read-only, perhaps memory-mapped.
        offsets: (num_classes + 1,) int64; class i owns samples offsets[i]:offsets[i + 1].
        classes: One record per class, sorted by (domain, label).
        kind: The kind of sample, a name of `metagan.data.reader.READERS`.
        notes: What the source left out and why, one line each (unreadable files, duplicates).
        origin: Where it came from, for reports: source name, path, settings that shaped it.
    """

    samples: Samples
    offsets: NDArray[np.int64]
    classes: tuple[ClassRecord, ...]
    kind: str = DEFAULT_KIND
    notes: tuple[str, ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from metagan.data.reader import find_reader  # Its errors are of this module.

        names = [record.name for record in self.classes]
        keys = [(record.domain, record.label) for record in self.classes]
        if len(self.offsets) != len(self.classes) + 1 or self.offsets[-1] != len(self.samples):
            raise ValueError("offsets do not fit the classes and samples")
        if keys != sorted(keys) or len(set(names)) != len(names):
            raise ValueError("classes must be unique and sorted by domain, then label")
        groups = {record.domain: record.group for record in self.classes}
        if odd := [r for r in self.classes if r.group != groups[r.domain]]:
            raise ValueError(
                f"classes of {odd[0].domain} are in the groups {odd[0].group} and "
                f"{groups[odd[0].domain]}; all classes of a domain have one"
            )
        find_reader(self.kind).check(self.samples)

    @classmethod
    def from_classes(
        cls,
        samples_by_class: Mapping[ClassRecord, Sequence[Samples] | Samples],
        *,
        kind: str = DEFAULT_KIND,
        notes: Sequence[str] = (),
        origin: Mapping[str, Any] | None = None,
    ) -> "Dataset":
        """Sort and pack classes given as {record: (n, *sample_shape) array or list of samples}.

        The kind's reader says what else a sample may be: a picture may be a tensor or PIL's.

        Raises:
            DataError: If they cannot be used; the message names the class and the fix.
        """
        from metagan.data.reader import find_reader  # Its errors are of this module.

        if isinstance(samples_by_class, Mapping):
            _check_records(samples_by_class)
            if not samples_by_class or min(map(_count, samples_by_class.values())) == 0:
                raise DataError("a data set needs at least one class, and a sample in every class")
        stored = find_reader(kind).pack(samples_by_class, "samples_by_class")
        return cls.of_stored(stored, kind=kind, notes=notes, origin=origin)

    @classmethod
    def of_stored(
        cls,
        stored: Mapping[ClassRecord, Samples],
        *,
        kind: str,
        notes: Sequence[str] = (),
        origin: Mapping[str, Any] | None = None,
    ) -> "Dataset":
        """Sort and join classes of stored samples (n, *sample_shape), whose values are checked."""
        ordered = sorted(stored, key=lambda record: (record.domain, record.label))
        counts = [len(stored[record]) for record in ordered]
        packed = np.concatenate([np.asarray(stored[record]) for record in ordered])
        packed.flags.writeable = False
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(packed, offsets, tuple(ordered), kind, tuple(notes), dict(origin or {}))

    @property
    def num_classes(self) -> int:
        """How many classes there are over all domains."""
        return len(self.classes)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample, such as (C, H, W) of pictures."""
        return tuple(self.samples.shape[1:])

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains' names, sorted."""
        return tuple(sorted({record.domain for record in self.classes}))

    def count(self, class_index: int) -> int:
        """How many samples a class has."""
        return int(self.offsets[class_index + 1] - self.offsets[class_index])

    def class_samples(self, class_index: int) -> Samples:
        """All samples of one class, (n, *sample_shape): a view, never a copy."""
        return self.samples[self.offsets[class_index] : self.offsets[class_index + 1]]

    def classes_of(self, domain: str) -> tuple[int, ...]:
        """Indices of a domain's classes."""
        first = bisect_left(self.classes, domain, key=_domain)
        return tuple(range(first, bisect_right(self.classes, domain, first, key=_domain)))

    def group_of(self, domain: str) -> str | None:
        """The group of a domain, None where it is alone."""
        return self.classes[self.classes_of(domain)[0]].group

    def fingerprint(self) -> str:
        """SHA-256 over classes, shapes and every sample: equal data, equal fingerprint."""
        header = {
            "kind": self.kind,
            "shape": list(self.samples.shape),
            "dtype": str(self.samples.dtype),
            "offsets": self.offsets.tolist(),
            "classes": [[r.domain, r.label, r.split] for r in self.classes],
        }
        if any(record.group is not None for record in self.classes):
            header["groups"] = [record.group for record in self.classes]
        digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
        digest.update(np.ascontiguousarray(self.samples).data)
        return digest.hexdigest()


def _check_records(classes: Iterable[object]) -> None:
    """Refuse names of classes that are not plain."""
    for record in classes:
        if not isinstance(record, ClassRecord):
            raise DataError(
                f"the class {record!r} is no ClassRecord; name it by its domain and label, as in "
                f"ClassRecord('letters', {str(record)!r})"
            )
        if not (isinstance(record.domain, str) and isinstance(record.label, str)):
            raise DataError(f"{record!r}: domain and label must be text")
        if record.split not in (None, "train", "validation", "test"):
            raise DataError(f"{record!r}: split must be train, validation, test or None")
        if not (record.group is None or isinstance(record.group, str)):
            raise DataError(f"{record!r}: group must be text or None")


def _domain(record: ClassRecord) -> str:
    return record.domain


def _count(samples: object) -> int:
    """How many samples a class has; what cannot be counted is judged by what reads it."""
    return len(samples) if isinstance(samples, Sequence) else getattr(samples, "size", 1)
