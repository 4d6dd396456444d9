"""Links: those inside the data folder and those of the Hugging Face hub's cache are data.

The cache keeps `<repository>/snapshots/<revision>/<file>` as links to `<repository>/blobs/<hash>`.
Pictures are read through both kinds, as the name of a link's folder is their class. Of Parquet
and npz files only the hub's links are followed: what others inside the folder lead to is read where
it lies, and would be two domains. No picture is read through a link that leads elsewhere.
"""

import os
from pathlib import Path

from metagan.config.data import DataConfig
from metagan.data.dataset import DataError
from metagan.files import expanded


def hub_blob(file: Path) -> Path | None:
    """The file that a link in a revision of the hub's cache stands for; None for anything else."""
    if not file.is_symlink():
        return None
    here = _resolved(file.parent) / file.name
    target = _resolved(here)
    for folder in here.parents:
        if folder.name == "snapshots":
            return target if target.parent == folder.parent / "blobs" and target.is_file() else None
    return None


def real_path(path: Path) -> Path:
    """A path without links, but those of the hub's cache, as a blob's name says nothing."""
    return _resolved(path.parent) / path.name if hub_blob(path) else _resolved(path)


def leads_out(path: Path, root: Path) -> bool:
    """True if a path below a root leads out of it by links; those of the hub's cache do not."""
    return not _resolved(path).is_relative_to(_resolved(root)) and hub_blob(path) is None


def _resolved(path: Path) -> Path:
    """As `Path.resolve`, which raises where links go in a circle."""
    return Path(os.path.realpath(path))


def data_path(config: DataConfig) -> Path:
    """Path of the data that the settings name, `data.path`; see `hub_revision`."""
    return hub_revision(expanded(config.path or ""))


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
