import gzip
import struct

import numpy as np
import pytest

from metagan.data.dataset import DataError
from metagan.kinds.image.sources.idx import load
from tests.kinds.image.pictures import settings, write


def images_bytes(images):
    return struct.pack(">4I", 2051, *images.shape) + images.tobytes()


def labels_bytes(labels):
    return struct.pack(">2I", 2049, len(labels)) + bytes(labels)


def pictures(count, size=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size), dtype=np.uint8)


def part(name, images, labels):
    return {
        f"{name}-images-idx3-ubyte": images_bytes(images),
        f"{name}-labels-idx1-ubyte": labels_bytes(labels),
    }


def load_from(path, **changes):
    return load(settings(path, "idx", **changes))


def test_digits_are_classes_and_the_folder_is_the_domain(tmp_path):
    images = pictures(4)
    data = load_from(write(tmp_path / "mnist", part("t10k", images, [3, 1, 3, 1])))
    assert [(r.name, r.split) for r in data.classes] == [("mnist/1", None), ("mnist/3", None)]
    assert np.array_equal(data.samples[:, 0], images[[1, 3, 0, 2]])
    assert data.notes == ()


def test_both_parts_are_merged_with_every_class_once(tmp_path):
    files = part("train", pictures(4), [0, 1, 0, 1]) | part("t10k", pictures(2, seed=1), [0, 1])
    data = load_from(write(tmp_path / "mnist", files))
    assert [(r.name, r.split) for r in data.classes] == [("mnist/0", None), ("mnist/1", None)]
    assert [data.count(0), data.count(1)] == [3, 3]
    assert np.array_equal(
        data.class_samples(0)[:, 0], np.stack([*pictures(4)[[0, 2]], pictures(2, seed=1)[0]])
    )
    assert "parts merged" in data.notes[0]
    assert len(data.origin["sha256"]) == 4


def test_gzipped_files_and_the_dotted_names_read_alike(tmp_path):
    files = part("t10k", pictures(4), [0, 1, 0, 1])
    plain = load_from(write(tmp_path / "a" / "mnist", files))
    packed = {f"{name}.gz": gzip.compress(content) for name, content in files.items()}
    dotted = {name.replace("-idx", ".idx"): content for name, content in files.items()}
    for number, other in enumerate((packed, dotted)):
        folder = write(tmp_path / str(number) / "mnist", other)
        assert load_from(folder).fingerprint() == plain.fingerprint()


def test_one_images_file_finds_its_labels_whatever_the_set_is_called(tmp_path):
    folder = write(tmp_path / "emnist", part("emnist-letters-test", pictures(2), [1, 2]))
    data = load_from(folder / "emnist-letters-test-images-idx3-ubyte")
    assert [r.name for r in data.classes] == ["emnist/1", "emnist/2"]
    with pytest.raises(DataError, match="no idx pictures"):
        load_from(folder / "emnist-letters-test-labels-idx1-ubyte")


def test_pictures_are_resized_and_repeated_for_colour(tmp_path):
    write(tmp_path, part("t10k", np.full((1, 28, 28), 90, np.uint8), [0]))
    data = load_from(tmp_path, channels=3, invert=True)
    assert data.sample_shape == (3, 16, 16)
    assert (data.samples == 165).all()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda content: content[:-1], "declares 512 bytes .* has 511; it is truncated"),
        (lambda content: content + b"x", "declares 512 bytes .* has more"),
        (lambda content: content[:7], "7 bytes, too short for an idx header"),
        (lambda content: content[:0], "0 bytes, too short"),
        (lambda content: b"\0\0\x08\x01" + content[4:], "starts with 2049, not 2051"),
        (lambda content: b"PNG!" + content[4:], "not 2051"),
        (
            lambda content: content[:4] + b"\xff" * 12 + content[16:],
            "declares 79228162458924105385300197375 bytes, more than",
        ),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_are_refused_with_what_is_wrong(tmp_path, spoil, reason, packed):
    files = part("t10k", pictures(2), [0, 1])
    files["t10k-images-idx3-ubyte"] = spoil(files["t10k-images-idx3-ubyte"])
    if packed:
        files = {f"{name}.gz": gzip.compress(content) for name, content in files.items()}
    with pytest.raises(DataError, match=f"t10k-images-idx3-ubyte.*{reason}"):
        load_from(write(tmp_path, files))


def test_a_truncated_or_fake_gzip_is_refused(tmp_path):
    files = part("t10k", pictures(9), list(range(9)))
    packed = gzip.compress(files["t10k-images-idx3-ubyte"])
    for content in (packed[:900], b"no gzip", packed[:-8] + bytes(8)):
        folder = write(tmp_path, {"t10k-images-idx3-ubyte.gz": content})
        write(folder, {"t10k-labels-idx1-ubyte": files["t10k-labels-idx1-ubyte"]})
        with pytest.raises(DataError, match="damaged or truncated"):
            load_from(folder)


def test_pictures_without_labels_or_with_another_number_are_refused(tmp_path):
    files = part("t10k", pictures(3), [0, 1])
    with pytest.raises(DataError, match=r"3 pictures, but t10k-labels-idx1-ubyte has 2 labels"):
        load_from(write(tmp_path, files))
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="no labels beside it; expected t10k-labels-idx1-ubyte"):
        load_from(tmp_path)


def test_a_folder_without_idx_files_and_files_without_pictures_are_refused(tmp_path):
    with pytest.raises(DataError, match="no idx pictures; expected train-images-idx3-ubyte"):
        load_from(tmp_path)
    with pytest.raises(DataError, match="no samples found"):
        load_from(write(tmp_path, part("t10k", pictures(0), [])))


@pytest.mark.data
def test_the_published_mnist_test_part_has_10000_pictures(published_data):
    data = load_from(published_data / "mnist", image_size=28)
    assert len(data.samples) == 10_000
    assert [r.name for r in data.classes] == [f"mnist/{digit}" for digit in range(10)]
    counts = [data.count(index) for index in range(10)]
    assert (min(counts), max(counts)) == (892, 1135)
    # The published mean grey of MNIST is 0.13 (train part); ink is bright.
    assert abs(data.samples.mean() / 255 - 0.13) < 0.01


@pytest.mark.data
def test_the_fashion_files_are_merged_to_90_pictures_a_class(published_data):
    data = load_from(published_data / "fashion-mnist", image_size=28)
    assert [record.label for record in data.classes] == list("0124679")
    assert {data.count(index) for index in range(7)} == {90}
