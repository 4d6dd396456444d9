"""Files with one ending below a folder, for the sources that read whole files: Parquet and npz."""

import os
from collections.abc import Iterable
from pathlib import Path

from metagan.data.dataset import DataError
from metagan.data.paths.links import hub_blob
from metagan.data.paths.names import clean_name
from metagan.data.paths.tree import is_clutter


def named_files(
    path: Path, ending: str, *, levels: int | None = None
) -> tuple[list[Path], list[str]]:
    """The files with an ending below a folder, sorted; and lines on links that are not followed.

    Hidden files and what systems put beside files are skipped. Links are followed where they
    are those of the hub's cache, see `metagan.data.paths.links`.

    Args:
        path: A folder; a file is itself the only one.
        ending: In small letters, with the dot.
        levels: So many folders deep; None: all.
    """
    if not path.is_dir():
        return [path], []
    found = []
    for above, folders, names in os.walk(path):
        here = Path(above)
        is_last = levels is not None and len(here.relative_to(path).parts) >= levels
        folders[:] = [] if is_last else [name for name in folders if not is_clutter((name,))]
        found += [here / name for name in folders if (here / name).is_symlink()]
        found += [
            here / name
            for name in names
            if name.lower().endswith(ending) and not is_clutter((name,))
        ]
    found = sorted(entry for entry in found if entry.is_file() or entry.is_symlink())
    files = [entry for entry in found if not entry.is_symlink() or hub_blob(entry)]
    return files, unfollowed_links(found, path)


def unfollowed_links(entries: Iterable[Path], root: Path) -> list[str]:
    """A line for every file or folder below a root that is a link, but not of the hub's cache."""
    return [
        f"{clean_name(str(entry.relative_to(root)))}: a link to "
        f"{clean_name(os.path.realpath(entry))}; not followed"
        for entry in entries
        if entry.is_symlink() and not hub_blob(entry)
    ]


def none_found(path: Path, ending: str, links: list[str]) -> DataError:
    """The error where a folder holds no file with an ending, only links or nothing."""
    if not links:
        return DataError(f"{path}: holds no {ending} file")
    return DataError(
        f"{path}: holds only links ({'; '.join(links[:3])}); give data.path the folder that they "
        "lead to, or copy the files"
    )
