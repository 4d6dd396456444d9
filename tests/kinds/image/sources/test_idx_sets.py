"""MNIST's relatives as they are published: which file is which domain, and which way is up."""

import gzip

import numpy as np
import pytest

from metagan.data.dataset import DataError
from metagan.data.registry import load_dataset
from metagan.kinds.image.sources.idx import idx_image_files, load
from tests.kinds.image.picture_writers import idx
from tests.kinds.image.pictures import encode, noise, seeds_of, settings, write


def part(name, seeds, labels, *, upright=True):
    images = np.stack([noise(seed, 16) for seed in seeds])
    return {
        f"{name}-images-idx3-ubyte": idx(images if upright else images.transpose(0, 2, 1)),
        f"{name}-labels-idx1-ubyte": idx(np.array(labels, np.uint8)),
    }


def both(first=0):
    return part("train", [first, first + 1], [0, 1]) | part("t10k", [first + 2], [1])


def packed(files):
    return {f"{name}.gz": gzip.compress(content) for name, content in files.items()}


def below(folder, files):
    return {f"{folder}/{name}": content for name, content in files.items()}


def read(path):
    return load(settings(path, "idx"))


@pytest.mark.parametrize("raw", ["", "/raw"])
def test_folders_of_idx_files_are_a_domain_each_with_classes_of_their_own(tmp_path, raw):
    for n, name in enumerate(("MNIST", "KMNIST", "FashionMNIST")):
        write(tmp_path, below(name + raw, packed(both(3 * n))))
    data = load_dataset(settings(tmp_path))
    assert seeds_of(data) == {
        ("FashionMNIST", "0", None): [6],
        ("FashionMNIST", "1", None): [7, 8],
        ("KMNIST", "0", None): [3],
        ("KMNIST", "1", None): [4, 5],
        ("MNIST", "0", None): [0],
        ("MNIST", "1", None): [1, 2],
    }
    assert len(data.origin["sha256"]) == 12
    assert len([note for note in data.notes if note.startswith("splits: parts merged")]) == 1


@pytest.mark.parametrize("inside", ["", "/raw"])
def test_what_torchvision_keeps_in_raw_is_called_like_the_folder_above(tmp_path, inside):
    write(tmp_path / "KMNIST" / "raw", both())
    data = load_dataset(settings(f"{tmp_path / 'KMNIST'}{inside}"))
    assert data.domains == ("KMNIST",)
    only = read(tmp_path / "KMNIST" / "raw" / "train-images-idx3-ubyte")
    assert seeds_of(only) == {("KMNIST", "0", None): [0], ("KMNIST", "1", None): [1]}


@pytest.mark.parametrize("place", ["", "raw/", "EMNIST/raw/", "gzip/"])
@pytest.mark.parametrize("pack", [dict, packed])
def test_emnist_is_turned_upright_and_noted(tmp_path, place, pack):
    files = part("emnist-letters-train", [0, 1], [1, 2], upright=False)
    files |= part("emnist-letters-test", [2], [1], upright=False)
    folder = write(tmp_path / "letters", {f"{place}{n}": c for n, c in pack(files).items()})
    data = load_dataset(settings(folder))
    domain = "EMNIST" if place.startswith("EMNIST") else "letters"
    assert seeds_of(data) == {(domain, "1", None): [0, 2], (domain, "2", None): [1]}
    assert data.notes[0].startswith("orientation: pictures transposed, as EMNIST is stored column")


def test_a_single_emnist_file_is_turned_and_other_names_are_not(tmp_path):
    write(tmp_path, part("emnist-digits-test", [0], [7], upright=False))
    file = tmp_path / "emnist-digits-test-images-idx3-ubyte"
    assert list(seeds_of(read(file)).values()) == [[0]]
    for name in ("qmnist-test", "kmnist", "t10k"):
        folder = write(tmp_path / name, part(name, [0], [7]))
        data = read(folder)
        assert list(seeds_of(data).values()) == [[0]]
        assert data.notes == ()


def test_renamed_files_of_a_folder_called_emnist_are_read_as_stored_with_a_note(tmp_path):
    data = read(write(tmp_path / "EMNIST", part("train", [0], [7])))
    assert list(seeds_of(data).values()) == [[0]]
    assert data.notes[0].startswith("orientation: pictures read as stored")


def test_several_sets_of_one_folder_are_domains_as_their_labels_mean_other_things(tmp_path):
    files = part("emnist-letters-train", [0], [1], upright=False)
    files |= part("emnist-digits-train", [1], [1], upright=False)
    files |= part("emnist-digits-test", [2], [1], upright=False)
    data = read(write(tmp_path / "EMNIST" / "raw", files).parent)
    assert seeds_of(data) == {
        ("emnist-digits", "1", None): [1, 2],
        ("emnist-letters", "1", None): [0],
    }
    assert not any(note.startswith("leak:") for note in data.notes)


def test_sets_of_emnist_that_share_their_drawings_are_a_leak_and_noted_first(tmp_path):
    files = part("emnist-letters-train", [0], [1]) | part("emnist-balanced-train", [1], [10])
    data = read(write(tmp_path / "EMNIST", files))
    assert data.domains == ("emnist-balanced", "emnist-letters")
    assert data.notes[0].startswith(
        "leak: emnist-balanced, emnist-letters are made of the same dra"
    )


def test_qmnist_is_read_with_the_first_column_of_its_labels(tmp_path):
    labels = np.arange(24, dtype=np.int32).reshape(3, 8) + 4
    images = np.stack([noise(seed, 16) for seed in range(3)])
    files = {
        "qmnist-train-images-idx3-ubyte": idx(images),
        "qmnist-train-labels-idx2-int": idx(labels, 0x0C),
    }
    data = read(write(tmp_path / "QMNIST" / "raw", packed(files)).parent)
    assert seeds_of(data) == {
        ("QMNIST", "12", None): [1],
        ("QMNIST", "20", None): [2],
        ("QMNIST", "4", None): [0],
    }


@pytest.mark.parametrize(
    ("code", "dtype"),
    [(0x08, "u1"), (0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")],
)
def test_labels_of_every_type_are_read(tmp_path, code, dtype):
    files = part("t10k", [0, 1], [0, 0])
    files["t10k-labels-idx1-ubyte"] = idx(np.array([3, 5], dtype), code)
    assert seeds_of(read(write(tmp_path / "d", files))) == {
        ("d", "3", None): [0],
        ("d", "5", None): [1],
    }


@pytest.mark.parametrize(
    ("labels", "code", "reason"),
    [
        (np.array([3, -1], np.int32), 0x0C, "labels are not all whole numbers from 0 on"),
        (np.array([3, 0.5], np.float32), 0x0D, "labels are not all whole numbers from 0 on"),
        (np.array([3, np.nan], np.float64), 0x0E, "labels are not all whole numbers from 0 on"),
        (np.eye(2, dtype=np.uint8), 0x08, r"labels have shape \(2, 2\); .* one label a picture"),
    ],
)
def test_labels_that_are_no_class_are_refused(tmp_path, labels, code, reason):
    files = part("t10k", [0, 1], [0, 0]) | {"t10k-labels-idx1-ubyte": idx(labels, code)}
    with pytest.raises(DataError, match=f"t10k-labels-idx1-ubyte: {reason}"):
        read(write(tmp_path, files))


def test_a_split_of_classes_is_kept(tmp_path):
    files = part("train", [0, 1], [0, 1]) | part("t10k", [2], [2])
    assert seeds_of(read(write(tmp_path / "d", files))) == {
        ("d", "0", "train"): [0],
        ("d", "1", "train"): [1],
        ("d", "2", "test"): [2],
    }


def test_a_file_and_its_packed_form_count_once_and_must_be_equal(tmp_path):
    files = part("t10k", [0, 1], [3, 4])
    folder = write(tmp_path / "d", files | packed(files) | below("raw", files))
    assert seeds_of(read(folder)) == {("d", "3", None): [0], ("d", "4", None): [1]}
    for kind in ("images-idx3", "labels-idx1"):
        other = packed(part("t10k", [5, 6], [4, 3]))
        write(folder, {n: c for n, c in other.items() if kind in n})
        with pytest.raises(DataError, match=rf"t10k-{kind}-ubyte and t10k-{kind}-ubyte\.gz differ"):
            read(folder)
        write(folder, packed(files))


def test_the_images_files_that_a_path_reads_can_be_asked_for(tmp_path):
    write(tmp_path, part("x", [0], [0]) | below("a/raw", part("emnist-mnist-test", [0], [0])))
    write(tmp_path, below("a/b/c", part("t10k", [0], [0])) | {"a/notes-idx.txt": b""})
    assert [str(file.relative_to(tmp_path)) for file in idx_image_files(tmp_path)] == [
        "x-images-idx3-ubyte",
        "a/raw/emnist-mnist-test-images-idx3-ubyte",
    ]
    assert idx_image_files(tmp_path / "missing") == []


def test_a_linked_folder_is_named_not_followed(tmp_path):
    write(tmp_path / "elsewhere", part("t10k", [0], [0]))
    folder = write(tmp_path / "sets", below("MNIST", part("t10k", [1], [0])))
    (folder / "KMNIST").symlink_to(tmp_path / "elsewhere")
    data = read(folder)
    assert seeds_of(data) == {("MNIST", "0", None): [1]}
    assert data.notes[0].startswith("files left out: KMNIST: a link to ")


@pytest.mark.parametrize("pack", [dict, packed])
@pytest.mark.parametrize("folder", ["", "raw", "MNIST/raw"])
def test_labels_without_their_pictures_are_told_with_the_name_that_is_missing(
    tmp_path, pack, folder
):
    files = pack({n: c for n, c in both().items() if n.startswith("t10k-labels")})
    root = write(tmp_path / "sets", below(folder or ".", files))
    missing = "labels without pictures beside them; expected t10k-images-idx3-ubyte or t10k-images"
    (name,) = files
    for path in (root, root / folder / name):
        with pytest.raises(DataError, match=rf"{name}: {missing}"):
            load_dataset(settings(path))
    write(tmp_path / "sets", below(folder or ".", part("train", [0, 1], [0, 1])))
    notes = load_dataset(settings(root)).notes
    assert [missing in note for note in notes if note.startswith("files left out: ")] == [True]


def test_a_labels_file_given_itself_is_told_from_its_pictures(tmp_path):
    write(tmp_path, part("train", [0], [0]))
    with pytest.raises(
        DataError, match=r"these are labels; name their pictures: data\.path=.*images-idx3-ubyte"
    ):
        load_dataset(settings(tmp_path / "train-labels-idx1-ubyte"))


def test_labels_beside_folders_of_pictures_are_no_layout(tmp_path):
    write(tmp_path, {"latin/a/0.png": encode(noise(0, 16)), "latin/b/0.png": encode(noise(1, 16))})
    write(tmp_path, {n: c for n, c in part("train", [0], [0]).items() if "labels" in n})
    assert load_dataset(settings(tmp_path)).domains == ("latin",)
