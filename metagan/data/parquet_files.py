"""Parquet files looked at before they are opened: nothing in one is ever executed."""

import base64
import json
import os
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from metagan.data.dataset import DataError

_MAX_ROW_GROUP_BYTES: Final = 8 * 2**30
_MAX_FOOTER_BYTES: Final = 512 * 2**20
_EXTENSION_KEY: Final = b"ARROW:extension:name"


def is_generated(file: Path) -> bool:
    """True if the file's metadata say that `metagan generate` wrote it."""
    try:
        refuse_extensions(file)
        text = (pq.read_metadata(file).metadata or {}).get(b"metagan", b"{}")
        record = json.loads(text)
    except (DataError, pa.ArrowException, OSError, ValueError, RecursionError):
        return False
    return isinstance(record, dict) and bool(record.get("generated"))


def refuse_extensions(file: Path, *, again: str = "its values again as plain columns") -> None:
    """Refuse extension types, on the raw footer: pyarrow builds them from metadata as it opens.

    The Arrow schema is in the footer in base64, where a text looks different for each of the three
    places it can have in a group of three bytes.
    """
    footer = _read_footer(file)
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + _EXTENSION_KEY)
        whole = slice(-(-shift * 8 // 6), (shift + len(_EXTENSION_KEY)) * 8 // 6)
        if encoded[whole] in footer:
            raise DataError(
                f"{file}: a column has an Arrow extension type, whose reader may run code from the "
                f"file; write {again}"
            )


def _read_footer(file: Path) -> bytes:
    """The metadata at a parquet file's end, as stored."""
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(size - 8, 0))
        end = stream.read(8)
        length = int.from_bytes(end[:4], "little")
        if end[4:] != b"PAR1" or length > min(size - 12, _MAX_FOOTER_BYTES):
            raise DataError(f"{file}: not parquet, or damaged (no footer)")
        stream.seek(size - 8 - length)
        return stream.read(length)


def check_sizes(file: Path, metadata: Any) -> None:
    """Refuse row groups that unpack to more than memory should hold."""
    for index in range(metadata.num_row_groups):
        size = metadata.row_group(index).total_byte_size
        if size > _MAX_ROW_GROUP_BYTES:
            raise DataError(
                f"{file}: row group {index} unpacks to {size} bytes, more than "
                f"{_MAX_ROW_GROUP_BYTES}; write smaller row groups"
            )
