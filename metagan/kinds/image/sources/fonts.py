"""Fonts as domains: a folder of font files, or pictures of many faces in an npz.

A domain is a face, a class is a character with one picture, and the faces of a family are a group.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class _Drawn:
    """A face, without its file, and its pictures.

    Attributes:
        face: Its names.
        pictures: By character, (S, S) uint8.
        size: How large they are drawn, 1 where capitals have the usual height.
    """

    face: Face
    pictures: Mapping[str, Samples]
    size: float


@dataclass(frozen=True)
class _File:
    """The content of a file: faces, and why others or all of it are left out.

    Attributes:
        name: Its path below the root.
        sha256: Of a font; empty for other files.
        faces: Its faces.
        problems: A line on everything that cannot be used.
    """

    name: str
    sha256: str = ""
    faces: tuple[_Drawn, ...] = ()
    problems: tuple[str, ...] = ()


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
    files = _read(path, config.image_size)
    drawn = [one for file in files for one in file.faces]
    if not drawn:
        raise _nothing_found(path, files)
    names = named_apart([one.face for one in drawn])
    groups = families(one.face for one in drawn)
    records: dict[ClassRecord, Samples] = {
        ClassRecord(name, label_of(text), group=groups[one.face.family]): picture
        for name, one in zip(names, drawn, strict=True)
        for text, picture in one.pictures.items()
    }
    if REFERENCE not in names:
        plain = partial(FontShelf(faces=(REFERENCE_FACE,)).font, REFERENCE_FACE)
        inputs, _ = draw_face(plain, CHARACTERS, image_size=config.image_size)
        records |= {ClassRecord(REFERENCE, label_of(text)): inputs[text] for text in inputs}
    check_names(records, str(path))
    sha256 = {file.name: file.sha256 for file in files if file.sha256}
    return join_copies(
        Dataset.from_classes(
            {record: as_samples(picture[None], config) for record, picture in records.items()},
            notes=_notes(files, dict(zip(names, drawn, strict=True))),
            origin={
                **describe_origin("fonts", path, config, sha256=sha256),
                "white": {},
                "reference_domain": REFERENCE,
            },
        )
    )


def _read(path: Path, image_size: int) -> list[_File]:
    """All files below a path, in the order of their paths; copies have no faces.

    One file is in memory at a time.
    """
    # Of a file that is packed twice the later one is meant; a tar comes in any order.
    found = {
        (file.parts, file.stored): _read_file(file, image_size)
        for file in _files(path)
        if not file.is_empty_folder
    }
    files: list[_File] = []
    first_of: dict[str, str] = {}
    for _, file in sorted(found.items(), key=lambda item: item[0]):
        first = first_of.setdefault(file.sha256, file.name)
        if file.sha256 and first != file.name:
            file = _File(file.name, file.sha256, problems=(f"the same file as {first}",))
        files.append(file)
    return files


def _read_file(file: TreeFile, image_size: int) -> _File:
    if file.content is None:
        return _File(file.name, problems=(file.problem,) if file.problem else ())
    drawn: list[_Drawn] = []
    problems: list[str] = []
    for face in faces_of(file.content, file.name):
        try:
            if isinstance(face, FaceError):
                raise face
            drawn.append(_Drawn(replace(face, content=b""), *face.draw(image_size)))
        except FaceError as error:
            problems.append(str(error))
    sha256 = hashlib.sha256(file.content).hexdigest()
    return _File(file.name, sha256, tuple(drawn), tuple(problems))


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


def _nothing_found(path: Path, files: Sequence[_File]) -> DataError:
    if problems := _problems(files):
        return DataError(
            f"{path}: no font here can be read: {a_few(problems, most=3)}; add fonts with the "
            "letters A to Z, a to z or digits"
        )
    named = _others(files)
    others = f"; other endings there: {endings(named)}" if named else ""
    return DataError(f"{path}: no font files found ({', '.join(FONT_SUFFIXES)}){others}")


def _problems(files: Sequence[_File]) -> list[str]:
    return [f"{file.name}: {problem}" for file in files for problem in file.problems]


def _others(files: Sequence[_File]) -> list[str]:
    """Names of files that are no fonts."""
    return [file.name for file in files if not file.sha256 and not file.problems]


def _notes(files: Sequence[_File], drawn: Mapping[str, _Drawn]) -> list[str]:
    """Lines on what was left out, and on faces that look other than their owner may think."""
    lacking = {
        name: [text for text in CHARACTERS if text not in one.pictures]
        for name, one in drawn.items()
    }
    lines = [f"{name} lacks {a_few(texts)}" for name, texts in lacking.items() if texts]
    notes = [*listed(_problems(files), "domains left out"), *listed(lines, "characters left out")]
    if variable := [name for name, one in drawn.items() if one.face.is_variable]:
        notes.append(f"domains: of variable fonts the default form is drawn: {a_few(variable)}")
    if small := [name for name, one in drawn.items() if one.size < _SMALL]:
        notes.append(
            "domains: drawn smaller than the others, as one of their characters is wide or deep: "
            f"{a_few(small)}"
        )
    if others := _others(files):
        notes.append(f"other files ignored: by ending {endings(others)}")
    return notes
