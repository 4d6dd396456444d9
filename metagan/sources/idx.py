"""MNIST and its relatives in their published idx files, plain or gzipped.

Source: LeCun, Bottou, Bengio and Haffner 1998; the format is on the MNIST page: a big-endian header
(magic 2051 for pictures, 2049 for labels, then the sizes) and then the bytes.

Shapes: N pictures of H x W pixels.
"""

import gzip
import re
import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from metagan.dataset import DataError, Dataset
from metagan.settings import DataConfig
from metagan.sources.collect import LabelledPart, assemble_parts, describe_origin
from metagan.sources.tree import clean_name, file_sha256

_IMAGES_MAGIC: Final = 2051
_LABELS_MAGIC: Final = 2049
_MAX_BYTES: Final = 8 * 2**30
_PARTS: Final = ("train", "t10k")
_FILE: Final = re.compile(r"^(?P<part>.*)(?P<kind>images|labels)[-.]idx[13]-ubyte(?P<gz>\.gz)?$")


def load(config: DataConfig) -> Dataset:
    """Read pictures and labels; the folder's name is the domain, the digits are the classes.

    `data.path` is a folder with {train,t10k}-{images-idx3,labels-idx1}-ubyte(.gz), either part or
    both, or one images file with its labels file beside it. Both parts hold every class, so they
    are merged.

    Raises:
        DataError: If a file is missing, truncated or not idx, or pictures and labels differ in
            number.
    """
    path = Path(config.path or "").expanduser()
    images_files = idx_image_files(path)
    if not images_files:
        raise DataError(
            f"{path}: no idx pictures; expected train-images-idx3-ubyte or t10k-images-idx3-ubyte, "
            "perhaps with .gz"
        )
    folder = images_files[0].parent
    parts = []
    sha256: dict[str, str] = {}
    for images_file in images_files:
        labels_file = _labels_beside(images_file)
        images = _read_idx(images_file, _IMAGES_MAGIC, 3)
        labels = _read_idx(labels_file, _LABELS_MAGIC, 1)
        if len(images) != len(labels):
            raise DataError(
                f"{images_file}: {len(images)} pictures, but {labels_file.name} has "
                f"{len(labels)} labels"
            )
        parts.append(LabelledPart(images_file.name, images, [str(label) for label in labels]))
        sha256 |= {file.name: file_sha256(file) for file in (images_file, labels_file)}
    return assemble_parts(
        parts,
        domain=clean_name(folder.resolve().name),
        config=config,
        origin=describe_origin("idx", path, config, sha256=sha256),
    )


def idx_image_files(path: Path) -> list[Path]:
    """The images file itself, or those of MNIST's parts in a folder; plain ones before gzipped."""
    if path.is_file():
        match = _FILE.match(path.name)
        return [path] if match and match["kind"] == "images" else []
    names = [f"{part}-images{mark}idx3-ubyte" for part in _PARTS for mark in "-."]
    both = [(path / name, path / f"{name}.gz") for name in names]
    return [next(f for f in pair if f.is_file()) for pair in both if any(f.is_file() for f in pair)]


def _labels_beside(images_file: Path) -> Path:
    match = _FILE.match(images_file.name)
    part = match["part"] if match else ""
    names = [f"{part}labels{mark}idx1-ubyte{end}" for mark in "-." for end in ("", ".gz")]
    found = next((f for f in (images_file.parent / n for n in names) if f.is_file()), None)
    if found is None:
        raise DataError(f"{images_file}: no labels beside it; expected {names[0]} or {names[1]}")
    return found


def _read_idx(path: Path, magic: int, num_axes: int) -> NDArray[np.uint8]:
    """The array of an idx file, (N, H, W) pictures or (N,) labels, uint8."""
    header_bytes = 4 + 4 * num_axes
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as stream:
            header = stream.read(header_bytes)
            if len(header) < header_bytes:
                raise DataError(f"{path}: {len(header)} bytes, too short for an idx header")
            found, *shape = struct.unpack(f">{1 + num_axes}I", header)
            if found != magic:
                raise DataError(f"{path}: starts with {found}, not {magic}: not idx of this kind")
            size = int(np.prod(shape, dtype=object))
            if size > _MAX_BYTES:
                raise DataError(f"{path}: declares {size} bytes, more than {_MAX_BYTES}")
            # One byte more than declared, so that a file that is too long is noticed as well.
            content = stream.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged or truncated ({error})") from error
    if len(content) != size:
        length = "more" if len(content) > size else f"{len(content)}"
        raise DataError(
            f"{path}: the header declares {size} bytes for shape {tuple(shape)}, the file has "
            f"{length}; it is truncated or damaged, fetch it again"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)
