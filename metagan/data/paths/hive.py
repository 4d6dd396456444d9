"""Folders named after the values of columns, as Hive and Spark do: `domain=kaggle/label=3/`.

The files in them lack those columns.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

from metagan.data.paths.identity import FileRole, file_roles
from metagan.data.paths.names import strip_invisible, table_name
from metagan.data.paths.split_words import canonical_split
from metagan.data.paths.tree import Parts

_COLUMNS: Final = ("domain", "label", "split")
_NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"


def table_roles(
    paths: Sequence[Parts], root: str
) -> tuple[list[FileRole], list[str | None], list[str]]:
    """The role of every file, the label that its path says, and notes on names that are doubtful.

    Args:
        paths: See `file_roles`.
        root: See `file_roles`; it may say a domain itself.

    Raises:
        DataError: See `file_roles`.
    """
    whole = [_without_values(parts) for parts in paths]
    column, value = _column_value(root) or ("", "")
    roles, notes = file_roles([parts for parts, _ in whole], value if column == "domain" else root)
    said = [values for _, values in whole]
    roles = [
        FileRole(
            table_name(values["domain"]) if "domain" in values else role.domain,
            canonical_split(values["split"]) if "split" in values else role.split,
        )
        for role, values in zip(roles, said, strict=True)
    ]
    return roles, [values.get("label") for values in said], notes


def _column_value(name: str) -> tuple[str, str] | None:
    """The column and the value that a folder's name says, if the reader of tables knows both."""
    column, _, text = name.partition("=")
    value = unquote(text)
    if column not in _COLUMNS or value == _NO_VALUE or not strip_invisible(value):
        return None
    # Numbered parts, as in split=3, are no values of the column.
    return (column, value) if column != "split" or canonical_split(value) else None


def _without_values(parts: Parts) -> tuple[Parts, dict[str, str]]:
    """A file's path without the folders that say values of columns, and those values."""
    found = {folder: _column_value(folder) for folder in parts[:-1]}
    rest = tuple(folder for folder in parts[:-1] if not found[folder])
    return (*rest, parts[-1]), dict(filter(None, found.values()))
