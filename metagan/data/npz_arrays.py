"""The arrays of an .npz, read by name and without unpickling anything."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from metagan.data.dataset import DataError

_MAX_BYTES: Final = 8 * 2**30
_DAMAGED: Final = (
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    SyntaxError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


def array_names(path: Path) -> list[str]:
    """The names of all arrays of a file.

    Raises:
        DataError: If it is no npz, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except _DAMAGED as error:
        raise DataError(f"{path}: not npz, or damaged ({error})") from error


def read_arrays(path: Path, wanted: Collection[str]) -> dict[str, NDArray[Any]]:
    """Some arrays of a file, by name.

    Raises:
        DataError: If one holds objects, or the file is damaged or too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            total = sum(infos[name].file_size for name in wanted)
            if total > _MAX_BYTES:
                raise DataError(f"{path}: {total} bytes unpacked, more than {_MAX_BYTES}")
            return {name: _read_array(archive, infos[name], f"{path}:{name}") for name in wanted}
    except DataError:
        raise
    except _DAMAGED as error:
        raise DataError(f"{path}: not npz, or damaged ({error})") from error


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> NDArray[Any]:
    """One array; its header is held against its size before anything is allocated."""
    with archive.open(info) as stream:
        version = npy_format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise DataError(f"{name}: npy version {version} is not read")
        read_header = (
            npy_format.read_array_header_1_0
            if version == (1, 0)
            else npy_format.read_array_header_2_0
        )
        shape, fortran_order, dtype = read_header(stream)
        if dtype.hasobject or dtype.kind not in "biufUS":
            raise DataError(
                f"{name}: holds {dtype}, which would have to be unpickled or is no number or "
                "text; save it again as a plain array"
            )
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        content = stream.read(min(size, info.file_size) + 1)
    if len(content) != size:
        raise DataError(f"{name}: shape {shape} of {dtype} is {size} bytes, not those of the file")
    order: Any = "F" if fortran_order else "C"
    return np.frombuffer(content, dtype).reshape(shape, order=order)
