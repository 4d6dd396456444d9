"""MNIST and its relatives in their published idx files, plain or gzipped.

Source: LeCun, Bottou, Bengio and Haffner 1998; the format is on the MNIST page: a big-endian header
(two zero bytes, the type, the number of axes; then the sizes) and then the values.

Shapes: N pictures of H x W pixels.
"""

import gzip
import re
import struct
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np
from numpy.typing import NDArray

from metagan.config.image import ImageData
from metagan.data.dataset import DataError, Dataset
from metagan.data.notes import listed
from metagan.data.paths.identity import (
    FileRole,
    file_roles,
    root_name,
    shown_below,
)
from metagan.data.paths.links import data_path
from metagan.data.paths.named_files import unfollowed_links
from metagan.data.paths.names import a_few, clean_name
from metagan.data.paths.split_words import split_name
from metagan.data.paths.tree import file_sha256
from metagan.kinds.image.reading.collect import describe_origin
from metagan.kinds.image.reading.parts import LabelledPart, assemble_parts

_MAX_BYTES: Final = 8 * 2**30
_IMAGES_MAGIC: Final = 2051
_LABELS_MAGIC: Final = 2049
_DTYPES: Final = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_FILE: Final = re.compile(
    r"^(?P<part>.*?)[-_.]?(?P<kind>images|labels)[-.]idx[1-4]-[a-z]+(?P<gz>\.gz)?$"
)
_SPLITS: Final = ("train", "validation", "test", None)
# torchvision keeps the files of MNIST/ in MNIST/raw/, EMNIST's archive has them in gzip/.
_PLACES: Final = ("raw", "gzip")
# QMNIST's labels: the class, then where the digit was taken from.
_QMNIST_COLUMNS: Final = 8


@dataclass(frozen=True)
class _Part:
    """One array of pictures with its labels.

    Attributes:
        shown: Its images file's path below the data folder, for messages.
        images: The images file, and its other forms (gzipped), which must be equal.
        labels: The labels file, likewise.
        folders: Where it lies below the data folder, `raw` left out.
        set_name: What its name says beside the split, such as `emnist-letters`; may be empty.
        split: The split that its name says, or None.
    """

    shown: str
    images: tuple[Path, ...]
    labels: tuple[Path, ...]
    folders: tuple[str, ...]
    set_name: str
    split: str | None

    @property
    def is_emnist(self) -> bool:
        """True if the file's name is that of one of EMNIST's."""
        return self.images[0].name.lower().startswith("emnist")


def load(config: ImageData) -> Dataset:
    """Read pictures and labels; a folder is a domain, the labels are its classes.

    `data.path` is a folder with files called `...images-idx3-ubyte` and `...labels-idx1-ubyte`,
    perhaps with .gz or in a folder `raw`; or a folder of such folders; or one images file with its
    labels file beside it. Several sets in one folder, such as EMNIST's, are a domain each. Parts
    that hold the same classes are merged.

    EMNIST's pictures are stored column by column, so those of files whose names start with
    `emnist` are transposed.

    Raises:
        DataError: If a file is missing, truncated or not idx, a file and its gzipped form differ,
            or pictures and labels differ in number.
    """
    path = data_path(config)
    images_files = idx_image_files(path)
    links = unfollowed_links(_folders_in(path), path) if path.is_dir() else []
    lonely = _labels_alone(path)
    if not images_files and lonely:
        raise DataError(f"{path}: no idx pictures: {'; '.join(lonely[:3])}")
    if not images_files:
        raise DataError(
            "; ".join(
                [
                    f"{path}: no idx pictures; expected train-images-idx3-ubyte or "
                    "t10k-images-idx3-ubyte, or other names that end so, perhaps with .gz",
                    *links[:3],
                ]
            )
        )
    parts = _grouped(images_files, path)
    root = root_name(path)
    roles, role_notes = file_roles([_role_path(part, parts) for part in parts], root)
    used = [file for part in parts for file in (*part.images, *part.labels)]
    sha256 = {shown_below(file, path): file_sha256(file) for file in used}
    dataset = assemble_parts(
        (_read_part(part, role) for part, role in zip(parts, roles, strict=True)),
        config=config,
        origin=describe_origin("idx", path, config, sha256=sha256),
    )
    notes = (
        *_emnist_notes(parts),
        *listed([*links, *lonely], "files left out"),
        *role_notes,
    )
    return replace(dataset, notes=(*notes, *dataset.notes))


def idx_image_files(path: Path) -> list[Path]:
    """The images file itself, or those in a folder, in the folders in it, and in their `raw`."""
    return [file for file in _idx_files(path) if _kind_of(file) == "images"]


def idx_label_files(path: Path) -> list[Path]:
    """The labels files at the same places."""
    return [file for file in _idx_files(path) if _kind_of(file) == "labels"]


def _idx_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if _kind_of(path) else []
    if not path.is_dir():
        return []
    tops = [path, *(folder for folder in _folders_in(path) if not folder.is_symlink())]
    places = dict.fromkeys(place for top in tops for place in (top, *(top / p for p in _PLACES)))
    return [file for place in places for file in _files_in(place)]


def _labels_alone(path: Path) -> list[str]:
    """A line for every labels file whose pictures are not beside it, or that is given itself."""
    lines = []
    for file in idx_label_files(path):
        expected = file.name.removesuffix(".gz").replace("labels", "images")
        expected = re.sub("idx[0-9]-[a-z]+$", "idx3-ubyte", expected)
        beside = [other for other in _files_in(file.parent) if _kind_of(other) == "images"]
        own = [other for other in beside if _part_name(other) == _part_name(file)]
        if not own:
            lines.append(
                f"{shown_below(file, path)}: labels without pictures beside them; expected "
                f"{expected} or {expected}.gz"
            )
        elif file == path:
            lines.append(f"these are labels; name their pictures: data.path={own[0]}")
    return lines


def _folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, links to folders included, hidden ones not; sorted."""
    entries = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
    return sorted(entry for entry in entries if entry.is_dir())


def _files_in(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if _kind_of(entry) and entry.is_file())
    except OSError:
        return []


def _kind_of(file: Path) -> str | None:
    match = _FILE.match(file.name)
    return match["kind"] if match else None


def _part_name(file: Path) -> str:
    match = _FILE.match(file.name)
    return match["part"] if match else ""


def _grouped(images_files: Sequence[Path], root: Path) -> list[_Part]:
    """The parts; files with one name and several endings are one part."""
    forms: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for file in images_files:
        folder = file.parent.parent if file.parent.name in _PLACES else file.parent
        forms[folder, _part_name(file)].append(file)
    parts = []
    for (folder, name), files in forms.items():
        set_name, split = _set_and_split(name)
        inside = root.is_dir() and folder.is_relative_to(root)
        folders = folder.relative_to(root).parts if inside else ()
        labels = tuple(label for file in files for label in _labels_beside(file))
        shown = shown_below(files[0], root)
        parts.append(_Part(shown, tuple(files), labels, folders, clean_name(set_name), split))
    return sorted(parts, key=lambda part: (part.folders, part.set_name, _SPLITS.index(part.split)))


def _set_and_split(name: str) -> tuple[str, str | None]:
    """The set and the part of its split that a file's name says before `images` or `labels`."""
    found = split_name(name.replace("t10k", "test"))
    return (found.rest, found.split) if found and found.is_plain else (name, None)


def _role_path(part: _Part, parts: Sequence[_Part]) -> tuple[str, ...]:
    """Folders, the set's name where a folder holds several, and the split."""
    several = len({other.set_name for other in parts if other.folders == part.folders}) > 1
    return (*part.folders, *([part.set_name] if several else []), part.split or "")


def _labels_beside(images_file: Path) -> list[Path]:
    """The labels file of an images file, in all its forms."""
    name = _part_name(images_file)
    beside = _files_in(images_file.parent)
    found = [file for file in beside if _kind_of(file) == "labels" and _part_name(file) == name]
    if not found:
        plain = images_file.name.removesuffix(".gz")
        expected = plain.replace("images", "labels").replace("idx3", "idx1")
        raise DataError(f"{images_file}: no labels beside it; expected {expected} or {expected}.gz")
    return found


def _read_part(part: _Part, role: FileRole) -> LabelledPart:
    images = _read_forms(part.images, is_images=True)
    labels = _class_numbers(part.labels[0], _read_forms(part.labels, is_images=False))
    if len(images) != len(labels):
        raise DataError(
            f"{part.images[0]}: {len(images)} pictures, but {part.labels[0].name} has "
            f"{len(labels)} labels"
        )
    if part.is_emnist:
        images = images.transpose(0, 2, 1)
    names = [str(label) for label in labels.tolist()]
    return LabelledPart(part.shown, role.domain, images, names, role.split)


def _read_forms(files: Sequence[Path], *, is_images: bool) -> NDArray[Any]:
    """The array of a file, which its other forms must hold as well."""
    first = _read_idx(files[0], is_images=is_images)
    for other in files[1:]:
        if not np.array_equal(first, _read_idx(other, is_images=is_images)):
            raise DataError(f"{files[0]} and {other.name} differ; remove the one that is wrong")
    return first


def _class_numbers(file: Path, labels: NDArray[Any]) -> NDArray[np.int64]:
    """One whole number from 0 for every picture, (N,)."""
    if labels.ndim == 2:
        if labels.shape[1] not in (1, _QMNIST_COLUMNS) or labels.dtype.kind == "f":
            raise DataError(
                f"{file}: labels have shape {labels.shape}; (n,) is read, and QMNIST's (n, "
                f"{_QMNIST_COLUMNS}), whose first column is the class; save one label a picture"
            )
        labels = labels[:, 0]
    numbers = labels.astype(np.int64) if np.isfinite(labels).all() else np.array([-1])
    if (numbers != labels).any() or (numbers < 0).any():
        raise DataError(f"{file}: labels are not all whole numbers from 0 on; drop those pictures")
    return numbers


def _emnist_notes(parts: Sequence[_Part]) -> list[str]:
    emnist = [part for part in parts if part.is_emnist]
    if not emnist:
        above = {folder.lower() for part in parts for folder in part.images[0].parts[-3:-1]}
        if not any(folder.startswith("emnist") for folder in above):
            return []
        return [
            "orientation: pictures read as stored, as the files' names do not start with emnist; "
            "EMNIST's own files are stored column by column, so look whether letters are upright"
        ]
    names = a_few([part.shown for part in emnist])
    notes = [f"orientation: pictures transposed, as EMNIST is stored column by column: {names}"]
    sets = {part.set_name.lower() for part in emnist}
    # Of its six sets only the letters share nothing with the digits, or with the MNIST-like one.
    if len(sets) > 1 and sets not in (
        {"emnist-letters", "emnist-digits"},
        {"emnist-letters", "emnist-mnist"},
    ):
        notes.insert(
            0,
            f"leak: {a_few(sorted(sets))} are made of the same drawings and are read as domains; "
            "give one of them a folder of its own",
        )
    return notes


def _read_idx(path: Path, *, is_images: bool) -> NDArray[Any]:
    """The array of an idx file, (N, H, W) uint8 pictures or labels of any type."""
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            stream = cast("BinaryIO", file)
            shape, dtype = _read_header(path, stream, is_images)
            size = int(np.prod(shape, dtype=object)) * dtype.itemsize
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
    return np.frombuffer(content, dtype).reshape(shape)


def _read_header(
    path: Path, stream: BinaryIO, is_images: bool
) -> tuple[Sequence[int], np.dtype[Any]]:
    start = stream.read(4)
    magic = int.from_bytes(start, "big")
    code, axes = magic >> 8, magic & 0xFF
    fits = magic == _IMAGES_MAGIC if is_images else code in _DTYPES and axes in (1, 2)
    if len(start) == 4 and not fits:
        expected = _IMAGES_MAGIC if is_images else _LABELS_MAGIC
        raise DataError(f"{path}: starts with {magic}, not {expected}: not idx of this kind")
    sizes = stream.read(4 * axes) if len(start) == 4 else b""
    if len(start) < 4 or len(sizes) < 4 * axes:
        read = len(start) + len(sizes)
        raise DataError(f"{path}: {read} bytes, too short for an idx header")
    return struct.unpack(f">{axes}I", sizes), np.dtype(_DTYPES[code])
