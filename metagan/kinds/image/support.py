"""Read a user's examples: one picture, a folder of one class, or a sub-folder for every class.

Shapes: n pictures of a class, C channels, H x W pixels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.data.form import Form
from metagan.data.notes import by_weight
from metagan.data.paths.tree import Parts, TreeFile, read_below, read_tree
from metagan.kinds.image.notes import POLARITY, WORDS, other_notes
from metagan.kinds.image.reading.collect import Decoded, scale_deep, try_decode
from metagan.kinds.image.reading.decode import is_picture
from metagan.kinds.image.reading.looks import check_looks, count_traits
from metagan.kinds.image.reading.record import Reading
from metagan.kinds.kind import Support


def read(path: Path, form: Form, said: Mapping[str, Any]) -> tuple[Support, list[str]]:
    """A user's examples, read as the run's own pictures were unless settings say otherwise.

    Args:
        path: Picture, folder or archive.
        form: Of the run's own pictures.
        said: `invert` and `white`, where they are said of these pictures.

    Returns:
        {class name: (n, C, H, W) uint8}, and notes on what could not be read and what came out
        other than it may look, one line each.

    Raises:
        DataError: If nothing could be read, a class is blank, pictures lie both at the top and in
            sub-folders, or two sub-folders have the same name.
    """
    reading = _as_told(Reading.of_form(form), said)
    found: dict[str, list[Decoded]] = {}
    folders: dict[str, set[tuple[str, ...]]] = {}
    files, notes = decode_files(path, reading, f"--support {path}")
    for file, picture in files:
        parts = file.parts
        label = parts[-2] if len(parts) > 1 else path.resolve().stem
        folders.setdefault(label, set()).add(parts[:-1])
        if picture.pixels is not None:
            found.setdefault(label, []).append(picture)
    _check_folders(path, folders)
    classes, look_notes = _as_samples(path, found, reading)
    read_by = replace(form, facts={**form.facts, **reading.form().facts})
    return Support(classes, read_by), [*look_notes, *notes]


def decode_files(
    path: Path, reading: Reading, where: str
) -> tuple[list[tuple[TreeFile, Decoded]], list[str]]:
    """The pictures of a file, folder or archive by their path, and notes on what cannot be read.

    Raises:
        DataError: If no picture can be read; the message begins with `where`.
    """
    pictures: dict[tuple[Parts, Parts], tuple[TreeFile, Decoded]] = {}
    notes: list[str] = []
    for file in _support_files(path):
        if file.content is None:
            if file.is_empty_folder:
                notes.append(f"left out: {file.name}: an empty folder")
            if file.problem:
                notes.append(f"left out: {file.name}: {file.problem}")
            continue
        picture = try_decode(file.content, "", file.name, reading, invert=reading.inverted)
        pictures[file.parts, file.stored] = file, picture
    # A tar comes in any order.
    files = [pictures[key] for key in sorted(pictures)]
    notes += [f"left out: {file.name}: {p.problem}" for file, p in files if p.pixels is None]
    if all(picture.pixels is None for _, picture in files):
        detail = f" ({notes[0].removeprefix('left out: ')})" if notes else ""
        raise DataError(f"{where}: no readable pictures in it{detail}")
    return files, notes


def _as_told(reading: Reading, said: Mapping[str, Any]) -> Reading:
    """The run's record with what is said of other pictures."""
    if "invert" in said:
        reading = replace(reading, inverted=bool(said["invert"]))
    white = said.get("white")
    if white is not None:
        reading = replace(reading, whites={"integers": white, "floats": white})
    return reading


def _support_files(path: Path) -> Iterator[TreeFile]:
    """The picture itself, or the files of a folder or archive."""
    if path.is_file() and is_picture(path.name):
        yield TreeFile((path.name,), read_below(path.parent, path))
    else:
        yield from read_tree(path, is_picture)


def _as_samples(
    path: Path, found: Mapping[str, Sequence[Decoded]], reading: Reading
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The pictures of every class as samples, and notes on how they look."""
    where = f"--support {path}"
    pictures = [picture for label in sorted(found) for picture in found[label]]
    scaled, _, notes = scale_deep(
        [p.pixels for p in pictures if p.pixels is not None], reading.whites, where
    )
    in_order = iter(scaled)
    dataset = Dataset.from_classes(
        {
            ClassRecord("support", label): [next(in_order) for _ in found[label]]
            for label in sorted(found)
        },
        origin={
            "path": where,
            "inverted": reading.inverted,
            "pictures": count_traits(("support", picture.traits) for picture in pictures),
        },
    )
    notes = other_notes([*notes, *check_looks(dataset)], ("white",))
    if warning := reading.other_polarity([dataset.samples]):
        notes.append(f"{POLARITY} {warning}")
    classes = {
        record.label: np.array(dataset.class_samples(index))
        for index, record in enumerate(dataset.classes)
    }
    return classes, list(by_weight(notes, WORDS))


def _check_folders(path: Path, folders: Mapping[str, set[tuple[str, ...]]]) -> None:
    """Refuse a tree from which it is not plain which pictures are one class."""
    if len(folders) > 1 and any(() in where for where in folders.values()):
        raise DataError(
            f"--support {path}: pictures lie both in the folder and in sub-folders; give one "
            "class's pictures alone, or a sub-folder for every class"
        )
    for label, where in folders.items():
        if len(where) > 1:
            named = " and ".join(sorted("/".join(parts) for parts in where)[:2])
            raise DataError(f"--support {path}: {named} are both called {label}; rename one")
