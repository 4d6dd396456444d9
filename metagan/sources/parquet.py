"""Pictures in parquet, in the layout that Hugging Face data sets use.

Columns: `image` (struct of `bytes` and `path`, or plain binary), `label` (text, or whole numbers
that the file's own metadata may name), and perhaps `domain` and `split`. Nothing in a file is ever
executed: files with extension types, whose readers may unpickle, are refused before they are
opened.
"""

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from metagan.dataset import DataError, Dataset
from metagan.settings import DataConfig
from metagan.sources.collect import (
    Sample,
    a_few,
    assemble,
    canonical_split,
    describe_origin,
    try_decode,
)
from metagan.sources.own_folders import drop_generated
from metagan.sources.tree import ReadLimits, clean_name, file_sha256

_ROWS_AT_ONCE: Final = 256
_MAX_ROW_GROUP_BYTES: Final = 8 * 2**30
_MAX_FOOTER_BYTES: Final = 512 * 2**20
_EXTENSION_KEY: Final = b"ARROW:extension:name"
_SHARD: Final = re.compile(r"-\d{3,}-of-\d{3,}$")


def load(config: DataConfig) -> Dataset:
    """Read one parquet file, or every one below a folder.

    Without a `domain` column a file's stem is the domain; in a name such as
    `train-00000-of-00002.parquet` the counter is dropped, and where only a split is left it is the
    split and the folder's name is the domain.

    Raises:
        DataError: If a file is damaged, has an extension type, lacks `image` or `label`, or a
            class has no readable picture.
    """
    path = Path(config.path or "").expanduser()
    files, notes = drop_generated(path, parquet_files(path))
    if not files:
        raise DataError("; ".join([f"{path}: holds no .parquet file", *notes]))
    samples = [sample for file in files for sample in _read_file(file, path, config)]
    if not samples:
        raise DataError(f"{path}: the parquet files hold no rows")
    sha256 = {str(file.relative_to(path) if path.is_dir() else file.name): file for file in files}
    origin = describe_origin(
        "parquet", path, config, sha256={name: file_sha256(file) for name, file in sha256.items()}
    )
    return assemble(samples, origin=origin, notes=notes)


def parquet_files(path: Path) -> list[Path]:
    """The file itself, or all parquet files below a folder, sorted; links are not followed."""
    if not path.is_dir():
        return [path]
    found = []
    for folder, _, names in os.walk(path):
        found += [Path(folder, name) for name in names if name.lower().endswith(".parquet")]
    return sorted(file for file in found if file.is_file() and not file.is_symlink())


def _read_file(file: Path, root: Path, config: DataConfig) -> Iterator[Sample]:
    domain, split = _names_of(file, root)
    try:
        _refuse_extensions(file)
        with pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            _check_sizes(file, parquet.metadata)
            schema = parquet.schema_arrow
            columns = _check_columns(file, schema)
            label_names = _label_names(file, schema)
            row = 0
            for batch in parquet.iter_batches(_ROWS_AT_ONCE, columns=columns):
                for record in batch.to_pylist():
                    yield _read_row(
                        f"{file.name}, row {row}", record, label_names, domain, split, config
                    )
                    row += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not parquet, or damaged ({error})") from error


def _names_of(file: Path, root: Path) -> tuple[str, str | None]:
    """Domain and split that a file's name stands for, where no column gives them."""
    stem = _SHARD.sub("", file.stem)
    split = canonical_split(stem)
    if split is None:
        return clean_name(stem), None
    folder = root if root.is_dir() else root.parent
    return clean_name(folder.resolve().name) or clean_name(stem), split


def _refuse_extensions(file: Path) -> None:
    """Refuse extension types, on the raw footer: pyarrow builds them from metadata as it opens.

    The Arrow schema is in the footer in base64, where a text looks different for each of the three
    places it can have in a group of three bytes.
    """
    footer = _read_footer(file)
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + _EXTENSION_KEY)
        whole = slice(-(-shift * 8 // 6), (shift + len(_EXTENSION_KEY)) * 8 // 6)
        if encoded[whole] in footer:
            raise DataError(
                f"{file}: a column has an Arrow extension type, whose reader may run code from "
                "the file; write the pictures again as plain binary columns"
            )


def _read_footer(file: Path) -> bytes:
    """The metadata at a parquet file's end, as stored."""
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(size - 8, 0))
        end = stream.read(8)
        length = int.from_bytes(end[:4], "little")
        if end[4:] != b"PAR1" or length > min(size - 12, _MAX_FOOTER_BYTES):
            raise DataError(f"{file}: not parquet, or damaged (no footer)")
        stream.seek(size - 8 - length)
        return stream.read(length)


def _check_sizes(file: Path, metadata: Any) -> None:
    for index in range(metadata.num_row_groups):
        size = metadata.row_group(index).total_byte_size
        if size > _MAX_ROW_GROUP_BYTES:
            raise DataError(
                f"{file}: row group {index} unpacks to {size} bytes, more than "
                f"{_MAX_ROW_GROUP_BYTES}; write smaller row groups"
            )


def _check_columns(file: Path, schema: Any) -> list[str]:
    """The columns to read, or an error that lists those that there are."""
    names = list(schema.names)
    for needed in ("image", "label"):
        if names.count(needed) != 1:
            there = a_few([f"{field.name} ({field.type})" for field in schema])
            raise DataError(f"{file}: needs one column {needed!r}; columns are {there}")
    image, label = schema.field("image").type, schema.field("label").type
    if pa.types.is_struct(image):
        fields = {image.field(i).name: image.field(i).type for i in range(image.num_fields)}
        image = fields.get("bytes", image)
    if not (pa.types.is_binary(image) or pa.types.is_large_binary(image)):
        raise DataError(
            f"{file}: column 'image' is {schema.field('image').type}; "
            "binary, or a struct with binary 'bytes', is read"
        )
    value = label.value_type if pa.types.is_dictionary(label) else label
    if not (
        pa.types.is_integer(value) or pa.types.is_string(value) or pa.types.is_large_string(value)
    ):
        raise DataError(f"{file}: column 'label' is {label}; text or whole numbers are read")
    return ["image", "label", *(name for name in ("domain", "split") if names.count(name) == 1)]


def _label_names(file: Path, schema: Any) -> Sequence[str] | None:
    """Names of numbered labels from the `huggingface` metadata, None where there are none."""
    text = (schema.metadata or {}).get(b"huggingface")
    if text is None:
        return None
    try:
        info: Any = json.loads(text)
        for key in ("info", "features", "label"):
            info = info.get(key, {}) if isinstance(info, dict) else {}
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: damaged 'huggingface' metadata ({error})") from error
    names = info.get("names") if isinstance(info, dict) else None
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{file}: 'huggingface' metadata names the labels {names!r}")
    return names


def _read_row(
    name: str,
    record: Mapping[str, Any],
    label_names: Sequence[str] | None,
    domain: str,
    split: str | None,
    config: DataConfig,
) -> Sample:
    label = _label_of(name, record["label"], label_names)
    if "domain" in record:
        domain = _name_of(name, "domain", record["domain"])
    if record.get("split") is not None:
        split = canonical_split(str(record["split"]))
        if split is None:
            raise DataError(f"{name}: split {record['split']!r}; use train, validation or test")
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


def _label_of(name: str, value: Any, label_names: Sequence[str] | None) -> str:
    if isinstance(value, int) and label_names is not None:
        if not 0 <= value < len(label_names):
            raise DataError(f"{name}: label {value}, but {len(label_names)} labels have names")
        value = label_names[value]
    return _name_of(name, "label", value)


def _name_of(name: str, column: str, value: Any) -> str:
    if value is None or not str(value).strip():
        raise DataError(f"{name}: {column} is {value!r}; a name is needed")
    return clean_name(str(value))
