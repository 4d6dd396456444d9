import contextlib
import json
import os
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metagan.data.dataset import DataError
from metagan.kinds.image.sources.parquet import load
from tests.kinds.image.pictures import encode, noise, png, settings

PICTURES = [encode(noise(seed, 16)) for seed in range(4)]
NAMED = {
    b"huggingface": json.dumps(
        {
            "info": {
                "features": {
                    "image": {"_type": "Image"},
                    "label": {"_type": "ClassLabel", "names": ["cat", "T-shirt / top"]},
                }
            }
        }
    ).encode()
}


def save(path, columns, metadata=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata(metadata), path, **options)
    return path


def structs(contents):
    return [{"bytes": content, "path": f"{i}.png"} for i, content in enumerate(contents)]


def load_from(path, **changes):
    return load(settings(path, "parquet", **changes))


def test_the_hub_layout_with_named_labels_is_read(tmp_path):
    path = save(
        tmp_path / "pets.parquet",
        {"image": structs(PICTURES), "label": [1, 0, 1, 0], "extra": [None] * 4},
        NAMED,
        row_group_size=3,
    )
    data = load_from(path)
    assert [(r.domain, r.label, r.split) for r in data.classes] == [
        ("pets", "T-shirt / top", None),
        ("pets", "cat", None),
    ]
    expected = np.stack([noise(seed, 16) for seed in (0, 2, 1, 3)])
    assert np.array_equal(data.samples[:, 0], expected)
    assert data.notes == ()


def test_plain_binary_with_domain_split_and_text_labels_is_read(tmp_path):
    columns = {
        "image": pa.array(PICTURES, pa.large_binary()),
        "domain": ["x", "x", "y", "y"],
        "label": pa.array(["a", "b", "a", "b"]).dictionary_encode(),
        "split": ["train", "train", "test", "test"],
    }
    data = load_from(save(tmp_path / "d.parquet", columns))
    assert [(r.name, r.split) for r in data.classes] == [
        ("x/a", "train"),
        ("x/b", "train"),
        ("y/a", "test"),
        ("y/b", "test"),
    ]


def test_numbers_without_names_are_their_own_names(tmp_path):
    data = load_from(save(tmp_path / "d.parquet", {"image": PICTURES, "label": [10, 2, 10, 2]}))
    assert [r.name for r in data.classes] == ["d/10", "d/2"]


def test_every_file_of_a_folder_is_a_domain_and_shards_are_one(tmp_path):
    for name in ("latin", "runes-00000-of-00002", "runes-00001-of-00002"):
        save(tmp_path / f"{name}.parquet", {"image": PICTURES[:1], "label": ["a"]})
    data = load_from(tmp_path)
    assert [(r.name, data.count(i)) for i, r in enumerate(data.classes)] == [
        ("latin/a", 1),
        ("runes/a", 2),
    ]
    assert len(data.origin["sha256"]) == 3


def test_files_called_like_splits_are_one_domain_called_like_the_folder(tmp_path):
    folder = tmp_path / "mnist"
    for name, label in (("train-00000-of-00001", "a"), ("test-00000-of-00001", "b")):
        save(folder / "data" / f"{name}.parquet", {"image": PICTURES[:1], "label": [label]})
    assert [(r.name, r.split) for r in load_from(folder).classes] == [
        ("mnist/a", "train"),
        ("mnist/b", "test"),
    ]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"img": PICTURES, "label": [0] * 4}, r"column 'image'; columns are img \(binary\), label"),
        ({"image": PICTURES, "class": [0] * 4}, r"column 'label'; columns are image"),
        ({"image": ["a.png"] * 4, "label": [0] * 4}, "column 'image' is string"),
        ({"image": [{"path": "a"}] * 4, "label": [0] * 4}, "column 'image' is struct"),
        ({"image": PICTURES, "label": [0.5] * 4}, "column 'label' is double"),
        ({"image": PICTURES, "label": [[0]] * 4}, "column 'label' is list"),
        ({"image": PICTURES, "label": [0, None, 0, 0]}, "row 1: label is None"),
        ({"image": PICTURES, "label": ["a"] * 4, "domain": ["d", "d", "", "d"]}, "row 2: domain"),
        ({"image": PICTURES, "label": ["a"] * 4, "split": ["odd"] * 4}, "row 0: split 'odd'"),
        ({"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())}, "no rows"),
    ],
)
def test_columns_that_do_not_fit_are_refused_and_listed(tmp_path, columns, reason):
    with pytest.raises(DataError, match=reason):
        load_from(save(tmp_path / "d.parquet", columns))


@pytest.mark.parametrize("label", [2, -1])
def test_a_number_without_a_name_among_named_labels_is_refused(tmp_path, label):
    path = save(tmp_path / "d.parquet", {"image": PICTURES[:1], "label": [label]}, NAMED)
    with pytest.raises(DataError, match=f"row 0: label {label}, but 2 labels have names"):
        load_from(path)


@pytest.mark.parametrize("labels", [[0, 1, -1], [0.0, 1.0, -1.0]])
def test_a_label_below_0_is_no_class_of_its_own(tmp_path, labels):
    pictures = [encode(noise(seed)) for seed in range(3)]
    path = save(tmp_path / "a.parquet", {"image": pictures, "label": labels})
    with pytest.raises(DataError, match=r"row 2: label -1 is below 0 .* drop those rows"):
        load_from(path)


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"info": {"features": {"label": []}}}'])
def test_damaged_hub_metadata_is_refused_and_foreign_metadata_ignored(tmp_path, text):
    path = save(
        tmp_path / "d.parquet",
        {"image": PICTURES[:1], "label": [0]},
        {b"huggingface": text.encode()},
    )
    if text == "{":
        with pytest.raises(DataError, match="damaged 'huggingface' metadata"):
            load_from(path)
    else:
        assert load_from(path).classes[0].label == "0"


def test_unreadable_rows_are_left_out_with_a_note(tmp_path):
    rows = [
        *structs([png(1, 16), b"garbage", b""]),
        None,
        {"bytes": None, "path": "elsewhere.png"},
    ]
    data = load_from(save(tmp_path / "d.parquet", {"image": rows, "label": [0] * 5}))
    assert data.count(0) == 1
    assert [note.split(":")[1].strip() for note in data.notes] == [
        "d.parquet, row 1 (1.png)",
        "d.parquet, row 2 (2.png)",
        "d.parquet, row 3",
        "d.parquet, row 4 (elsewhere.png)",
    ]
    assert "not embedded" in data.notes[3]


class Payload:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


class EvilType(pa.ExtensionType):
    """An extension type of the kind whose readers unpickle their metadata."""

    def __init__(self, serialized=b""):
        self.serialized = serialized
        super().__init__(pa.binary(), "tests.evil")

    def __arrow_ext_serialize__(self):
        return self.serialized

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        return cls(pickle.loads(serialized) and serialized)


def test_an_extension_type_is_refused_and_its_payload_never_runs(tmp_path):
    canary = tmp_path / "canary"
    evil = EvilType(pickle.dumps(Payload(canary)))
    array = pa.ExtensionArray.from_storage(evil, pa.array(PICTURES, pa.binary()))
    path = save(tmp_path / "d.parquet", {"image": array, "label": [0] * 4})
    # Registered, as another package in the process may have done: the worst case.
    pa.register_extension_type(evil)
    try:
        with pytest.raises(DataError, match="extension type, whose reader may run code"):
            load_from(path)
        assert not canary.exists()
        # The payload is live: looking at the schema through pyarrow runs it.
        with contextlib.suppress(Exception):
            pq.read_schema(path)
        assert canary.exists()
    finally:
        pa.unregister_extension_type("tests.evil")


@pytest.mark.parametrize("shift", range(3))
def test_an_extension_type_is_noticed_wherever_it_lies_in_the_footer(tmp_path, shift):
    array = pa.ExtensionArray.from_storage(EvilType(), pa.array(PICTURES, pa.binary()))
    # The length of the last name, stored first, decides how base64 spells the key.
    columns = {"image": array, "label": [0] * 4, "x" * (4 * shift + 4): [0] * 4}
    with pytest.raises(DataError, match="extension type"):
        load_from(save(tmp_path / "d.parquet", columns))


def test_damaged_files_are_refused(tmp_path):
    path = save(tmp_path / "d.parquet", {"image": PICTURES, "label": [0] * 4})
    whole = path.read_bytes()
    for content in (b"", b"PAR1", b"garbage" * 99, whole[:-20], whole[:4] + whole[400:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"d\.parquet: not parquet, or damaged"):
            load_from(path)


def test_a_flipped_byte_is_noticed_where_the_writer_left_checksums(tmp_path):
    path = save(
        tmp_path / "d.parquet",
        {"image": PICTURES, "label": [0] * 4},
        write_page_checksum=True,
        compression="none",
    )
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"IDAT", b"IDAX", 1))
    with pytest.raises(DataError, match="not parquet, or damaged"):
        load_from(path)


def test_a_folder_without_parquet_files_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no \.parquet file"):
        load_from(tmp_path)
