import io
import os
import tarfile
import zipfile

import numpy as np
import pytest

from metagan.dataset import DataError
from metagan.sources.image_folder import load
from tests.sources.pictures import encode, noise, png, settings, write


def load_from(path, **changes):
    return load(settings(path, "image_folder", **changes))


def names(data):
    return [record.name for record in data.classes]


def tree(*folders, count=2):
    return {
        f"{folder}/{i}.png": png(100 * number + i)
        for number, folder in enumerate(folders)
        for i in range(count)
    }


def pack_tar(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def pack_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_domains_and_classes_are_the_two_levels_of_folders(tmp_path):
    data = load_from(write(tmp_path, tree("latin/a", "latin/b", "greek/a")))
    assert names(data) == ["greek/a", "latin/a", "latin/b"]
    assert {record.split for record in data.classes} == {None}
    assert data.samples.shape == (6, 1, 16, 16)
    assert data.notes == ()
    assert data.origin["path"] == str(tmp_path)


def test_one_level_of_folders_is_one_domain_called_like_the_root(tmp_path):
    assert names(load_from(write(tmp_path / "signs", tree("0", "1")))) == ["signs/0", "signs/1"]


def test_samples_are_in_the_order_of_their_file_names(tmp_path):
    pixels = [noise(seed, 16) for seed in range(3)]
    files = {f"a/{name}.png": encode(p) for name, p in zip("cab", pixels, strict=True)}
    data = load_from(write(tmp_path, files))
    assert np.array_equal(data.samples[:, 0], np.stack([pixels[1], pixels[2], pixels[0]]))


def test_published_splits_of_domains_and_of_classes_are_kept(tmp_path):
    data = load_from(write(tmp_path / "d", tree("train/latin/a", "val/greek/a", "test/runes/a")))
    assert [(r.name, r.split) for r in data.classes] == [
        ("greek/a", "validation"),
        ("latin/a", "train"),
        ("runes/a", "test"),
    ]
    data = load_from(write(tmp_path / "c", tree("train/a", "test/b")))
    assert [(r.name, r.split) for r in data.classes] == [("c/a", "train"), ("c/b", "test")]


def test_a_published_split_inside_classes_is_merged_and_noted(tmp_path):
    data = load_from(write(tmp_path / "d", tree("train/a", "train/b", "test/a", "test/b")))
    assert [(r.name, r.split) for r in data.classes] == [("d/a", None), ("d/b", None)]
    assert [data.count(index) for index in (0, 1)] == [4, 4]
    assert "inside classes: its parts are merged" in data.notes[0]


def test_a_single_published_part_is_used_as_a_whole(tmp_path):
    data = load_from(write(tmp_path / "d", tree("train/a", "train/b")))
    assert [(r.name, r.split) for r in data.classes] == [("d/a", None), ("d/b", None)]
    assert "only the published part train" in data.notes[0]


def test_a_single_folder_around_the_layout_is_passed_through(tmp_path):
    data = load_from(write(tmp_path, tree("v1/data/latin/a", "v1/data/greek/a")))
    assert names(data) == ["greek/a", "latin/a"]
    data = load_from(write(tmp_path / "s", tree("data/train/a", "data/test/b")))
    assert [(r.name, r.split) for r in data.classes] == [("s/a", "train"), ("s/b", "test")]


def test_archives_read_as_the_unpacked_folder_does(tmp_path):
    files = tree("Signs/0", "Signs/1")
    unpacked = load_from(write(tmp_path / "Signs", files))
    packed = load_from(pack_zip(tmp_path / "x.zip", files))
    # A tar keeps the order of whoever packed it; the samples must not.
    streamed = load_from(pack_tar(tmp_path / "y.tar.gz", dict(reversed(files.items()))))
    assert names(packed) == ["Signs/0", "Signs/1"]
    assert unpacked.fingerprint() == packed.fingerprint() == streamed.fingerprint()
    assert set(packed.origin["sha256"]) == {"x.zip"}
    flat = load_from(pack_zip(tmp_path / "Flat.zip", tree("0", "1")))
    assert names(flat) == ["Flat/0", "Flat/1"]


def test_unreadable_pictures_are_left_out_and_named(tmp_path):
    bad = {
        "a/empty.png": b"",
        "a/garbage.png": b"no picture at all",
        "a/cut.png": png(9, 64)[:2000],
        "a/moving.gif": encode(noise(1), "GIF", save_all=True, append_images=[]),
    }
    data = load_from(write(tmp_path, tree("a", "b") | bad))
    assert [data.count(index) for index in (0, 1)] == [3, 2]
    assert sorted(note.split(":")[1].strip() for note in data.notes) == [
        "a/cut.png",
        "a/empty.png",
        "a/garbage.png",
    ]


def test_long_lists_of_bad_files_are_cut_short_with_their_number(tmp_path):
    bad = {f"a/bad{number:02}.png": b"" for number in range(30)}
    notes = load_from(write(tmp_path, tree("a") | bad)).notes
    assert len(notes) == 21
    assert notes[-1] == "left out: 10 more"


def test_a_class_without_a_readable_picture_is_an_error(tmp_path):
    write(tmp_path, tree("a") | {"b/1.png": b"", "b/2.png": b"x"})
    with pytest.raises(DataError, match=r"/b has no readable sample \(b/1\.png: .*0 bytes"):
        load_from(tmp_path)


def test_an_empty_folder_and_one_without_pictures_say_so(tmp_path):
    with pytest.raises(DataError, match="no pictures found"):
        load_from(tmp_path)
    write(tmp_path, {"a.txt": b"", "b.txt": b"", "c.heic": b""})
    with pytest.raises(DataError, match=r"\.txt \(2\), \.heic \(1\)"):
        load_from(tmp_path)


def test_a_folder_around_an_archive_points_at_the_archive(tmp_path):
    pack_zip(tmp_path / "Dataset.zip", tree("a"))
    with pytest.raises(DataError, match=r"give it itself: data\.path=.*Dataset\.zip"):
        load_from(tmp_path)


def test_other_files_and_pictures_at_another_depth_are_noted(tmp_path):
    files = tree("latin/a", "latin/b") | {
        "README.md": b"",
        "cover.png": png(),
        "latin/x.png": png(),
    }
    data = load_from(write(tmp_path, files))
    assert names(data) == ["latin/a", "latin/b"]
    assert "other files ignored, by ending: .md (1)" in data.notes
    assert sum("not as deep in folders" in note for note in data.notes) == 2


def test_folders_without_pictures_are_named_once_and_not_without_end(tmp_path):
    root = write(tmp_path, tree("latin/a", "latin/b") | {"latin/c/notes.txt": b""})
    for name in ("greek/a", "greek/b", "latin/d"):
        (root / name).mkdir(parents=True)
    data = load_from(root)
    assert names(data) == ["latin/a", "latin/b"]
    assert "folders without pictures: greek, latin/c, latin/d" in data.notes
    for number in range(300):
        (root / f"x{number:03}").mkdir()
    [note] = [note for note in load_from(root).notes if "folders without pictures" in note]
    assert note.endswith("x006, 293 more")


def test_the_sizes_that_the_files_have_are_kept(tmp_path):
    files = tree("a", "b") | {"a/wide.png": encode(noise(5, 40)[:30]), "a/bad.png": b"x"}
    assert load_from(write(tmp_path, files)).origin["sizes"] == "20 x 20 (4), 40 x 30 (1)"


@pytest.mark.parametrize("folder", ["", "w/x/y/z"])
def test_folders_that_are_no_layout_are_refused_with_an_example(tmp_path, folder):
    files = {f"{folder}/1.png": png(), f"{folder[:-1]}2/1.png": png()} if folder else {}
    files = files or {"1.png": png(), "2.png": png()}
    if folder:
        files["v/x/y/z/1.png"] = png()
    with pytest.raises(DataError, match=r"pictures must lie in <class>.*found .*1\.png"):
        load_from(write(tmp_path, files))


def test_links_are_not_followed_out_of_the_root_and_loops_end(tmp_path):
    outside = write(tmp_path / "outside", {"secret.png": png(7)})
    root = write(tmp_path / "root", tree("a", "b"))
    (root / "a" / "loop").symlink_to(root)
    (root / "a" / "stolen.png").symlink_to(outside / "secret.png")
    data = load_from(root)
    assert [data.count(index) for index in (0, 1)] == [2, 2]
    assert any("a/loop: a link to a folder" in note for note in data.notes)
    assert any("a/stolen.png: a link out of" in note for note in data.notes)


def test_names_that_are_not_utf_8_are_spelt_out(tmp_path):
    folder = os.fsencode(tmp_path) + b"/root/caf\xe9"
    os.makedirs(folder)
    with open(folder + b"/\xff.png", "wb") as file:
        file.write(png())
    data = load_from(tmp_path / "root")
    assert names(data) == ["root/caf\\xe9"]
    data.fingerprint()


def test_equal_names_in_different_unicode_forms_are_one_class(tmp_path):
    files = {"train/caf\u00e9/1.png": png(1), "test/cafe\u0301/1.png": png(2)}
    data = load_from(write(tmp_path, files))
    assert data.num_classes == 1
    assert data.count(0) == 2


@pytest.mark.data
def test_the_published_sign_language_zip_has_seven_digits(published_data):
    path = published_data / "sign-language-digits" / "Dataset.zip"
    data = load_from(path, channels=3)
    assert names(data) == [f"Dataset/{digit}" for digit in "0134678"]
    assert len(data.samples) == 1442
    assert data.sample_shape == (3, 16, 16)
    assert data.notes == ()


@pytest.mark.data
def test_the_published_caltech_tar_has_24_categories(published_data):
    path = published_data / "caltech-101" / "101_ObjectCategories.tar.gz"
    data = load_from(path, channels=3)
    assert data.num_classes == 24
    assert data.domains == ("101_ObjectCategories",)
    assert len(data.samples) == 953
    counts = [data.count(index) for index in range(24)]
    assert (min(counts), max(counts)) == (33, 40)
    assert data.notes == ()
