"""Arrays in .npz files, as MedMNIST publishes them: train_images, train_labels, val_..., test_...

Other usual names are read too: images and labels, x_train and y_train, X and y. Nothing is ever
unpickled.

Shapes: N pictures of H x W pixels with C channels.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metagan.config.image import ImageData
from metagan.data.dataset import DataError, Dataset
from metagan.data.notes import listed
from metagan.data.npz_arrays import array_names, read_arrays
from metagan.data.paths.identity import (
    FileRole,
    file_roles,
    parts_below,
    root_name,
    shown_below,
)
from metagan.data.paths.links import data_path
from metagan.data.paths.named_files import named_files, none_found
from metagan.data.paths.names import TableNames, a_few, strip_invisible
from metagan.data.paths.split_words import canonical_split
from metagan.data.paths.tree import file_sha256
from metagan.kinds.image.reading.collect import describe_origin
from metagan.kinds.image.reading.parts import LabelledPart, assemble_parts
from metagan.kinds.image.samples import NO_PICTURES
from metagan.kinds.image.sources.two_sizes import TwoSizes

_IMAGES: Final = frozenset({"images", "image", "imgs", "x", "data"})
_LABELS: Final = frozenset({"labels", "label", "y", "targets", "target"})
_USUAL: Final = frozenset({"images", "labels"})
_SPLIT_ORDER: Final = (None, "train", "validation", "test")
_MAX_ARRAYS_SHOWN: Final = 20


@dataclass(frozen=True)
class _File:
    path: Path
    shown: str
    role: FileRole


@dataclass(frozen=True)
class _Pair:
    """The names of the two arrays of one part, and the split that they name."""

    images: str
    labels: str
    split: str | None


def load(config: ImageData) -> Dataset:
    """Read pictures and labels; a file is a domain, and the label values are its classes.

    `data.path` is a file or a folder of them; files called like a split are the parts of one
    domain. Pictures are (n, H, W) or (n, H, W, C); labels (n,) or (n, 1), whole numbers or text.
    Arrays of more than 8 bits are scaled by one white for all, see
    `metagan.kinds.image.reading.depth`.

    Raises:
        DataError: If arrays are missing, do not fit each other, hold objects, NaN or values out
            of range, two files are one set in two sizes, or a file is damaged.
    """
    path = data_path(config)
    paths, links = named_files(path, ".npz", levels=1)
    if not paths:
        raise none_found(path, ".npz", links)
    root = root_name(path)
    roles, role_notes = file_roles([parts_below(file, path) for file in paths], root)
    files = [
        _File(file, shown_below(file, path), role) for file, role in zip(paths, roles, strict=True)
    ]
    names = TableNames()
    sha256 = {file.shown: file_sha256(file.path) for file in files}
    dataset = assemble_parts(
        _parts(files, names, TwoSizes(f"{path}/")),
        config=config,
        origin=describe_origin("npz", path, config, sha256=sha256),
    )
    notes = (
        *listed(links, "files left out"),
        *role_notes,
        *names.notes(),
    )
    return replace(dataset, notes=(*notes, *dataset.notes))


def npz_files(path: Path) -> list[Path]:
    """The file itself, or the .npz files of a folder and of the folders in it, sorted."""
    return named_files(path, ".npz", levels=1)[0]


def _parts(files: Sequence[_File], names: TableNames, sizes: TwoSizes) -> Iterator[LabelledPart]:
    """The parts of every file, one file after the other: only one is in memory as it is stored."""
    first_of: dict[str, tuple[str, NDArray[Any]]] = {}
    for file in files:
        pairs = _pairs(file.path, array_names(file.path))
        arrays = read_arrays(file.path, [name for p in pairs for name in (p.images, p.labels)])
        images = [arrays[pair.images] for pair in pairs]
        in_order: list[str] = []
        for pair, part in zip(pairs, images, strict=True):
            name = f"{file.shown}:{pair.images}"
            if part.ndim < 3:
                raise DataError(
                    f"{name}: shape {part.shape}; (n, H, W) or (n, H, W, C) is read; reshape it, "
                    f"or {NO_PICTURES}"
                )
            labels = _labels(file.path, pair.labels, arrays[pair.labels], len(part))
            in_order += map(str, labels.tolist())
            _check_kind(file, pair.labels, labels, first_of)
            if len(part):
                classes = [names.label(file.role.domain, label) for label in labels.tolist()]
                split = pair.split or file.role.split
                yield LabelledPart(name, file.role.domain, part, classes, split)
        if not any(len(part) for part in images):
            raise DataError(f"{file.path}: no samples found")
        name = str(Path(file.shown).with_suffix(""))
        sizes.add(name, in_order, {part.shape[1] for part in images}, file.shown)


def _check_kind(
    file: _File,
    name: str,
    labels: NDArray[Any],
    first_of: dict[str, tuple[str, NDArray[Any]]],
) -> None:
    """Refuse numbers and text as labels of one domain; `first_of` holds its first labels."""
    other, others = first_of.setdefault(file.role.domain, (f"{file.shown}:{name}", labels))
    if (labels.dtype.kind == "U") != (others.dtype.kind == "U"):
        raise DataError(
            f"{file.path}: {name} is {labels.dtype}, but {other} is {others.dtype}, and both are "
            f"labels of the domain {file.role.domain}; write them alike"
        )


def _pairs(path: Path, arrays: Sequence[str]) -> list[_Pair]:
    """The arrays of pictures and of labels by their names, with or without a split's word."""
    images: dict[str | None, list[str]] = {}
    labels: dict[str | None, list[str]] = {}
    for name in arrays:
        words = _words(name)
        splits = [split for word in words if (split := canonical_split(word))]
        kinds = [word for word in words if word in _IMAGES | _LABELS]
        if len(kinds) == 1 and len(splits) <= 1 and len(words) == 1 + len(splits):
            slots = images if kinds[0] in _IMAGES else labels
            slots.setdefault(splits[0] if splits else None, []).append(name)
    most = _MAX_ARRAYS_SHOWN if len(arrays) <= _MAX_ARRAYS_SHOWN else _MAX_ARRAYS_SHOWN // 4
    shown = f"arrays are {a_few(sorted(arrays), most=most)}"
    pairs = []
    for split in (split for split in _SPLIT_ORDER if split in images):
        wanted = f"{split}_labels" if split else "labels"
        if split not in labels:
            raise DataError(f"{path}: has {images[split][0]} but no {wanted}; {shown}")
        pairs.append(
            _Pair(
                _the_one(path, images[split], "images", shown),
                _the_one(path, labels[split], "labels", shown),
                split,
            )
        )
    if not pairs:
        raise DataError(
            f"{path}: no array images or train_images, with labels or train_labels; {shown}"
        )
    return pairs


def _words(name: str) -> list[str]:
    return re.split(r"[-_. ]+", name.lower())


def _the_one(path: Path, names: Sequence[str], kind: str, shown: str) -> str:
    """The one name, or the one of several that is called in the usual way."""
    usual = [name for name in names if _USUAL & set(_words(name))]
    found = usual or names
    if len(found) > 1:
        raise DataError(
            f"{path}: {a_few(found)} may all be the {kind}; call the right one {kind}; {shown}"
        )
    return found[0]


def _labels(path: Path, name: str, labels: NDArray[Any], count: int) -> NDArray[Any]:
    """One label for every picture, (n,), whole numbers or text."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise DataError(
            f"{path}: {name} has shape {labels.shape}; one label for each of {count} pictures is "
            f"needed, (n,) or (n, 1){_one_hot_hint(name, labels, count)}"
        )
    kind = labels.dtype.kind
    if kind == "S":
        try:
            return np.char.decode(labels, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: {name} holds text that is not UTF-8") from error
    if kind not in "biufU":
        raise DataError(f"{path}: {name} is {labels.dtype}; whole numbers or text are read")
    if kind == "f":
        # Infinity is larger than any number that fits; NaN is not smaller.
        odd = labels[~((np.abs(labels) < 2**63) & (labels == np.floor(labels)))]
        if len(odd):
            raise DataError(
                f"{path}: {name} is {labels.dtype} and holds {odd[0]}; whole numbers or text are "
                "read"
            )
        labels = labels.astype(np.int64)
    if kind in "if" and count and labels.min() < 0:
        raise DataError(f"{path}: {name} has the negative label {labels.min()}; drop those rows")
    if kind == "U":
        _check_texts(f"{path}: {name}", labels)
    return labels.astype(np.uint8) if kind == "b" else labels


def _check_texts(name: str, labels: NDArray[Any]) -> None:
    try:
        texts = labels.tolist()
    except ValueError as error:
        raise DataError(f"{name} holds what is no text ({error})") from error
    if not all(map(strip_invisible, texts)):
        raise DataError(f"{name} holds an empty label; a name is needed")


def _one_hot_hint(name: str, labels: NDArray[Any], count: int) -> str:
    """Fix for labels that have a column for every class; empty for others."""
    if labels.ndim != 2 or len(labels) != count or labels.dtype.kind not in "biuf":
        return ""
    if ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all():
        return f"; they are one-hot: save {name}.argmax(axis=1)"
    return "; a picture with several labels is in no single class: leave this file out of the data"
