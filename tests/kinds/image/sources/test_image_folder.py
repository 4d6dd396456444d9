import io
import os
import tarfile
import zipfile

import numpy as np
import pytest

from metagan.data.dataset import DataError
from metagan.kinds.image.sources.image_folder import load
from tests.kinds.image.pictures import encode, noise, png, settings, three_forms, write


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
    assert "other files ignored: by ending .md (1)" in data.notes
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


def by_class(data):
    """{class: the samples' bytes}, so that a picture in another class shows."""
    return {
        name: [sample.tobytes() for sample in data.class_samples(index)]
        for index, name in enumerate(names(data))
    }


FOUR = ("latin/a", "latin/b", "greek/a", "greek/b")


@pytest.mark.parametrize(
    "moved",
    [
        lambda folder: f"{folder}/images",
        lambda folder: f"data/{folder}",
        lambda folder: f"v1/{folder}/rgb",
        lambda folder: folder.replace("/", "/imgs/"),
        lambda folder: f"{folder}/{'session1' if folder == 'greek/b' else ''}",
    ],
)
def test_wherever_a_level_says_nothing_the_same_pictures_are_in_the_same_classes(tmp_path, moved):
    expected = by_class(load_from(write(tmp_path / "plain", tree(*FOUR))))
    files = {
        f"{moved(name.rpartition('/')[0])}/{name.rpartition('/')[2]}": content
        for name, content in tree(*FOUR).items()
    }
    for form in three_forms(write(tmp_path / "t", files)):
        assert by_class(load_from(form)) == expected, form


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("train", "test"), "parts of a split, no classes"),
        ((*FOUR, "test/a"), "test is called like a part of a split"),
        ((*FOUR, "arm"), r"1 folder with pictures would be left out: arm \(2 pictures\)"),
        ((*FOUR, "arm/x/a", "arm/x/b"), r"arm/x \(with a, b\) may be a class or a folder of"),
        (("images",), "the folder images is no class"),
    ],
)
def test_what_cannot_be_read_for_sure_is_refused_in_every_form(tmp_path, folders, message):
    for form in three_forms(write(tmp_path / "t", tree(*folders))):
        with pytest.raises(DataError, match=message):
            load_from(form)


def test_the_list_that_may_have_the_labels_is_named(tmp_path):
    files = tree("train", "test") | {"train/metadata.csv": b"", "test/metadata.csv": b""}
    with pytest.raises(DataError, match=r"if test/metadata\.csv, train/metadata\.csv has"):
        load_from(write(tmp_path, files))


def test_links_to_class_folders_are_followed_below_the_root(tmp_path):
    root = write(tmp_path / "root", tree(*FOUR) | {".store/c/1.png": png(77)})
    (root / "greek" / "c").symlink_to("../.store/c")
    data = load_from(root)
    assert "greek/c" in names(data)
    assert data.notes == ()


def test_links_to_each_other_end_and_each_is_followed_once(tmp_path):
    root = write(tmp_path / "root", tree(*FOUR))
    (root / "latin" / "a" / "more").symlink_to(root / "greek" / "a")
    (root / "greek" / "a" / "more").symlink_to(root / "latin" / "a")
    data = load_from(root)
    assert {name: len(some) for name, some in by_class(data).items()} == {
        "greek/a": 4,
        "greek/b": 2,
        "latin/a": 4,
        "latin/b": 2,
    }


def test_a_class_behind_a_link_out_of_the_root_is_not_lost_in_silence(tmp_path):
    root = write(tmp_path / "root", tree(*FOUR))
    (root / "greek" / "c").symlink_to(write(tmp_path / "outside", {"c/1.png": png(7)}) / "c")
    with pytest.raises(DataError, match=r"1 whole folder would be left out: greek/c \(a link to a"):
        load_from(root)
    # A link to a folder without pictures costs nothing but a line.
    (root / "greek" / "c").unlink()
    (root / "greek" / "venv").symlink_to(write(tmp_path / "other", {"bin/python": b""}))
    assert load_from(root).num_classes == 4


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("1.heic", b"\0\0\0\x18ftypheic"),
        ("1.jpg_large", encode(noise(1), "JPEG")),
        ("1", encode(noise(1))),
        ("1.dcm", bytes(128) + b"DICM"),
    ],
)
def test_a_class_whose_pictures_are_called_otherwise_is_not_lost_in_silence(
    tmp_path, name, content
):
    root = write(tmp_path / "root", tree(*FOUR) | {f"greek/c/{name}": content})
    for form in three_forms(root):
        with pytest.raises(DataError, match=f"greek/c .its pictures are .* but called {name}"):
            load_from(form)


def test_single_pictures_that_are_called_otherwise_are_counted_by_content(tmp_path):
    files = {f"latin/a/x{i}.jpg_large": encode(noise(i), "JPEG") for i in range(3)}
    files |= {"latin/a/y": encode(noise(8)), "latin/a/z.txt": b"text", "latin/a/BM.doc": b"BMW"}
    for form in three_forms(write(tmp_path / "t", tree(*FOUR) | files)):
        notes = load_from(form).notes
        [note] = [note for note in notes if note.startswith("pictures left out: 4 pictures")]
        assert "JPEG .jpg_large (3), PNG no ending (1)" in note


RARER = "jfif JPEG, JPE JPEG, dib DIB, dib BMP, apng PNG, pbm PPM"


@pytest.mark.parametrize(("ending", "form"), [pair.split() for pair in RARER.split(", ")])
def test_the_rarer_endings_of_the_formats_are_read(tmp_path, ending, form):
    pixels = noise(1, 16) > 127 if ending == "pbm" else noise(1, 16)
    files = {f"{c}/1.{ending}": encode(pixels, form) for c in "ab"}
    found = load_from(write(tmp_path, files)).samples[0, 0]
    expected = pixels * 255 if ending == "pbm" else pixels
    assert np.abs(found.astype(int) - expected).mean() < 8


CLUTTER = (
    "@eaDir @EADIR #recycle #Recycle @Recycle lost+found LOST+FOUND $RECYCLE.BIN @__thumb "
    ".ipynb_checkpoints __macosx"
)


@pytest.mark.parametrize("clutter", [*CLUTTER.split(), "System Volume Information"])
def test_what_network_storage_and_systems_put_beside_files_is_not_read(tmp_path, clutter):
    files = tree(*FOUR)
    before = load_from(write(tmp_path / "t", files)).fingerprint()
    write(tmp_path / "t", {f"{clutter}/a/1.png": png(9), f"latin/a/{clutter}/x.png": png(8)})
    for form in three_forms(tmp_path / "t"):
        assert load_from(form).fingerprint() == before


def test_a_folder_of_archives_is_read_as_if_they_were_unpacked(tmp_path):
    expected = by_class(load_from(write(tmp_path / "plain", tree(*FOUR))))
    root = write(tmp_path / "packed", {"README.md": b""})
    for domain in ("latin", "greek"):
        inner = {n: c for n, c in tree(*FOUR).items() if n.startswith(domain)}
        (pack_zip if domain == "latin" else pack_tar)(
            root / (f"{domain}.zip" if domain == "latin" else f"{domain}.tar.gz"), inner
        )
    data = load_from(root)
    assert by_class(data) == expected
    assert set(data.origin["sha256"]) == {"latin.zip", "greek.tar.gz"}


def test_archives_inside_the_folders_of_domains_are_classes(tmp_path):
    root = write(tmp_path / "t", {"latin/README.md": b"", "greek/README.md": b""})
    for number, name in enumerate(FOUR):
        pack_zip(root / f"{name}.zip", {f"{name[-1]}/1.png": png(number)})
    assert names(load_from(root)) == sorted(FOUR)


def test_archives_inside_an_archive_are_not_opened(tmp_path):
    inner = pack_zip(tmp_path / "inner.zip", tree(*FOUR)).read_bytes()
    with pytest.raises(DataError, match="archives inside an archive are not opened"):
        load_from(pack_zip(tmp_path / "outer.zip", {"latin.zip": inner, "greek.zip": inner}))


def test_one_part_of_a_split_is_called_like_the_folder_around_it(tmp_path):
    root = write(tmp_path / "signs", tree("train/a", "train/b", "test/a", "test/b"))
    assert names(load_from(root / "train")) == ["signs/a", "signs/b"]


def test_a_folder_of_one_archive_for_each_class_is_one_domain(tmp_path):
    root = write(tmp_path / "signs", {"README.md": b""})
    for number in range(3):
        pack_zip(root / f"{number}.zip", {"1.png": png(number), "2.png": png(10 + number)})
    assert names(load_from(root)) == ["signs/0", "signs/1", "signs/2"]


def test_an_archive_beside_pictures_is_told_of_unless_it_lies_there_unpacked(tmp_path):
    root = write(tmp_path, tree(*FOUR) | {"latin.zip": b"", "arm.zip": b""})
    [note] = [
        note for note in load_from(root).notes if note.startswith("pictures left out: archives")
    ]
    assert "arm.zip" in note
    assert "latin.zip" not in note


def test_folders_that_look_alike_once_readable_keep_all_their_pictures(tmp_path):
    files = {"caf\u00e9/1.png": png(1), "cafe\u0301/1.png": png(2), "b/1.png": png(3)}
    assert load_from(write(tmp_path / "t", files)).samples.shape[0] == 3


def test_the_encoding_of_names_in_a_zip_is_noted(tmp_path):
    pack_zip(tmp_path / "a.zip", tree("t/gr_n", "t/b"))
    content = (tmp_path / "a.zip").read_bytes().replace(b"gr_n", b"gr\x81n")
    (tmp_path / "a.zip").write_bytes(content)
    data = load_from(tmp_path / "a.zip")
    assert names(data) == ["t/b", "t/gr\u00fcn"]
    assert any(note.startswith("labels: names of 2 members of a.zip") for note in data.notes)


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
