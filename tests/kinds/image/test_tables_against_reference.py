"""Lists and tables of pictures, read by the product and by a slow reader."""

import csv
import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metagan.data.registry import load_dataset
from tests.kinds.image.agreement import DEEP, assert_same, file, record
from tests.kinds.image.matrix import deep_variants, lossy_variants, other_variants, tiff_variants
from tests.kinds.image.pictures import settings, write
from tests.reference import reader

# Domain, label, split; the words for splits are those that publishers use.
CLASSES = [
    ("latin", "a", "train"),
    ("latin", "b, c", "train"),
    ("Ελληνικά", "a", "val"),
    ("Ελληνικά", "0", "val"),
    ("кириллица", 'the "ж"', "test"),
    ("кириллица", "1;2", "test"),
]
FILE_NAMES = (
    "plain.png",
    "a b.png",
    "a, b; c.png",
    'say "x".png',
    "über/日本 (1).png",
    "x/y/#50%.png",
)


def rows_of(classes=CLASSES):
    """Words of each row, and the number of its picture; every class has two."""
    return [(*classes[number % len(classes)], number) for number in range(2 * len(classes))]


def written(rows, splits=True):
    return [
        record(str(domain), str(label), reader.WORDS.get(split, split) if splits else None, number)
        for domain, label, split, number in rows
    ]


def listed(root, rows):
    """The rows with a file for each, which is written."""
    table = []
    for domain, label, split, number in rows:
        name = f"{number}/{FILE_NAMES[number % len(FILE_NAMES)]}"
        write(root, {name: file(number)})
        table.append({"file_name": name, "domain": domain, "label": label, "split": split})
    return table


def check(path, records, written_records):
    """The slow reader finds what was written, and the product finds the same."""
    expected = reader.dataset(records)
    assert_same(expected, reader.dataset(written_records))
    assert_same(load_dataset(settings(path)), expected)


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_spelling_of_a_csv_lists_the_same_pictures(
    tmp_path, delimiter, encoding, line_end, quoting
):
    table = listed(tmp_path, rows_of())
    path = tmp_path / "metadata.csv"
    with path.open("w", encoding=encoding, newline="") as out:
        options = {"delimiter": delimiter, "lineterminator": line_end, "quoting": quoting}
        writer = csv.DictWriter(out, list(table[0]), **options)
        writer.writeheader()
        writer.writerows(table)
    records = reader.records_of_csv(path, delimiter=delimiter, encoding=encoding)
    check(tmp_path, records, written(rows_of()))


@pytest.mark.parametrize("order", [("split", "label", "domain", "file_name"), None])
@pytest.mark.parametrize("with_split", [False, True])
def test_columns_in_any_order_with_or_without_a_split_are_read(tmp_path, order, with_split):
    table = listed(tmp_path, rows_of())
    columns = [name for name in order or table[0] if with_split or name != "split"]
    path = tmp_path / "manifest.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(table)
    check(tmp_path, reader.records_of_csv(path), written(rows_of(), with_split))
    check(path, reader.records_of_csv(path), written(rows_of(), with_split))


def test_a_list_in_every_folder_of_a_split_is_read(tmp_path):
    for part, classes in (("train", CLASSES[:2]), ("val", CLASSES[2:4]), ("Test", CLASSES[4:])):
        table = listed(tmp_path / part, rows_of(classes))
        columns = ["file_name", "domain", "label"]
        with (tmp_path / part / "metadata.csv").open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(table)
    records = [
        replace(found, split=split)
        for part, split in (("train", "train"), ("val", "validation"), ("Test", "test"))
        for found in reader.records_of_csv(tmp_path / part / "metadata.csv")
    ]
    truth = [row for n in (0, 2, 4) for row in written(rows_of(CLASSES[n : n + 2]))]
    check(tmp_path, records, truth)


@pytest.mark.parametrize("labels", [("a", "b"), (0, 1), (0.0, 10.0), (" a", "b\t"), ("01", "1")])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_json_lines_with_text_and_numbers_are_read(tmp_path, ascii_only, labels):
    classes = [("é", labels[0], "base"), ("é", labels[1], "novel"), ("ж", labels[0], "base")]
    table = listed(tmp_path, rows_of(classes))
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in table]
    path = tmp_path / "metadata.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = [str(int(n) if isinstance(n, float) else n).strip() for n in labels]
    named = dict(zip(labels, names, strict=True))
    rows = [
        (domain, named[label], split, number) for domain, label, split, number in rows_of(classes)
    ]
    check(tmp_path, reader.records_of_jsonl(path), written(rows))


IMAGE_TYPES = {
    "struct": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    "struct, path first": pa.struct([("path", pa.string()), ("bytes", pa.large_binary())]),
    "struct of bytes alone": pa.struct([("bytes", pa.binary())]),
    "binary": pa.binary(),
    "large": pa.large_binary(),
    "view": pa.binary_view(),
}
LABEL_TYPES = {
    "text": pa.string(),
    "large text": pa.large_string(),
    "dictionary": pa.dictionary(pa.int8(), pa.string()),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "dictionary of numbers": pa.dictionary(pa.int32(), pa.int64()),
    "float": pa.float32(),
}
NAMES = ["ant", "b 2", "ж"]


def save(path, numbers, labels, *, image="struct", label="text", names=None, **columns):
    """A Parquet file; `columns` are further ones, as lists."""
    cells = [file(number) for number in numbers]
    if "struct" in image:
        cells = [
            {"bytes": cell, "path": f"{n}.png"} for cell, n in zip(cells, numbers, strict=True)
        ]
        cells = [{field.name: cell[field.name] for field in IMAGE_TYPES[image]} for cell in cells]
    kind = LABEL_TYPES[label]
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    column = pa.array(labels, value)
    column = column.dictionary_encode().cast(kind) if value != kind else column
    table = pa.table({"image": pa.array(cells, IMAGE_TYPES[image]), "label": column, **columns})
    features = {
        name: {"_type": "ClassLabel", "names": found} for name, found in (names or {}).items()
    }
    info = json.dumps({"info": {"features": features}})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"huggingface": info}), path, row_group_size=4)
    return path


@pytest.mark.parametrize("image", IMAGE_TYPES)
@pytest.mark.parametrize("label", LABEL_TYPES)
@pytest.mark.parametrize("named", [False, True])
def test_every_type_of_column_is_read(tmp_path, image, label, named):
    is_text = "text" in label or label == "dictionary"
    numbers = [0, 1, 2, 0, 1, 2, 0]
    labels = (
        [NAMES[n] for n in numbers]
        if is_text
        else [float(n) if label == "float" else n for n in numbers]
    )
    names = {"label": NAMES} if named else None
    path = save(tmp_path / "pets.parquet", range(7), labels, image=image, label=label, names=names)
    shown = [NAMES[n] if is_text or named else str(n) for n in numbers]
    truth = [record("pets", name, None, number) for number, name in enumerate(shown)]
    plain = named and not is_text
    records = reader.records_of_parquet(path, domain="pets", names=names if plain else None)
    check(path, records, truth)


@pytest.mark.parametrize("domains", [["x", "x", "y", "y"], [0, 0, 1, 1], None])
@pytest.mark.parametrize(
    "splits", [["train", "train", "val", "val"], ["base", "base", "novel", None], None]
)
def test_columns_of_domains_and_splits_are_followed(tmp_path, domains, splits):
    columns = {"domain": domains, "split": splits}
    given = {name: values for name, values in columns.items() if values}
    path = save(tmp_path / "set.parquet", range(4), ["a", "b", "c", "d"], **given)
    truth = [
        record(str(domain), label, reader.WORDS.get(split, split), number)
        for number, (domain, label, split) in enumerate(
            zip(domains or ["set"] * 4, "abcd", splits or [None] * 4, strict=True)
        )
    ]
    check(path, reader.records_of_parquet(path, domain="set"), truth)


# Name: {file: (domain, split)}.
SHARDS = {
    "hub": {
        "data/test-00000-of-00001.parquet": ("my_set", "test"),
        "data/train-00000-of-00002.parquet": ("my_set", "train"),
        "data/train-00001-of-00002.parquet": ("my_set", "train"),
        "data/validation-00000-of-00001.parquet": ("my_set", "validation"),
    },
    "hashes": {
        "data/test-00000-of-00001-0123456789abcdef.parquet": ("my_set", "test"),
        "data/train-00000-of-00001-a09b74b3ef9c3b56.parquet": ("my_set", "train"),
    },
    "configurations": {
        "blood/test-00000-of-00001.parquet": ("blood", "test"),
        "blood/train-00000-of-00001.parquet": ("blood", "train"),
        "skin/test-00000-of-00001.parquet": ("skin", "test"),
        "skin/train-00000-of-00001.parquet": ("skin", "train"),
    },
    "converted": {
        "default/test/0000.parquet": ("my_set", "test"),
        "default/train/0000.parquet": ("my_set", "train"),
        "default/train/0001.parquet": ("my_set", "train"),
    },
    "several converted": {
        "en/test/0000.parquet": ("en", "test"),
        "en/train/0000.parquet": ("en", "train"),
        "ж/test/0000.parquet": ("ж", "test"),
        "ж/train/0000.parquet": ("ж", "train"),
    },
    "stems": {
        "latin.parquet": ("latin", None),
        "pets-test.parquet": ("pets", "test"),
        "pets-train.parquet": ("pets", "train"),
    },
}


@pytest.mark.parametrize("of", ["classes", "samples"])
@pytest.mark.parametrize("kind", SHARDS)
def test_the_path_of_a_file_is_its_domain_and_split(tmp_path, kind, of):
    root, records, truth = tmp_path / "my_set", [], []
    for position, (name, (domain, split)) in enumerate(sorted(SHARDS[kind].items())):
        numbers = range(4 * position, 4 * position + 4)
        labels = ["a", "b"] * 2 if of == "samples" else [f"{split} a", f"{split} b"] * 2
        path = save(root / name, numbers, labels)
        records += reader.records_of_parquet(path, domain=domain, split=split)
        pairs = zip(labels, numbers, strict=True)
        truth += [record(domain, label, split, number) for label, number in pairs]
    check(root, records, truth)


@pytest.mark.parametrize("options", [{}, {"channels": 3, "invert": True}])
def test_pictures_of_every_format_in_a_table_and_a_list_are_those_of_the_slow_reader(
    tmp_path, options
):
    families = (other_variants, lossy_variants, deep_variants, tiff_variants)
    variants = [variant for family in families for variant in family(2)]
    table = {"image": [v.encoded for v in variants], "label": [v.name for v in variants]}
    pq.write_table(pa.table(table), tmp_path / "set.parquet")
    expected = reader.dataset(
        reader.records_of_parquet(tmp_path / "set.parquet", domain="set"), **options
    )
    data = load_dataset(settings(tmp_path / "set.parquet", **options))
    assert_same(data, expected, tolerance=DEEP)
    root = write(tmp_path / "list", {v.name + v.ending: v.encoded for v in variants})
    rows = [(v.name + v.ending, "set", v.name) for v in variants]
    with (root / "metadata.csv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([("file_name", "domain", "label"), *rows])
    assert_same(load_dataset(settings(root, **options)), expected, tolerance=DEEP)
