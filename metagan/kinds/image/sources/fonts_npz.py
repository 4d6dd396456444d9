"""Pictures of the characters of many faces in one npz, with a published split.

| array | shape |
| --- | --- |
| `characters` | (n,) text: the labels |
| `train`, `train_faces` | (F, n, H, W) pictures, (F,) names of the faces |
| `train_family` | (F,) number or name of each face's family; may be left out |
| `validation`, `test` and theirs | the same; each may be left out |
| `reference` | (n, H, W): the domain that inputs of pairs come from; may be left out |
| `unseen_characters` | places in `characters` to keep out of training; may be left out |

Shapes: F faces of n characters, H x W pixels each.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metagan.config.image import ImageData
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.data.npz_arrays import array_names, read_arrays
from metagan.data.paths.named_files import named_files
from metagan.data.paths.names import a_few, table_name
from metagan.data.paths.tree import file_sha256
from metagan.data.splits import SPLITS
from metagan.kinds.image.reading.collect import describe_origin
from metagan.kinds.image.reading.parts import LabelledPart, assemble_parts
from metagan.kinds.image.sources.glyph_shapes import label_of

_MARK: Final = "train_faces"
REFERENCE: Final = "reference"
"""The domain of the array of this name."""


def pictures_of_faces(path: Path) -> Path | None:
    """The npz of faces that a path is or holds, by the names of arrays; None where there is none.

    Raises:
        DataError: If a folder holds several.
    """
    files = [file for file in named_files(path, ".npz", levels=1)[0] if _is_of_faces(file)]
    if len(files) > 1:
        shown = a_few([file.name for file in files])
        raise DataError(
            f"{path}: holds several sets of faces ({shown}); give data.path one of them"
        )
    return files[0] if files else None


def _is_of_faces(file: Path) -> bool:
    if not file.name.lower().endswith(".npz"):
        return False
    try:
        return _MARK in array_names(file)
    except DataError:  # Whoever reads it will say what is wrong.
        return False


@dataclass(frozen=True)
class _Part:
    """The faces of one split.

    Attributes:
        split: Its name.
        pictures: (F, n, H, W), or with channels behind.
        faces: The F names.
        groups: The F families; None where the file does not say.
    """

    split: str
    pictures: NDArray[Any]
    faces: tuple[str, ...]
    groups: tuple[str | None, ...]


def load_pictures(path: Path, config: ImageData) -> Dataset:
    """Read the faces of an npz, resized as the pictures of other files are.

    Raises:
        DataError: If arrays are missing or do not fit each other, or a face is named twice.
    """
    names = set(array_names(path))
    wanted = {"characters", REFERENCE, "unseen_characters"}
    wanted |= {f"{split}{end}" for split in SPLITS for end in ("", "_faces", "_family")}
    arrays = read_arrays(path, sorted(wanted & names))
    labels = _labels(path, arrays)
    parts = [_part(path, split, arrays, len(labels)) for split in SPLITS if split in arrays]
    if not parts or parts[0].split != "train":
        raise DataError(f"{path}: has {_MARK} but no array train with their pictures")
    _check_faces(path, parts, has_reference=REFERENCE in arrays)
    origin = describe_origin("fonts", path, config, sha256={path.name: file_sha256(path)})
    if REFERENCE in arrays:
        _check_pictures(path, REFERENCE, arrays[REFERENCE][None], 1, len(labels))
        origin["reference_domain"] = REFERENCE
    if "unseen_characters" in arrays:
        origin["unseen_labels"] = _unseen(path, arrays["unseen_characters"], labels)
    dataset = assemble_parts(_labelled(path, parts, labels, arrays), config=config, origin=origin)
    group_of = {
        face: group for part in parts for face, group in zip(part.faces, part.groups, strict=True)
    }
    classes = tuple(_with_group(record, group_of, parts) for record in dataset.classes)
    return replace(dataset, classes=classes)


def _with_group(
    record: ClassRecord, group_of: Mapping[str, str | None], parts: list[_Part]
) -> ClassRecord:
    """A class with its family; the reference is in no split, nor is anything where one part is."""
    split = None if record.domain == REFERENCE or len(parts) == 1 else record.split
    return replace(record, split=split, group=group_of.get(record.domain))


def _labelled(
    path: Path, parts: list[_Part], labels: list[str], arrays: Mapping[str, NDArray[Any]]
) -> Iterator[LabelledPart]:
    for part in parts:
        for face, pictures in zip(part.faces, part.pictures, strict=True):
            yield LabelledPart(f"{path.name}:{part.split}", face, pictures, labels, part.split)
    if REFERENCE in arrays:
        # In some split for as long as parts are compared.
        yield LabelledPart(
            f"{path.name}:{REFERENCE}", REFERENCE, arrays[REFERENCE], labels, "train"
        )


def _labels(path: Path, arrays: Mapping[str, NDArray[Any]]) -> list[str]:
    """The labels of the characters: single ones by code point and name, others as they are."""
    if "characters" not in arrays:
        raise DataError(f"{path}: has {_MARK} but no array characters with the labels")
    texts = [table_name(text) for text in _texts(path, "characters", arrays["characters"])]
    if not all(texts):
        raise DataError(f"{path}: characters holds an empty label; a name is needed")
    text, times = Counter(texts).most_common(1)[0]
    if times > 1:
        raise DataError(f"{path}: characters holds {text!r} {times} times; give each once")
    return [label_of(text) if len(text) == 1 else text for text in texts]


def _texts(path: Path, name: str, array: NDArray[Any]) -> list[str]:
    """An array of names."""
    if array.ndim != 1 or array.dtype.kind not in "US" or not len(array):
        raise DataError(
            f"{path}: {name} is {array.dtype} of shape {array.shape}; (n,) text is read"
        )
    try:
        decoded = np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
        return [str(text) for text in decoded.tolist()]
    except (UnicodeDecodeError, ValueError) as error:
        raise DataError(f"{path}: {name} holds what is no text ({error})") from error


def _part(path: Path, split: str, arrays: Mapping[str, NDArray[Any]], num_characters: int) -> _Part:
    if f"{split}_faces" not in arrays:
        raise DataError(f"{path}: has {split} but no {split}_faces with the names of its faces")
    faces = [table_name(face) for face in _texts(path, f"{split}_faces", arrays[f"{split}_faces"])]
    if not all(faces):
        raise DataError(f"{path}: {split}_faces holds an empty name; a name is needed")
    _check_pictures(path, split, arrays[split], len(faces), num_characters)
    groups: tuple[str | None, ...] = (None,) * len(faces)
    family = arrays.get(f"{split}_family")
    if family is not None:
        if family.shape != (len(faces),) or family.dtype.kind not in "iuUS":
            raise DataError(
                f"{path}: {split}_family is {family.dtype} of shape {family.shape}; a whole number "
                f"or name for each of {len(faces)} faces is read"
            )
        groups = tuple(
            _texts(path, f"{split}_family", family)
            if family.dtype.kind in "US"
            else map(str, family.tolist())
        )
    return _Part(split, arrays[split], tuple(faces), groups)


def _check_pictures(
    path: Path, name: str, pictures: NDArray[Any], num_faces: int, num_characters: int
) -> None:
    if pictures.ndim not in (4, 5) or pictures.shape[:2] != (num_faces, num_characters):
        shape = pictures.shape[1:] if name == REFERENCE else pictures.shape
        wanted = "" if name == REFERENCE else f"{num_faces}, "
        raise DataError(
            f"{path}: {name} has shape {shape}; ({wanted}{num_characters}, H, W) fits its names "
            "and the characters"
        )


def _check_faces(path: Path, parts: list[_Part], *, has_reference: bool) -> None:
    """Refuse two faces of one name: one split would hold the other's pictures."""
    places: dict[str, list[str]] = {REFERENCE: [REFERENCE]} if has_reference else {}
    for part in parts:
        for face in part.faces:
            places.setdefault(face, []).append(f"{part.split}_faces")
    for face, found in places.items():
        if len(found) > 1:
            where = " and in ".join(dict.fromkeys(found))
            twice = f"twice in {where}" if len(set(found)) == 1 else f"in {where}"
            raise DataError(
                f"{path}: the face {face!r} is {twice}; give each face a name of its own, and keep "
                "it on one side of the split"
            )


def _unseen(path: Path, places: NDArray[Any], labels: list[str]) -> list[str]:
    """The labels of some characters, by their places."""
    if places.ndim != 1 or places.dtype.kind not in "iu":
        raise DataError(
            f"{path}: unseen_characters is {places.dtype} of shape {places.shape}; places in "
            "characters, (m,) whole numbers, are read"
        )
    outside = [place for place in places.tolist() if not 0 <= place < len(labels)]
    if outside:
        raise DataError(
            f"{path}: unseen_characters holds {outside[0]}, but there are {len(labels)} "
            f"characters, 0 to {len(labels) - 1}"
        )
    return [labels[place] for place in places.tolist()]
