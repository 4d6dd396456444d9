"""Pictures that Python code hands in: each kind is right, or refused with the fix."""

import numpy as np
import pytest
import torch
from PIL import Image

import metagan
from metagan.data.dataset import ClassRecord, DataError, Dataset
from metagan.kinds.image.samples import in_bytes, picture_classes

BYTES = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
UNIT = BYTES / 255.0
GREY = (1, 16, 16)


class DataFrame:
    """As pandas': it has items, but is no mapping of pictures."""

    def items(self):
        return iter(())


def one(given, shape=GREY):
    return picture_classes({"a": given}, shape=shape)["a"]


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        (BYTES, None),
        (BYTES.astype(np.int64), None),
        (BYTES.astype(">u2"), None),
        (BYTES.astype(np.float32), None),
        (torch.from_numpy(BYTES), None),
        ([BYTES[0]], None),
        ([torch.from_numpy(BYTES[0])], None),
        ([Image.fromarray(BYTES[0, 0])], None),
        (lambda: iter([BYTES[0]]), None),
        (UNIT, r"taken as \[0, 1\]"),
        (UNIT.astype(np.float32), r"taken as \[0, 1\]"),
        (torch.from_numpy(UNIT).requires_grad_(), r"taken as \[0, 1\]"),
        ([UNIT[0]], r"taken as \[0, 1\]"),
        (2 * UNIT - 1, r"taken as \[-1, 1\]"),
        (metagan.to_float(BYTES), r"taken as \[-1, 1\]"),
    ],
)
def test_the_same_pictures_in_other_numbers_are_the_same_pictures(given, warned):
    given = given() if callable(given) else given  # An iterator can be read only once.
    if warned is None:
        found = one(given)
    else:
        with pytest.warns(UserWarning, match=warned):
            found = one(given)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, BYTES)


def test_half_precision_is_the_same_to_a_level():
    with pytest.warns(UserWarning, match=r"\[0, 1\]"):
        found = one(torch.from_numpy(UNIT).bfloat16())
    assert np.abs(found.astype(int) - BYTES).max() <= 1


def test_booleans_are_black_and_white():
    assert set(np.unique(one(BYTES > 127))) == {0, 255}


def test_a_colour_picture_of_pillow_has_its_channels_first():
    colour = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    found = one([Image.fromarray(colour)], (3, 16, 16))
    np.testing.assert_array_equal(found[0], colour.transpose(2, 0, 1))


def test_all_classes_are_scaled_alike_so_that_a_dark_one_stays_dark():
    dark, bright = BYTES.astype(float) * 0.1, BYTES.astype(float)
    found = picture_classes({"dark": dark, "bright": bright}, shape=GREY)
    assert found["dark"].max() == 26
    with pytest.warns(UserWarning, match=r"\[0, 1\]"):
        found = picture_classes({"dark": dark / 255, "bright": bright / 255}, shape=GREY)
    assert found["dark"].max() == 26


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ([BYTES], "classes is a list; give a mapping of labels to pictures"),
        (BYTES, "classes is a ndarray; give a mapping"),
        (DataFrame(), "classes is a DataFrame; give a mapping"),
        (None, "classes is a NoneType; give a mapping"),
        ({}, "classes is empty; it needs at least one class"),
        ({"a": BYTES[:0]}, r"classes\['a'\] has no picture"),
        ({"a": BYTES, "b": []}, r"classes\['b'\] has no picture"),
        ({"a": "folder/a"}, r"classes\['a'\] is a str; read files by metagan.read_support"),
        ({"a": ["1.png"]}, r"classes\['a'\]\[0\] is text; read files"),
        ({"a": {"b": BYTES}}, r"classes\['a'\] is a dict"),
        ({"a": Image.fromarray(BYTES[0, 0])}, "is a single picture; give a list"),
        ({"a": [Image.new("RGBA", (16, 16))]}, r"mode RGBA; use picture.convert\('L'\)"),
        ({"a": BYTES.reshape(1, 16, 16, 1)}, r"channels are last; use array.transpose\(0, 3, 1, 2"),
        ({"a": BYTES[:, 0]}, r"shape \(1, 16, 16\); expected \(n, C, H, W\) \(of grey pictures"),
        ({"a": BYTES.repeat(4, 1)}, "leave the transparency out"),
        ({"a": BYTES.repeat(3, 1)}, r"\(3, 16, 16\), expected are \(1, 16, 16\); make grey of it"),
        ({"a": BYTES[..., :8]}, "resize them to 16 x 16"),
        ({"a": [BYTES[0], BYTES[0, :, :8]]}, "different shapes.*resize them to one"),
        ({"a": [Image.new("L", (16, 16)), Image.new("RGB", (16, 16))]}, "all of them grey, or all"),
        ({"a": [[[1, 2], [3]]]}, "rows of different lengths"),
        ({"a": np.where(BYTES == 3, np.nan, UNIT)}, "holds NaN or infinity"),
        ({"a": BYTES.astype(np.uint16) * 257}, r"from 0 to 65535.*divide by 257"),
        ({"a": BYTES.astype(np.int64) - 1}, "from -1 to 254, and pixels are from 0 to 255"),
        ({"a": (BYTES > 127).astype(np.int64)}, "values 0 and 1 alone.*give booleans"),
        ({"a": (BYTES > 127).astype(np.uint8)}, "values 0 and 1 alone.*multiply by 255"),
        ({"a": UNIT * 1.5}, r"from 0 to 1.5, which is neither \[0, 1\]"),
        ({"a": UNIT * 600}, r"neither \[0, 1\], \[-1, 1\] nor \[0, 255\]"),
        ({"a": (UNIT - 0.5) / 0.2}, "which is neither"),
        ({"a": UNIT, "b": BYTES}, "floats and uint8 together"),
        ({"a": np.array([["x"]])}, "holds <U1; expected numbers"),
        ({"a": UNIT.astype(complex)}, "holds complex128; expected numbers"),
        ({"a": 5}, "is an int; give an array"),
    ],
)
def test_what_has_no_plain_meaning_is_refused_with_the_fix(classes, said):
    with pytest.raises(DataError, match=said):
        picture_classes(classes, shape=GREY)


def test_a_warning_names_the_line_that_handed_the_pictures_in():
    with pytest.warns(UserWarning, match="taken as") as caught:
        Dataset.from_classes({ClassRecord("d", "a"): UNIT})
    assert caught[0].filename == __file__


def test_a_data_set_holds_bytes_whatever_it_was_made_of():
    with pytest.warns(UserWarning, match=r"\[0, 1\]"):
        dataset = Dataset.from_classes({ClassRecord("d", "a"): list(UNIT)})
    assert dataset.samples.dtype == np.uint8
    np.testing.assert_array_equal(dataset.samples, BYTES)
    images = Dataset.from_classes({ClassRecord("d", "a"): [Image.fromarray(BYTES[0, 0])] * 2})
    assert images.samples.shape == (2, 1, 16, 16)


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ({"cat": BYTES}, r"class 'cat' is no ClassRecord.*ClassRecord\('letters', 'cat'\)"),
        ({ClassRecord(1, "a"): BYTES}, "domain and label must be text"),
        ({ClassRecord("d", "a", "val"): BYTES}, "split must be train, validation, test or None"),
        ([BYTES], "samples_by_class is a list; give a mapping"),
        ({ClassRecord("d", "a"): BYTES, ClassRecord("d", "b"): BYTES[..., :8]}, "resize them to"),
    ],
)
def test_a_data_set_of_something_else_is_refused_with_the_fix(classes, said):
    with pytest.raises(DataError, match=said):
        Dataset.from_classes(classes)


def test_a_data_set_that_is_put_together_by_hand_holds_bytes_of_pictures():
    for samples in (UNIT, BYTES[0]):
        with pytest.raises(DataError, match=r"pictures are uint8 of \(N, C, H, W\)"):
            Dataset(samples, np.array([0, 1]), (ClassRecord("d", "a"),))


def test_arrays_of_one_picture_are_brought_to_bytes_by_all_of_them():
    [dark, bright] = in_bytes([BYTES * 0.0, BYTES.astype(float)], "x")
    assert dark.max() == 0
    assert bright.max() == 255


def test_floats_are_made_of_unit_floats_with_a_warning_and_not_of_black():
    with pytest.warns(UserWarning, match=r"\[0, 1\]"):
        floats = metagan.to_float(UNIT)
    torch.testing.assert_close(floats, metagan.to_float(BYTES))
    torch.testing.assert_close(metagan.to_float(torch.from_numpy(BYTES)), metagan.to_float(BYTES))


def test_bytes_are_not_taken_for_floats_on_their_way_back():
    with pytest.raises(DataError, match="images are uint8; to_uint8 takes floats"):
        metagan.to_uint8(torch.from_numpy(BYTES))
    with pytest.warns(UserWarning, match="all above 1 become white"):
        metagan.to_uint8(torch.from_numpy(BYTES).float())
    assert metagan.to_uint8(np.array([-1.0, 1.0])).tolist() == [0, 255]


def test_a_picture_is_written_whatever_its_numbers_are(tmp_path):
    def read(name):
        return np.asarray(Image.open(tmp_path / name).convert("L"))

    metagan.write_png(str(tmp_path / "a.png"), BYTES[0])
    with pytest.warns(UserWarning, match=r"\[0, 1\]"):
        metagan.write_png(tmp_path / "b.png", torch.from_numpy(UNIT[0]))
    metagan.write_png(tmp_path / "c.png", Image.fromarray(BYTES[0, 0]))
    for name in ("a.png", "b.png", "c.png"):
        np.testing.assert_array_equal(read(name), BYTES[0, 0])
    with pytest.raises(DataError, match=r"shape \(1, 1, 16, 16\); expected .*metagan.grid"):
        metagan.write_png(tmp_path / "d.png", BYTES)
    assert not (tmp_path / "d.png").exists()


def test_a_grid_takes_what_generating_gives():
    expected = metagan.grid([[BYTES]])
    with pytest.warns(UserWarning, match=r"\[-1, 1\]"):
        np.testing.assert_array_equal(metagan.grid([[metagan.to_float(BYTES)]]), expected)
    pillow = metagan.grid([[[Image.fromarray(BYTES[0, 0])]]])
    np.testing.assert_array_equal(pillow, expected)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "rows is empty"),
        (BYTES[0], r"shape \(16,\); expected \(n, C, H, W\)"),
        ([[BYTES[0]]], r"takes rows of groups: grid\(\[\[pictures\]\]\)"),
        ([[BYTES], [BYTES, BYTES]], "every row needs as many pictures"),
        ([[BYTES.transpose(0, 2, 3, 1)]], "channels are last"),
    ],
)
def test_a_grid_of_something_else_is_refused(rows, said):
    with pytest.raises(DataError, match=said):
        metagan.grid(rows)
