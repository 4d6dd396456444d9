"""The guess behind `data.source: auto` for vectors: which source reads a path, by names alone."""

from pathlib import Path
from typing import Final

from metagan.data.dataset import DataError
from metagan.data.paths.names import a_few
from metagan.kinds.vector.reading.endings import fix_of, unread_files

BY_ENDING: Final = {".npz": "npz", ".csv": "table", ".tsv": "table", ".parquet": "table"}


def detect_source(path: Path) -> str:
    """Which source reads a path, by its name and what lies in it; no file is opened.

    Raises:
        DataError: If no source reads it, both could, or metagan itself wrote it.
    """
    return _detect_folder(path) if path.is_dir() else _detect_file(path)


def _detect_folder(path: Path) -> str:
    from metagan.data.paths.links import hub_revision
    from metagan.data.paths.own_folders import PREPARED, own_kind_of, refuse_own
    from metagan.kinds.vector.sources.npz import npz_files
    from metagan.kinds.vector.sources.table import table_files

    kind = own_kind_of(path)
    if kind == PREPARED:
        return "arrow"
    refuse_own(path, kind)
    path = hub_revision(path)
    arrays, tables = npz_files(path), table_files(path)
    if arrays and tables:
        raise DataError(
            f"data.path {path}: more than one layout is here: npz files "
            f"({arrays[0].relative_to(path)}, data.source=npz) and tables "
            f"({tables[0].relative_to(path)}, data.source=table); say which is meant, or move the "
            "others away"
        )
    if not arrays and not tables:
        there = unread_files(path)
        found = f"; there is {a_few(there)}: {fix_of(path / there[0])}" if there else ""
        raise DataError(
            f"data.path {path}: holds no {', '.join(BY_ENDING)} file{found}; name the file or "
            "folder with the vectors (pictures are read with data.kind=image)"
        )
    return "npz" if arrays else "table"


def _detect_file(path: Path) -> str:
    ending = path.suffix.lower()
    if ending not in BY_ENDING:
        raise DataError(
            f"data.path {path}: unsupported file; supported: "
            f"{', '.join(BY_ENDING)}, and folders of them; {fix_of(path)}"
        )
    return BY_ENDING[ending]
