"""Pictures in folders, unpacked or inside a zip or tar: the folder names are the labels.

`metagan.kinds.image.sources.layout` tells which folder is which. A folder that holds several
archives and no pictures is read as if each were unpacked in a folder of its name.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from metagan.config.image import ImageData
from metagan.data.dataset import DataError, Dataset
from metagan.data.notes import listed
from metagan.data.parquet_files import is_generated
from metagan.data.paths.archives import zip_name_notes
from metagan.data.paths.identity import root_name
from metagan.data.paths.links import data_path, leads_out
from metagan.data.paths.own_folders import GENERATED, only_generated, refuse_own, skipped_notes
from metagan.data.paths.tree import (
    ARCHIVE_SUFFIXES,
    Parts,
    TreeFile,
    file_sha256,
    read_tree,
    tree_name,
)
from metagan.kinds.image.reading.collect import Sample, assemble, describe_origin
from metagan.kinds.image.reading.contents import (
    TreeContents,
    archives_beside,
    contents_notes,
    endings,
    read_contents,
    refuse_lost,
)
from metagan.kinds.image.reading.decode import PICTURE_SUFFIXES, is_picture
from metagan.kinds.image.reading.first_bytes import format_notes
from metagan.kinds.image.sources.layout import Layout, find_layout

_LISTS: Final = (".csv", ".tsv", ".jsonl", ".json", ".xlsx")


def load(config: ImageData) -> Dataset:
    """Read pictures from folders, or from a zip or tar without extracting it.

    Unreadable files are left out and named in the notes.

    Raises:
        DataError: If there are no pictures, the folders are no known layout, a class has no
            readable picture, a whole folder of pictures would be left out, or the archive is
            damaged or unsafe.
    """
    root = data_path(config)
    archives = [root] if root.is_file() else []
    contents = read_contents(read_tree(root, is_picture), config, invert=config.invert)
    refuse_own(root, contents.skipped.get((), ""), "pictures")
    packed = [root.joinpath(*parts) for parts in archives_beside(contents)] if root.is_dir() else []
    if not contents.pictures and len(packed) > 1:
        archives = packed
        inner = (file for archive in archives for file in _unpacked(root, archive))
        contents = read_contents(inner, config, invert=config.invert)
    if not contents.pictures:
        raise _nothing_found(root, contents)
    folders: defaultdict[Parts, list[str]] = defaultdict(list)
    for parts, _ in contents.pictures:
        folders[parts[:-1]].append(parts[-1])
    lists = ["/".join(parts) for parts in contents.others if parts[-1].lower().endswith(_LISTS)]
    layout = find_layout(folders, str(root), root_name(root), lists=sorted(lists))
    refuse_lost(root, contents, layout.places, layout.class_depth)
    notes = [*layout.notes, *contents_notes(contents, layout.places)]
    notes += [note for archive in archives for note in _name_notes(archive)]
    notes += _loose_notes(folders, layout)
    notes += listed([f"{'/'.join(p)}: {why}" for p, why in contents.problems.items()], "left out")
    base = root.parent if root.is_file() else root
    sha256 = {str(file.relative_to(base)): file_sha256(file) for file in archives}
    return assemble(
        _samples(contents, layout),
        origin=describe_origin("image_folder", root, config, sha256=sha256),
        notes=notes,
    )


def _unpacked(root: Path, archive: Path) -> Iterator[TreeFile]:
    """The files of an archive below the root, in a folder of the archive's name."""
    if leads_out(archive, root):
        raise DataError(
            f"{archive}: a link out of the data folder; not followed, copy the archive here or "
            "give data.path the folder that it leads to"
        )
    above = (*archive.relative_to(root).parts[:-1], tree_name(archive))
    for file in read_tree(archive, is_picture):
        yield replace(file, parts=(*above, *file.parts), stored=(archive.name, *file.stored))


def _name_notes(archive: Path) -> list[str]:
    return zip_name_notes(archive) if archive.name.lower().endswith(".zip") else []


def _nothing_found(root: Path, contents: TreeContents) -> DataError:
    names = ["/".join(parts) for parts in contents.others]
    text = f"{root}: no pictures found ({', '.join(sorted(PICTURE_SUFFIXES))})"
    named = [name for name in names if name.lower().endswith((*ARCHIVE_SUFFIXES, ".npz"))]
    if named and root.is_file():
        return DataError(
            f"{text}; archives inside an archive are not opened: unpack it and give the folder"
        )
    if named:
        return DataError(f"{text}; to read an archive, give it itself: data.path={root / named[0]}")
    if made := _generated(root, contents):
        return only_generated(root, made, "pictures")
    kinds = [("/".join(parts), kind) for parts, kind in contents.others.items() if kind]
    reasons = [
        *skipped_notes({"/".join(parts): kind for parts, kind in contents.skipped.items()}),
        *format_notes(kinds),
        *(f"{'/'.join(parts)}: {why}" for parts, why in contents.problems.items()),
    ]
    if names:
        reasons.insert(0, f"other endings there: {endings(names)}")
    return DataError("; ".join([text, *reasons[:4]]))


def _generated(root: Path, contents: TreeContents) -> list[str]:
    """Folders below the root that `metagan generate` wrote, and tables where they can be read."""
    folders = ["/".join(parts) for parts, kind in contents.skipped.items() if kind == GENERATED]
    tables = ["/".join(parts) for parts in contents.others if parts[-1].endswith(".parquet")]
    return folders + [name for name in tables if root.is_dir() and is_generated(root / name)]


def _loose_notes(folders: Mapping[Parts, Sequence[str]], layout: Layout) -> list[str]:
    loose = [
        f"{'/'.join((*folder, name))}: not as deep in folders as most pictures are"
        for folder in layout.loose
        for name in folders[folder]
    ]
    return listed(loose, "left out")


def _samples(contents: TreeContents, layout: Layout) -> Iterator[Sample]:
    for parts, picture in contents.pictures:
        place = layout.places.get(parts[:-1])
        if place is not None:
            yield Sample(place.domain, place.label, "/".join(parts), picture, place.split)
