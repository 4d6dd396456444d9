"""Where data are: looked at before anything that takes time to import is.

A wrong path is answered at once, and what lies at a right one is the registry's matter.
"""

import difflib
from pathlib import Path

from metagan.dataset import DataError
from metagan.settings import DataConfig


def check_data(config: DataConfig) -> None:
    """Refuse data settings whose path is not there, or that no source reads.

    Raises:
        DataError: With the path and the fix.
    """
    if config.source == "glyphs":
        return
    path = existing_path(config)
    if config.source == "auto":
        from metagan.sources.registry import detect_source

        detect_source(path)


def existing_path(config: DataConfig) -> Path:
    """The path of the data.

    Raises:
        DataError: If nothing is there; the message names the nearest neighbour.
    """
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
