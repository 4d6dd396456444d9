"""Records of a CSV or JSON Lines file, whatever program wrote it.

Excel writes `;` in half of Europe, `sep=;` above the header and UTF-16 as "Unicode text"; pandas
writes a column without a name; spreadsheets leave empty columns and rows behind.
"""

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from metagan.data.dataset import DataError
from metagan.data.paths.names import a_few, strip_invisible

_MAX_BYTES: Final = 2 * 2**30
DELIMITERS: Final = (",", ";", "\t", "|")
_MAX_COLUMNS_SHOWN: Final = 20


class ColumnsMissing(DataError):
    """A list that has not the columns of a list of pictures: perhaps it is another list."""


def read_records(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and values by column of every row; columns of a CSV are in lower case.

    Args:
        path: A .csv or .jsonl file in UTF-8, or in UTF-16 with a byte-order mark.
        needed: Columns that must be there; by them the delimiter of a CSV is found.

    Raises:
        ColumnsMissing: If a CSV has not all that are needed.
        DataError: If the file is neither, or malformed; the message has the line.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".jsonl"):
        raise DataError(f"{path}: a manifest ends in .csv or .jsonl")
    text = read_text(path, "manifest")
    return _csv_records(path, text, needed) if suffix == ".csv" else _json_records(path, text)


def read_text(path: Path, what: str) -> str:
    """All of a file in UTF-8, or in UTF-16 with a byte-order mark.

    Args:
        path: The file.
        what: What it is, in messages.

    Raises:
        DataError: If it is too large, or in another encoding; the message has the line.
    """
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise DataError(f"{path}: {size} bytes, more than {_MAX_BYTES}; split the {what}")
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        if wide:
            raise DataError(f"{path}: damaged UTF-16; save the {what} as UTF-8") from error
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not UTF-8; save the {what} as UTF-8") from error


def above_header(text: str) -> tuple[int, str]:
    """How many lines stand above the header (`sep=;` and blank ones), and the header's first."""
    lines = io.StringIO(text, newline="")
    skipped, first = 0, lines.readline()
    while first and (_is_blank(first) or re.fullmatch(r"(?i)sep=.\s*", first)):
        skipped, first = skipped + 1, lines.readline()
    return skipped, first


def _csv_records(
    path: Path, text: str, needed: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        skipped, delimiter = _find_delimiter(path, text, needed)
    except csv.Error as error:
        raise DataError(f"{path}, line 1: {error}") from error
    # newline="": line ends inside quotes belong to the value. Not splitlines(), which also breaks
    # at characters that may be part of a name.
    lines = io.StringIO(text, newline="")
    for _ in range(skipped):
        lines.readline()
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = [_column(name) for name in next(reader)]
        for fields in reader:
            line = reader.line_num + skipped
            if any(field.strip() for field in fields):
                yield line, _record(f"{path}, line {line}", header, fields)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num + skipped}: {error}") from error


def _find_delimiter(path: Path, text: str, needed: Sequence[str]) -> tuple[int, str]:
    """How many lines stand above the header, and what separates its columns."""
    skipped, first = above_header(text)
    # A quoted name may hold a line end, which the first line alone would cut.
    headers = {
        delimiter: [_column(name) for name in next(csv.reader([first], delimiter=delimiter), [])]
        for delimiter in DELIMITERS
    }
    delimiter = max(DELIMITERS, key=lambda mark: len(set(needed) & set(headers[mark])))
    header = headers[delimiter]
    if not set(needed) & set(header):
        delimiter = max(DELIMITERS, key=lambda mark: len(headers[mark]))
        header = headers[delimiter]
    missing = [name for name in needed if name not in header]
    where = f"{path}, line {1 + skipped}"
    if missing:
        shown = a_few([name or "(no name)" for name in header], most=_MAX_COLUMNS_SHOWN)
        raise ColumnsMissing(
            f"{where}: no column {', '.join(missing)}; columns are {shown}; needed are "
            f"{', '.join(needed)} and perhaps split; rename or add columns (where there is one "
            "domain, all rows give the same)"
        )
    twice = [name for name, times in Counter(header).items() if name and times > 1]
    if twice:
        raise DataError(f"{where}: repeated columns: {a_few(twice)}")
    return skipped, delimiter


def _is_blank(line: str) -> bool:
    return not line.strip("".join(DELIMITERS) + " \r\n")


def _column(name: str) -> str:
    """A column's name as it is compared: ` File Name` is `file_name`."""
    return "_".join(strip_invisible(name).lower().replace("-", " ").split())


def _record(where: str, header: Sequence[str], fields: Sequence[str]) -> dict[str, Any]:
    """The named values of a row; values without a name are refused, as the row may be shifted."""
    if len(fields) < len(header):
        raise DataError(f"{where}: {len(fields)} fields, but the header has {len(header)}")
    for number, value in enumerate(fields):
        # pandas numbers the rows in a first column without a name.
        named = number == 0 or (number < len(header) and header[number])
        if not named and value.strip():
            raise DataError(
                f"{where}: {len(fields)} fields, but the header has {len(header)}, and field "
                f"{number + 1}, {value!r}, is below no name; put values that hold the delimiter "
                "in quotes, or name the column"
            )
    return {name: value for name, value in zip(header, fields, strict=False) if name}


def _json_records(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    # Not splitlines(): it also breaks at characters that JSON allows inside strings.
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            record = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {line}: not JSON ({error})") from error
        if not isinstance(record, dict):
            raise DataError(f"{path}, line {line}: one object per line is needed, got {record!r}")
        yield line, record
