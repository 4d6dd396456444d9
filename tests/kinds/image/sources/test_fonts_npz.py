"""Pictures of faces in one npz: published splits, families, the reference, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from metagan.data.dataset import ClassRecord, DataError
from metagan.data.pairs import reference_of
from metagan.data.registry import load_dataset
from metagan.data.repeats import find_leak, find_repeats
from metagan.data.splits import SPLITS, make_splits
from metagan.kinds.image.sources.detect import detect_source
from tests.kinds.image.pictures import settings, write

FACES = {"train": [f"Foo {i}" for i in range(6)], "validation": ["Bar"], "test": ["Baz", "Qux"]}


def arrays(**changes: object) -> dict[str, np.ndarray]:
    """A file's arrays of three characters at 24 x 24; a change to None leaves one out."""
    rng = np.random.default_rng(0)
    found: dict[str, object] = {
        "characters": np.array(["A", "a", "ffi"]),
        "reference": rng.integers(0, 256, (3, 24, 24), dtype=np.uint8),
        "train_family": np.array([0, 0, 1, 1, 2, 3]),
        "unseen_characters": np.array([1]),
    }
    for split, faces in FACES.items():
        shape = (len(faces), 3, 24, 24)
        found[split] = rng.integers(0, 256, shape, dtype=np.uint8)
        found[f"{split}_faces"] = np.array(faces)
    found |= changes
    return {name: np.asarray(array) for name, array in found.items() if array is not None}


def saved(folder: Path, **changes: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "faces.npz", **arrays(**changes))
    return folder / "faces.npz"


def load(path: Path, **changes: object):
    return load_dataset(settings(path, **{"image_size": 24, **changes}))


def test_faces_are_domains_with_published_splits_and_families(tmp_path):
    path = saved(tmp_path)
    assert detect_source(path) == detect_source(tmp_path) == "fonts"
    data, stored = load(path), arrays()
    every = [face for faces in FACES.values() for face in faces]
    assert data.domains == tuple(sorted([*every, "reference"]))
    for split, faces in FACES.items():
        for row, face in enumerate(faces):
            family = str(stored["train_family"][row]) if split == "train" else None
            for place, label in enumerate(
                ["U+0041 LATIN CAPITAL LETTER A", "U+0061 LATIN SMALL LETTER A", "ffi"]
            ):
                index = data.classes.index(ClassRecord(face, label, split, family))
                np.testing.assert_array_equal(
                    data.class_samples(index)[0, 0], stored[split][row, place]
                )
    assert data.origin["reference_domain"] == "reference"
    assert data.origin["unseen_labels"] == ["U+0061 LATIN SMALL LETTER A"]
    assert {data.classes[index].split for index in data.classes_of("reference")} == {None}
    # The reference is in no split, so nothing is said of it.
    assert data.notes == ()
    assert load(tmp_path).fingerprint() == data.fingerprint()


def test_the_published_split_is_followed_and_the_reference_is_in_none(tmp_path):
    data = load(saved(tmp_path))
    splits = make_splits(data, settings(tmp_path), seed=0)
    for split in SPLITS:
        assert {data.classes[i].domain for i in splits.of(split)} == set(FACES[split])
    by_domain = make_splits(data, settings(tmp_path, split_by="domain"), seed=0)
    families = [{data.classes[i].group for i in by_domain.of(split)} - {None} for split in SPLITS]
    assert not families[0] & (families[1] | families[2])


def test_splits_that_the_file_lacks_are_drawn_from_its_training_faces_by_family(tmp_path):
    path = saved(tmp_path, test=None, test_faces=None, validation=None, validation_faces=None)
    data = load(path)
    assert {record.split for record in data.classes} == {None}
    no_test = load(saved(tmp_path / "b", test=None, test_faces=None))
    splits = make_splits(no_test, settings(path), seed=1)
    assert {no_test.classes[i].domain for i in splits.validation} == {"Bar"}
    assert {no_test.classes[i].split for i in splits.test} == {"train"}
    groups = [{no_test.classes[i].group for i in splits.of(s)} for s in ("train", "test")]
    assert not groups[0] & groups[1]


def test_pictures_are_resized_as_those_of_other_files_are(tmp_path):
    stored = arrays()
    faces = load(saved(tmp_path), image_size=28, channels=3, invert=True)
    plain = tmp_path / "plain.npz"
    np.savez(plain, images=stored["test"][:, 0], labels=np.array(["Baz", "Qux"]))
    others = load(plain, source="npz", image_size=28, channels=3, invert=True)
    for number, face in enumerate(("Baz", "Qux")):
        index = faces.classes_of(face)[0]
        np.testing.assert_array_equal(faces.class_samples(index), others.class_samples(number))


def test_a_file_without_a_reference_or_families_is_read(tmp_path):
    data = load(saved(tmp_path, reference=None, train_family=None, unseen_characters=None))
    assert "reference_domain" not in data.origin
    assert "unseen_labels" not in data.origin
    assert {record.group for record in data.classes} == {None}


def test_families_may_be_names_and_every_split_may_have_them(tmp_path):
    data = load(saved(tmp_path, train_family=list("xxyyzz"), test_family=[b"p", b"q"]))
    assert [data.group_of(face) for face in ("Foo 0", "Foo 5", "Qux", "Bar")] == [
        *("x", "z", "q"),
        None,
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train_faces": [*"abcde", "a"]}, "the face 'a' is twice in train_faces; give each"),
        ({"test_faces": ["Bar", "Qux"]}, "the face 'Bar' is in validation_faces and in test_faces"),
        ({"test_faces": ["reference", "Qux"]}, "the face 'reference' is in reference and in test_"),
        ({"train_faces": list("abcde")}, r"train has shape \(6, 3, 24, 24\); \(5, 3, H, W\) fits"),
        ({"test": np.zeros((2, 4, 24, 24))}, r"test has shape \(2, 4, .*; \(2, 3, H, W\) fits"),
        ({"test": np.zeros((2, 3, 24))}, r"test has shape \(2, 3, 24\); \(2, 3, H, W\) fits"),
        ({"reference": np.zeros((2, 24, 24))}, r"reference has shape \(2, .*; \(3, H, W\) fits"),
        ({"test_faces": None}, "has test but no test_faces with the names of its faces"),
        ({"train": None}, "has train_faces but no array train with their pictures"),
        ({"characters": None}, "has train_faces but no array characters with the labels"),
        ({"characters": ["A", "a", "A"]}, "characters holds 'A' 2 times; give each once"),
        ({"characters": ["A", "a", " "]}, "characters holds an empty label"),
        ({"characters": [1, 2, 3]}, r"characters is int64 of shape \(3,\); \(n,\) text is read"),
        ({"test_faces": ["Baz", ""]}, "test_faces holds an empty name"),
        ({"test_faces": [b"Baz", b"\xff"]}, "test_faces holds what is no text"),
        (
            {"train_family": [0, 1]},
            r"train_family is int64 of shape \(2,\); a whole number or",
        ),
        ({"unseen_characters": [3]}, "unseen_characters holds 3, but there are 3 characters, 0 to"),
        ({"unseen_characters": ["A"]}, r"unseen_characters is <U1 of shape \(1,\); places"),
        ({"test": np.full((2, 3, 24, 24), np.nan)}, "NaN"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, changes, said):
    with pytest.raises(DataError, match=said) as error:
        load(saved(tmp_path, **changes))
    assert "faces.npz" in str(error.value)


def test_two_files_of_faces_in_a_folder_are_refused(tmp_path):
    saved(tmp_path)
    np.savez(tmp_path / "others.npz", **arrays())
    with pytest.raises(DataError, match=r"several sets of faces \(faces.npz, others.npz\); give"):
        load(tmp_path)


def test_font_files_beside_pictures_of_faces_are_refused(tmp_path):
    saved(write(tmp_path, {"deep/a.ttf": b""}))
    with pytest.raises(DataError, match=r"pictures of faces \(faces.npz\) and font files \(deep/a"):
        load(tmp_path)


def test_a_damaged_file_is_for_its_own_reader_to_explain(tmp_path):
    write(tmp_path, {"a.npz": b"PK\x03\x04"})
    assert detect_source(tmp_path / "a.npz") == "npz"
    with pytest.raises(DataError, match="not npz, or damaged"):
        load(tmp_path / "a.npz")


def test_published_faces_are_read_as_their_page_says(published_data: Path) -> None:
    path = published_data / "fonts" / "fonts.npz"
    if not path.is_file():
        pytest.skip(f"no pictures of fonts at {path}")
    data = load(path)
    assert len(data.domains) == 312 + 24 + 1
    assert data.num_classes == 337 * 62
    # 130 families, of which two are copies of others.
    assert len({record.group for record in data.classes} - {None}) == 128
    letters = [label[-1] for label in data.origin["unseen_labels"][:3]]
    assert letters == list("DNR")
    repeats = find_repeats(data)
    for seed in range(10):
        splits = make_splits(data, settings(path), seed=seed)
        assert find_leak(data, repeats, splits.sides()) is None
    sizes = [len(splits.of(split)) for split in SPLITS]
    # Twelve characters are in no training face.
    assert sizes == [250 * 50, 24 * 62, 62 * 62]
    sides = [{data.classes[i].group for i in splits.of(s)} for s in ("train", "test")]
    assert not sides[0] & sides[1]
    inputs = reference_of(data, "reference")
    first = data.classes_of("Oxygen-Sans Sans-Bold")[10]
    assert data.classes[inputs[first]].name == "reference/U+0041 LATIN CAPITAL LETTER A"
