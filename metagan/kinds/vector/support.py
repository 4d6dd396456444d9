"""A user's examples, read from npz files or tables, with the columns of a run.

Shapes: n samples of a class, D columns.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metagan.data.dataset import DataError
from metagan.data.form import Form
from metagan.data.notes import listed
from metagan.data.paths.identity import shown_below
from metagan.data.paths.names import TableNames, a_few, clean_name, table_name
from metagan.kinds.kind import Support
from metagan.kinds.vector.convert import far_from
from metagan.kinds.vector.reading.arrays import read_npz
from metagan.kinds.vector.reading.choice import RISING, SPLIT, choose_columns, missing_column
from metagan.kinds.vector.reading.counting import is_called_a_count
from metagan.kinds.vector.reading.endings import fix_of, unread_files, unread_notes
from metagan.kinds.vector.reading.rows import Part, check_finite, rows_by_class
from metagan.kinds.vector.reading.tables import Table, read_table
from metagan.kinds.vector.samples import Vectors
from metagan.kinds.vector.scales import numbered
from metagan.kinds.vector.sources.npz import npz_files
from metagan.kinds.vector.sources.table import named_values, table_files
from metagan.words import counted

_MAX_COLUMNS_SHOWN: Final = 20


def read_support(path: Path, form: Form, said: Mapping[str, Any]) -> tuple[Support, list[str]]:
    """A user's examples: an npz, CSV or Parquet file, or a folder of such files.

    Columns are found by the names that the run's columns have, in any order. Of a file that has
    none of these names, as many columns as the run has are taken in their order, with a note. Rows
    without a label are of one class, called like the file.

    Args:
        path: File or folder.
        form: The run's.
        said: Settings of data that are said of these files: `label`, `domain`; else as the run's.

    Returns:
        {label: (n, D) float32}, and notes, one line each.

    Raises:
        DataError: If nothing could be read, or a column is missing; the message names it.
    """
    files = _files(path)
    named = {"label": "label", "domain": "domain", **form.facts, **said}
    label, domain = (table_name(str(named[key])) for key in ("label", "domain"))
    names = TableNames()
    parts: list[Part] = []
    notes = listed(unread_notes(path), "files left out")
    for file in files:
        shown = shown_below(file, path)
        if file.suffix.lower() == ".npz":
            part, told = _of_npz(file, shown, form, names)
        else:
            table = read_table(file, shown, key=label)
            part, told = _of_table(table, form, label, domain, names)
            for key in ("label", "domain"):
                if key in said and not _has(table, table_name(str(said[key]))):
                    raise missing_column(table, str(said[key]), f"data.{key} names it")
        check_finite(part, form.facts["columns"])
        parts.append(part)
        notes += told
    classes, left_out = _classes(path, parts)
    far = far_from(list(classes.values()), form)
    told = [f"units: {far}"] if far else []
    return Support(classes, form), [*told, *notes, *names.notes(), *left_out]


def _has(table: Table, name: str) -> bool:
    return name.casefold() in map(str.casefold, table.columns)


def _files(path: Path) -> list[Path]:
    files = [*npz_files(path), *table_files(path)] if path.is_dir() else [path]
    if not files:
        there = unread_files(path)
        found = f"; there is {a_few(there)}: {fix_of(path / there[0])}" if there else ""
        raise DataError(f"--support {path}: holds no .npz, .csv, .tsv or .parquet file{found}")
    return files


def _of_npz(file: Path, shown: str, form: Form, names: TableNames) -> tuple[Part, list[str]]:
    wanted = form.facts["columns"]
    arrays, respelled = read_npz(file).respelled(wanted, shown)
    values, notes = arrays.x, list[str]()
    if arrays.columns is not None and set(wanted) & set(arrays.columns):
        _check_named(file, wanted, arrays.columns)
        values = values[:, [arrays.columns.index(name) for name in wanted]]
    else:
        _check_width(file, values.shape[1], form)
        notes = _by_place(shown, arrays.columns, wanted)
    labels = _labels(arrays.y, len(values), file, names)
    domains = [""] * len(values)
    if arrays.domain is not None:
        domains = list(map(names.domain, arrays.domain))
    part = Part(shown, arrays.where, values, domains, labels, [None] * len(values))
    return part, [*notes, *respelled]


def _of_table(
    table: Table, form: Form, label: str, domain: str, names: TableNames
) -> tuple[Part, list[str]]:
    wanted = form.facts["columns"]
    # A run's own column may be called like one of these.
    others = frozenset({label, domain, SPLIT} - set(wanted))
    table, respelled = table.respelled({*wanted, *others})
    named: Sequence[str] = wanted if set(wanted) & set(table.columns) else ()
    if named:
        _check_named(table.file, wanted, tuple(table.columns))
    columns, [numbers], notes = choose_columns([table], named, others)
    if named:
        notes += _idle_columns(table, {*wanted, *others}, label)
    else:
        _check_width(table.file, len(columns), form, columns)
        notes = [*notes, *_by_place(table.shown, columns, wanted)]
    notes += respelled
    # That a column counts the rows is for the run's own data to say.
    notes = [note for note in notes if not note.startswith(("leak:", RISING))]
    values = np.stack([numbers[name] for name in columns], axis=1)
    found = named_values(table, label) if label in table.columns and label in others else None
    labels = _labels(found, len(values), table.file, names)
    domains = [""] * len(values)
    if domain in table.columns and domain in others:
        domains = list(map(names.domain, named_values(table, domain)))
    return Part(table.shown, table.where, values, domains, labels, [None] * len(values)), notes


def _idle_columns(table: Table, known: Collection[str], label: str) -> list[str]:
    """A note on columns that the run has not, where none names classes: one of them may."""
    idle = [name for name in table.columns if name not in known and not is_called_a_count(name)]
    if not idle or label in table.columns:
        return []
    return [
        f"columns left out: {table.shown}: {a_few(idle)}, which the run has not; if one names the "
        f"classes, set data.label (it is {label})"
    ]


def _check_named(file: Path, wanted: Sequence[str], there: Sequence[str]) -> None:
    """Refuse a file that has some of the run's columns, but not all."""
    lacking = [name for name in wanted if name not in there]
    if lacking:
        raise DataError(
            f"{file}: no column {a_few(lacking)}; columns are "
            f"{a_few(there, most=_MAX_COLUMNS_SHOWN)}; the run learned from "
            f"{a_few(wanted, most=_MAX_COLUMNS_SHOWN)}"
        )


def _check_width(file: Path, width: int, form: Form, columns: Sequence[str] = ()) -> None:
    wanted = form.facts["columns"]
    if width != len(wanted):
        named = f" ({a_few(columns, most=_MAX_COLUMNS_SHOWN)})" if columns else ""
        raise DataError(
            f"{file}: has {counted(width, 'column')} of numbers{named}, but the run learned from "
            f"{len(wanted)}: {a_few(wanted, most=_MAX_COLUMNS_SHOWN)}; name the "
            "columns alike"
        )


def _by_place(shown: str, there: Sequence[str] | None, wanted: Sequence[str]) -> list[str]:
    """A note on columns that are taken by their place, where they have other names."""
    if there is None and list(wanted) != numbered(len(wanted)):
        return [f"columns: {shown} names none, so its columns are taken as {a_few(wanted)}"]
    if there is None or list(there) == list(wanted):
        return []
    return [
        f"columns: {shown} has none of the run's names, so {a_few(there)} are taken in this order "
        f"as {a_few(wanted)}"
    ]


def _labels(
    values: Sequence[str | int] | None, rows: int, file: Path, names: TableNames
) -> list[str]:
    if values is None:
        return [clean_name(file.stem)] * rows
    return [names.label("", value) for value in values]


def _classes(path: Path, parts: Sequence[Part]) -> tuple[dict[str, Vectors], list[str]]:
    """The complete rows of each class; named with the domain where there are several."""
    found: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    several = len({domain for part in parts for domain in part.domains}) > 1
    left_out: list[str] = []
    for part in parts:
        whole = ~np.isnan(part.values).any(axis=1)
        left_out += [f"{part.where(int(r))}: a value is missing" for r in np.flatnonzero(~whole)]
        for (domain, label), rows in rows_by_class(part).items():
            kept = rows[whole[rows]]
            if len(kept):
                name = f"{domain}/{label}" if several and domain else label
                found[name].append(part.values[kept].astype(np.float32))
    if not found:
        detail = f" ({left_out[0]})" if left_out else ""
        raise DataError(f"--support {path}: no complete row in it{detail}")
    classes = {name: np.concatenate(found[name]) for name in sorted(found)}
    return classes, listed(left_out, "left out")
