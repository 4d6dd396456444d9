import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from metagan.data.dataset import DataError
from metagan.kinds.image.sources.npz import load
from tests.kinds.image.pictures import settings


def pictures(count, *shape, seed=0):
    shape = (count, *(shape or (16, 16)))
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def load_from(path, **changes):
    return load(settings(path, "npz", **changes))


def save(tmp_path, **arrays):
    np.savez_compressed(tmp_path / "chest.npz", **arrays)
    return tmp_path / "chest.npz"


def test_the_parts_are_merged_with_every_class_once(tmp_path):
    images = pictures(6)
    path = save(
        tmp_path,
        train_images=images[:3],
        train_labels=np.array([[0], [1], [0]], np.uint8),
        val_images=images[3:4],
        val_labels=np.array([[1]], np.uint8),
        test_images=images[4:],
        test_labels=np.array([[0], [1]], np.uint8),
    )
    data = load_from(path)
    assert [(r.name, r.split) for r in data.classes] == [("chest/0", None), ("chest/1", None)]
    assert np.array_equal(data.samples[:, 0], images[[0, 2, 4, 1, 3, 5]])
    assert "parts merged" in data.notes[0]
    assert data.origin["sizes"] == "16 x 16 (6)"
    assert set(data.origin["sha256"]) == {"chest.npz"}


def test_plain_arrays_flat_labels_gaps_and_names_are_read(tmp_path):
    images = pictures(3, 16, 16, 3)
    data = load_from(save(tmp_path, images=images, labels=np.array([7, 2, 7])), channels=3)
    assert [r.label for r in data.classes] == ["2", "7"]
    assert np.array_equal(data.samples[0], images[1].transpose(2, 0, 1))
    data = load_from(save(tmp_path, images=images, labels=np.array(["cat", "dog", "cat"])))
    assert [r.label for r in data.classes] == ["cat", "dog"]


def test_an_uncompressed_and_a_fortran_ordered_file_read_alike(tmp_path):
    images, labels = pictures(4), np.array([0, 1, 0, 1])
    first = load_from(save(tmp_path, images=images, labels=labels))
    np.savez(tmp_path / "chest.npz", images=np.asfortranarray(images), labels=labels)
    assert load_from(tmp_path / "chest.npz").fingerprint() == first.fingerprint()


def test_floats_are_read_over_one_range_for_all_parts(tmp_path):
    unit = np.full((1, 16, 16), 0.5, np.float32)
    assert (load_from(save(tmp_path, images=unit, labels=[0])).samples == 128).all()
    wide = np.full((1, 16, 16), 200.0)
    data = load_from(
        save(tmp_path, train_images=unit, train_labels=[0], test_images=wide, test_labels=[1])
    )
    assert [int(data.samples[i].max()) for i in (0, 1)] == [0, 200]


def test_arrays_of_booleans_are_looked_at_as_black_and_white(tmp_path):
    for channels in (3, 4):
        images = np.ones((2, 16, 16, channels), np.bool_)
        images[0, 3:9, 3:9] = False
        images[1, 3, :, 0] = False
        data = load_from(save(tmp_path, images=images, labels=[0, 0]))
        (counts,) = data.origin["pictures"].values()
        assert (counts["colour"], counts["transparent"]) == (1, int(channels == 4))
        assert data.samples[0, 0, 5, 5] == 0
        assert data.samples[0, 0, 0, 0] == 255


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 256.0])
def test_floats_that_are_no_pixels_are_refused(tmp_path, value):
    images = np.zeros((2, 16, 16))
    images[1, 3, 3] = value
    with pytest.raises(DataError, match=r"chest\.npz:images: pixels"):
        load_from(save(tmp_path, images=images, labels=[0, 1]))


def test_floats_without_any_number_are_refused_without_a_warning(tmp_path):
    # Warnings are errors in these tests.
    with pytest.raises(DataError, match="pixels hold NaN"):
        load_from(save(tmp_path, images=np.full((2, 16, 16), np.nan), labels=[0, 1]))


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"data": np.zeros(3), "more": np.zeros(3)}, "arrays are data, more"),
        ({f"part{n:03}": np.zeros(1) for n in range(300)}, "arrays are part000, .*, 295 more$"),
        ({"images": pictures(2)}, "has images but no labels"),
        ({"images": pictures(2), "labels": [0, 1, 2]}, r"labels has shape \(3,\)"),
        ({"images": pictures(2), "labels": np.zeros((2, 14), int)}, "one label for each of 2"),
        ({"images": pictures(2), "labels": [0.5, 1.0]}, "labels is float64"),
        ({"images": pictures(2), "labels": [-1, 0]}, "negative label -1"),
        ({"images": pictures(2), "labels": [1e20, 0.0]}, r"holds 1e\+20; whole numbers"),
        ({"images": pictures(2, 16, 16, 16, 16), "labels": [0, 1]}, "shape"),
        ({"images": pictures(2, 28, 28, 28), "labels": [0, 1]}, "shape"),
        ({"images": np.zeros((0, 16, 16), np.uint8), "labels": np.zeros(0, int)}, "no samples"),
        ({"images": np.uint8(3), "labels": np.zeros(0, int)}, r"images: shape \(\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, arrays, reason):
    with pytest.raises(DataError, match=reason):
        load_from(save(tmp_path, **arrays))


class Payload:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_a_pickled_array_is_refused_and_its_payload_never_runs(tmp_path):
    canary = tmp_path / "canary"
    path = save(tmp_path, images=np.array([Payload(canary)], dtype=object), labels=[0])
    with pytest.raises(DataError, match="would have to be unpickled"):
        load_from(path)
    path.write_bytes(pickle.dumps(Payload(canary)))
    with pytest.raises(DataError, match="not npz, or damaged"):
        load_from(path)
    assert not canary.exists()


def rewrite(path, member, content):
    """The file again with one member replaced."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, old in members.items():
            archive.writestr(name, content if name == member else old)


def test_a_header_that_declares_more_than_there_is_is_refused_without_allocating(tmp_path):
    path = save(tmp_path, images=pictures(2), labels=[0, 1])
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 1000, 1000)}
    )
    rewrite(path, "images.npy", header.getvalue() + bytes(100))
    with pytest.raises(DataError, match="1000000000000000 bytes, not those of the file"):
        load_from(path)


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", b"garbage" * 9, b"\x93NUMPY\x01\x00\xff\xff{"]
)
def test_a_damaged_member_is_refused(tmp_path, content):
    path = save(tmp_path, images=pictures(2), labels=[0, 1])
    rewrite(path, "images.npy", content)
    with pytest.raises(DataError, match=r"chest\.npz"):
        load_from(path)


def test_a_truncated_file_and_a_flipped_byte_are_refused(tmp_path):
    path = save(tmp_path, images=pictures(20), labels=np.arange(20))
    whole = path.read_bytes()
    path.write_bytes(whole[:2000])
    with pytest.raises(DataError, match="not npz, or damaged"):
        load_from(path)
    path.write_bytes(whole[:1000] + bytes([whole[1000] ^ 255]) + whole[1001:])
    with pytest.raises(DataError, match="not npz, or damaged"):
        load_from(path)


@pytest.mark.data
def test_the_published_pneumonia_file_has_1466_pictures_a_class(published_data):
    data = load_from(published_data / "pneumoniamnist" / "pneumoniamnist.npz", image_size=28)
    assert [r.name for r in data.classes] == ["pneumoniamnist/0", "pneumoniamnist/1"]
    assert [data.count(index) for index in (0, 1)] == [1466, 1466]
