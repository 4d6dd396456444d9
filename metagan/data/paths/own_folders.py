"""Files and folders of metagan's own: runs, searches, prepared data, generated samples.

These may lie inside a folder of data. They are known by the files in them, and are no data: a GAN
must not be trained on its own output, and a run inside its own data must not change them.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from metagan.data.dataset import DataError
from metagan.data.paths.names import a_few
from metagan.data.paths.tree import Parts

GENERATED: Final = "generated samples"
PREPARED: Final = "prepared data"
GENERATED_NOTE: Final = (
    "generated: its samples were made by metagan generate, they are no real data"
)


def own_kind(files: Collection[str], folders: Collection[str]) -> str:
    """Kind of a folder that metagan wrote, by the names in it; empty for any other folder."""
    if "config.yaml" in files and "checkpoints" in folders:
        return "a run"
    if "search.yaml" in files and ("given.yaml" in files or "search.json" in files):
        return "a search"
    if {"samples.arrow", "manifest.json"} <= set(files):
        return PREPARED
    if {"adapted.safetensors", "manifest.json"} <= set(files):
        return "an adapted GAN"
    return GENERATED if {"samples.parquet", "grid.png"} <= set(files) else ""


def refuse_own(path: Path, kind: str, samples: str = "samples") -> None:
    """Refuse what metagan wrote as data, but for generated samples.

    Args:
        path: The folder.
        kind: Its `own_kind`.
        samples: What its owner's data are called.

    Raises:
        DataError: If the kind is another than generated samples.
    """
    if kind not in ("", GENERATED):
        raise DataError(
            f"data.path {path}: this folder is {kind} of metagan, no data; name the folder with "
            f"the {samples}"
        )


def only_generated(path: Path, names: Sequence[str], samples: str = "samples") -> DataError:
    """The error where a path holds no samples but those that `metagan generate` made.

    Args:
        path: Folder or archive.
        names: The folders and tables in it that it made.
        samples: What samples are called.
    """
    instead = "" if path.is_file() else f", or name one to read it: data.path={path / names[0]}"
    return DataError(
        f"{path}: all {samples} in it were made by metagan generate; they are not read as data "
        f"({a_few(names)}); give data.path the folder of your own {samples}{instead}"
    )


def own_kind_of(folder: Path) -> str:
    """The same of a folder on disk; empty where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            is_folder = {entry.name: entry.is_dir() for entry in entries}
    except OSError:
        return ""
    return own_kind(
        {name for name, is_dir in is_folder.items() if not is_dir},
        {name for name, is_dir in is_folder.items() if is_dir},
    )


def own_folders(files: Iterable[Parts], empty_folders: Iterable[Parts]) -> dict[Parts, str]:
    """The folders of a tree that metagan wrote, and what each is; () is the root.

    Args:
        files: Paths of all files of the tree.
        empty_folders: Paths of folders with nothing in them.
    """
    names: defaultdict[Parts, set[str]] = defaultdict(set)
    folders: defaultdict[Parts, set[str]] = defaultdict(set)
    for parts in files:
        if parts[:-1] not in names:
            _add_folder(folders, parts[:-1])
        names[parts[:-1]].add(parts[-1])
    for parts in empty_folders:
        _add_folder(folders, parts)
    kinds = {folder: own_kind(found, folders[folder]) for folder, found in names.items()}
    return {folder: kind for folder, kind in sorted(kinds.items()) if kind}


def _add_folder(folders: defaultdict[Parts, set[str]], parts: Parts) -> None:
    for end in range(len(parts), 0, -1):
        folders[parts[: end - 1]].add(parts[end - 1])


def upper_of(folders: Collection[Parts], parts: Parts) -> Parts | None:
    """The uppermost of some folders that a path lies in, None where it lies in none."""
    return next((parts[:end] for end in range(len(parts)) if parts[:end] in folders), None)


def skipped_notes(skipped: Mapping[str, str]) -> list[str]:
    """A note on folders and files that were not read because metagan wrote them; none without."""
    if not skipped:
        return []
    named = [f"{name} ({kind})" for name, kind in skipped.items()]
    return [f"skipped: metagan itself wrote {a_few(named, most=10)}"]
