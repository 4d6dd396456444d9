"""The guess behind `data.source: auto`: which source reads a path, by names alone.

Where more than one could, none is taken: the user says which. What metagan itself wrote is no data.
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from metagan.data.dataset import DataError
from metagan.kinds.image.sources.font_suffixes import FONT_SUFFIXES, is_font

_BY_ENDING = {
    ".npz": "npz",
    ".csv": "manifest",
    ".jsonl": "manifest",
    ".parquet": "parquet",
}

# Hubs keep tables in data/ or <configuration>/<split>/, Spark in domain=.../split=.../label=.../
_TABLE_FOLDERS = ("", "*/", "*/*/", "*=*/*=*/*=*/")


def detect_source(path: Path) -> str:
    """Which source reads a path, by its name and what lies in it; no picture is opened.

    Raises:
        DataError: If no source reads it, more than one could, or metagan itself wrote it.
    """
    return _detect_folder(path) if path.is_dir() else _detect_file(path)


def _detect_folder(path: Path) -> str:
    from metagan.data.paths.links import hub_revision
    from metagan.data.paths.own_folders import PREPARED, own_kind_of, refuse_own
    from metagan.kinds.image.sources.idx import idx_label_files

    kind = own_kind_of(path)
    if kind != PREPARED:
        refuse_own(path, kind, "pictures")
    found = dict(_layouts(hub_revision(path)))
    if len(found) > 1:
        named = " and ".join(f"{what} (data.source={name})" for name, what in found.items())
        raise DataError(
            f"data.path {path}: more than one layout is here: {named}; say which is meant, or move "
            "the others away"
        )
    if not found and idx_label_files(path) and not folder_of_pictures(path):
        return "idx"  # Whose reader names the files that are missing.
    return next(iter(found), "image_folder")


def _layouts(path: Path) -> Iterator[tuple[str, str]]:
    """The sources that could read a folder, and what speaks for each."""
    from metagan.kinds.image.sources.fonts_npz import pictures_of_faces
    from metagan.kinds.image.sources.idx import idx_image_files
    from metagan.kinds.image.sources.manifest import manifest_files
    from metagan.kinds.image.sources.npz import npz_files
    from metagan.kinds.image.sources.omniglot import omniglot_archives, split_of_part

    others = False
    claimed: set[str] = set()
    if (path / "manifest.json").is_file() and any(path.glob("*.arrow")):
        yield "arrow", "prepared data"
        others = True
    archives = omniglot_archives(path)
    parts = {entry.name for entry in path.iterdir() if entry.is_dir() and split_of_part(entry.name)}
    if archives or parts or split_of_part(path.name):
        yield "omniglot", f"Omniglot ({min(parts | {file.name for file in archives}, default='')})"
        others = True
        claimed = parts or ({entry.name for entry in path.iterdir()} if not archives else set())
    if idx_files := idx_image_files(path):
        yield "idx", f"idx files ({idx_files[0].name})"
        others = True
    # One level down, beside pictures, an npz file is something that somebody keeps there.
    arrays = sorted(path.glob("*.npz")) or (
        [] if folder_of_pictures(path, claimed) else npz_files(path)
    )
    if arrays and pictures_of_faces(path):
        yield "fonts", f"pictures of faces ({arrays[0].relative_to(path)})"
        others = True
    elif arrays:
        yield "npz", f"npz files ({arrays[0].relative_to(path)})"
        others = True
    if font := first_font(path):
        yield "fonts", f"font files ({font.relative_to(path)})"
        others = True
    manifest = manifest_files(path)
    if manifest:
        yield "manifest", f"a list of pictures ({manifest[0].relative_to(path)})"
    if tables := _tables(path):
        yield "parquet", f"parquet files ({tables[0].relative_to(path)})"
        others = True
    # A list of pictures has its pictures beside it.
    if others and not manifest and (folder := folder_of_pictures(path, claimed)):
        yield "image_folder", f"pictures in folders ({folder.relative_to(path)})"


def _tables(path: Path) -> list[Path]:
    """Parquet files in a folder, and below it where tables usually lie."""
    from metagan.data.parquet_files import is_generated
    from metagan.data.paths.tree import is_clutter

    files = [file for above in _TABLE_FOLDERS for file in path.glob(f"{above}*.parquet")]
    files = sorted(file for file in files if not is_clutter(file.relative_to(path).parts))
    return [file for file in files if not is_generated(file)]


def folder_of_pictures(path: Path, claimed: Collection[str] = ()) -> Path | None:
    """A folder of pictures below the path, if there are at least two: one is no data set."""
    from metagan.data.paths.own_folders import own_kind_of
    from metagan.data.paths.tree import is_clutter
    from metagan.kinds.image.reading.decode import is_picture

    found: list[Path] = []
    for folder, folders, names in os.walk(path):
        here = Path(folder)
        kept = [name for name in sorted(folders) if not is_clutter((name,))]
        if here == path:
            kept = [name for name in kept if name not in claimed]
        folders[:] = [name for name in kept if not own_kind_of(here / name)]
        if here != path and any(map(is_picture, names)):
            found.append(here)
            if len(found) == 2:
                return found[0]
    return None


def first_font(path: Path) -> Path | None:
    """The first font file below a path."""
    from metagan.data.paths.own_folders import own_kind_of
    from metagan.data.paths.tree import is_clutter

    for folder, folders, names in os.walk(path):
        here = Path(folder)
        kept = [name for name in sorted(folders) if not is_clutter((name,))]
        folders[:] = [name for name in kept if not own_kind_of(here / name)]
        fonts = sorted(name for name in names if is_font(name) and not is_clutter((name,)))
        if fonts:
            return here / fonts[0]
    return None


def _detect_file(path: Path) -> str:
    from metagan.data.paths.tree import ARCHIVE_SUFFIXES
    from metagan.kinds.image.reading.decode import is_picture
    from metagan.kinds.image.sources.fonts_npz import pictures_of_faces
    from metagan.kinds.image.sources.idx import idx_image_files, idx_label_files

    name = path.name.lower()
    if is_font(name) or pictures_of_faces(path):
        return "fonts"
    if path.suffix.lower() in _BY_ENDING:
        return _BY_ENDING[path.suffix.lower()]
    if idx_image_files(path) or idx_label_files(path):
        return "idx"
    if name.endswith(ARCHIVE_SUFFIXES):
        # A path that is not there is the reader's to explain.
        is_omniglot = path.exists() and _is_omniglot_archive(path)
        return "omniglot" if is_omniglot else "image_folder"
    if is_picture(name):
        raise DataError(
            f"data.path {path}: is one picture, no data set; name the folder that holds a folder "
            "of pictures for every class"
        )
    raise DataError(
        f"data.path {path}: unsupported file; supported: folders, "
        f"{', '.join((*ARCHIVE_SUFFIXES, *_BY_ENDING, *FONT_SUFFIXES))} and idx images files"
    )


def _is_omniglot_archive(path: Path) -> bool:
    from metagan.data.paths.archives import top_names
    from metagan.kinds.image.sources.omniglot import split_of_part

    return split_of_part(path.name) is not None or any(map(split_of_part, top_names(path)))
