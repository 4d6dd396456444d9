"""Descriptions of folders, for messages to users who gave a command one that it cannot use.

Only names and small files are looked at, so that a wrong path is answered at once.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

from metagan.files import expanded, is_there, neighbour
from metagan.runs.run_folder import RunError

ADAPTED = "adapted GAN"
_CHECKPOINT_FOLDER = "checkpoints"
# Entries of a folder that are looked at; one may hold a million samples.
_MOST_LOOKED_AT = 200


def check_run(path: str | os.PathLike[str], option: str = "") -> None:
    """Refuse what is no run folder, and say what it is.

    Raises:
        RunError: If there is no run in the folder.
    """
    folder = Path(path)
    if not os.path.isfile(folder / "config.yaml"):
        raise RunError(
            f"{_named(option, folder)}: no run here (no config.yaml); {what_it_is(folder)}. Name "
            "the folder that metagan train --run has written"
        )


def check_adapted(path: str | os.PathLike[str], option: str = "") -> None:
    """Refuse what `metagan adapt` has not written, and say what it is.

    Raises:
        RunError: If there is no adapted GAN in the folder.
    """
    folder = Path(path)
    if not _is_adapted(folder):
        raise RunError(
            f"{_named(option, folder)}: not the result of metagan adapt; {what_it_is(folder)}. "
            "Name the folder that metagan adapt --out has written"
        )


def check_exists(
    path: str | os.PathLike[str], option: str, error: type[ValueError] = RunError
) -> None:
    """Refuse a path where nothing is, and name its nearest neighbour.

    Raises:
        ValueError: If there is nothing, or nobody can tell; of the type that is given.
    """
    place = expanded(path)
    if not is_there(place, f"{option} {path}", error):
        near = neighbour(place)
        hint = f"; did you mean {near}?" if near else ""
        raise error(f"{option} {path}: no such file or folder{hint}")


def _named(option: str, path: Path) -> str:
    """A path as it was given, with the option if there was one."""
    return f"{option} {path}" if option else str(path)


def what_it_is(path: Path) -> str:
    """One clause on what lies at a path: `it looks like a folder of data`."""
    try:
        return _what_it_is(path)
    except (OSError, ValueError) as error:
        return f"it cannot be read ({getattr(error, 'strerror', None) or error})"


def _what_it_is(path: Path) -> str:
    if not path.exists():
        near = neighbour(path)
        return "nothing is there" + (f" (did you mean {near}?)" if near else "")
    if not path.is_dir():
        return "it is a file"
    for is_it, words in _KINDS:
        if is_it(path):
            return f"it looks like {words}"
    for above in path.absolute().parents:
        if _is_run(above):
            return f"it looks like a part of the run {above}"
    entries = _some(path)
    runs = [entry for entry in entries if _is_run(entry)]
    if runs:
        return f"it holds runs, such as {runs[0]}"
    if not entries:
        return "it is empty"
    below = [file for entry in entries[:5] if entry.is_dir() for file in _some(entry)]
    deeper = [file for entry in below[:5] if entry.is_dir() for file in _some(entry)]
    if any(_is_data_file(entry) for entry in (*entries, *below, *deeper)):
        return "it looks like a folder of data"
    return f"it holds {entries[0].name!r}" + (" and more" if len(entries) > 1 else "")


def _some(folder: Path) -> list[Path]:
    """A folder's first entries, by name; hidden ones are left out."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                found.append(folder / entry.name)
            if len(found) == _MOST_LOOKED_AT:
                break
    return sorted(found)


def _is_data_file(path: Path) -> bool:
    from metagan.data.reader import READERS, find_reader  # Errors that name a path come at once.

    return any(find_reader(kind).is_data(path.name) for kind in READERS)


def _manifest(path: Path) -> dict[str, object]:
    try:
        content = json.loads((path / "manifest.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_run(path: Path) -> bool:
    return (path / "config.yaml").is_file() and (path / _CHECKPOINT_FOLDER).is_dir()


def _is_adapted(path: Path) -> bool:
    return _manifest(path).get("what") == ADAPTED


def _is_search(path: Path) -> bool:
    return (path / "search.json").is_file() or (path / "search.yaml").is_file()


_KINDS: tuple[tuple[Callable[[Path], bool], str], ...] = (
    (_is_run, "a run (metagan train)"),
    (_is_adapted, "an adapted GAN (metagan adapt)"),
    (_is_search, "a search (metagan tune), whose best settings metagan train -c can take"),
    (
        lambda path: _manifest(path).get("format") == "metagan prepared data",
        "prepared data (metagan data prepare)",
    ),
    (
        lambda path: (path / "samples.parquet").is_file() and (path / "grid.png").is_file(),
        "generated samples (metagan generate)",
    ),
)


def folder_in_data(folder: Path, data: str | None) -> str | None:
    """A clause where a folder that is about to be written to lies in the data; else None.

    Args:
        folder: It may not exist yet.
        data: `data.path`.
    """
    if data is None:
        return None
    read = expanded(data).resolve()
    place = folder.resolve()
    if read not in (place, *place.parents):
        return None
    return (
        f"{place} is inside data.path {read}; whatever else reads that folder may take its "
        "pictures for data, so a place beside the data is safer"
    )
