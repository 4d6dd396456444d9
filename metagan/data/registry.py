"""The table of data sources, and the one way to load data.

Sources are imported when used, so that looking at the table costs nothing.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from metagan.config.data import DataConfig
from metagan.data.dataset import DataError, Dataset
from metagan.files import expanded, is_there, neighbour

Loader = Callable[[DataConfig], Dataset]

SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{
            name: f"metagan.kinds.image.sources.{name}"
            for name in (
                "glyphs",
                "omniglot",
                "image_folder",
                "manifest",
                "parquet",
                "idx",
                "npz",
            )
        },
        "arrow": "metagan.data.arrow",
    }
)
_NO_PATH_NEEDED: Final = frozenset({"glyphs"})


def load_dataset(config: DataConfig) -> Dataset:
    """Load the data that the settings name, whatever its layout.

    The notes of the result come by weight. Besides those of the source they tell of pictures that
    came out blank, dark or without their colour, of samples that are byte-identical where that
    would flatter a score, and of domains that look like the parts of one data set.

    Raises:
        DataError: If `data.path` does not exist or cannot be looked at, its layout is unknown, or
            the data is unusable.
    """
    # Looking at the table costs nothing, as no source is imported for it.
    from metagan.data.notes import IDLE_WHITE, by_weight
    from metagan.data.paths.split_words import split_domain_notes
    from metagan.data.repeats import duplicate_notes
    from metagan.kinds.image.reading.looks import check_looks, level_counts, level_range
    from metagan.kinds.image.sources.detect import detect_source

    name: str = config.source
    if name not in _NO_PATH_NEEDED:
        path = _existing_path(config)
        name = detect_source(path) if name == "auto" else name
    dataset = find_loader(name)(config)
    # Prepared data was checked when it was prepared, and reading it all would undo its mapping.
    if name in ("arrow", "glyphs"):
        return dataset
    leaks = split_domain_notes(dataset.classes)
    counts = level_counts(dataset)
    notes = [*leaks, *dataset.notes, *check_looks(dataset, counts), *duplicate_notes(dataset)]
    if config.white is not None and not dataset.origin.get("white"):
        notes.append(
            f"{IDLE_WHITE}{config.white:g}, but changes nothing: all pictures have 8 bits, or say "
            "themselves which value is white"
        )
    levels = {domain: list(level_range(found)) for domain, found in counts.items()}
    return replace(dataset, notes=by_weight(notes), origin={**dataset.origin, "levels": levels})


def check_data(config: DataConfig) -> None:
    """Refuse data settings whose path is not there, or that no source reads; no picture is opened.

    Raises:
        DataError: With the path and the fix.
    """
    if config.source not in _NO_PATH_NEEDED:
        path = _existing_path(config)
        if config.source == "auto":
            from metagan.kinds.image.sources.detect import detect_source

            detect_source(path)


def find_loader(name: str) -> Loader:
    """The `load` function of a source.

    Raises:
        DataError: If there is no such source.
    """
    if name not in SOURCES:
        raise DataError(f"data.source is {name!r}; sources are {', '.join(SOURCES)}")
    loader: Loader = importlib.import_module(SOURCES[name]).load
    return loader


def _existing_path(config: DataConfig) -> Path:
    if config.path is None:
        raise DataError(f"data.source {config.source} needs data.path")
    path = expanded(config.path)
    if is_there(path, f"data.path {config.path}", DataError):
        return path
    if "://" in config.path:
        raise DataError(
            f"data.path {config.path}: remote data is not read in place; copy it here first"
        )
    near = neighbour(path)
    hint = f"; did you mean {near}?" if near else ""
    raise DataError(f"data.path {config.path} does not exist{hint}")
