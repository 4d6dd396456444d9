"""The one way to load data, whatever its kind and layout.

Readers and sources are imported when they are used, so that looking at a table costs nothing.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from metagan.config.data import DataConfig
from metagan.data.dataset import DataError, Dataset
from metagan.data.reader import Reader, reader_of
from metagan.files import expanded, is_there, neighbour

Loader = Callable[[DataConfig], Dataset]


def load_dataset(config: DataConfig) -> Dataset:
    """Load the data that the settings name, whatever its layout.

    The notes of the result come by weight. Besides those of the source they tell of samples that
    came out other than their owner will expect, of samples that are byte-identical where that would
    flatter a score, and of domains that look like the parts of one data set.

    Raises:
        DataError: If `data.path` does not exist or cannot be looked at, its layout is unknown, or
            the data is unusable.
    """
    from metagan.data.notes import by_weight
    from metagan.data.paths.split_words import split_domain_notes
    from metagan.data.repeats import duplicate_notes

    reader = reader_of(config)
    name: str = config.source
    built_in = is_built_in(name, reader)
    if not built_in:
        path = _existing_path(config)
        name = reader.detect(path) if name == "auto" else name
    dataset = find_loader(name, reader)(config)
    # Prepared data was checked when it was prepared, and reading it all would undo its mapping.
    if built_in or name == "arrow":
        return dataset
    leaks = split_domain_notes(dataset.classes)
    looks, found = reader.judge(dataset, config)
    notes = [*leaks, *dataset.notes, *looks, *duplicate_notes(dataset)]
    return replace(
        dataset, notes=by_weight(notes, reader.note_words), origin={**dataset.origin, **found}
    )


def check_data(config: DataConfig) -> None:
    """Refuse data settings whose path is not there, or that no source reads; no sample is read.

    Raises:
        DataError: With the path and the fix.
    """
    reader = reader_of(config)
    if not is_built_in(config.source, reader):
        path = _existing_path(config)
        if config.source == "auto":
            reader.detect(path)


def sources_of(reader: Reader) -> Mapping[str, str]:
    """The modules of all sources of a kind, by name; prepared data are of every kind."""
    own = {name: source.module for name, source in reader.sources.items()}
    return {**own, "arrow": "metagan.data.arrow"}


def is_built_in(name: str, reader: Reader) -> bool:
    """True if a source makes its samples itself, and needs no path."""
    return name in reader.sources and reader.sources[name].built_in


def find_loader(name: str, reader: Reader) -> Loader:
    """The `load` function of a source.

    Raises:
        DataError: If there is no such source.
    """
    sources = sources_of(reader)
    if name not in sources:
        raise DataError(f"data.source is {name!r}; sources are {', '.join(sources)}")
    loader: Loader = importlib.import_module(sources[name]).load
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
