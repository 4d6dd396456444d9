import hashlib
import zipfile

import numpy as np
import pytest
from PIL import Image

from metagan.data.dataset import DataError
from metagan.kinds.image.sources.omniglot import load
from tests.kinds.image.pictures import encode, png, settings, write


def drawing(seed):
    """A 105 x 105 1-bit page (paper 1) with one ink stroke (0)."""
    page = np.full((105, 105), True)
    page[10 + seed : 90, 50:53] = False
    return encode(Image.fromarray(page))


def part(top, alphabets, characters=2, drawers=3):
    return {
        f"{top}/{alphabet}/character{c + 1:02}/{100 * a + c:04}_{d + 1:02}.png": drawing(c + d)
        for a, alphabet in enumerate(alphabets)
        for c in range(characters)
        for d in range(drawers)
    }


def pack(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def folder(tmp_path):
    pack(tmp_path / "images_background.zip", part("images_background", ["Latin", "Greek"]))
    pack(tmp_path / "images_evaluation.zip", part("images_evaluation", ["Tibetan"]))
    pack(tmp_path / "images_background_small1.zip", part("images_background_small1", ["Small"]))
    return tmp_path


def load_from(path, **changes):
    return load(settings(path, "omniglot", **changes))


def test_sizes_and_empty_characters_are_told(tmp_path):
    root = write(tmp_path, part("images_background", ["Latin", "Greek"]))
    (root / "images_background" / "Greek" / "character09").mkdir()
    data = load_from(root)
    assert data.origin["sizes"] == "105 x 105 (12)"
    assert data.notes == ("folders without pictures: images_background/Greek/character09",)


def test_alphabets_are_domains_and_the_published_split_is_by_alphabet(folder):
    data = load_from(folder)
    assert data.domains == ("Greek", "Latin", "Tibetan")
    assert {record.domain: record.split for record in data.classes} == {
        "Greek": "train",
        "Latin": "train",
        "Tibetan": "test",
    }
    assert [record.label for record in data.classes[:2]] == ["character01", "character02"]
    assert [data.count(index) for index in range(6)] == [3] * 6
    assert data.samples.shape == (18, 1, 16, 16)


def test_the_archives_are_named_with_their_sums_and_not_unpacked(folder):
    before = set(folder.rglob("*"))
    data = load_from(folder)
    content = (folder / "images_evaluation.zip").read_bytes()
    assert data.origin["sha256"]["images_evaluation.zip"] == hashlib.sha256(content).hexdigest()
    assert set(data.origin["sha256"]) == {"images_background.zip", "images_evaluation.zip"}
    assert set(folder.rglob("*")) == before


def test_the_small_set_stands_in_where_the_full_background_is_absent(folder):
    (folder / "images_background.zip").unlink()
    assert load_from(folder).domains == ("Small", "Tibetan")


def test_ink_is_bright_unless_inverted(folder):
    bright = load_from(folder).samples[0, 0]
    # The stroke, 3 of 105 pixels wide, is half a pixel of 16.
    assert bright[8].max() > 80
    assert bright[:, 0].max() < 10
    dark = load_from(folder, invert=True).samples[0, 0]
    assert np.abs(bright.astype(int) + dark - 255).max() == 0


def test_one_archive_and_the_unpacked_tree_read_alike(folder, tmp_path):
    packed = load_from(folder / "images_background.zip")
    tree = write(tmp_path / "tree", part("images_background", ["Latin", "Greek"]))
    assert load_from(tree).fingerprint() == packed.fingerprint()
    assert load_from(tree / "images_background").fingerprint() == packed.fingerprint()


def test_a_drawing_that_is_in_both_small_sets_counts_once(tmp_path):
    for number in (1, 2):
        top = f"images_background_small{number}"
        pack(tmp_path / f"{top}.zip", part(top, ["Shared"]))
    data = load_from(tmp_path)
    assert [data.count(index) for index in range(data.num_classes)] == [3, 3]


def test_system_clutter_is_skipped(tmp_path):
    clutter = {"images_background/.DS_Store": b"x", "__MACOSX/a/b/._0001_01.png": b"x"}
    pack(
        tmp_path / "images_background.zip",
        part("images_background", ["Latin"]) | clutter,
    )
    assert load_from(tmp_path).domains == ("Latin",)


def test_a_damaged_drawing_is_left_out_with_a_note(tmp_path):
    files = part("images_background", ["Latin"])
    victim = sorted(files)[0]
    pack(tmp_path / "images_background.zip", files | {victim: files[victim][:60]})
    data = load_from(tmp_path)
    assert data.count(0) == 2
    assert len(data.notes) == 1
    assert victim in data.notes[0]
    assert "truncated" in data.notes[0]


def test_a_folder_without_drawings_says_what_was_expected(tmp_path):
    write(tmp_path, {"a.txt": b"", "x.png": png()})
    with pytest.raises(DataError, match=r"expected images_background\.zip"):
        load_from(tmp_path)
    strokes = pack(tmp_path / "strokes_background_small1.zip", {"s/A/character01/1.txt": b"START"})
    with pytest.raises(DataError, match="no Omniglot drawings"):
        load_from(strokes)


def test_pictures_at_another_depth_never_become_an_alphabet(tmp_path):
    files = part("images_background", ["Latin", "Greek"])
    nested = {"images_background/Latin/character01/more/1.png": drawing(9)}
    data = load_from(write(tmp_path / "deeper", files | nested))
    assert data.domains == ("Greek", "Latin")
    assert data.count(2) == 4
    with pytest.raises(DataError, match="whole folders would be left out: images_background/Tib"):
        load_from(write(tmp_path / "flat", files | {"images_background/Tib/1.png": drawing(9)}))
    data = load_from(write(tmp_path / "loose", files | {"images_background/Latin/x.png": png()}))
    assert data.notes == ("left out: images_background/Latin/x.png: in no character's folder",)


def test_a_run_beside_the_drawings_is_not_read(tmp_path):
    root = write(tmp_path, part("images_background", ["Latin", "Greek"]))
    before = load_from(root).fingerprint()
    run = {"config.yaml": b"", "checkpoints/x": b"", "samples/a/b/1.png": png()}
    write(root / "images_background" / "runs" / "r", run)
    data = load_from(root)
    assert data.fingerprint() == before
    assert data.notes == ("skipped: metagan itself wrote images_background/runs/r (a run)",)


@pytest.mark.data
def test_the_published_small_set_has_136_characters_of_20_drawings(published_data):
    data = load_from(published_data / "omniglot" / "images_background_small1.zip", image_size=28)
    assert data.num_classes == 136
    assert {data.count(index) for index in range(136)} == {20}
    assert len(data.domains) == 5
    assert {record.split for record in data.classes} == {"train"}
    assert data.notes == ()
    # A drawing is a few strokes: little ink, but as bright as it gets.
    ink = (data.samples > 127).mean(axis=(1, 2, 3))
    assert 0.03 < ink.mean() < 0.12
    assert np.median(data.samples.max(axis=(1, 2, 3))) == 255
