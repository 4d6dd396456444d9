import pytest

from metagan.data.dataset import DataError
from metagan.kinds.image.sources.layout import find_layout


def read(*folders, count=3, lists=()):
    """{folder: "split:domain/class"} and the notes; a name is a folder with `count` pictures."""
    names = {tuple(folder.split("/")) if folder else (): ["0.png"] * count for folder in folders}
    layout = find_layout(names, "/data", "root", lists=lists)
    shown = {
        "/".join(folder): f"{place.split or ''}:{place.domain}/{place.label}".lstrip(":")
        for folder, place in layout.places.items()
    }
    return shown, "; ".join(layout.notes)


def each(*patterns, **names):
    """Every combination of names in patterns such as `{d}/{c}`."""
    found = list(patterns)
    for key, values in names.items():
        found = [p.replace(f"{{{key}}}", v) for p in found for v in values]
    return list(dict.fromkeys(found))


def classes(*folders):
    return sorted(set(read(*folders)[0].values()))


def refused(*folders, **options):
    with pytest.raises(DataError) as error:
        read(*folders, **options)
    return str(error.value)


def test_levels_that_name_nothing_are_passed_through():
    four = ["root/c0", "root/c1", "root/c2", "root/c3"]
    names = ["c0", "c1", "c2", "c3"]
    assert classes(*each("{c}/images", c=names)) == four
    assert classes(*each("data/{c}/images", c=names)) == four
    assert classes("c0/images", "c1/IMG", "c2/Pictures", "c3") == four
    assert classes(*each("{c}/{c}", c=["c0"]), "c1/c1", "c2/C2", "c3/c3") == four
    assert classes(*each("v1/data/{d}/{c}/img", d=["latin", "greek"], c=["a"])) == [
        "greek/a",
        "latin/a",
    ]
    assert classes(*each("{d}/images/{c}", d=["latin", "greek"], c=["a", "b"])) == [
        "greek/a",
        "greek/b",
        "latin/a",
        "latin/b",
    ]


def test_a_folder_of_the_same_name_in_every_class_is_passed_through_with_a_note():
    shown, notes = read(*each("{c}/rgb", c=["c0", "c1", "c2"]))
    assert shown["c1/rgb"] == "root/c1"
    assert "passed through: rgb" in notes
    # Of two folders nobody can tell; they are what they were.
    assert classes("latin/a", "greek/a") == ["greek/a", "latin/a"]


def test_pictures_directly_in_the_folders_of_a_split_are_refused_with_the_list_of_labels():
    for folders in ("train test", "data/Train data/TEST-2", "trainA trainB testA testB", "train"):
        assert "parts of a split, no classes" in refused(*folders.split())
    message = refused("train", "test", lists=["train/metadata.csv"])
    assert "if train/metadata.csv has the labels" in message


def test_classes_of_one_domain_that_are_called_like_splits_are_refused():
    assert "in greek the folders test, train are parts of a split" in refused(
        "latin/a", "latin/b", "greek/train", "greek/test"
    )
    assert "parts of a split" in refused(*each("{c}/{s}", c=["c0", "c1"], s=["train", "test"]))


def test_two_folders_of_formats_are_two_classes_with_a_note():
    shown, notes = read(*each("{d}/{c}", d=["sharp", "blurred"], c=["jpg", "png"]))
    assert shown["sharp/jpg"] == "sharp/jpg"
    assert "sharp/jpg, sharp/png" in notes


def test_a_folder_of_images_alone_is_no_class():
    message = refused("images", lists=["labels.csv"])
    assert "the folder images is no class" in message
    assert "labels.csv" in message


def test_base_and_novel_are_the_parts_of_few_shot_learning():
    shown, notes = read(*each("{s}/{s}-x/{c}", s=["base", "val", "novel"], c=["a", "b"]))
    assert shown["base/base-x/a"] == "train:base-x/a"
    assert shown["novel/novel-x/b"] == "test:novel-x/b"
    assert "base (train), novel (test)" in notes


@pytest.mark.parametrize(
    ("folder", "place"),
    [
        ("train2017/a", "train:root/a"),
        ("test-images/a", "test:root/a"),
        ("Training Set/latin/a", "train:latin/a"),
        ("trainA/a", "train:A/a"),
        ("latin-test/a", "test:latin/a"),
        ("train/train/a", "train:root/a"),
        ("data/test1/latin/a/images", "test:latin/a"),
        ("latin/train/a", "train:latin/a"),
        ("train/images/a", "train:root/a"),
    ],
)
def test_split_folders_of_many_spellings_are_parts_of_the_split(folder, place):
    other = {"train": "test", "test": "train", "Train": "Test"}
    twin = folder
    for word, instead in other.items():
        if word in folder:
            twin = "/".join(part.replace(word, instead) for part in folder.split("/"))
            break
    more = ["greek/train/b", "greek/test/b"] if folder.startswith("latin/") else []
    assert read(folder, twin, *more)[0][folder] == place


def test_folds_are_merged_with_a_note():
    shown, notes = read(*each("fold{n}/{c}", n="123", c="ab"))
    assert set(shown.values()) == {"root/a", "root/b"}
    assert "numbered parts are merged: fold1, fold2, fold3" in notes


def test_a_split_beside_other_folders_is_refused():
    assert "test is called like a part of a split, but greek, latin" in refused(
        *each("{d}/{c}", d=["latin", "greek", "test"], c="ab")
    )
    assert "val_2" in refused("cat", "dog", "val_2")
    assert "test is called like a part of a split" in refused("cat", "dog", "test/unknown")


def test_words_that_need_not_be_splits_are_noted():
    shown, notes = read("valid", "invalid", "unclear")
    assert shown["valid"] == "root/valid"
    assert "classes with a split's word: valid" in notes
    assert "domains with a split's word: latin-test" in read("latin-test/a", "greek/a", "x/b")[1]


def test_folders_below_a_class_are_merged_into_it():
    flat = each("{d}/{c}", d=["latin", "greek"], c=["a", "b", "c"])
    shown, notes = read(*flat, "latin/d/session1", "latin/d/session2", "greek/a/extra")
    assert shown["latin/d/session2"] == "latin/d"
    assert shown["greek/a/extra"] == "greek/a"
    assert "merged into it: greek/a (extra), latin/d (session1, session2)" in notes
    # All of a domain may lie deeper if its classes are known by name.
    assert read(*flat, *each("arm/{c}/s1", c="abc"))[0]["arm/b/s1"] == "arm/b"


def test_a_domain_inside_another_folder_is_refused():
    flat = each("{d}/{c}", d=["latin", "greek"], c=["a", "b", "c"])
    assert "arm/arm (with a, b)" in refused(*flat, "arm/arm/a", "arm/arm/b")
    assert "may be a class or a folder of classes" in refused(*flat, "arm/x/k0", "arm/x/k1")
    assert "latin/more (with a)" in refused(*flat, "latin/more/a")


def test_whole_folders_at_another_depth_are_refused():
    flat = each("{d}/{c}", d=["latin", "greek"], c=["a", "b", "c"])
    message = refused(*flat, "arm", "geo")
    assert "2 folders with pictures would be left out: arm (3 pictures), geo" in message
    assert "test (3 pictures)" in refused("train/cat", "train/dog", "test")


def test_loose_pictures_beside_classes_are_left_out():
    names = {("latin", "a"): ["0.png"] * 9, ("latin", "b"): ["0.png"] * 9}
    layout = find_layout(names | {("latin",): ["x.png"], (): ["y.png"]}, "/data", "root")
    assert list(layout.loose) == [(), ("latin",)]
    assert set(layout.places) == set(names)


def test_unlabelled_pictures_do_not_decide_how_deep_classes_are():
    names = {("train", "cat"): ["0.png"], ("train", "dog"): ["0.png"], ("test",): ["0.png"] * 900}
    with pytest.raises(DataError, match=r"test \(900 pictures\)"):
        find_layout(names, "/data", "root")


def test_names_that_differ_in_case_alone_are_noted_but_for_letters():
    notes = read("latin/Alpha", "latin/alpha", "latin/c d", "latin/cd", "Latin/b", "x/A", "x/a")[1]
    assert "latin/Alpha and latin/alpha" in notes
    assert "latin/c d and latin/cd" in notes
    assert "Latin/... and latin/..." in notes
    assert "x/A" not in notes


def test_masks_beside_images_are_told_of():
    assert "c0/images" in read(*each("{c}/{k}", c=["c0", "c1"], k=["images", "masks"]))[1]


def test_domains_of_one_class_each_are_told_of():
    notes = read(*each("{c}/{c}_pictures", c=["c0", "c1", "c2"]))[1]
    assert "every domain has one class, such as c0/c0_pictures" in notes
    assert "every domain" not in read("latin/a", "greek/b", "runes/c", "runes/d")[1]
