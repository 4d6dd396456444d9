"""Pictures in parquet, in the layout that Hugging Face data sets use.

Columns: `image` (struct of `bytes` and `path`, or plain binary), `label` (text, or whole numbers
that the file's own metadata may name), and perhaps `domain` and `split`. Nothing in a file is ever
executed: files with extension types, whose readers may unpickle, are refused before they are
opened.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from metagan.config.image import ImageData
from metagan.data.dataset import DataError, Dataset
from metagan.data.notes import listed
from metagan.data.parquet_files import check_sizes, is_generated, refuse_extensions
from metagan.data.paths.hive import table_roles
from metagan.data.paths.identity import (
    FileRole,
    parts_below,
    root_name,
    shown_below,
)
from metagan.data.paths.links import data_path
from metagan.data.paths.named_files import named_files, none_found
from metagan.data.paths.names import (
    TableNames,
    a_few,
    clean_name,
    strip_invisible,
    table_name,
    whole_number,
)
from metagan.data.paths.own_folders import only_generated
from metagan.data.paths.split_words import canonical_split
from metagan.data.paths.tree import ReadLimits, file_sha256
from metagan.kinds.image.reading.collect import Sample, assemble, describe_origin, try_decode
from metagan.kinds.image.reading.contents import GENERATED_PICTURES
from metagan.kinds.image.samples import NO_PICTURES
from metagan.kinds.image.sources.two_sizes import TwoSizes

_ROWS_AT_ONCE: Final = 256
_MAX_COLUMNS_SHOWN: Final = 20
_TEXT: Final = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BINARY: Final = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
)


@dataclass(frozen=True)
class _Table:
    """One file, as far as its schema tells.

    Attributes:
        file: The file.
        shown: Its path below the data folder.
        role: Domain and split that its path stands for.
        columns: The columns to read.
        value_names: By column, the names of its numbers; without columns that have none.
        label_type: The type of the labels, in words.
        label: That of all rows, where its path says it and it has no such column.
    """

    file: Path
    shown: str
    role: FileRole
    columns: Sequence[str]
    value_names: Mapping[str, Sequence[str]]
    label_type: str
    label: str | int | None = None


def load(config: ImageData) -> Dataset:
    """Read one parquet file, or every one below a folder.

    Without a `domain` column a file's path below the folder is the domain, without split names and
    shard counters: `blood/train-00000-of-00002.parquet` is the training part of blood. Where
    nothing else is left the folder's name is the domain. Folders such as `domain=kaggle/label=3`
    stand for columns that the files lack.

    Raises:
        DataError: If a file is damaged, has an extension type, lacks `image` or `label`, the files
            of a domain number their classes differently, a class has no readable picture, or two
            domains are one set in two sizes.
    """
    path = data_path(config)
    files, notes = _chosen_files(path)
    shown = [shown_below(file, path) for file in files]
    roles, labels, role_notes = table_roles(
        [parts_below(file, path) for file in files], root_name(path)
    )
    names = TableNames()
    samples: list[Sample] = []
    seen: dict[str, list[_Table]] = {}
    for file, name, role, label in zip(files, shown, roles, labels, strict=True):
        rows = list(_read_file(file, name, role, label, names, seen, config))
        if not rows and role.domain not in {other.domain for other in roles if other is not role}:
            notes.append(f"domains left out: {role.domain}, as {name} holds no rows")
        samples += rows
    if not samples:
        raise DataError(f"{path}: the parquet files hold no rows")
    _refuse_two_sizes(path, samples)
    origin = describe_origin(
        "parquet",
        path,
        config,
        sha256={name: file_sha256(file) for name, file in zip(shown, files, strict=True)},
    )
    return assemble(samples, origin=origin, notes=[*notes, *role_notes, *names.notes()])


def _refuse_two_sizes(path: Path, samples: Sequence[Sample]) -> None:
    """Refuse domains that are one set in two sizes.

    Raises:
        DataError: With the two domains and the fix.
    """
    domains: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        domains[sample.domain].append(sample)
    seen = TwoSizes(f"{path}: the domain ")
    for domain, own in domains.items():
        heights = {sample.picture.size[1] for sample in own if sample.picture.size}
        seen.add(domain, [sample.label for sample in own], heights)


def _chosen_files(path: Path) -> tuple[list[Path], list[str]]:
    """The files to read, and notes on those that are not real data or not followed."""
    if not path.is_dir():
        return [path], [GENERATED_PICTURES] if is_generated(path) else []
    files, unfollowed = named_files(path, ".parquet")
    if not files:
        raise none_found(path, ".parquet", unfollowed)
    real = [file for file in files if not is_generated(file)]
    if not real:
        raise only_generated(path, [shown_below(file, path) for file in files], "pictures")
    made = [f"{shown_below(file, path)}: made by metagan generate" for file in files]
    left_out = [line for file, line in zip(files, made, strict=True) if file not in real]
    return real, listed([*unfollowed, *left_out], "files left out")


def _read_file(
    file: Path,
    shown: str,
    role: FileRole,
    label: str | None,
    names: TableNames,
    seen: dict[str, list[_Table]],
    config: ImageData,
) -> Iterator[Sample]:
    """The samples of a file; `seen` holds the files that every domain has had so far."""
    try:
        refuse_extensions(file, again="the pictures again as plain binary columns")
        with pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            check_sizes(file, parquet.metadata)
            table = _describe(file, shown, role, label, parquet.schema_arrow)
            row = 0
            checked: set[str] = set()
            for batch in parquet.iter_batches(_ROWS_AT_ONCE, columns=table.columns):
                for record in batch.to_pylist():
                    sample = _read_row(f"{shown}, row {row}", record, table, names, config)
                    if sample.domain not in checked:
                        _check_labels(seen.setdefault(sample.domain, []), table, sample.domain)
                        checked.add(sample.domain)
                    yield sample
                    row += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not parquet, or damaged ({error})") from error


def _check_labels(seen: list[_Table], table: _Table, domain: str) -> None:
    """Add a file to those of its domain, unless they mean different classes by the same label.

    Files of different splits may name different classes: then the split is one of classes.
    """
    for other in seen:
        ours, theirs = table.value_names.get("label"), other.value_names.get("label")
        alike = ours is None or theirs is None or ours == theirs
        divided = table.role.split != other.role.split and not {*(ours or ())} & {*(theirs or ())}
        if table.label_type != other.label_type or not (alike or divided):
            raise DataError(
                f"{table.file}: its labels are {_labels_in_words(table)}, those of {other.shown} "
                f"{_labels_in_words(other)}, and both files are of the domain {domain}; put them "
                "in folders of their own to read two domains, or write their labels alike"
            )
    seen.append(table)


def _labels_in_words(table: _Table) -> str:
    names = table.value_names.get("label")
    return f"numbers named {a_few(names)}" if names is not None else table.label_type


def _describe(file: Path, shown: str, role: FileRole, label: str | None, schema: Any) -> _Table:
    """Describe a file's table by its schema; an unusable one is an error that lists its columns."""
    columns = _check_columns(file, schema, needs_label=label is None)
    names = {column: _value_names(file, schema, column) for column in {*columns[1:], "label"}}
    named = {column: found for column, found in names.items() if found is not None}
    if "label" in columns:
        kind = _value_type(schema.field("label").type)
        words = "text" if _is_text(kind) or "label" in named else "numbers without names"
        return _Table(file, shown, role, columns, named, words)
    is_number = "label" in named and label is not None and label.isdecimal()
    given = int(label) if label is not None and is_number else label
    return _Table(file, shown, role, columns, named, "text", given)


def _check_columns(file: Path, schema: Any, *, needs_label: bool) -> list[str]:
    """The columns to read, or an error that lists those that there are."""
    names = list(schema.names)
    there = a_few([f"{field.name} ({field.type})" for field in schema], most=_MAX_COLUMNS_SHOWN)
    for needed in ("image", "label") if needs_label else ("image",):
        if names.count(needed) != 1:
            raise DataError(
                f"{file}: needs one column {needed!r}; columns are {there}; write the file again "
                f"with the column that is meant called {needed!r}"
                + (f"; {NO_PICTURES}" if needed == "image" else "")
            )
    others = [name for name in ("label", "domain", "split") if name in names]
    twice = [name for name in others if names.count(name) > 1]
    if twice:
        raise DataError(f"{file}: repeated columns: {a_few(twice)}; columns are {there}")
    image = _value_type(schema.field("image").type)
    if pa.types.is_struct(image):
        fields = {image.field(i).name: image.field(i).type for i in range(image.num_fields)}
        image = _value_type(fields.get("bytes", image))
    if not any(is_kind(image) for is_kind in _BINARY):
        raise DataError(
            f"{file}: column 'image' is {schema.field('image').type}; "
            "binary, or a struct with binary 'bytes', is read"
        )
    for name in others:
        kind = schema.field(name).type
        value = _value_type(kind)
        numbers = pa.types.is_integer(value) or pa.types.is_floating(value)
        empty = name != "label" and pa.types.is_null(value)
        if not (numbers or empty or _is_text(value)):
            raise DataError(f"{file}: column {name!r} is {kind}; text or whole numbers are read")
    return ["image", *others]


def _value_type(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: Any) -> bool:
    return any(is_kind(kind) for is_kind in _TEXT)


def _value_names(file: Path, schema: Any, column: str) -> Sequence[str] | None:
    """Names of a column's numbers from the `huggingface` metadata, None where there are none."""
    text = (schema.metadata or {}).get(b"huggingface")
    if text is None:
        return None
    try:
        info: Any = json.loads(text)
        for key in ("info", "features", column):
            info = info.get(key, {}) if isinstance(info, dict) else {}
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: damaged 'huggingface' metadata ({error})") from error
    names = info.get("names") if isinstance(info, dict) else None
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{file}: 'huggingface' metadata names the {column}s {names!r}")
    twice = [name for name, times in Counter(map(table_name, names)).items() if times > 1]
    if twice:
        raise DataError(
            f"{file}: 'huggingface' metadata gives two {column}s the name {a_few(twice)}; "
            "give every number a name of its own"
        )
    return names


def _read_row(
    name: str, record: Mapping[str, Any], table: _Table, names: TableNames, config: ImageData
) -> Sample:
    domain, split = table.role.domain, table.role.split
    if table.label is not None:
        record = {"label": table.label, **record}
    if "domain" in record:
        domain = names.domain(_value_of(name, "domain", record, table))
    label = names.label(domain, _value_of(name, "label", record, table))
    if record.get("split") not in (None, ""):
        given = _value_of(name, "split", record, table)
        split = canonical_split(strip_invisible(str(given)))
        if split is None:
            raise DataError(f"{name}: split {given!r}; use train, validation or test")
    image = record["image"]
    shown, problem = name, "no picture in the row"
    if isinstance(image, dict):
        if image.get("path"):
            shown = f"{name} ({clean_name(str(image['path']))})"
            problem = "the picture is not embedded in the file, only its path"
        image = image.get("bytes")
    limit = ReadLimits().member_bytes
    if image is not None and len(image) > limit:
        problem = f"{len(image)} bytes, more than {limit}"
        image = None
    picture = try_decode(image, problem, shown, config, invert=config.invert)
    return Sample(domain, label, shown, picture, split)


def _value_of(name: str, column: str, record: Mapping[str, Any], table: _Table) -> str | int:
    """The text or whole number of a row's column; a number's name where the file has names."""
    value = whole_number(record[column])
    value_names = table.value_names.get(column)
    if isinstance(value, int) and value_names is not None:
        if not 0 <= value < len(value_names):
            raise DataError(
                f"{name}: {column} {value}, but {len(value_names)} {column}s have names; drop "
                "those rows, or leave the file out of the data"
            )
        value = value_names[value]
    # Where labels are kept secret, as those of a test part often are, all are -1.
    if column == "label" and isinstance(value, int) and value < 0:
        raise DataError(
            f"{name}: label {value} is below 0 and stands for no class; drop those rows, or leave "
            "the file out of the data"
        )
    if isinstance(value, float) and not math.isnan(value):
        raise DataError(
            f"{table.file}: column {column!r} is double and holds {value} ({name}); text or whole "
            "numbers are read"
        )
    if not isinstance(value, (str, int)) or not strip_invisible(str(value)):
        raise DataError(f"{name}: {column} is {value!r}; a name is needed")
    return value
