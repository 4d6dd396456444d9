"""Vectors in tables: CSV or Parquet, a file or a folder of them.

A row is a sample. The column `data.label` names its class and `data.domain` its domain; without
the latter a file's path below the folder is the domain. A column `split` may say which part of the
publisher's split a row is in.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from metagan.config.vector import VectorData
from metagan.data.dataset import DataError, Dataset
from metagan.data.notes import listed
from metagan.data.parquet_files import is_generated
from metagan.data.paths.hive import table_roles
from metagan.data.paths.identity import FileRole, parts_below, root_name, shown_below
from metagan.data.paths.links import data_path
from metagan.data.paths.named_files import named_files, none_found
from metagan.data.paths.names import TableNames, strip_invisible, table_name, whole_number
from metagan.data.paths.own_folders import GENERATED_NOTE, only_generated
from metagan.data.paths.split_words import canonical_split
from metagan.data.paths.tree import file_sha256
from metagan.kinds.vector.reading.choice import SPLIT, choose_columns, missing_column
from metagan.kinds.vector.reading.columns import names_of
from metagan.kinds.vector.reading.endings import copied_notes, unread_notes
from metagan.kinds.vector.reading.rows import Part, assemble_rows
from metagan.kinds.vector.reading.tables import TABLE_ENDINGS, Table, read_table

_FRACTION: Final = re.compile(r"\s*[+-]?\d*[.,]\d*[1-9]\d*(e[+-]?\d+)?\s*", re.IGNORECASE)
_DEFAULT_DOMAIN: Final = VectorData().domain


def load(config: VectorData) -> Dataset:
    """Read one table, or every one below a folder.

    Columns are found by name, so that files may have them in another order. Where `data.columns`
    names them, and with them label and domain, names match regardless of case, with a note.

    Raises:
        DataError: If a file is damaged, lacks a column, or holds something else than numbers in one
            that makes the vector; see also `choose_columns` and `assemble_rows`.
    """
    label, domain = table_name(config.label), table_name(config.domain)
    if label == domain:
        raise DataError(
            f"data.label and data.domain are both {label!r}; a column names classes or domains"
        )
    path = data_path(config)
    files, notes = _chosen(path)
    shown = [shown_below(file, path) for file in files]
    roles, labels, role_notes = table_roles(
        [parts_below(file, path) for file in files], root_name(path)
    )
    tables = [read_table(file, name, key=label) for file, name in zip(files, shown, strict=True)]
    spelling: list[str] = []
    if config.columns:
        tables, spelling = _respelled(tables, config)
    _check_domains(tables, domain, is_set=domain != _DEFAULT_DOMAIN)
    if not config.columns:
        _check_spelling(tables, domain)
    others = frozenset({label, domain, SPLIT})
    columns, values, column_notes = choose_columns(tables, config.columns, others)
    names = TableNames()
    parts = []
    for table, numbers, role, given in zip(tables, values, roles, labels, strict=True):
        named = _labels_of(table, label, given)
        domains = _domains_of(table, domain, role, names)
        labels_here = [names.label(d, value) for d, value in zip(domains, named, strict=True)]
        stacked = np.stack([numbers[name] for name in columns], axis=1)
        splits = _splits_of(table, role)
        parts.append(Part(table.shown, table.where, stacked, domains, labels_here, splits))
    sha256 = {name: file_sha256(file) for name, file in zip(shown, files, strict=True)}
    return assemble_rows(
        parts,
        columns,
        origin={
            "source": "table",
            "path": str(path),
            "label": config.label,
            "domain": config.domain,
            "sha256": sha256,
        },
        notes=[
            *copied_notes(sha256),
            *notes,
            *role_notes,
            *spelling,
            *column_notes,
            *names.notes(),
        ],
    )


def table_files(path: Path) -> list[Path]:
    """The file itself, or the tables below a folder, sorted."""
    return _found(path)[0]


def _found(path: Path) -> tuple[list[Path], list[str]]:
    """The tables below a folder, and lines on links that are not followed."""
    if not path.is_dir():
        return [path], []
    found = [named_files(path, ending) for ending in TABLE_ENDINGS]
    files = sorted(file for own, _ in found for file in own)
    return files, list(dict.fromkeys(link for _, links in found for link in links))


def _chosen(path: Path) -> tuple[list[Path], list[str]]:
    """The files to read, and notes on those that are not real data or not followed."""
    files, links = _found(path)
    if not files:
        raise none_found(path, " or ".join(TABLE_ENDINGS), links)
    made = [file for file in files if file.suffix.lower() == ".parquet" and is_generated(file)]
    if not path.is_dir():
        return files, [GENERATED_NOTE] if made else []
    if len(made) == len(files):
        raise only_generated(path, [shown_below(file, path) for file in made])
    lines = [*links, *(f"{shown_below(file, path)}: made by metagan generate" for file in made)]
    lines += unread_notes(path)
    return [file for file in files if file not in made], listed(lines, "files left out")


def _respelled(tables: Sequence[Table], config: VectorData) -> tuple[list[Table], list[str]]:
    """The tables with the names that the settings give, and notes where theirs differ by case."""
    meant = {*map(table_name, config.columns), table_name(config.label)}
    if table_name(config.domain) != _DEFAULT_DOMAIN:
        meant.add(table_name(config.domain))
    found = [table.respelled(meant) for table in tables]
    return [table for table, _ in found], [note for _, notes in found for note in notes]


def _check_domains(tables: Sequence[Table], domain: str, *, is_set: bool) -> None:
    """Refuse files of which only some have a column of domains, or none one that was asked for."""
    having = [table for table in tables if domain in table.columns]
    lacking = [table for table in tables if domain not in table.columns]
    if having and lacking:
        raise missing_column(
            lacking[0],
            domain,
            f"{having[0].shown} has it; add it here, or take it away there (a file that is no "
            "table of samples belongs elsewhere)",
        )
    if lacking and is_set:
        raise missing_column(
            lacking[0],
            domain,
            "set data.domain to the column that names a row's domain, or to "
            f"{_DEFAULT_DOMAIN}, and each file is a domain",
        )


def _check_spelling(tables: Sequence[Table], domain: str) -> None:
    """Refuse a column that is called like that of domain or split but for its case."""
    for table in tables:
        for meant, fix in ((domain, "set data.domain={}"), (SPLIT, f"call it {SPLIT}")):
            near = [name for name in table.columns if name.casefold() == meant.casefold()]
            if near and meant not in near:
                raise DataError(
                    f"{table.file}: no column {meant}, but a column {near[0]}; if it says what a "
                    f"row belongs to, {fix.format(near[0])}, else name the columns of the vector "
                    "in data.columns"
                )


def _labels_of(table: Table, name: str, given: str | None) -> list[str | int]:
    """The values that name every row's class: of its column, or of the folder's name."""
    if name not in table.columns:
        if given is not None:
            return [given] * table.num_rows
        raise missing_column(
            table,
            name,
            "set data.label to the column that names the class of every row; files of one class "
            "each belong into folders such as label=oak/",
        )
    return named_values(table, name)


def _domains_of(table: Table, name: str, role: FileRole, names: TableNames) -> list[str]:
    if name not in table.columns:
        return [role.domain] * table.num_rows
    return [names.domain(value) for value in named_values(table, name)]


def _splits_of(table: Table, role: FileRole) -> list[str | None]:
    if SPLIT not in table.columns:
        return [role.split] * table.num_rows
    splits: list[str | None] = []
    known: dict[Any, str | None] = {None: None}
    for row, value in enumerate(names_of(table.columns[SPLIT])):
        if value not in known:
            known[value] = canonical_split(strip_invisible(str(value)))
            if known[value] is None:
                raise DataError(
                    f"{table.where(row)}: split {value!r}; use train, validation or test"
                )
        splits.append(known[value])
    return splits


def named_values(table: Table, name: str) -> list[str | int]:
    """The texts or whole numbers of a column.

    Raises:
        DataError: With the first row where there is neither.
    """
    values: list[str | int] = []
    for row, found in enumerate(names_of(table.columns[name])):
        value = whole_number(found)
        if fault := _fault_of_name(value):
            # Finding a line reads the file again, so only for the one at fault.
            raise DataError(f"{table.where(row)}, column {name}: {value!r}; {fault}")
        values.append(value)
    return values


def _fault_of_name(value: Any) -> str:
    """The fault of a value that names a class or domain; empty where there is none."""
    if value is None or value != value or not strip_invisible(str(value)):
        return "a name is needed; drop the row or fill it"
    if isinstance(value, float) or (isinstance(value, str) and _FRACTION.fullmatch(value)):
        return (
            "text or whole numbers name classes and domains (a number to predict is no class; a "
            "class that is one needs a word, such as dose 0.5)"
        )
    if not isinstance(value, (str, int)):
        return "text or whole numbers name classes and domains"
    return ""
