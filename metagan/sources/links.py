"""Links: only those of the Hugging Face hub's cache lead out of the data folder and are followed.

The cache keeps `<repository>/snapshots/<revision>/<file>` as links to `<repository>/blobs/<hash>`.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from metagan.dataset import DataError
from metagan.sources.tree import clean_name


def hub_blob(file: Path) -> Path | None:
    """The file that a link in a revision of the hub's cache stands for; None for anything else."""
    if not file.is_symlink():
        return None
    here = Path(os.path.realpath(file.parent), file.name)
    target = Path(os.path.realpath(here))  # A loop of links is no error here.
    for folder in here.parents:
        if folder.name == "snapshots":
            return target if target.parent == folder.parent / "blobs" and target.is_file() else None
    return None


def hub_revision(path: Path) -> Path:
    """The one revision in a repository's folder of the hub's cache; any other path as it is.

    Raises:
        DataError: If it holds several revisions, which would be read as several domains.
    """
    if not (path / "blobs").is_dir() or not (path / "snapshots").is_dir():
        return path
    revisions = sorted(entry for entry in (path / "snapshots").iterdir() if entry.is_dir())
    if len(revisions) != 1:
        named = f", such as data.path={revisions[0]}" if revisions else ""
        raise DataError(f"{path}: holds {len(revisions)} revisions; name the one to read{named}")
    return revisions[0]


def unfollowed_links(entries: Iterable[Path], root: Path) -> list[str]:
    """A line for every file or folder below a root that is a link, but not of the hub's cache."""
    return [
        f"{clean_name(str(entry.relative_to(root)))}: a link to "
        f"{clean_name(os.path.realpath(entry))}; not followed"
        for entry in entries
        if entry.is_symlink() and not hub_blob(entry)
    ]
