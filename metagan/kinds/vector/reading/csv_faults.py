"""Faults of a CSV whose rows do not fit its header, in words with the fix."""

import csv
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from metagan.data.paths.names import clean_name
from metagan.words import counted

_COMMENTS = ("#", "%", "@", "//")
_MAX_SHOWN = 40
_NUMBER = re.compile(r"\s*[+-]?\d+([.,]\d+)*(e[+-]?\d+)?\s*", re.IGNORECASE)


def misfit(
    where: str, fields: Sequence[str], header: Sequence[str], delimiter: str, *, is_first: bool
) -> str:
    """A message on a row that has more or fewer fields than the header.

    Args:
        where: File and line of the row.
        fields: Of the row.
        header: The first line's names.
        delimiter: What separates fields.
        is_first: No row before fits either.
    """
    has = f"{where}: {counted(len(fields), 'field')}, but the header has {len(header)}"
    first = header[0].strip() if header else ""
    if len(header) == 1 or (is_first and first.startswith(_COMMENTS)):
        return (
            f"{has} ({clean_name(first)[:_MAX_SHOWN]}); the first line must name the columns: take "
            "titles and comments above it away"
        )
    if fields and fields[0].strip().startswith(_COMMENTS):
        return f"{has}; if the line is a comment, take it away"
    if is_first and len(fields) == 1:
        return f"{has}; separate the fields of a row as the header's are, by {delimiter!r}"
    if is_first and len(fields) == len(header) + 1:
        return (
            f"{has}; if the first column holds the rows' names, give it a name in the "
            f"header; else remove the {delimiter!r} at the end of every row"
        )
    return f"{has}; put values that hold the delimiter {delimiter!r} in quotes, or complete the row"


def swallowed_rows(text: str, columns: Mapping[str, Any], delimiter: str) -> tuple[int, str] | None:
    """Find a quote that is never closed, or too late: rows then become part of one value.

    Args:
        text: The whole file.
        columns: Its columns as texts.
        delimiter: What separates fields.

    Returns:
        The line where the quote opens and the start of the value; None where all is well.
    """
    if '"' not in text:
        return None
    for column in columns.values():
        with_lines = column.filter(pc.match_substring_regex(column, "[\r\n]"))
        for value in with_lines.to_pylist():
            first, *others = value.splitlines()
            if any(_is_row(line, len(columns), delimiter) for line in others):
                start = max(text.find(f'"{first}'), 0)
                return len(text[:start].splitlines()) + (not _is_inside(text, start)), first
    return None


def _is_row(line: str, width: int, delimiter: str) -> bool:
    """True if a line looks like a row of the table: it has all fields, and a number among them."""
    fields = next(csv.reader([line], delimiter=delimiter), [])
    return len(fields) == width and any(map(_NUMBER.fullmatch, fields))


def _is_inside(text: str, start: int) -> bool:
    """True if a place is not the first of its line."""
    return start > 0 and text[start - 1] not in "\r\n"
