"""Fonts as domains: a folder of font files, or pictures of many faces in an npz.

A domain is a face, a class is a character with one picture, and the faces of a family are a group.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from metagan.config.image import ImageData
from metagan.data.class_splits import check_names
from metagan.data.dataset import ClassRecord, DataError, Dataset, Samples
from metagan.data.notes import listed
from metagan.data.paths.links import data_path
from metagan.data.paths.names import a_few
from metagan.data.paths.tree import ARCHIVE_SUFFIXES, TreeFile, read_below, read_tree
from metagan.kinds.image.reading.collect import describe_origin
from metagan.kinds.image.reading.contents import endings
from metagan.kinds.image.sources.detect import first_font
from metagan.kinds.image.sources.face_drawing import (
    CHARACTERS,
    REFERENCE,
    REFERENCE_FACE,
    draw_face,
)
from metagan.kinds.image.sources.font_copies import join_copies
from metagan.kinds.image.sources.font_files import (
    Face,
    FaceError,
    faces_of,
    families,
    named_apart,
)
from metagan.kinds.image.sources.font_suffixes import FONT_SUFFIXES, is_font
from metagan.kinds.image.sources.fonts_npz import load_pictures, pictures_of_faces
from metagan.kinds.image.sources.glyph_shapes import FontShelf, label_of
from metagan.kinds.image.sources.glyphs import as_samples

_SMALL: Final = 0.8  # of the usual size; a note names faces that are drawn smaller


@dataclass
class _Found:
    """What the files of a folder hold: faces, why files are left out, and all other files."""

    faces: list[Face] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    sha256: dict[str, str] = field(default_factory=dict)


def load(config: ImageData) -> Dataset:
    """Draw the letters A to Z, a to z and the digits of all faces, or read pictures of faces.

    `data.path` is a folder of font files, searched through, an archive of them, a single one, or
    an npz (see `metagan.kinds.image.sources.fonts_npz`). Notes name what cannot be read, and the
    characters that a face lacks.

    Returns:
        Labels are code point and Unicode name; samples have ink 255 on 0, capitals of one height
        and one baseline. The reference domain is "DejaVu Sans": the folder's own, or matplotlib's.

    Raises:
        DataError: If there is no font that can be read, or both font files and pictures of faces.
    """
    path = data_path(config)
    if (pictures := pictures_of_faces(path)) is not None:
        if path.is_dir() and (font := first_font(path)):
            raise DataError(
                f"{path}: holds pictures of faces ({pictures.name}) and font files "
                f"({font.relative_to(path)}); give data.path one of them"
            )
        return join_copies(load_pictures(pictures, config))
    found = _read(path)
    if not found.faces:
        raise _nothing_found(path, found)
    groups = families(found.faces)
    records: dict[ClassRecord, Samples] = {}
    lacking: list[str] = []
    small: list[str] = []
    names = named_apart(found.faces)
    for name, face in zip(names, found.faces, strict=True):
        try:
            drawn, size = face.draw(config.image_size)
        except FaceError as error:
            found.problems.append(f"{face.file}: {error}")
            continue
        for text, picture in drawn.items():
            record = ClassRecord(name, label_of(text), group=groups[face.family])
            records[record] = as_samples(picture[None], config)
        if missing := [text for text in CHARACTERS if text not in drawn]:
            lacking.append(f"{name} lacks {a_few(missing)}")
        if size < _SMALL:
            small.append(name)
    if not records:
        raise _nothing_found(path, found)
    if not any(record.domain == REFERENCE for record in records):
        shelf = FontShelf(faces=(REFERENCE_FACE,))
        plain = partial(shelf.font, REFERENCE_FACE)
        for text, picture in draw_face(plain, CHARACTERS, image_size=config.image_size)[0].items():
            records[ClassRecord(REFERENCE, label_of(text))] = as_samples(picture[None], config)
    check_names(records, str(path))
    return join_copies(
        Dataset.from_classes(
            records,
            notes=_notes(found, lacking, small),
            origin={
                **describe_origin("fonts", path, config, sha256=found.sha256),
                "white": {},
                "reference_domain": REFERENCE,
            },
        )
    )


def _read(path: Path) -> _Found:
    """The faces of all files below a path, in the order of their paths."""
    found, first_of = _Found(), dict[str, str]()
    # A tar comes in any order.
    for file in sorted(_files(path), key=lambda file: (file.parts, file.stored)):
        if file.content is None:
            if file.problem:
                found.problems.append(f"{file.name}: {file.problem}")
            elif not file.is_empty_folder:
                found.others.append(file.name)
            continue
        sha256 = hashlib.sha256(file.content).hexdigest()
        found.sha256[file.name] = sha256
        if sha256 in first_of:
            found.problems.append(f"{file.name}: the same file as {first_of[sha256]}")
            continue
        first_of[sha256] = file.name
        for face in faces_of(file.content, file.name):
            if isinstance(face, FaceError):
                found.problems.append(f"{file.name}: {face}")
            else:
                found.faces.append(face)
    return found


def _files(path: Path) -> Iterable[TreeFile]:
    """The files of a folder or archive, or the single font."""
    if path.is_file() and is_font(path.name):
        return [TreeFile((path.name,), read_below(path.parent, path))]
    if path.is_file() and not path.name.lower().endswith(ARCHIVE_SUFFIXES):
        raise DataError(
            f"{path}: no font and no folder of fonts; read are {', '.join(FONT_SUFFIXES)}, folders "
            "and archives of them, and npz files with an array train_faces"
        )
    return read_tree(path, is_font)


def _nothing_found(path: Path, found: _Found) -> DataError:
    if found.problems:
        return DataError(
            f"{path}: no font here can be read: {a_few(found.problems, most=3)}; add fonts with "
            "the letters A to Z, a to z or digits"
        )
    others = f"; other endings there: {endings(found.others)}" if found.others else ""
    return DataError(f"{path}: no font files found ({', '.join(FONT_SUFFIXES)}){others}")


def _notes(found: _Found, lacking: Sequence[str], small: Sequence[str]) -> list[str]:
    notes = [*listed(found.problems, "domains left out"), *listed(lacking, "characters left out")]
    if variable := [face.name for face in found.faces if face.is_variable]:
        notes.append(f"domains: of variable fonts the default form is drawn: {a_few(variable)}")
    if small:
        notes.append(
            "domains: drawn smaller than the others, as one of their characters is wide or deep: "
            f"{a_few(small)}"
        )
    if found.others:
        notes.append(f"other files ignored: by ending {endings(found.others)}")
    return notes
