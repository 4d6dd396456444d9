"""Vectors in .npz files: a file, or a folder of them.

See `metagan.kinds.vector.reading.arrays` for the arrays that a file has.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metagan.config.vector import VectorData
from metagan.data.dataset import DataError, Dataset
from metagan.data.notes import listed
from metagan.data.paths.identity import FileRole, file_roles, parts_below, root_name, shown_below
from metagan.data.paths.links import data_path
from metagan.data.paths.named_files import named_files, none_found
from metagan.data.paths.names import TableNames, a_few, table_name
from metagan.data.paths.own_folders import GENERATED_NOTE, only_generated
from metagan.data.paths.tree import file_sha256
from metagan.kinds.vector.reading.arrays import Arrays, is_generated, read_npz
from metagan.kinds.vector.reading.counting import is_counter
from metagan.kinds.vector.reading.endings import copied_notes, unread_notes
from metagan.kinds.vector.reading.rows import Part, assemble_rows
from metagan.kinds.vector.scales import numbered


def load(config: VectorData) -> Dataset:
    """Read vectors and labels; a file without `domain` is a domain, or a part of one.

    `data.path` is a file or a folder of them; files called like a split are the parts of one
    domain. `data.columns` chooses among columns that a file names.

    Raises:
        DataError: If arrays are missing, do not fit each other, hold objects or infinity, or a file
            is damaged; see also `assemble_rows`.
    """
    path = data_path(config)
    paths, notes = _chosen(path)
    shown = [shown_below(file, path) for file in paths]
    roles, role_notes = file_roles([parts_below(file, path) for file in paths], root_name(path))
    wanted = list(map(table_name, config.columns))
    found = [read_npz(file).respelled(wanted, own) for file, own in zip(paths, shown, strict=True)]
    files = [file for file, _ in found]
    columns = _columns(files, config.columns)
    names = TableNames()
    parts = [
        _part(file, name, role, columns, names)
        for file, name, role in zip(files, shown, roles, strict=True)
    ]
    sha256 = {name: file_sha256(file) for name, file in zip(shown, paths, strict=True)}
    return assemble_rows(
        parts,
        columns,
        origin={"source": "npz", "path": str(path), "sha256": sha256},
        notes=[
            *copied_notes(sha256),
            *notes,
            *role_notes,
            *names.notes(),
            *(note for _, notes in found for note in notes),
            *_own_notes(files, shown, columns),
        ],
    )


def npz_files(path: Path) -> list[Path]:
    """The file itself, or the .npz files of a folder and of the folders in it, sorted."""
    return named_files(path, ".npz", levels=1)[0]


def _chosen(path: Path) -> tuple[list[Path], list[str]]:
    """The files to read, and notes on those that are not real data or not followed."""
    files, links = named_files(path, ".npz", levels=1)
    if not files:
        raise none_found(path, ".npz", links)
    if not path.is_dir():
        return files, [GENERATED_NOTE] if is_generated(path) else []
    made = [shown_below(file, path) for file in files if is_generated(file)]
    if len(made) == len(files):
        raise only_generated(path, made)
    lines = [*links, *(f"{name}: made by metagan generate" for name in made)]
    below = (shown_below(file, path) for file in named_files(path, ".npz")[0])
    lines += [f"{name}: is too deep; move it up" for name in below if name.count("/") > 1]
    lines += unread_notes(path)
    real = [file for file in files if shown_below(file, path) not in made]
    return real, listed(lines, "files left out")


def _columns(files: Sequence[Arrays], named: Sequence[str]) -> tuple[str, ...]:
    """The columns of all files: those that are named, else those of the first file."""
    first = files[0]
    wanted = tuple(map(table_name, named)) or first.columns
    for file in files:
        if wanted is None and file.columns is not None:
            raise DataError(
                f"{first.file}: no array columns, which {file.file} has; save it in both, so that "
                "the columns are known to be the same"
            )
        if wanted is None and file.x.shape[1] != first.x.shape[1]:
            raise DataError(
                f"{file.file}: x has {file.x.shape[1]} columns, that of {first.file} "
                f"{first.x.shape[1]}; save the same columns in every file"
            )
        if wanted is not None:
            _check_columns(file, wanted, named=bool(named))
    return wanted or tuple(numbered(first.x.shape[1]))


def _check_columns(file: Arrays, wanted: Sequence[str], *, named: bool) -> None:
    """Refuse a file that lacks columns, or has others where nobody has named the columns."""
    if file.columns is None:
        raise DataError(
            f"{file.file}: no array columns (D,) that names the columns of x, and "
            f"{'data.columns' if named else 'another file'} names {a_few(wanted)}; save it beside x"
        )
    if lacking := [name for name in wanted if name not in file.columns]:
        raise DataError(
            f"{file.file}: no column {lacking[0]}; columns are {a_few(file.columns, most=20)}"
        )
    others = [name for name in file.columns if name not in wanted]
    if others and not named:
        raise DataError(
            f"{file.file}: has the column {others[0]}, which other files lack; name in "
            "data.columns those that every file has"
        )


def _own_notes(files: Sequence[Arrays], shown: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Notes on columns that count the rows, and on arrays that are not read."""
    notes = []
    counting = [
        name
        for index, name in enumerate(columns)
        if all(is_counter(_values(file, columns)[:, index]) for file in files)
    ]
    if counting:
        notes.append(
            f"leak: {a_few(counting)} counts the rows, which may tell their class; leave it out"
        )
    unread = [
        f"{name} of {own}" for own, file in zip(shown, files, strict=True) for name in file.unread
    ]
    if unread:
        notes.append(
            f"other files ignored: arrays {a_few(unread)}; supported: x, y, domain, split, columns"
        )
    return notes


def _values(file: Arrays, columns: Sequence[str]) -> NDArray[Any]:
    """The columns that are meant, in their order."""
    if file.columns is None or file.columns == tuple(columns):
        return np.asarray(file.x)
    return np.asarray(file.x[:, [file.columns.index(name) for name in columns]])


def _part(
    file: Arrays, shown: str, role: FileRole, columns: Sequence[str], names: TableNames
) -> Part:
    if file.y is None:
        raise DataError(f"{file.file}: no array y (N,), the class of every row; save it beside x")
    values = _values(file, columns)
    rows = len(values)
    domains = [role.domain] * rows if file.domain is None else [*map(names.domain, file.domain)]
    labels = [names.label(domain, y) for domain, y in zip(domains, file.y, strict=True)]
    splits = [role.split] * rows if file.split is None else list(file.split)
    return Part(shown, file.where, values, domains, labels, splits)
