"""Every picture format, mode, depth and orientation, read by the product and by a slow reader."""

import numpy as np
import pytest

from metagan.dataset import DataError
from metagan.sources.decode import decode_image
from metagan.sources.image_folder import load
from tests.reference import reader
from tests.reference.reader import Record
from tests.sources import matrix
from tests.sources.picture_writers import tiff
from tests.sources.pictures import settings, write

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
    "floats to 1": lambda seed: matrix.float_variants(seed, 1),
    "floats to 255": lambda seed: matrix.float_variants(seed, 255),
}
SEEDS = range(2)


def levels(raw, white):
    """What a picture shows, (H, W, 1 or 3), and how opaque it is."""
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
    expected = reader.dataset(records, **options)
    assert {(r.domain, r.label) for r in data.classes} == set(expected)
    for index, record in enumerate(data.classes):
        _, samples = expected[record.domain, record.label]
        difference = np.abs(data.class_samples(index).astype(int) - np.stack(samples))
        assert difference.max() == 0, (record.label, difference.max(), (difference > 0).mean())


def test_deep_values_in_a_byte_order_that_pillow_cannot_read_are_refused_and_not_misread():
    values = np.arange(256).reshape(16, 16) * 257
    for photometric, bits in ((0, 16), (1, 32)):
        encoded = tiff(values, photometric, bits, order=">")
        with pytest.raises(DataError, match=f"a TIFF of {bits}-bit whole numbers, which Pillow"):
            decode_image(encoded, "a.tif", image_size=16, channels=1)
