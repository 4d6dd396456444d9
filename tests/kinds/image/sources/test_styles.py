"""Built-in styles: reproducible, legible, each with one hidden manner, all on one baseline."""

import dataclasses
from functools import cache

import numpy as np
import pytest

from metagan.config.image import ImageData
from metagan.data.dataset import DataError, Dataset
from metagan.kinds.image.sources import styles
from metagan.kinds.image.sources.face_drawing import BASELINE, CAP_HEIGHT, CHARACTERS
from metagan.kinds.image.sources.glyph_shapes import FontShelf, label_of
from metagan.kinds.image.sources.style_drawing import Fields, Style, draw_style, face_fields
from metagan.kinds.image.sources.styles import styles_of

PLAIN = Style("DejaVuSans", 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0)
BOLD = dataclasses.replace(PLAIN, face="DejaVuSans-Bold")


@cache
def _load(**changes: object) -> Dataset:
    settings = {"source": "styles", "styles": 12, "image_size": 24} | changes
    return styles.load(ImageData.model_validate(settings))


@cache
def _fields(face: str, characters: str = CHARACTERS) -> Fields:
    return face_fields(FontShelf(faces=(face,)), face, characters)


def _drawn(style: Style, text: str, *, size: int = 48) -> np.ndarray:
    pictures = draw_style(_fields(style.face), style, image_size=size)
    return pictures[CHARACTERS.index(text)] / 255.0


def _pictures(data: Dataset, domain: str) -> np.ndarray:
    """(62, S, S), in the order of labels."""
    return data.samples[list(data.classes_of(domain)), 0].astype(np.float64)


def test_every_style_has_one_picture_of_every_letter_and_digit():
    data = _load()
    assert data.domains == ("DejaVu Sans", *(f"style {number:04d}" for number in range(1, 13)))
    labels = sorted(map(label_of, CHARACTERS))
    for domain in data.domains:
        assert [data.classes[index].label for index in data.classes_of(domain)] == labels
    assert data.samples.shape == (13 * 62, 1, 24, 24)
    # As names of folders they differ whatever the case, and letters come in their order.
    assert len({label.casefold() for label in labels}) == 62
    assert [label[-1] for label in labels[10:36]] == list(CHARACTERS[:26])


def test_the_same_settings_give_the_same_bytes():
    first = _load(styles=4)
    again = styles.load(ImageData(source="styles", styles=4, image_size=24))
    assert first.fingerprint() == again.fingerprint()


def test_fewer_styles_are_the_first_of_more():
    few, more = _load(styles=4), _load()
    assert styles_of(4) == styles_of(30)[:4]
    for domain in few.domains:
        np.testing.assert_array_equal(_pictures(more, domain), _pictures(few, domain))


def test_styles_are_clearly_different_from_each_other_and_from_the_reference():
    data = _load()
    pictures = np.stack([_pictures(data, domain) / 255 for domain in data.domains])
    for one in range(len(pictures)):
        for other in range(one):
            assert np.sqrt(np.mean((pictures[one] - pictures[other]) ** 2)) > 0.1


def test_numbers_of_styles_spread_over_their_ranges():
    many = styles_of(150)
    assert {style.face for style in many} == set(styles._FACES)
    assert 0.1 < np.mean([style.line > 0 for style in many]) < 0.3
    assert 0.4 < np.mean([style.wave > 0 for style in many]) < 0.8
    for name, least in (("slant", 0.4), ("weight", 1.4), ("width", 0.5), ("contrast", 0.05)):
        low, high = np.percentile([getattr(style, name) for style in many], [5, 95])
        assert high - low > least


def test_characters_of_a_style_share_their_slant():
    upright, slanted = PLAIN, dataclasses.replace(PLAIN, slant=0.3)
    for text in "HIlkT":
        ends = []
        for style in (upright, slanted):
            ink = _drawn(style, text)
            rows = np.flatnonzero(ink.sum(axis=1) > 0.5)
            columns = ink @ np.arange(48) / np.maximum(ink.sum(axis=1), 1e-9)
            ends.append((columns[rows[1]] - columns[rows[-2]]) / (rows[-2] - rows[1]))
        assert ends[1] - ends[0] == pytest.approx(0.3, abs=0.06)


def test_heavier_styles_have_more_ink_and_lighter_ones_less():
    def share(weight: float) -> float:
        style = dataclasses.replace(PLAIN, weight=weight)
        return float(draw_style(_fields("DejaVuSans"), style, image_size=28).mean())

    assert share(-1) < 0.9 * share(0)
    assert share(1) > 1.4 * share(0)


def test_contrast_thins_horizontal_strokes_and_thickens_upright_ones():
    plain, contrasted = PLAIN, dataclasses.replace(PLAIN, contrast=0.016)

    def strokes(style: Style) -> tuple[float, float]:
        """Thickness of the bar and of the two stems of an H, pixels."""
        ink = _drawn(style, "H")
        middle = ink[:, 24]
        return float(middle.sum()), float(ink[30].sum() / 2)

    (bar, stem), (thin_bar, thick_stem) = strokes(plain), strokes(contrasted)
    assert thin_bar < bar - 0.4
    assert thick_stem > stem + 0.4


def test_waves_move_rows_to_the_side_and_leave_the_ink_of_each():
    waved = dataclasses.replace(PLAIN, wave=0.08, wave_length=0.9)
    straight, moved = _drawn(PLAIN, "I"), _drawn(waved, "I")
    rows = slice(10, 35)
    np.testing.assert_allclose(moved[rows].sum(axis=1), straight[rows].sum(axis=1), atol=0.5)
    columns = moved[rows] @ np.arange(48) / moved[rows].sum(axis=1)
    assert np.ptp(columns) == pytest.approx(2 * 0.08 * CAP_HEIGHT * 48, abs=0.5)


def test_outlined_characters_are_hollow_and_as_large_as_filled_ones():
    outlined = dataclasses.replace(BOLD, line=0.06)
    filled, hollow = _drawn(BOLD, "I", size=64), _drawn(outlined, "I", size=64)
    assert hollow.sum() < 0.7 * filled.sum()
    np.testing.assert_array_equal(hollow.max(axis=1) > 0.5, filled.max(axis=1) > 0.5)
    assert hollow[32].max() > 0.9
    assert hollow[32, 31:33].max() < 0.1


def test_all_styles_stand_on_one_baseline_under_capitals_of_one_height():
    data, size = _load(), 24
    for domain in data.domains:
        classes = [data.classes_of(domain)[sorted(CHARACTERS).index(text)] for text in "EFHITZ"]
        rows = data.samples[classes, 0].max(axis=2) > 127
        top = rows.argmax(axis=1)
        bottom = size - rows[:, ::-1].argmax(axis=1)
        assert np.abs(bottom - BASELINE * size).max() <= 1
        assert np.abs(bottom - top - CAP_HEIGHT * size).max() <= 1.5


def test_ink_is_bright_and_stays_in_the_picture():
    samples = _load().samples[:, 0]
    assert np.percentile(samples.max(axis=(1, 2)), 5) > 200
    borders = [samples[:, 0], samples[:, -1], samples[:, :, 0], samples[:, :, -1]]
    touched = np.mean([border.max(axis=1) > 127 for border in borders])
    assert touched < 0.002
    ink = samples.astype(np.float64)
    centres = ink.sum(axis=1) @ np.arange(24) / ink.sum(axis=(1, 2))
    assert np.abs(centres - 11.5).max() < 4


def test_characters_are_legible():
    data = _load()
    order = sorted(CHARACTERS)
    kept = [order.index(text) for text in "ABDEFGHKLMNPRTYabdefghknprty23457"]
    pictures = np.stack([_pictures(data, domain)[kept].reshape(33, -1) for domain in data.domains])
    pictures /= np.linalg.norm(pictures, axis=2, keepdims=True)
    # The plainest classifier, the mean of all other styles, knows nothing of slant or outlines;
    # one in 33 is chance.
    right = []
    for held in range(1, len(pictures)):
        means = np.delete(pictures, held, axis=0).mean(axis=0)
        right.append(np.mean((pictures[held] @ means.T).argmax(axis=1) == np.arange(33)))
    assert np.mean(right) > 0.6
    assert min(right) > 0.15


def test_three_channels_repeat_the_grey_picture_and_invert_swaps_it():
    grey = _load(styles=4).samples
    colour = _load(styles=4, channels=3).samples
    np.testing.assert_array_equal(colour, np.repeat(grey, 3, axis=1))
    inverted = _load(styles=4, invert=True)
    np.testing.assert_array_equal(inverted.samples, 255 - grey)
    assert inverted.origin["inverted"] is True


def test_the_reference_is_named_in_the_origin():
    assert _load().origin["reference_domain"] == "DejaVu Sans"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"path": "pictures"}, r"data\.path is pictures, but data.source styles reads no files"),
        ({"white": 4095.0}, r"data\.white is 4095, but data.source styles draws in 8 bits"),
    ],
)
def test_settings_of_files_are_refused(changes, said):
    with pytest.raises(DataError, match=said):
        _load(**changes)


def test_a_missing_face_is_an_error(monkeypatch):
    monkeypatch.setattr(styles, "_FACES", ("DejaVuSans", "Gone"))
    with pytest.raises(DataError, match=r"matplotlib has no Gone\.ttf; reinstall matplotlib"):
        styles.load(ImageData(source="styles", styles=4))
