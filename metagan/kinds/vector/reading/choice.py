"""The columns of tables that make a vector: those that are named, or every numeric one.

A column that counts the rows is left out: rows are often sorted by class, and then their number
tells the class.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metagan.data.dataset import DataError
from metagan.data.notes import listed
from metagan.data.paths.names import a_few, table_name
from metagan.kinds.vector.reading.columns import NUMERIC, Column, look_at_column
from metagan.kinds.vector.reading.counting import is_called_a_count, is_counter, rises
from metagan.kinds.vector.reading.tables import MAX_COLUMNS_SHOWN, Table
from metagan.words import agreeing

SPLIT: Final = "split"
"""The column that says which part of the publisher's split a row is in."""

_IF_UNITS: Final = " (if the row holds units or types, take it away)"
RISING: Final = "columns: from row to row"
"""How a note begins on columns that rise; of a few examples this says nothing."""
_ALIKE: Final = 0.75
"""Likeness above which a name is suggested for another: labels is like label, place is not."""
_EMPTY: Final = Column("nothing")

_WORDS: Final[Mapping[str, str]] = {
    "text": "text",
    "dates": "dates",
    "lists": "lists",
    "nothing": "no value",
    "booleans": "true and false",
    "numbers": "numbers",
    "odd numbers": "what is no number",
}
_FIX_OF: Final[Mapping[str, str]] = {
    "text": "give it numbers",
    "dates": "write them as numbers, such as days since a date",
    "lists": "write one column for every value",
    "nothing": "fill it",
}


def choose_columns(
    tables: Sequence[Table], named: Sequence[str], others: frozenset[str]
) -> tuple[tuple[str, ...], list[dict[str, NDArray[np.float64]]], list[str]]:
    """The columns that make a vector, and their numbers.

    Args:
        tables: All files of a data set.
        named: `data.columns`; empty: every numeric one.
        others: The columns of label, domain and split, which are never part of a vector.

    Returns:
        The names; per table their values, each (N,) float64 with NaN where one is missing; notes.

    Raises:
        DataError: If a column is missing in a file, holds something else than numbers, or none is
            left; the message names the file, the column, the row and the value.
    """
    names = tuple(map(table_name, named))
    if names:
        _check_named(tables, names, others)
        looked = [{n: look_at_column(table.columns[n]) for n in names} for table in tables]
        for table, columns in zip(tables, looked, strict=True):
            for name in names:
                if columns[name].holds not in NUMERIC:
                    raise _no_numbers(table, name, columns[name])
        notes = _counting_notes(names, looked)
    else:
        looked = [_looked_at(table, others) for table in tables]
        names, notes = _every_numeric(tables, looked)
    values = [{n: column for n in names if (column := own[n].values) is not None} for own in looked]
    return (
        names,
        values,
        [
            *notes,
            *_rising_notes(names, values),
            *_boolean_notes(names, looked),
            *_code_notes(names, looked),
            *_decimal_notes(names, looked),
        ],
    )


def missing_column(table: Table, name: str, fix: str) -> DataError:
    """The error where a file has no column of a name."""
    names = [n.lower() for n in table.columns]
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=_ALIKE)
    spelled = next((n for n in table.columns if near and n.lower() == near[0]), "")
    hint = f"; did you mean {spelled}?" if spelled else ""
    there = a_few(list(table.columns), most=MAX_COLUMNS_SHOWN)
    return DataError(f"{table.file}: no column {name}; columns are {there}{hint}; {fix}")


def _check_named(tables: Sequence[Table], names: Sequence[str], others: frozenset[str]) -> None:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(f"data.columns names {twice[0]} twice; name every column once")
    if told := [name for name in names if name in others]:
        raise DataError(
            f"data.columns has {told[0]}, which names a row's class, domain or split; take it out"
        )
    for table in tables:
        for name in names:
            if name not in table.columns:
                raise missing_column(table, name, "data.columns names columns that every file has")


def _looked_at(table: Table, others: frozenset[str]) -> dict[str, Column]:
    """Every column but those of label, domain and split; an error where numbers are written oddly.

    Of columns that count the rows nothing else matters.
    """
    looked = {}
    for name, column in table.columns.items():
        if name in others:
            continue
        found = look_at_column(column)
        if name in table.unnamed and name != "column 1":
            raise DataError(
                f"{table.file}: {name} has values but no name; name it, or take its values away "
                "(a value that holds the delimiter needs quotes)"
            )
        if found.holds == "odd numbers" and not is_called_a_count(name):
            raise _no_numbers(table, name, found)
        looked[name] = found
    return looked


def _no_numbers(table: Table, name: str, column: Column) -> DataError:
    if column.holds == "nothing":
        return DataError(f"{table.file}: column {name} has no value in any row; leave it out")
    where = f"{table.where(column.row)}, column {name}: {column.value!r}"
    fix = column.fix + (_IF_UNITS if column.fix and column.row == 0 else "")
    fix = fix or f"the column holds {_WORDS[column.holds]}; {_FIX_OF[column.holds]}"
    return DataError(f"{where}; {fix}, or leave the column out by data.columns")


def _every_numeric(
    tables: Sequence[Table], looked: Sequence[Mapping[str, Column]]
) -> tuple[tuple[str, ...], list[str]]:
    """The columns that hold numbers in every file, in the order of the first; and notes."""
    every = dict.fromkeys(name for columns in looked for name in columns)
    chosen: list[str] = []
    left_out: list[str] = []
    for name in every:
        holds = {columns[name].holds for columns in looked if name in columns} - {"nothing"}
        if _counts_rows(name, [columns[name] for columns in looked if name in columns]):
            left_out.append(f"{name} counts or names the rows; data.columns can name it")
        elif not holds:
            left_out.append(f"{name} has no value in any row")
        elif holds <= NUMERIC:
            _check_everywhere(tables, looked, name)
            chosen.append(name)
        elif holds & NUMERIC:
            raise _mixed(tables, looked, name)
        else:
            left_out.append(f"{name} holds {_WORDS[min(holds)]}")
    if not chosen:
        there = a_few(list(tables[0].columns), most=MAX_COLUMNS_SHOWN)
        why = f" ({'; '.join(left_out[:3])})" if left_out else ""
        if len(tables[0].columns) == 1 and tables[0].text is not None:
            why = "; if that is more than one, separate columns by , ; | or tab"
        if lists := [name for name in every if looked[0].get(name, _EMPTY).holds == "lists"]:
            why += f"; write one column for every value of {lists[0]}"
        raise DataError(
            f"{tables[0].file}: no column of numbers is left; columns are {there}{why}; name those "
            "that make the vector in data.columns"
        )
    return tuple(chosen), listed(left_out, "columns left out")


def _counts_rows(name: str, columns: Sequence[Column]) -> bool:
    """True if a column is called like a number or name of the row, or is one."""
    if is_called_a_count(name):
        return True
    values = [column.values for column in columns if column.values is not None]
    return bool(values) and all(map(is_counter, values))


def _check_everywhere(
    tables: Sequence[Table], looked: Sequence[Mapping[str, Column]], name: str
) -> None:
    for table, columns in zip(tables, looked, strict=True):
        if name not in columns:
            has = next(t for t, own in zip(tables, looked, strict=True) if name in own)
            raise missing_column(
                table,
                name,
                f"{has.shown} has it; add it here, or name in data.columns those that every file "
                "has",
            )


def _mixed(
    tables: Sequence[Table], looked: Sequence[Mapping[str, Column]], name: str
) -> DataError:  # fmt: skip
    """The error where a column holds numbers in one file and something else in another."""
    with_it = [(t, own[name]) for t, own in zip(tables, looked, strict=True) if name in own]
    table, odd = next((t, c) for t, c in with_it if c.holds not in (*NUMERIC, "nothing"))
    other = next(t for t, c in with_it if c.holds in NUMERIC)
    return DataError(
        f"{table.where(odd.row)}, column {name}: {odd.value!r}; it holds {_WORDS[odd.holds]} here "
        f"and numbers in {other.shown}; write it alike, or leave it out by data.columns"
    )


def _counting_notes(names: Sequence[str], looked: Sequence[Mapping[str, Column]]) -> list[str]:
    """A note on columns that were named though they count the rows."""
    counting = [name for name in names if _counts_rows(name, [own[name] for own in looked])]
    return [
        f"leak: {name} counts or names the rows, which may tell their class" for name in counting
    ]


def _boolean_notes(names: Sequence[str], looked: Sequence[Mapping[str, Column]]) -> list[str]:
    told = [name for name in names if any(own[name].holds == "booleans" for own in looked)]
    return [f"columns: {a_few(told)}: true is read as 1 and false as 0"] if told else []


def _code_notes(names: Sequence[str], looked: Sequence[Mapping[str, Column]]) -> list[str]:
    told = [name for name in names if any(own[name].is_code for own in looked)]
    if not told:
        return []
    return [
        f"columns: some numbers in {a_few(told)} begin with 0, as codes do; if they are no "
        "quantities, leave them out by data.columns"
    ]


def _decimal_notes(names: Sequence[str], looked: Sequence[Mapping[str, Column]]) -> list[str]:
    told = [name for name in names if all(own[name].may_be_thousands for own in looked)]
    if not told:
        return []
    has = agreeing(len(told), "has", "have")
    return [
        f"columns: {a_few(told)} {has} three digits behind the point in every row, read as "
        "decimals; if the point separates thousands, write 1250 for 1.250"
    ]


def _rising_notes(
    names: Sequence[str], values: Sequence[Mapping[str, NDArray[np.float64]]]
) -> list[str]:
    told = [name for name in names if all(rises(own[name]) for own in values)]
    if not told:
        return []
    return [
        f"{RISING} {a_few(told)} {agreeing(len(told), 'rises', 'rise')}, as numbers of rows and "
        "times do; if rows are sorted by class, that tells their class: leave "
        f"{agreeing(len(told), 'it', 'them')} out by data.columns"
    ]
