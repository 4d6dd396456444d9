"""Folders named after the values of columns, as Hive and Spark do: `domain=kaggle/label=3/`.

The files in them lack those columns.
"""

from typing import Final
from urllib.parse import unquote

from metagan.sources.names import strip_invisible
from metagan.sources.split_words import canonical_split
from metagan.sources.tree import Parts

_COLUMNS: Final = ("domain", "label", "split")
_NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"


def column_value(name: str) -> tuple[str, str] | None:
    """The column and the value that a folder's name says, if the reader of tables knows both."""
    column, _, text = name.partition("=")
    value = unquote(text)
    if column not in _COLUMNS or value == _NO_VALUE or not strip_invisible(value):
        return None
    # Numbered parts, as in split=3, are no values of the column.
    return (column, value) if column != "split" or canonical_split(value) else None


def without_values(parts: Parts) -> tuple[Parts, dict[str, str]]:
    """A file's path without the folders that say values of columns, and those values."""
    found = {folder: column_value(folder) for folder in parts[:-1]}
    rest = tuple(folder for folder in parts[:-1] if not found[folder])
    return (*rest, parts[-1]), dict(filter(None, found.values()))
