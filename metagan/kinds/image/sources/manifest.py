"""A list of pictures: CSV or JSON Lines with file_name, domain, label and perhaps split.

File names are relative to the list's folder and must stay below it.
"""

import contextlib
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from metagan.config.image import ImageData
from metagan.data.dataset import DataError, Dataset
from metagan.data.notes import listed
from metagan.data.paths.identity import shown_below
from metagan.data.paths.links import data_path
from metagan.data.paths.names import TableNames, a_few, clean_name, strip_invisible, whole_number
from metagan.data.paths.own_folders import own_kind_of
from metagan.data.paths.split_words import canonical_split, is_plain_split, names_of_parts
from metagan.data.paths.tree import file_sha256, is_clutter, leaves_root, read_below
from metagan.data.table_text import ColumnsMissing, read_records
from metagan.kinds.image.reading.collect import Sample, assemble, describe_origin, try_decode
from metagan.kinds.image.reading.decode import is_picture
from metagan.kinds.image.samples import NO_PICTURES
from metagan.kinds.image.sources.detect import folder_of_pictures
from metagan.words import agreeing, counted

MANIFEST_NAMES: Final = ("metadata.csv", "metadata.jsonl", "manifest.csv", "manifest.jsonl")
_REQUIRED: Final = ("file_name", "domain", "label")


@dataclass(frozen=True)
class _Row:
    line: str
    file: Path
    shown: str
    domain: str
    label: str
    split: str | None


def load(config: ImageData) -> Dataset:
    """Read the pictures that a manifest lists.

    `data.path` is the manifest (.csv or .jsonl), or a folder that holds one under a usual name, or
    one in each of its split folders. A picture listed twice in one class counts once; unreadable
    ones are named in the notes.

    Raises:
        DataError: If the manifest is malformed (the message has the line), a file name leaves its
            folder, or a class has no readable picture.
    """
    given = data_path(config)
    manifests = _chosen_manifests(given)
    names = TableNames()
    samples: list[Sample] = []
    first: dict[tuple[str, str, str], _Row] = {}
    repeated: list[str] = []
    leaks: list[str] = []
    for manifest in manifests:
        for row in _rows(manifest, given, names):
            key = (row.domain, row.label, os.path.realpath(row.file))
            if key in first:
                text = f"{row.line} repeats {row.shown} of {first[key].line}"
                repeated.append(text)
                if row.split != first[key].split:
                    leaks.append(f"{text} in another split")
                continue
            first[key] = row
            samples.append(_read_sample(manifest, row, config))
    if not samples:
        raise DataError(f"{given}: lists no pictures")
    sha256 = {shown_below(manifest, given): file_sha256(manifest) for manifest in manifests}
    path = given if len(manifests) > 1 else manifests[0]
    return assemble(
        samples,
        origin=describe_origin("manifest", path, config, sha256=sha256),
        notes=[
            *listed(leaks, "leak", most=1),
            *names.notes(),
            *_two_labels(first),
            *_unlisted(given, manifests, first.values()),
            *listed(repeated, "left out"),
        ],
    )


def manifest_files(path: Path) -> list[Path]:
    """The manifest itself, or those in a folder and its split folders, such as `train/`."""
    if not path.is_dir():
        return [path]
    with os.scandir(path) as entries:
        folders = sorted(entry.name for entry in entries if entry.is_dir())
    inner = {name: _manifests_in(path / name) for name in folders}
    listed_in = {name for name, manifests in inner.items() if manifests}
    parts = {name for name in names_of_parts(listed_in) or {} if canonical_split(name)}
    parts |= set(filter(is_plain_split, listed_in))
    return [*_manifests_in(path), *(file for name in sorted(parts) for file in inner[name])]


def listed_files(manifest: Path) -> list[Path]:
    """The pictures that a manifest lists; whatever is wrong with it, `load` says."""
    files: set[Path] = set()
    try:
        for _, record in read_records(manifest, _REQUIRED):
            name = record.get("file_name")
            if isinstance(name, str):
                with contextlib.suppress(DataError):
                    files.add(_find_file("", manifest.parent, name))
    except (DataError, OSError):
        pass
    return sorted(files)


def _manifests_in(folder: Path) -> list[Path]:
    return [folder / name for name in MANIFEST_NAMES if (folder / name).is_file()]


def _chosen_manifests(given: Path) -> list[Path]:
    """The manifests to read: one, or one of every split folder."""
    found = manifest_files(given)
    if not found:
        raise DataError(f"{given}: holds no manifest ({', '.join(MANIFEST_NAMES)})")
    folders = {manifest.parent for manifest in found}
    if len(folders) < len(found) or (given in folders and len(folders) > 1):
        raise DataError(
            f"{given}: holds {a_few([shown_below(file, given) for file in found])}; name the "
            f"one that is meant, such as data.path={found[0]}, or remove the others"
        )
    return found


def _unlisted(given: Path, manifests: Sequence[Path], rows: Iterable[_Row]) -> list[str]:
    """A note on pictures in the data folder that no row lists; a list that is named is meant."""
    if not given.is_dir():
        return []
    known = {os.path.realpath(row.file) for row in rows}
    unlisted = []
    for folder, inner, names in os.walk(given):
        here = Path(folder)
        kept = (name for name in sorted(inner) if not is_clutter((name,)))
        inner[:] = [name for name in kept if not own_kind_of(here / name)]
        unlisted += [
            shown_below(here / name, given)
            for name in sorted(names)
            if is_picture(name) and not is_clutter((name,))
            if os.path.realpath(here / name) not in known
        ]
    if not unlisted:
        return []
    lists = " and ".join(dict.fromkeys(manifest.name for manifest in manifests))
    are = agreeing(len(unlisted), "is", "are")
    return [
        f"files left out: {counted(len(unlisted), 'picture')} {are} in no row of {lists}, such as "
        f"{unlisted[0]}; to read folders as classes, set data.source=image_folder"
    ]


def _two_labels(rows: Iterable[tuple[str, str, str]]) -> list[str]:
    """A note on pictures that are listed in more than one class."""
    classes: dict[str, list[str]] = defaultdict(list)
    for domain, label, file in rows:
        classes[file].append(f"{domain}/{label}")
    several = [(file, found) for file, found in classes.items() if len(found) > 1]
    if not several:
        return []
    file, found = several[0]
    return [
        f"labels: {counted(len(several), 'picture')} {'is' if len(several) == 1 else 'are'} listed "
        f"in more than one class, such as {clean_name(Path(file).name)} in {a_few(found)}"
    ]


def _read_sample(manifest: Path, row: _Row, config: ImageData) -> Sample:
    content, problem = None, ""
    try:
        content = read_below(manifest.parent, row.file)
    except DataError as error:
        problem = str(error)
    name = f"{row.line}, {row.shown}"
    picture = try_decode(content, problem, name, config, invert=config.invert)
    return Sample(row.domain, row.label, name, picture, row.split)


def _rows(manifest: Path, given: Path, names: TableNames) -> Iterator[_Row]:
    """The rows of a manifest; of a list of something else the error says what to do."""
    try:
        yield from _checked_rows(manifest, given, names)
    except ColumnsMissing as error:
        beside = folder_of_pictures(manifest.parent)
        if beside is None:
            raise DataError(f"{error}; {NO_PICTURES}") from None
        root = given if given.is_dir() else manifest.parent
        raise DataError(
            f"{error}; if this is another list and folders such as {clean_name(beside.name)} are "
            f"the classes: data.source=image_folder data.path={root}"
        ) from None


def _checked_rows(manifest: Path, given: Path, names: TableNames) -> Iterator[_Row]:
    in_split_folder = given.is_dir() and manifest.parent != given
    split = canonical_split(manifest.parent.name) if in_split_folder else None
    for number, record in read_records(manifest, _REQUIRED):
        line = f"line {number}"
        row = _check_row(f"{manifest}, {line}", manifest.parent, record, names)
        if split and row.split not in (None, split):
            raise DataError(
                f"{manifest}, {line}: split {record['split']!r}, but the folder is called "
                f"{manifest.parent.name}"
            )
        shown_line = f"{shown_below(manifest, given)}, {line}" if in_split_folder else line
        yield replace(row, line=shown_line, split=row.split or split)


def _check_row(where: str, folder: Path, record: Mapping[str, Any], names: TableNames) -> _Row:
    file_name, domain, label = (_value_of(where, name, record) for name in _REQUIRED)
    given = record.get("split")
    given = None if isinstance(given, str) and not strip_invisible(given) else given
    split = None if given is None else canonical_split(strip_invisible(str(given)))
    if given is not None and split is None:
        raise DataError(f"{where}: split {given!r}; use train, validation or test")
    file = _find_file(where, folder, str(file_name))
    domain_name = names.domain(domain)
    shown = clean_name(os.path.relpath(file, folder))
    return _Row(where, file, shown, domain_name, names.label(domain_name, label), split)


def _value_of(where: str, name: str, record: Mapping[str, Any]) -> str | int:
    """A name that was given as text or as a whole number."""
    if name not in record:
        raise ColumnsMissing(
            f"{where}: no {name}; there are {a_few(list(record))}; needed are "
            f"{', '.join(_REQUIRED)} and perhaps split"
        )
    value = whole_number(record[name])
    is_name = isinstance(value, (str, int)) and not isinstance(value, bool)
    if not is_name or not strip_invisible(str(value)):
        raise DataError(f"{where}: {name} is {value!r}; a name is needed")
    return cast("str | int", value)


def _find_file(where: str, folder: Path, file_name: str) -> Path:
    """The file that a name means: as it stands, else without spaces around it, with slashes."""
    plain = strip_invisible(file_name)
    if any("\ud800" <= char <= "\udfff" for char in file_name):
        raise DataError(f"{where}: file_name {file_name!r} holds half a character; no file has it")
    if leaves_root(file_name) or leaves_root(plain):
        raise DataError(
            f"{where}: file_name {file_name!r} leaves the manifest's folder; "
            f"give a path below {folder}, without '..'"
        )
    if os.path.lexists(folder / file_name):
        return folder / file_name
    slashed = (plain, file_name.replace("\\", "/"), plain.replace("\\", "/"))
    composed = [unicodedata.normalize("NFC", name) for name in slashed]
    decomposed = [unicodedata.normalize("NFD", name) for name in slashed]
    spellings = dict.fromkeys((*slashed, *composed, *decomposed))
    return folder / next((name for name in spellings if os.path.lexists(folder / name)), plain)
