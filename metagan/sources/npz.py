"""Arrays in an .npz, as MedMNIST publishes them: train_images, train_labels, val_..., test_...

Plain `images` and `labels` are read too. Nothing is ever unpickled.

Shapes: N pictures of H x W pixels with C channels.
"""

import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from metagan.dataset import DataError, Dataset
from metagan.settings import DataConfig
from metagan.sources.collect import LabelledPart, a_few, assemble_parts, describe_origin
from metagan.sources.tree import clean_name, file_sha256

_PREFIXES: Final = ("", "train_", "val_", "test_")
_MAX_BYTES: Final = 8 * 2**30


def load(config: DataConfig) -> Dataset:
    """Read pictures and labels; the file's stem is the domain, the label values are the classes.

    Pictures are (n, H, W) or (n, H, W, C); labels (n,) or (n, 1), whole numbers or text. All parts
    hold every class, so they are merged. Floats are read over 0..1, or over 0..255 where any part
    goes above 1.

    Raises:
        DataError: If arrays are missing, do not fit each other, hold objects, NaN or values out
            of range, or the file is damaged.
    """
    path = Path(config.path or "").expanduser()
    arrays = _read_arrays(path)
    prefixes = [prefix for prefix in _PREFIXES if f"{prefix}images" in arrays]
    if not prefixes:
        raise DataError(
            f"{path}: no array images or train_images; arrays are {a_few(sorted(arrays))}"
        )
    images = {prefix: arrays[f"{prefix}images"] for prefix in prefixes}
    parts = []
    for prefix, part in images.items():
        name = f"{path.name}:{prefix}images"
        if part.ndim < 3:
            raise DataError(f"{name}: shape {part.shape}; (n, H, W) or (n, H, W, C) is read")
        labels = _labels(path, arrays, prefix, len(part))
        if len(part):
            parts.append(LabelledPart(name, part, labels))
    return assemble_parts(
        parts,
        domain=clean_name(path.stem),
        config=config,
        origin=describe_origin("npz", path, config, sha256={path.name: file_sha256(path)}),
    )


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays whose names say that they are pictures or labels; the rest only by name."""
    wanted = {f"{prefix}{kind}" for prefix in _PREFIXES for kind in ("images", "labels")}
    try:
        with zipfile.ZipFile(path) as archive:
            infos = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            total = sum(info.file_size for name, info in infos.items() if name in wanted)
            if total > _MAX_BYTES:
                raise DataError(f"{path}: {total} bytes unpacked, more than {_MAX_BYTES}")
            empty = np.empty(0)
            return {
                name: _read_array(archive, info, f"{path}:{name}") if name in wanted else empty
                for name, info in infos.items()
            }
    except (
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
    ) as error:
        if isinstance(error, DataError):
            raise
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


def _labels(path: Path, arrays: dict[str, NDArray[Any]], prefix: str, count: int) -> list[str]:
    """One class name per picture."""
    key = f"{prefix}labels"
    if key not in arrays:
        raise DataError(f"{path}: has {prefix}images but no {key}")
    labels = arrays[key]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise DataError(
            f"{path}: {key} has shape {labels.shape}; one label for each of {count} pictures is "
            "needed, (n,) or (n, 1)"
        )
    if labels.dtype.kind not in "biuU":
        raise DataError(f"{path}: {key} is {labels.dtype}; whole numbers or text are read")
    if labels.dtype.kind == "i" and count and labels.min() < 0:
        raise DataError(f"{path}: {key} has the negative label {labels.min()}; drop those rows")
    if labels.dtype.kind == "b":
        labels = labels.astype(np.uint8)
    return [clean_name(str(label)) for label in labels]
