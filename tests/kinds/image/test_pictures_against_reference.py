"""Every picture format, mode, depth and orientation, read by the product and by a slow reader."""

import numpy as np
import pytest
from PIL import Image

from metagan.data.dataset import DataError
from metagan.kinds.image.reading.decode import decode_image
from metagan.kinds.image.sources.image_folder import load
from tests.kinds.image import matrix
from tests.kinds.image.agreement import DEEP, assert_same
from tests.kinds.image.picture_writers import tiff
from tests.kinds.image.pictures import encode, settings, write
from tests.reference import reader
from tests.reference.reader import Record

FAMILIES = {
    "png": matrix.png_variants,
    "tiff": matrix.tiff_variants,
    "lossy": matrix.lossy_variants,
    "others": matrix.other_variants,
    "deep": matrix.deep_variants,
    "255 in wider numbers": lambda seed: matrix.shallow_variants(seed, 255),
    "10 bits": lambda seed: matrix.shallow_variants(seed, 1023),
    "12 bits": lambda seed: matrix.shallow_variants(seed, 4095),
    "14 bits": lambda seed: matrix.shallow_variants(seed, 16383),
    "12 bits that PNG names": lambda seed: matrix.named_variants(seed, 900, "png"),
    "12 bits that TIFF names": lambda seed: matrix.named_variants(seed, 900, "tiff"),
    "16 bits where PNG names 12": lambda seed: matrix.named_variants(seed, 65535, "png"),
    "floats to 1": lambda seed: matrix.float_variants(seed, 1),
    "floats to 255": lambda seed: matrix.float_variants(seed, 255),
    "12 bits and floats": lambda seed: [
        *matrix.shallow_variants(seed, 4095),
        *matrix.float_variants(seed, 1),
    ],
}
EIGHT_BITS = ("png", "tiff", "lossy", "others")
SEEDS = range(2)


def levels(raw, white):
    """Levels that a picture shows, (H, W, 1 or 3), and its opacity."""
    values = raw.values * 255.0 / white
    return np.atleast_3d(255 - values if raw.from_white else values), raw.opacity


@pytest.mark.parametrize("family", FAMILIES)
def test_the_slow_reader_sees_what_was_written(family):
    for seed in SEEDS:
        variants = [v for v in FAMILIES[family](seed) if v.truth is not None]
        assert variants or family == "lossy"
        for variant in variants:
            found, truth = reader.read_picture(variant.encoded), variant.truth
            white = reader.white_of([Record("", "", None, v.truth) for v in variants])
            shown, opacity = levels(found, white(found))
            expected, expected_opacity = levels(truth, white(truth))
            assert np.abs(shown - expected).max() < 0.01, variant.name
            opaque = np.ones(shown.shape[:2])
            opacity = opaque if opacity is None else opacity
            expected_opacity = opaque if expected_opacity is None else expected_opacity
            assert np.array_equal(opacity, expected_opacity), variant.name


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_picture_is_the_one_that_the_slow_reader_sees(tmp_path, family, invert, channels):
    files = {
        f"{variant.name}/{seed}{variant.ending}": variant.encoded
        for seed in SEEDS
        for variant in FAMILIES[family](seed)
    }
    options = {"invert": invert, "channels": channels}
    data = load(settings(write(tmp_path, files), "image_folder", **options))
    records = reader.records_of_files(reader.read_files(tmp_path), ["label"], tmp_path.name)
    tolerance = 0 if family in EIGHT_BITS else DEEP
    assert_same(data, reader.dataset(records, **options), tolerance=tolerance)


def test_the_content_of_a_file_counts_and_not_its_ending(tmp_path):
    variants = [v for name in EIGHT_BITS for v in FAMILIES[name](4)]
    endings = [v.ending for v in variants]
    wrong = zip(variants, endings[150:] + endings[:150], strict=True)
    write(tmp_path, {f"{v.name}/0{ending}": v.encoded for v, ending in wrong})
    records = reader.records_of_files(reader.read_files(tmp_path), ["label"], tmp_path.name)
    assert_same(load(settings(tmp_path, "image_folder")), reader.dataset(records))


@pytest.mark.parametrize("image_size", [20, 64])
@pytest.mark.parametrize("family", ["tiff", "deep"])
def test_samples_of_every_size_are_those_of_the_slow_reader(tmp_path, family, image_size):
    files = {f"{v.name}/0{v.ending}": v.encoded for v in FAMILIES[family](5)}
    data = load(settings(write(tmp_path, files), "image_folder", image_size=image_size))
    records = reader.records_of_files(reader.read_files(tmp_path), ["label"], tmp_path.name)
    tolerance = 0 if family in EIGHT_BITS else DEEP
    assert_same(data, reader.dataset(records, image_size=image_size), tolerance=tolerance)


@pytest.mark.parametrize("family", ["deep", "12 bits", "12 bits that PNG names", "floats to 255"])
def test_the_white_that_is_given_is_the_same_for_both(tmp_path, family):
    files = {f"{v.name}/0{v.ending}": v.encoded for v in FAMILIES[family](6)}
    data = load(settings(write(tmp_path, files), "image_folder", white=70_000))
    records = reader.records_of_files(reader.read_files(tmp_path), ["label"], tmp_path.name)
    assert_same(data, reader.dataset(records, white=70_000), tolerance=DEEP)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_jpeg_is_read_to_a_level_although_it_is_decoded_at_a_fraction(orientation):
    rows, columns = np.indices((360, 500))
    wave = 127 + 120 * np.sin(rows / 70 + columns / 160)
    image = np.stack([wave, columns / 2, rows / 2], axis=-1).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    encoded = encode(image, "JPEG", exif=exif)
    # The decoder averages blocks of pixels itself, so that rounding differs.
    for channels in (1, 3):
        options = {"image_size": 16, "channels": channels}
        found = decode_image(encoded, "a.jpg", **options).pixels.astype(int)
        expected = reader.sample(reader.read_picture(encoded), 255, invert=False, **options)
        assert np.abs(found - expected).max() <= 1


def test_deep_values_in_a_byte_order_that_pillow_cannot_read_are_refused_and_not_misread():
    values = np.arange(256).reshape(16, 16) * 257
    for photometric, bits in ((0, 16), (1, 32)):
        encoded = tiff(values, photometric, bits, order=">")
        with pytest.raises(DataError, match=f"a TIFF of {bits}-bit whole numbers, which Pillow"):
            decode_image(encoded, "a.tif", image_size=16, channels=1)
