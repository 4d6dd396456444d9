"""The built-in data: what it covers, that nothing is there twice, and that it never changes."""

import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from metagan.config.image import ImageData
from metagan.data.dataset import DataError, Dataset
from metagan.kinds.image.sources import glyphs
from metagan.kinds.image.sources.glyph_drawing import draw
from metagan.kinds.image.sources.glyph_shapes import (
    SCRIPTS,
    Catalogue,
    Character,
    FontShelf,
    _reference,
    catalogue,
    lookalikes,
)


@pytest.fixture(scope="module")
def shelf() -> FontShelf:
    return FontShelf()


@pytest.fixture(scope="module")
def found(shelf: FontShelf) -> Catalogue:
    return catalogue(shelf)


@pytest.fixture
def _found_once(found: Catalogue, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Loading looks for the characters each time; in tests once is enough."""
    monkeypatch.setattr(glyphs, "catalogue", lambda _: found)
    return


def _load(**settings: object) -> Dataset:
    return glyphs.load(ImageData.model_validate(settings))


def _by_label(dataset: Dataset) -> dict[str, np.ndarray]:
    return {
        record.name: dataset.class_samples(index) for index, record in enumerate(dataset.classes)
    }


def _named(found: Catalogue, text: str) -> Character:
    return next(character for character in found.characters if character.text == text)


def test_more_than_2400_characters_in_more_than_20_scripts(found):
    counts = Counter(character.script for character in found.characters)
    assert set(counts) == set(SCRIPTS)
    assert len(SCRIPTS) >= 20
    assert 2400 <= len(found.characters) <= 3000
    assert min(counts.values()) >= 20


def test_latin_a_stands_for_greek_alpha_and_cyrillic_a(found):
    codes = {character.code for character in found.characters}
    assert 0x41 in codes
    assert not {0x391, 0x410} & codes
    assert {0x394, 0x416} <= codes  # Delta and Zhe look like no other letter


def test_no_two_characters_look_alike_in_their_reference_faces(shelf, found):
    pictures = np.stack(
        [_reference(shelf.bitmap(c.faces[0], c.text, 64)) for c in found.characters]
    )
    alike = lookalikes(pictures)
    np.fill_diagonal(alike, val=False)
    assert alike.sum() == 0


def test_lookalikes_ignore_stroke_weight_but_not_a_dot():
    thin, thick, dotted = np.zeros((3, 32, 32), bool)
    thin[4:28, 15:16] = True
    thick[4:28, 14:18] = True
    dotted[12:28, 15:16] = dotted[4:6, 15:16] = True
    np.testing.assert_array_equal(
        lookalikes(np.stack([thin, thick, dotted])),
        [[True, True, False], [True, True, False], [False, False, True]],
    )


def test_letters_with_accents_are_left_out_and_counted(found):
    texts = {character.text for character in found.characters}
    assert "Å" not in texts
    styles = {"fraktur", "script", "double_struck"}
    assert not any(
        unicodedata.decomposition(character.text)
        for character in found.characters
        if character.script not in styles
    )
    assert any("composed" in note for note in found.notes)


def test_no_face_draws_its_missing_glyph_box(shelf, found):
    for face in shelf.faces:
        box = shelf.bitmap(face, "\U0010fffd", 64)
        drawn = [c for c in found.characters if face in c.faces][::25]
        assert not any(np.array_equal(shelf.bitmap(face, c.text, 64), box) for c in drawn)


@pytest.mark.usefixtures("_found_once")
def test_the_same_settings_give_the_same_bytes():
    settings = {"max_classes_per_domain": 2, "drawings_per_class": 3}
    assert _load(**settings).fingerprint() == _load(**settings).fingerprint()


@pytest.mark.usefixtures("_found_once")
def test_fewer_classes_and_drawings_are_a_part_of_more():
    few = _by_label(_load(max_classes_per_domain=2, drawings_per_class=3))
    more = _by_label(_load(max_classes_per_domain=4, drawings_per_class=5))
    assert len(few) == 2 * len(SCRIPTS)
    for name, samples in few.items():
        np.testing.assert_array_equal(more[name][:3], samples)


@pytest.mark.usefixtures("_found_once")
def test_ink_is_bright_fills_the_picture_and_touches_no_border():
    samples = _load(max_classes_per_domain=3, drawings_per_class=6).samples[:, 0]
    np.testing.assert_array_equal(samples.max(axis=(1, 2)), 255)
    borders = [samples[:, 0], samples[:, -1], samples[:, :, 0], samples[:, :, -1]]
    assert max(border.max() for border in borders) == 0
    ink = samples > 127
    sides = np.maximum(ink.any(axis=1).sum(axis=1), ink.any(axis=2).sum(axis=1))
    # Glyphs of separate dots have empty rows and columns within, so look at the typical one.
    assert 18 <= np.median(sides) <= 22
    assert 20 < np.median(samples.mean(axis=(1, 2))) < 60


def test_drawings_differ_and_are_still_legible(shelf, found):
    letters = [_named(found, text) for text in "ABDEGHKMNPRSdefghkmnr"]
    drawings = np.stack([draw(shelf, letter, 12, image_size=28) for letter in letters])
    flat = drawings.reshape(len(letters) * 12, -1).astype(np.float64) / 255
    assert len(np.unique(flat, axis=0)) == len(flat)
    # The plainest classifier of all, the nearest other drawing, finds most letters.
    square = (flat**2).sum(axis=1)
    distance = square[:, None] + square[None, :] - 2 * flat @ flat.T
    np.fill_diagonal(distance, np.inf)
    classes = np.repeat(np.arange(len(letters)), 12)
    assert (classes[distance.argmin(axis=1)] == classes).mean() > 0.6


def test_stroke_weight_varies_by_half_and_more(shelf, found):
    ink = draw(shelf, _named(found, "H"), 40, image_size=28).mean(axis=(1, 2))
    light, heavy = np.percentile(ink, [10, 90])
    assert heavy > 1.5 * light


@pytest.mark.parametrize("size", [16, 64])
def test_other_sizes_show_the_same_drawing(shelf, found, size):
    character = _named(found, "Ж")
    normal = draw(shelf, character, 4, image_size=28)
    other = draw(shelf, character, 4, image_size=size)
    assert other.shape == (4, size, size)
    assert other[:, 0].max() == 0
    share = other.mean(axis=(1, 2)) / normal.mean(axis=(1, 2))
    np.testing.assert_allclose(share, 1, atol=0.12)


@pytest.mark.usefixtures("_found_once")
def test_three_channels_repeat_the_grey_picture_and_invert_swaps_it():
    settings = {"max_classes_per_domain": 1, "drawings_per_class": 2}
    grey = _load(**settings).samples
    colour = _load(**settings, channels=3).samples
    assert colour.shape == (len(grey), 3, 28, 28)
    np.testing.assert_array_equal(colour, np.repeat(grey, 3, axis=1))
    np.testing.assert_array_equal(_load(**settings, invert=True).samples, 255 - grey)


def test_a_path_is_refused_with_the_setting_to_change():
    with pytest.raises(DataError, match=r"data\.path is pictures.*set data\.source"):
        _load(path="pictures")


def test_a_white_is_refused_as_glyphs_have_8_bits():
    with pytest.raises(DataError, match=r"data\.white is 4095, but .* draws in 8 bits"):
        _load(white=4095.0)


def test_missing_fonts_are_an_error_that_names_the_folder(tmp_path: Path):
    with pytest.raises(DataError, match=f"{tmp_path}.*reinstall matplotlib"):
        FontShelf(tmp_path)
