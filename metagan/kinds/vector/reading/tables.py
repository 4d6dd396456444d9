"""One table of rows: a CSV or Parquet file as Arrow columns with clean names."""

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from metagan.data.dataset import DataError
from metagan.data.parquet_files import check_sizes, refuse_extensions
from metagan.data.paths.names import a_few, clean_name, table_name
from metagan.data.table_text import DELIMITERS, above_header, read_text
from metagan.kinds.vector.reading.csv_faults import misfit, swallowed_rows
from metagan.kinds.vector.reading.endings import fix_of
from metagan.kinds.vector.reading.spelling import respelled

TABLE_ENDINGS: Final = (".csv", ".tsv", ".parquet")
MAX_COLUMNS_SHOWN: Final = 20
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Table:
    """One file.

    Attributes:
        file: The file.
        shown: Its path below the data folder.
        columns: Arrow columns by name, in the file's order; those of a CSV are texts.
        unnamed: Names given to columns that have none.
        text: A CSV's text and delimiter, to find a row's line; None for Parquet.
    """

    file: Path
    shown: str
    columns: dict[str, Any]
    unnamed: frozenset[str] = frozenset()
    text: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def respelled(self, meant: Collection[str]) -> tuple["Table", list[str]]:
        """The table with the names that are meant, and a note where its own differ by case."""
        names, notes = respelled(list(self.columns), meant, self.shown)
        columns = dict(zip(names, self.columns.values(), strict=True))
        return replace(self, columns=columns), notes

    def where(self, row: int) -> str:
        """File and line of a row (of Parquet: the row, from 0), for messages."""
        if self.text is None:
            return f"{self.file}, row {row}"
        lines = (line for line, _ in _numbered(*self.text))
        line = next((line for index, line in enumerate(lines) if index == row), 0)
        return f"{self.file}, line {line}"


def read_table(file: Path, shown: str, *, key: str) -> Table:
    """Read a file.

    Args:
        file: CSV, TSV or Parquet.
        shown: Its path below the data folder.
        key: A column that the file likely has; by it the delimiter of a CSV is found.

    Raises:
        DataError: If it is damaged, has no header or no rows, two columns of one name, or rows of
            different lengths.
    """
    ending = file.suffix.lower()
    if ending not in TABLE_ENDINGS:
        raise DataError(f"{file}: a table ends in {', '.join(TABLE_ENDINGS)}; {fix_of(file)}")
    table = _read_parquet(file, shown) if ending == ".parquet" else _read_csv(file, shown, key)
    if not table.num_rows:
        raise DataError(f"{file}: holds no rows below its columns {_shown(list(table.columns))}")
    return table


def _read_parquet(file: Path, shown: str) -> Table:
    try:
        refuse_extensions(file)
        with pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            check_sizes(file, parquet.metadata)
            read = parquet.read()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not parquet, or damaged ({error})") from error
    names = _clean(file, list(read.column_names))
    return Table(file, shown, dict(zip(names, read.columns, strict=True)))


def _read_csv(file: Path, shown: str, key: str) -> Table:
    """A CSV as columns of texts, without empty rows and without columns that have nothing."""
    text = read_text(file, "table")
    skipped, first = above_header(text)
    if not first.strip():
        raise DataError(f"{file}: is empty; its first line must name the columns")
    if "\0" in first:
        raise DataError(f"{file}: holds zero bytes, as UTF-16 does; save the table as UTF-8")
    try:
        # Tab first: a name in a .tsv may hold a comma.
        is_tsv = file.suffix.lower() == ".tsv" and "\t" in first
        delimiter = "\t" if is_tsv else _delimiter(first, key)
        header, height = _header(text, skipped, delimiter)
    except csv.Error as error:
        raise DataError(f"{file}, line {1 + skipped}: {error}") from error
    _check_header(f"{file}, line {1 + skipped}", header)
    names = _clean(file, header)
    columns = _parsed(file, text, header, names, skipped + height, delimiter)
    if swallowed := swallowed_rows(text, columns, delimiter):
        line, value = swallowed
        raise DataError(
            f"{file}, line {line}: a quote opens before {clean_name(value)[:40]!r} and does not "
            "close on this line, so that the rows below would be part of one value; close it, or "
            'write "" for a quote inside a value'
        )
    unnamed = frozenset(n for n, given in zip(names, header, strict=True) if not table_name(given))
    table = pa.table(list(columns.values()), names=list(columns))
    # Spreadsheets leave empty rows and columns behind.
    filled = {name: pc.not_equal(pc.utf8_trim_whitespace(c), "") for name, c in columns.items()}
    any_filled = None
    for cells in filled.values():
        any_filled = cells if any_filled is None else pc.or_(any_filled, cells)
    table = table.filter(any_filled)
    kept = {
        name: table.column(name)
        for name in names
        if name not in unnamed or pc.any(filled[name]).as_py()
    }
    there = frozenset(unnamed & set(kept))
    if len(there) > 1:
        raise DataError(
            f"{file}, line {1 + skipped}: names only {len(names) - len(unnamed)} of "
            f"{len(names)} columns; the first line must name them all: take titles above it away"
        )
    return Table(file, shown, kept, there, (text, delimiter))


def _parsed(
    file: Path,
    text: str,
    header: Sequence[str],
    names: Sequence[str],
    header_ends: int,
    delimiter: str,
) -> dict[str, Any]:
    """Every column as texts."""
    odd: list[Any] = []

    def remember(row: Any) -> str:
        odd.append(row)
        return "skip"

    try:
        read = pa_csv.read_csv(
            io.BytesIO(text.encode()),
            read_options=pa_csv.ReadOptions(
                column_names=list(names), skip_rows=header_ends, use_threads=False
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=remember
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.large_string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowException as error:
        if "Empty CSV" in str(error):
            return dict.fromkeys(names, pa.chunked_array([], pa.large_string()))
        raise DataError(f"{file}: cannot be read as a table ({error})") from error
    if odd:
        width = len(names)
        rows = enumerate(_numbered(text, delimiter))
        found = ((n, line, fields) for n, (line, fields) in rows if len(fields) != width)
        row, line, fields = next(found, (0, 0, []))
        where = f"{file}, line {line}"
        raise DataError(misfit(where, fields, header, delimiter, is_first=row == 0))
    return {name: read.column(index) for index, name in enumerate(names)}


def _delimiter(first: str, key: str) -> str:
    """The separator of columns: the one that finds the key, else that of most columns."""

    def found(mark: str) -> tuple[bool, int]:
        names = [table_name(name) for name in next(csv.reader([first], delimiter=mark), [])]
        return key in names, len(names)

    return max(DELIMITERS, key=found)


def _header(text: str, skipped: int, delimiter: str) -> tuple[list[str], int]:
    """The names in the first row, and how many lines it has: a quoted name may hold line ends."""
    lines = io.StringIO(text, newline="")
    for _ in range(skipped):
        lines.readline()
    reader = csv.reader(lines, delimiter=delimiter)
    header = next(reader)
    return header, reader.line_num


def _check_header(where: str, header: Sequence[str]) -> None:
    """Refuse a first row of numbers: then there is no header, and a sample would be lost."""
    names = [name.strip() for name in header if name.strip()]
    numbers = [name for name in names if _NUMBER.fullmatch(name)]
    if names and len(numbers) * 2 > len(names):
        raise DataError(
            f"{where}: the first line is {a_few(names)}, which are numbers, not names; put a line "
            "with the columns' names above it"
        )


def _clean(file: Path, names: Sequence[str]) -> list[str]:
    """Names fit to be printed and compared; one is given to columns without."""
    clean = [table_name(str(name)) or f"column {i + 1}" for i, name in enumerate(names)]
    twice = [name for name, times in Counter(clean).items() if times > 1]
    if twice:
        raise DataError(
            f"{file}: repeated columns: {a_few(twice)}; give every column a name of its own"
        )
    return clean


def _numbered(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The line and the fields of every row below the header, without empty ones."""
    skipped, _ = above_header(text)
    lines = io.StringIO(text, newline="")
    for _ in range(skipped):
        lines.readline()
    reader = csv.reader(lines, delimiter=delimiter)
    next(reader, None)
    for fields in reader:
        if any(field.strip() for field in fields):
            yield reader.line_num + skipped, fields


def _shown(names: Sequence[str]) -> str:
    return a_few(names, most=MAX_COLUMNS_SHOWN)
