import json
import struct
import subprocess
import sys
from importlib.util import find_spec
from typing import get_args

import numpy as np
import pytest

from metagan.config.image import ImageData, SourceName
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.data.registry import SOURCES, find_loader, load_dataset
from metagan.data.repeats import duplicate_notes
from tests.kinds.image.pictures import png, settings, write


def test_every_source_of_the_settings_has_a_module_and_the_other_way_round():
    assert set(SOURCES) | {"auto"} == set(get_args(SourceName))
    assert all(find_spec(module) for module in SOURCES.values())


def test_the_table_imports_no_source_and_no_torch():
    code = (
        "import sys, metagan.data.registry; "
        "print([m for m in sys.modules if m == 'torch' or m == 'pyarrow' or m == 'PIL' "
        "or (m.startswith('metagan.kinds.image.sources.'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_source_is_refused_with_the_known_ones():
    with pytest.raises(DataError, match="'lmdb'; sources are glyphs, omniglot"):
        find_loader("lmdb")


def test_auto_loads_what_it_detects(tmp_path):
    write(tmp_path / "d", {"latin/a/1.png": png(1), "greek/a/1.png": png(2)})
    data = load_dataset(settings(tmp_path / "d", "auto"))
    assert data.origin["source"] == "image_folder"
    assert data.domains == ("greek", "latin")


def test_a_path_that_does_not_exist_suggests_its_nearest_sibling(tmp_path):
    (tmp_path / "omniglot").mkdir()
    with pytest.raises(
        DataError, match=r"data\.path .*omniglt does not exist; did you mean .*ot\?"
    ):
        load_dataset(settings(tmp_path / "omniglt"))
    with pytest.raises(DataError, match=r"did you mean .*omniglot\?"):
        load_dataset(settings(tmp_path / "Omniglot" / "images.zip", "omniglot"))
    with pytest.raises(DataError, match=r"does not exist$"):
        load_dataset(settings(tmp_path / "zzz"))


def test_a_remote_path_and_a_missing_one_are_explained():
    with pytest.raises(DataError, match="remote data is not read in place"):
        load_dataset(settings("s3://bucket/data"))
    with pytest.raises(DataError, match=r"needs data\.path"):
        load_dataset(ImageData(source="idx"))


def dataset(**samples):
    records = {
        ClassRecord(name[0], name[1:], {"t": "train", "e": "test"}.get(name[0])): np.array(
            [(value, 255) for value in values], np.uint8
        ).reshape(-1, 1, 1, 2)
        for name, values in samples.items()
    }
    return Dataset.from_classes(records)


def test_equal_samples_across_the_published_split_are_a_leak():
    notes = duplicate_notes(dataset(ta=[1, 2, 3], tb=[3], ea=[2, 9], eb=[3]))
    assert len(notes) == 1
    assert notes[0].startswith("leak: 2 samples")
    assert "e/a and t/a" in notes[0]


def test_equal_samples_in_one_class_are_counted():
    notes = duplicate_notes(dataset(xa=[1, 1, 1, 2], xb=[1, 3, 3]))
    assert len(notes) == 1
    assert notes[0].startswith("duplicates: 3 samples")


def test_clean_data_has_no_such_notes():
    assert duplicate_notes(dataset(ta=[1, 2], tb=[1, 3], ea=[4])) == []


def test_load_dataset_adds_the_leak_to_the_notes(tmp_path):
    files = {"train/latin/a/1.png": png(1), "test/runes/a/1.png": png(1)}
    data = load_dataset(settings(write(tmp_path, files), "image_folder"))
    assert sum(note.startswith("leak: 1 sample is") for note in data.notes) == 1


def test_domains_that_look_like_parts_of_one_data_set_come_first(tmp_path):
    places = [f"{d}/{c}" for d in ("latin", "latin-test", "greek") for c in "ab"]
    files = {f"{place}/1.png": png(i) for i, place in enumerate(places)}
    data = load_dataset(settings(write(tmp_path, files), "image_folder"))
    assert data.notes[0].startswith("leak by construction: the domains latin, latin-test")


def test_bad_files_of_every_layout_raise_a_data_error_through_the_one_entrance(tmp_path):
    garbage = {
        "a.npz": b"PK\x03\x04garbage",
        "a.zip": b"PK\x03\x04garbage",
        "a.tar.gz": b"\x1f\x8bgarbage",
        "a.csv": b"\xff\xfe\x00",
        "a.jsonl": json.dumps(["x"]).encode(),
        "a.parquet": b"PAR1garbagePAR1",
        "t10k-images-idx3-ubyte": struct.pack(">4I", 2051, 9, 9, 9),
        "t10k-labels-idx1-ubyte": struct.pack(">2I", 2049, 9),
    }
    write(tmp_path, garbage)
    for name in sorted(garbage)[:-1]:
        with pytest.raises(DataError, match=name):
            load_dataset(settings(tmp_path / name, "auto"))
