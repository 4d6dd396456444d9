"""The table of data sources, the guess behind `data.source: auto`, and the one way to load data.

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
    in classes on different sides of the published split, or twice in one class.

    Raises:
        DataError: If `data.path` does not exist, its layout is unknown, or the data is unusable.
    """
    name: str = config.source
    if name not in _NO_PATH_NEEDED:
        path = _existing_path(config)
        name = detect_source(path) if name == "auto" else name
    dataset = find_loader(name)(config)
    # Prepared data was checked when it was prepared, and reading it all would undo its mapping.
    if name in ("arrow", "glyphs"):
        return dataset
    return replace(dataset, notes=(*dataset.notes, *duplicate_notes(dataset)))


def check_data(config: DataConfig) -> None:
    """Refuse data settings whose path is not there, or that no source reads; no picture is opened.

    Raises:
        DataError: With the path and the fix.
    """
    if config.source not in _NO_PATH_NEEDED:
        path = _existing_path(config)
        if config.source == "auto":
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


def detect_source(path: Path) -> str:
    """Which source reads a path, by its name and what lies in it; no picture is opened.

    Raises:
        DataError: If no source reads it.
    """
    return _detect_folder(path) if path.is_dir() else _detect_file(path)


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


def _detect_folder(path: Path) -> str:
    from metagan.sources.idx import idx_image_files
    from metagan.sources.manifest import find_manifest
    from metagan.sources.omniglot import omniglot_archives, split_of_part

    if (path / "manifest.json").is_file() and any(path.glob("*.arrow")):
        return "arrow"
    unpacked = [entry.name for entry in path.iterdir() if entry.is_dir()]
    if omniglot_archives(path) or any(split_of_part(name) for name in (*unpacked, path.name)):
        return "omniglot"
    if idx_image_files(path):
        return "idx"
    if find_manifest(path):
        return "manifest"
    # One level down as well: hubs keep the files in a folder called data.
    if any(path.glob("*.parquet")) or any(path.glob("*/*.parquet")):
        return "parquet"
    return "image_folder"


def _detect_file(path: Path) -> str:
    from metagan.sources.idx import idx_image_files
    from metagan.sources.tree import ARCHIVE_SUFFIXES

    name = path.name.lower()
    by_ending = {
        ".npz": "npz",
        ".csv": "manifest",
        ".jsonl": "manifest",
        ".parquet": "parquet",
    }
    if path.suffix.lower() in by_ending:
        return by_ending[path.suffix.lower()]
    if idx_image_files(path):
        return "idx"
    if name.endswith(ARCHIVE_SUFFIXES):
        return "omniglot" if _is_omniglot_zip(path) else "image_folder"
    raise DataError(
        f"data.path {path}: no source reads this file; read are folders, "
        f"{', '.join(ARCHIVE_SUFFIXES)}, {', '.join(by_ending)} and idx images files"
    )


def _is_omniglot_zip(path: Path) -> bool:
    from metagan.sources.omniglot import split_of_part
    from metagan.sources.tree import top_names

    if not path.name.lower().endswith(".zip"):
        return False
    return any(split_of_part(name) for name in (path.name, *top_names(path)))
