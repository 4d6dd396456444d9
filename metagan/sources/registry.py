"""The table of data sources, and the one way to load data.

Sources are imported when used, so that looking at the table costs nothing.
"""

import difflib
import hashlib
import importlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from metagan.dataset import DataError, Dataset
from metagan.settings import DataConfig

Loader = Callable[[DataConfig], Dataset]

SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        name: f"metagan.sources.{name}"
        for name in (
            "glyphs",
            "omniglot",
            "image_folder",
            "manifest",
            "parquet",
            "idx",
            "npz",
            "arrow",
        )
    }
)
_NO_PATH_NEEDED: Final = frozenset({"glyphs"})


def load_dataset(config: DataConfig) -> Dataset:
    """Load the data that the settings name, whatever its layout.

    Notes of the result tell of samples that are byte-identical where that would flatter a score:
    in classes on different sides of the published split, or twice in one class; and of domains
    that look like the parts of one data set.

    Raises:
        DataError: If `data.path` does not exist, its layout is unknown, or the data is unusable.
    """
    # Looking at the table costs nothing, as no source is imported for it.
    from metagan.sources.detect import detect_source
    from metagan.sources.split_words import split_domain_notes

    name: str = config.source
    if name not in _NO_PATH_NEEDED:
        path = _existing_path(config)
        name = detect_source(path) if name == "auto" else name
    dataset = find_loader(name)(config)
    # Prepared data was checked when it was prepared, and reading it all would undo its mapping.
    if name in ("arrow", "glyphs"):
        return dataset
    leaks = split_domain_notes(dataset.classes)
    return replace(dataset, notes=(*leaks, *dataset.notes, *duplicate_notes(dataset)))


def find_loader(name: str) -> Loader:
    """The `load` function of a source.

    Raises:
        DataError: If there is no such source.
    """
    if name not in SOURCES:
        raise DataError(f"data.source is {name!r}; sources are {', '.join(SOURCES)}")
    loader: Loader = importlib.import_module(SOURCES[name]).load
    return loader


def duplicate_notes(dataset: Dataset) -> list[str]:
    """Lines on byte-identical samples across published splits, and within classes."""
    owners: dict[bytes, list[int]] = defaultdict(list)
    for index in range(dataset.num_classes):
        for sample in dataset.class_samples(index):
            owners[hashlib.blake2b(sample.tobytes(), digest_size=16).digest()].append(index)
    notes = []
    across = [
        classes
        for classes in owners.values()
        if len({dataset.classes[index].split for index in classes}) > 1
    ]
    if across:
        first = " and ".join(sorted({dataset.classes[index].name for index in across[0]})[:3])
        notes.append(
            f"leak: {len(across)} samples are byte-identical in classes on different sides of the "
            f"published split, such as in {first}"
        )
    repeated = [
        index
        for classes in owners.values()
        for index, times in Counter(classes).items()
        for _ in range(times - 1)
    ]
    if repeated:
        are = "sample is" if len(repeated) == 1 else "samples are"
        notes.append(
            f"duplicates: {len(repeated)} {are} byte-identical to another one of their class, such "
            f"as in {dataset.classes[repeated[0]].name}; support and query can share them"
        )
    return notes


def _existing_path(config: DataConfig) -> Path:
    if config.path is None:
        raise DataError(f"data.source {config.source} needs data.path")
    path = Path(config.path).expanduser()
    if path.exists():
        return path
    if "://" in config.path:
        raise DataError(
            f"data.path {config.path}: remote data is not read in place; copy it here first"
        )
    missing = path
    while not missing.parent.exists():
        missing = missing.parent
    siblings = sorted(entry.name for entry in missing.parent.iterdir())
    close = difflib.get_close_matches(missing.name, siblings, n=1)
    hint = f"; did you mean {missing.parent / close[0]}?" if close else ""
    raise DataError(f"data.path {config.path} does not exist{hint}")
