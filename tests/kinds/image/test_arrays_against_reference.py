"""Arrays (npz, idx) and Omniglot, read by the product and by a slow reader."""

import gzip
import shutil
import zipfile

import numpy as np
import pytest

from metagan.data.registry import load_dataset
from tests.kinds.image.agreement import assert_same, drawings
from tests.kinds.image.picture_writers import idx
from tests.kinds.image.pictures import settings, write
from tests.reference import reader
from tests.reference.reader import Record

# Name: numpy's type, the largest value, and the value that is white.
NUMBERS = {
    "bytes": (np.uint8, 255, 255),
    "booleans": (np.bool_, 1, 1),
    "16 bits, little end first": ("<u2", 65535, 65535),
    "16 bits, large end first": (">u2", 65535, 65535),
    "12 of 16 bits": ("<u2", 4000, 4095),
    "bytes in 32 bits": (np.int32, 255, 255),
    "bytes in 64 bits": (np.int64, 250, 255),
    "10 bits in 64": (">i8", 1000, 1023),
    "floats to 1": (np.float32, 1, 1),
    "floats to 255": (np.float64, 255, 255),
    "half floats to 1": (np.float16, 1, 1),
}
SHAPES = {
    "HW": (9, 14),
    "HW of the size": (16, 16),
    "HW1": (20, 7, 1),
    "HW3": (9, 14, 3),
    "HW4": (17, 5, 4),
}


def arrays(dtype, top, shape, count=6, seed=0):
    """(count, *shape) random pictures that use the whole scale."""
    rng = np.random.default_rng([seed, *shape])
    found = rng.random((count, *shape)) * top if np.dtype(dtype).kind == "f" else None
    found = rng.integers(0, top + 1, (count, *shape)) if found is None else found
    found.reshape(count, -1)[:, :2] = 0, top
    return found.astype(dtype)


@pytest.mark.parametrize(
    "options", [{}, {"channels": 3}, {"invert": True}, {"channels": 3, "invert": True}]
)
@pytest.mark.parametrize("numbers", NUMBERS)
def test_arrays_of_every_kind_and_shape_are_the_pictures_that_were_saved(
    tmp_path, numbers, options
):
    dtype, top, white = NUMBERS[numbers]
    for name, shape in SHAPES.items():
        images = arrays(dtype, top, shape)
        np.savez(tmp_path / f"{name}.npz", images=images, labels=[0, 1, 2] * 2)
        with np.load(tmp_path / f"{name}.npz") as saved:
            records = reader.records_of_arrays(saved["images"], saved["labels"], name, white=white)
        data = load_dataset(settings(tmp_path / f"{name}.npz", **options))
        assert_same(data, reader.dataset(records, **options))


LABELS = {
    "whole numbers": ([0, 1, 0, 1, 7, 7], "0 1 0 1 7 7"),
    "a column": (np.array([[0], [1], [0], [1], [7], [7]], np.uint8), "0 1 0 1 7 7"),
    "text": (["é", "b", "é", "b", "c", "c"], "é b é b c c"),
    "bytes": (np.array([b"a", b"b", b"a", b"b", b"c", b"c"]), "a b a b c c"),
    "floats": (np.array([0, 1, 0, 1, 7, 7], np.float32), "0 1 0 1 7 7"),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("names", ["images labels", "x y", "X_train y_train", "data target"])
@pytest.mark.parametrize("labels", LABELS)
def test_labels_of_every_type_under_every_usual_name_are_read(tmp_path, labels, names, save):
    values, shown = LABELS[labels]
    images, (pictures, classes) = arrays(np.uint8, 255, (11, 8)), names.split()
    save(tmp_path / "signs.npz", **{pictures: images, classes: values})
    records = reader.records_of_arrays(images, shown.split(), "signs")
    assert_same(load_dataset(settings(tmp_path / "signs.npz")), reader.dataset(records))


@pytest.mark.parametrize("of", ["samples", "classes"])
@pytest.mark.parametrize("fortran", [False, True])
def test_medmnists_parts_are_in_one_domain_and_of_several_files_each_is_one(tmp_path, fortran, of):
    records = []
    for seed, name in enumerate(("blood", "derma")):
        saved = {}
        for number, split in enumerate(("train", "val", "test")):
            images = arrays(np.uint8, 255, (14, 9, 3), count=4, seed=10 * seed + number)
            labels = np.array([[0], [1], [0], [1]], np.uint8) + (
                10 * number if of == "classes" else 0
            )
            saved[f"{split}_images"] = np.asfortranarray(images) if fortran else images
            saved[f"{split}_labels"] = labels
            split = reader.WORDS.get(split, split)
            records += reader.records_of_arrays(images, labels, f"{name}mnist", split)
        np.savez(tmp_path / f"{name}mnist.npz", **saved)
    assert_same(load_dataset(settings(tmp_path)), reader.dataset(records))


# Name: {the files' names before -images and -labels: (domain, split)}, in the order of samples.
IDX = {
    "MNIST": {"train": ("mnist", "train"), "t10k": ("mnist", "test")},
    "torchvision's": {"raw/train": ("mnist", "train"), "raw/t10k": ("mnist", "test")},
    "several": {
        f"{name}/{part}": (name, split)
        for name in ("KMNIST", "FashionMNIST")
        for part, split in (("train", "train"), ("t10k", "test"))
    },
    "several with raw": {
        f"{name}/raw/{part}": (name, split)
        for name in ("KMNIST", "FashionMNIST")
        for part, split in (("train", "train"), ("t10k", "test"))
    },
    "EMNIST": {
        "emnist-letters-train": ("mnist", "train"),
        "emnist-letters-test": ("mnist", "test"),
    },
    "two of EMNIST": {
        f"gzip/emnist-{name}-{split}": (f"emnist-{name}", split)
        for name in ("letters", "digits")
        for split in ("train", "test")
    },
}


@pytest.mark.parametrize("of", ["samples", "classes"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", IDX)
def test_idx_files_are_the_pictures_that_were_saved(tmp_path, kind, packed, of):
    root, records = tmp_path / "mnist", []
    for seed, (name, (domain, split)) in enumerate(IDX[kind].items()):
        images = arrays(np.uint8, 255, (13, 9), count=6, seed=seed)
        # EMNIST is stored column by column.
        stored = images.transpose(0, 2, 1) if "emnist" in name else images
        labels = np.array([0, 1, 2] * 2, np.uint8)
        labels += 3 if of == "classes" and split == "test" else 0
        for what, array in (("images-idx3", stored), ("labels-idx1", labels)):
            content = gzip.compress(idx(array)) if packed else idx(array)
            path = f"{name}-{what}-ubyte{'.gz' if packed else ''}"
            write(root, {path: content})
            assert np.array_equal(reader.read_idx(root / path), array)
        records += reader.records_of_arrays(images, labels, domain, split)
    for options in ({}, {"channels": 3, "invert": True}):
        assert_same(load_dataset(settings(root, **options)), reader.dataset(records, **options))


@pytest.mark.parametrize("form", ["unpacked", "below", "zips", "small zips", "one zip", "tar"])
def test_omniglot_is_bright_ink_with_alphabets_as_domains_in_every_form(tmp_path, form):
    parts = [
        ("images_background_small1", ["Latin", "N'Ko"], "train"),
        ("images_background_small2", ["Inuktitut_(Canadian_Aboriginal_Syllabics)"], "train"),
        ("images_evaluation", ["Angelic"], "test"),
    ]
    files, records = {}, []
    for seed, (part, alphabets, split) in enumerate(parts):
        top = part if form == "small zips" else part.removesuffix("_small1").removesuffix("_small2")
        found, shown = drawings(top, alphabets, seed)
        files.setdefault(top, {}).update(found)
        for name, raw in shown.items():
            assert np.array_equal(reader.read_picture(found[name]).values, raw.values)
            records.append(Record(*name.split("/")[1:3], split, raw))
    root = tmp_path / "omniglot"
    root.mkdir()
    if form in ("unpacked", "below", "tar"):
        for content in files.values():
            write(root / "omniglot-1.0/python" if form == "below" else root, content)
        shutil.make_archive(root, "gztar", root)
    else:
        for top, content in files.items():
            name = "all" if form == "one zip" else top
            with zipfile.ZipFile(root / f"{name}.zip", "a") as archive:
                for member in sorted(content):
                    archive.writestr(member, content[member])
    path = {"one zip": root / "all.zip", "tar": tmp_path / "omniglot.tar.gz"}.get(form, root)
    for invert in (False, True):
        data = load_dataset(settings(path, "omniglot", invert=invert))
        assert_same(data, reader.dataset(records, invert=not invert))


def test_one_part_of_omniglot_alone_keeps_its_split(tmp_path):
    files, shown = drawings("images_evaluation", ["Angelic", "Oriya"], 3)
    write(tmp_path / "omniglot", files)
    records = [Record(*name.split("/")[1:3], "test", raw) for name, raw in shown.items()]
    expected = reader.dataset(records, invert=True, one_part_is_enough=True)
    assert {split for split, _ in expected.values()} == {"test"}
    assert_same(load_dataset(settings(tmp_path / "omniglot", "omniglot")), expected)
