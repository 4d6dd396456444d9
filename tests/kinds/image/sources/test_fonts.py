"""Font files as domains: every face with the characters that it has, and never a box for one."""

import shutil
import tarfile
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from fontTools.subset import Subsetter
from fontTools.ttLib import TTCollection, TTFont, newTable
from fontTools.ttLib.tables._f_v_a_r import Axis

from metagan.config.image import ImageData
from metagan.data.cache import open_dataset
from metagan.data.dataset import DataError, Dataset
from metagan.data.inspect import format_summary, inspect_dataset
from metagan.data.registry import load_dataset
from metagan.data.splits import SPLITS, make_splits
from metagan.kinds.image.sources import fonts
from metagan.kinds.image.sources.detect import detect_source
from metagan.kinds.image.sources.face_drawing import BASELINE, CAP_HEIGHT, CHARACTERS
from metagan.kinds.image.sources.glyph_shapes import label_of
from tests.kinds.image.pictures import png, settings, three_forms, write

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def copied(folder: Path, *files: str) -> Path:
    """Copies of matplotlib's own fonts, by their names without the ending."""
    for name in files:
        target = folder / f"{name}.ttf"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(FONTS / f"{target.stem}.ttf", target)
    return folder


def edited(path: Path, base: str = "cmr10", *, family: str = "Foo", style: str = "Regular"):
    """A font to change and save: matplotlib's under another name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    font = TTFont(FONTS / f"{base}.ttf")
    font["name"].names = []
    for number, text in ((1, family), (2, style)):
        font["name"].setName(text, number, 3, 1, 0x409)
    return font


def saved(path: Path, base: str = "cmr10", **names: str) -> Path:
    edited(path, base, **names).save(path)
    return path


def with_only(path: Path, text: str, **names: str) -> Path:
    """A font that lacks all other characters."""
    font = edited(path, **names)
    subset = Subsetter()
    subset.populate(text=text)
    subset.subset(font)
    font.save(path)
    return path


def load(path: Path, **changes: object) -> Dataset:
    return load_dataset(settings(path, **{"image_size": 24, **changes}))


def texts(data: Dataset, domain: str) -> str:
    """The characters that a domain has."""
    labels = [data.classes[index].label for index in data.classes_of(domain)]
    return "".join(chr(int(label[2:6], 16)) for label in labels)


def picture(data: Dataset, domain: str, text: str) -> np.ndarray:
    [index] = [i for i in data.classes_of(domain) if data.classes[i].label == label_of(text)]
    return data.class_samples(index)[0, 0]


def test_every_face_of_a_folder_is_a_domain_with_one_picture_a_character(tmp_path):
    root = copied(tmp_path, "DejaVuSans", "DejaVuSans-Bold", "deep/er/cmr10")
    assert detect_source(root) == "fonts"
    data = load(root)
    assert data.domains == ("DejaVu Sans", "DejaVu Sans Bold", "cmr10")
    assert data.samples.shape == (3 * 62, 1, 24, 24)
    assert texts(data, "cmr10") == "".join(sorted(CHARACTERS))
    assert data.origin["reference_domain"] == "DejaVu Sans"
    assert data.notes == ()
    assert load(root).fingerprint() == data.fingerprint()


def test_faces_have_one_baseline_and_capitals_of_one_height(tmp_path):
    data = load(copied(tmp_path, "DejaVuSans", "cmr10", "STIXGeneral", "DejaVuSerif-Bold"))
    for domain in data.domains:
        for text in "EHT":
            rows = np.flatnonzero(picture(data, domain, text).max(axis=1) > 127)
            assert rows[-1] + 1 == pytest.approx(BASELINE * 24, abs=1)
            assert len(rows) == pytest.approx(CAP_HEIGHT * 24, abs=1)
            columns = np.flatnonzero(picture(data, domain, text).max(axis=0) > 64)
            assert columns[0] + columns[-1] == pytest.approx(23, abs=1)


def test_matplotlibs_dejavu_sans_is_the_reference_where_a_folder_has_none(tmp_path):
    own = load(copied(tmp_path / "own", "DejaVuSans", "cmr10"))
    added = load(copied(tmp_path / "other", "cmr10", "cmtt10"))
    assert added.domains == ("DejaVu Sans", "cmr10", "cmtt10")
    np.testing.assert_array_equal(
        picture(added, "DejaVu Sans", "g"), picture(own, "DejaVu Sans", "g")
    )
    assert added.group_of("DejaVu Sans") is None


def test_families_stay_on_one_side_of_the_split(tmp_path):
    names = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Bold")
    data = load(copied(tmp_path, *names, "cmr10", "cmtt10", "STIXGeneral", "STIXGeneralBol"))
    assert {domain: data.group_of(domain) for domain in data.domains} == {
        "DejaVu Sans": "DejaVu Sans",
        "DejaVu Sans Bold": "DejaVu Sans",
        "DejaVu Sans Mono": "DejaVu Sans",
        "DejaVu Serif": "DejaVu Serif",
        "DejaVu Serif Bold": "DejaVu Serif",
        "STIXGeneral": "STIXGeneral",
        "STIXGeneral Bold": "STIXGeneral",
        "cmr10": "cmr10",
        "cmtt10": "cmtt10",
    }
    for seed in range(5):
        splits = make_splits(data, ImageData(), seed=seed)
        sides: dict[str | None, set[str]] = {}
        for split in SPLITS:
            for index in splits.of(split):
                sides.setdefault(data.classes[index].group, set()).add(split)
        assert all(len(found) == 1 for found in sides.values())
        held = {index for split in SPLITS for index in splits.of(split)}
        assert not held & set(data.classes_of("DejaVu Sans"))


def test_families_that_share_pictures_are_one(tmp_path):
    saved(tmp_path / "copy.ttf", "cmr10", family="Copy")
    with_only(tmp_path / "part.ttf", "HIx", family="Part")
    data = load(copied(tmp_path, "cmr10", "cmtt10", "DejaVuSans"))
    assert {data.group_of(domain) for domain in ("Copy", "Part", "cmr10")} == {"Copy"}
    assert data.group_of("cmtt10") == "cmtt10"
    [note] = [note for note in data.notes if note.startswith("domains: ")]
    assert note == (
        "domains: families that share pictures are held out together: Copy and cmr10, Copy and Part"
    )


def test_a_face_that_looks_like_the_reference_is_in_no_group_for_that(tmp_path):
    for name in ("One", "Two"):
        saved(tmp_path / f"{name}.ttf", "DejaVuSans", family=name)
    saved(tmp_path / "Two.ttf", "cmtt10", family="Two")
    data = load(tmp_path)
    assert (data.group_of("One"), data.group_of("Two")) == ("One", "Two")
    assert data.notes == ()


def test_a_character_that_a_face_lacks_is_left_out_and_never_a_box(tmp_path):
    with_only(tmp_path / "few.ttf", "ABx7")
    data = load(copied(tmp_path, "cmtt10"))
    assert texts(data, "Foo") == "7ABx"
    assert [note for note in data.notes if "lacks" in note] == [
        "characters left out: Foo lacks C, D, E, F, G, 53 more"
    ]


def test_characters_without_an_outline_of_their_own_are_left_out(tmp_path):
    font = edited(tmp_path / "odd.ttf")
    table = font.getBestCmap()
    notdef, space = font.getGlyphOrder()[0], font["glyf"]["space"]
    font["glyf"]["A"] = space
    for each in font["cmap"].tables:
        each.cmap.update({ord("B"): notdef} | dict.fromkeys(map(ord, "CDEF"), table[ord("G")]))
    font.save(tmp_path / "odd.ttf")
    data = load(copied(tmp_path, "cmtt10"))
    # A is blank, B the box of missing characters, and five characters have one drawing.
    assert set(CHARACTERS) - set(texts(data, "Foo")) == set("ABCDEFG")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cmex10", "is of symbols, as the one in the place of A is called parenrightbt"),
        ("LastResortHE-Regular", "has none of the letters A to Z, a to z and digits"),
        ("STIXSizOneSymReg", "has none of the letters A to Z, a to z and digits"),
    ],
)
def test_fonts_of_symbols_are_left_out_with_a_note(tmp_path, name, said):
    data = load(copied(tmp_path, name, "cmr10", "cmtt10"))
    assert data.domains == ("DejaVu Sans", "cmr10", "cmtt10")
    assert f"domains left out: {name}.ttf: {said}" in data.notes


def test_letters_among_symbols_are_read(tmp_path):
    data = load(copied(tmp_path, "cmsy10", "cmr10"))
    assert texts(data, "cmsy10") == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def test_a_font_with_a_table_of_symbols_alone_is_left_out(tmp_path):
    font = edited(tmp_path / "dings.ttf")
    table = font["cmap"].getcmap(3, 1)
    table.platformID, table.platEncID = 3, 0
    table.cmap = {0xF000 + code: glyph for code, glyph in table.cmap.items() if code < 0xFF}
    font["cmap"].tables = [table]
    font.save(tmp_path / "dings.ttf")
    data = load(copied(tmp_path, "cmr10", "cmtt10"))
    assert any("dings.ttf: has none of the letters" in note for note in data.notes)


def test_damaged_files_are_left_out_with_a_note(tmp_path):
    root = copied(tmp_path, "cmr10", "cmtt10")
    whole = (root / "cmr10.ttf").read_bytes()
    write(
        root, {"a.otf": b"", "b.ttf": whole[: len(whole) // 2], "c.ttc": b"ttcf\0", "d.ttf": png()}
    )
    data = load(root)
    assert data.domains == ("DejaVu Sans", "cmr10", "cmtt10")
    left = [note for note in data.notes if note.startswith("domains left out: ")]
    assert [note.split()[3] for note in left] == ["a.otf:", "b.ttf:", "c.ttc:", "d.ttf:"]
    assert all("damaged" in note or "no outlines" in note for note in left)


def test_a_collection_has_a_domain_for_every_face(tmp_path):
    collection = TTCollection()
    collection.fonts = [
        edited(tmp_path / "x", "cmr10", family="Foo"),
        edited(tmp_path / "x", "cmtt10", family="Foo", style="Mono"),
        edited(tmp_path / "x", "cmss10", family="Foo", style="Mono"),
    ]
    collection.save(tmp_path / "foo.ttc")
    data = load(tmp_path)
    mono = ("Foo Mono (foo.ttc, 2)", "Foo Mono (foo.ttc, 3)")
    assert data.domains == ("DejaVu Sans", "Foo", *mono)
    assert {data.group_of(domain) for domain in ("Foo", *mono)} == {"Foo"}
    plain = load(copied(tmp_path / "single", "cmtt10"))
    np.testing.assert_array_equal(picture(data, mono[0], "R"), picture(plain, "cmtt10", "R"))


def test_a_variable_font_is_drawn_in_its_default_form_and_a_note_says_so(tmp_path):
    font = edited(tmp_path / "v.ttf", family="Foo")
    font["fvar"] = newTable("fvar")
    axis = Axis()
    axis.axisTag, axis.minValue, axis.defaultValue, axis.maxValue = "wght", 100, 400, 900
    axis.axisNameID = 1
    font["fvar"].axes = [axis]
    font.save(tmp_path / "v.ttf")
    data = load(copied(tmp_path, "cmr10"))
    assert "domains: of variable fonts the default form is drawn: Foo" in data.notes
    np.testing.assert_array_equal(picture(data, "Foo", "R"), picture(data, "cmr10", "R"))


def test_two_faces_of_one_name_are_told_apart_by_their_files(tmp_path):
    saved(tmp_path / "a" / "foo.ttf", "cmr10")
    saved(tmp_path / "b" / "foo.ttf", "cmtt10")
    shutil.copy(tmp_path / "a" / "foo.ttf", tmp_path / "copy.ttf")
    data = load(tmp_path)
    assert data.domains == ("DejaVu Sans", "Foo (a/foo.ttf)", "Foo (b/foo.ttf)")
    assert "domains left out: copy.ttf: the same file as a/foo.ttf" in data.notes


@pytest.mark.parametrize(
    ("family", "style", "name"),
    [
        ("Foo", "Bold Italic", "Foo Bold Italic"),
        ("Foo", "Book", "Foo"),
        (" Ba\u200br \n", "Regular", "Ba\\u200br"),
        ("", "", "plain"),
    ],
)
def test_a_face_is_called_by_family_and_style(tmp_path, family, style, name):
    saved(tmp_path / "plain.ttf", family=family, style=style)
    assert load(tmp_path).domains == tuple(sorted(("DejaVu Sans", name)))


def test_a_face_with_a_wide_character_is_drawn_smaller_as_a_whole(tmp_path):
    font = edited(tmp_path / "wide.ttf")
    glyph = font["glyf"]["M"]
    glyph.coordinates.scale((4, 1))
    glyph.recalcBounds(font["glyf"])
    font.save(tmp_path / "wide.ttf")
    data = load(copied(tmp_path, "cmr10"))
    assert any("drawn smaller than the others" in note and "Foo" in note for note in data.notes)
    for domain, height in (("cmr10", 14), ("Foo", 5)):
        assert (picture(data, domain, "H").max(axis=1) > 127).sum() == pytest.approx(height, abs=1)
    widest = picture(data, "Foo", "M")
    assert widest[:, [0, -1]].max() == 0
    assert (widest.max(axis=0) > 0).sum() >= 20


def test_archives_of_fonts_and_single_files_are_read_as_the_folder_is(tmp_path):
    root = copied(tmp_path / "fonts", "cmr10", "deep/cmtt10")
    wanted = load(root).fingerprint()
    for form in three_forms(root)[1:]:
        assert load(form, source="fonts").fingerprint() == wanted
    assert load(root / "cmr10.ttf").domains == ("DejaVu Sans", "cmr10")


def test_a_font_that_is_packed_twice_is_the_later_one(tmp_path):
    root = copied(tmp_path / "fonts", "cmr10")
    (root / "empty").mkdir()
    older = write(tmp_path, {"cmr10.ttf": (FONTS / "cmtt10.ttf").read_bytes()}) / "cmr10.ttf"
    with tarfile.open(tmp_path / "fonts.tar", "w") as archive:
        archive.add(older, "cmr10.ttf")
        archive.add(root / "cmr10.ttf", "cmr10.ttf")
    data = load(tmp_path / "fonts.tar", source="fonts")
    assert data.fingerprint() == load(root).fingerprint()
    assert data.notes == load(root).notes == ()


def test_size_channels_and_invert_are_followed(tmp_path):
    root = copied(tmp_path, "cmr10", "cmtt10")
    grey = load(root, image_size=32)
    assert grey.sample_shape == (1, 32, 32)
    colour = load(root, image_size=32, channels=3, invert=True)
    np.testing.assert_array_equal(colour.samples, 255 - np.repeat(grey.samples, 3, axis=1))
    assert colour.origin["inverted"] is True


def test_what_is_prepared_keeps_families_and_reference(tmp_path):
    root = copied(tmp_path / "fonts", "cmr10", "cmtt10", "DejaVuSerif", "DejaVuSerif-Bold")
    config = settings(root, cache_dir=str(tmp_path / "cache"))
    for _ in range(2):
        data = open_dataset(config)
        assert data.group_of("DejaVu Serif Bold") == "DejaVu Serif"
        assert data.origin["reference_domain"] == "DejaVu Sans"
    # The setting names no entry of the cache: it shapes no sample.
    other = open_dataset(config.model_copy(update={"reference_domain": "cmr10"}))
    assert other.origin["reference_domain"] == "cmr10"
    assert open_dataset(config).origin["reference_domain"] == "DejaVu Sans"
    assert len(list((tmp_path / "cache").glob("fonts-*/manifest.json"))) == 1


def test_inspect_shows_fonts(tmp_path):
    text = format_summary(inspect_dataset(load(copied(tmp_path, "cmr10", "cmsy10", "cmex10"))))
    assert "150 classes in 3 domains" in text
    assert "cmsy10 lacks a, b, c, d, e, 31 more" in text
    assert "cmex10.ttf: is of symbols" in text


def test_a_folder_without_fonts_is_refused_with_what_is_there(tmp_path):
    write(tmp_path, {"a.woff2": b"", "b.txt": b""})
    with pytest.raises(DataError, match=r"no font files found \(\.ttf, .*there: \.woff2 \(1\), "):
        load(tmp_path, source="fonts")
    with pytest.raises(DataError, match=r"b\.txt: no font and no folder of fonts; read are \.ttf"):
        load(tmp_path / "b.txt", source="fonts")


def test_a_folder_of_nothing_but_unreadable_fonts_is_refused_with_the_reasons(tmp_path):
    root = write(copied(tmp_path, "cmex10"), {"a.ttf": b"x"})
    with pytest.raises(DataError, match=r"no font here can be read: a\.ttf: no font.*cmex10\.ttf"):
        load(root)


def test_fonts_beside_pictures_are_an_error_that_names_both(tmp_path):
    root = copied(tmp_path, "deep/cmr10")
    write(root, {f"latin/{c}/1.png": png() for c in "ab"})
    with pytest.raises(DataError, match="more than one layout") as error:
        detect_source(root)
    assert "data.source=fonts" in str(error.value)
    assert "data.source=image_folder" in str(error.value)
    assert fonts.load(settings(root, "fonts")).domains == ("DejaVu Sans", "cmr10")
