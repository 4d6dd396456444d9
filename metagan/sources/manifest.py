"""A list of pictures: CSV or JSON Lines with file_name, domain, label and perhaps split.

File names are relative to the list's folder and must stay below it.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from metagan.dataset import DataError, Dataset
from metagan.settings import DataConfig
from metagan.sources.collect import (
    Sample,
    a_few,
    assemble,
    canonical_split,
    describe_origin,
    listed,
    try_decode,
)
from metagan.sources.tree import clean_name, file_sha256, leaves_root, read_below

MANIFEST_NAMES: Final = ("metadata.csv", "metadata.jsonl", "manifest.csv", "manifest.jsonl")
_REQUIRED: Final = ("file_name", "domain", "label")
_MAX_BYTES: Final = 2 * 2**30


@dataclass(frozen=True)
class _Row:
    line: int
    file_name: str
    domain: str
    label: str
    split: str | None


def load(config: DataConfig) -> Dataset:
    """Read the pictures that a manifest lists.

    `data.path` is the manifest (.csv or .jsonl), or a folder that holds one under a usual name.
    A picture listed twice in one class counts once; unreadable ones are named in the notes.

    Raises:
        DataError: If the manifest is malformed (the message has the line), a file name leaves its
            folder, or a class has no readable picture.
    """
    given = Path(config.path or "").expanduser()
    path = find_manifest(given) if given.is_dir() else given
    if path is None:
        raise DataError(f"{given}: holds no manifest ({', '.join(MANIFEST_NAMES)})")
    samples: list[Sample] = []
    first_lines: dict[tuple[str, str, str], int] = {}
    repeated: list[str] = []
    for row in _rows(path):
        key = (row.domain, row.label, row.file_name)
        if key in first_lines:
            repeated.append(f"line {row.line} repeats {row.file_name} of line {first_lines[key]}")
            continue
        first_lines[key] = row.line
        samples.append(_read_sample(path, row, config))
    if not samples:
        raise DataError(f"{path}: lists no pictures")
    return assemble(
        samples,
        origin=describe_origin("manifest", path, config, sha256={path.name: file_sha256(path)}),
        notes=listed(repeated, "left out"),
    )


def find_manifest(folder: Path) -> Path | None:
    """The manifest in a folder, or None."""
    return next((folder / name for name in MANIFEST_NAMES if (folder / name).is_file()), None)


def _read_sample(path: Path, row: _Row, config: DataConfig) -> Sample:
    content, problem = None, ""
    try:
        content = read_below(path.parent, path.parent / row.file_name)
    except DataError as error:
        problem = str(error)
    name = f"line {row.line}, {clean_name(row.file_name)}"
    picture = try_decode(content, problem, name, config, invert=config.invert)
    return Sample(row.domain, row.label, name, picture, row.split)


def _rows(path: Path) -> Iterator[_Row]:
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".jsonl"):
        raise DataError(f"{path}: a manifest ends in .csv or .jsonl")
    text = _read_text(path)
    for line, record in _csv_records(path, text) if suffix == ".csv" else _json_records(path, text):
        yield _check_row(f"{path}, line {line}", line, record)


def _read_text(path: Path) -> str:
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise DataError(f"{path}: {size} bytes, more than {_MAX_BYTES}; split the manifest")
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not UTF-8; save the manifest as UTF-8") from error


def _csv_records(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in _REQUIRED if name not in header]
        if missing:
            raise DataError(
                f"{path}, line 1: no column {', '.join(missing)}; columns are {a_few(header)}; "
                f"needed are {', '.join(_REQUIRED)} and perhaps split"
            )
        twice = [name for name, times in Counter(header).items() if times > 1]
        if twice:
            raise DataError(f"{path}, line 1: columns are there twice: {a_few(twice)}")
        for fields in reader:
            if not fields:
                continue
            if len(fields) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(fields)} fields, "
                    f"but the header has {len(header)}"
                )
            yield reader.line_num, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error


def _json_records(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    # Not splitlines(): it also breaks at characters that JSON allows inside strings.
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            record = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {line}: not JSON ({error})") from error
        if not isinstance(record, dict):
            raise DataError(f"{path}, line {line}: one object per line is needed, got {record!r}")
        yield line, record


def _check_row(where: str, line: int, record: dict[str, Any]) -> _Row:
    values = {name: _text_of(where, name, record.get(name)) for name in _REQUIRED}
    file_name = values["file_name"]
    if leaves_root(file_name):
        raise DataError(
            f"{where}: file_name {file_name!r} leaves the manifest's folder; "
            "give a path below it, without '..'"
        )
    given = record.get("split")
    split = None if given in (None, "") else canonical_split(str(given))
    if given not in (None, "") and split is None:
        raise DataError(f"{where}: split {given!r}; use train, validation or test")
    return _Row(line, file_name, clean_name(values["domain"]), clean_name(values["label"]), split)


def _text_of(where: str, name: str, value: Any) -> str:
    """A name that was given as text or as a whole number."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        raise DataError(f"{where}: {name} is {value!r}; a name is needed")
    return str(value)
