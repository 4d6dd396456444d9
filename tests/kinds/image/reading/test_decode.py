import io
import random
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from metagan.data.dataset import DataError
from metagan.kinds.image.reading.collect import scale_deep
from metagan.kinds.image.reading.decode import (
    decode_image,
    is_picture,
    resize_pixels,
)
from tests.kinds.image.picture_writers import png
from tests.kinds.image.pictures import encode, noise
from tests.reference.reader import TURNS


def decode(encoded, **changes):
    """The pixels of a file, scaled as if it were the whole data set."""
    picture = decode_image(encoded, "a.png", **{"image_size": 16, "channels": 1, **changes})
    return scale_deep([picture.pixels], None, "d")[0][0]


def flat(value, mode="L", size=(16, 16)):
    return Image.new(mode, size, value)


def test_a_grey_picture_of_the_wanted_size_keeps_every_pixel():
    pixels = noise(size=16)
    decoded = decode(encode(pixels))
    assert decoded.shape == (1, 16, 16)
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded[0], pixels)


def test_a_colour_picture_keeps_its_channels_first():
    pixels = noise(size=16, channels=3)
    assert np.array_equal(decode(encode(pixels), channels=3), pixels.transpose(2, 0, 1))


def test_grey_is_repeated_for_three_channels_and_colour_becomes_luma_for_one():
    assert (decode(encode(flat(77)), channels=3) == 77).all()
    # ITU-R 601: 0.299 R + 0.587 G + 0.114 B.
    assert abs(int(decode(encode(flat((200, 100, 50), "RGB")))[0, 0, 0]) - 124) <= 1


def test_invert_swaps_dark_and_bright_exactly():
    pixels = noise(size=16)
    assert np.array_equal(decode(encode(pixels), invert=True)[0], 255 - pixels)


def test_a_one_bit_stroke_stays_visible_when_shrunk_to_a_quarter():
    page = np.full((105, 105), True)
    page[20:85, 50:53] = False
    decoded = decode(encode(Image.fromarray(page)), image_size=28, invert=True)[0]
    assert decoded[10:20].max(axis=1).min() >= 150
    assert decoded[:, :10].max() <= 10


def test_shrinking_averages_areas_instead_of_picking_pixels():
    checks = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    decoded = decode(encode(checks))
    assert np.abs(decoded.astype(float) - 127.5).max() < 8


def test_a_picture_that_is_not_square_is_squeezed_and_not_cropped():
    wide = np.zeros((16, 64), np.uint8)
    wide[:, :8] = 255
    wide[:, -8:] = 255
    decoded = decode(encode(wide))[0]
    assert decoded[:, 0].min() > 240
    assert decoded[:, -1].min() > 240
    assert decoded[:, 8].max() < 15


def test_mixed_sizes_all_come_out_alike():
    for size in (1, 7, 16, 300):
        assert decode(encode(noise(size=size))).shape == (1, 16, 16)


def test_a_picture_of_one_pixel_becomes_that_grey():
    assert (decode(encode(flat(90, size=(1, 1)))) == 90).all()


@pytest.mark.parametrize(("orientation", "corner"), [(1, "tl"), (3, "br"), (6, "tr"), (8, "bl")])
def test_the_camera_orientation_is_applied(orientation, corner):
    pixels = np.zeros((16, 16), np.uint8)
    pixels[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(encode(pixels, exif=exif))[0]
    rows, columns = slice(0, 8), slice(0, 8)
    if corner[0] == "b":
        rows = slice(8, 16)
    if corner[1] == "r":
        columns = slice(8, 16)
    assert (decoded[rows, columns] == 255).all()
    assert int(decoded.astype(int).sum()) == 64 * 255


@pytest.mark.parametrize(
    ("file_format", "mode"),
    [(kind, mode) for kind in ("PNG", "JPEG", "TIFF", "WEBP", "MPO") for mode in ("L", "RGB")]
    + [("PNG", "I;16"), ("TIFF", "I;16")],
)
def test_all_eight_orientations_agree_with_pillow_in_every_format_and_mode(file_format, mode):
    pixels = noise(size=16, channels=3 if mode == "RGB" else 1)
    image = Image.fromarray(pixels.astype(np.uint16) * 257 if mode == "I;16" else pixels)
    options = {"lossless": True} if file_format == "WEBP" else {}
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        encoded = encode(image, file_format, exif=exif, **options)
        opened = Image.open(io.BytesIO(encode(image, file_format, **options)))
        opened = opened.convert("L") if mode == "L" else opened  # WebP has colour alone.
        turned = TURNS[orientation](np.asarray(opened))
        expected = turned // 257 if mode == "I;16" else turned
        decoded = decode(encoded, channels=3 if mode == "RGB" else 1)
        found = np.moveaxis(decoded, 0, -1) if mode == "RGB" else decoded[0]
        assert np.array_equal(found, expected), orientation


def test_transparent_pixels_are_dark_in_the_result_whether_inverted_or_not():
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:, 8:] = (0, 0, 0, 255)
    pixels[:, :8] = (255, 255, 255, 0)
    assert (decode(encode(pixels)) == 0).all()
    inverted = decode(encode(pixels), invert=True)[0]
    assert (inverted[:, :8] == 0).all()
    assert (inverted[:, 8:] == 255).all()


def test_a_palette_is_expanded_and_its_transparent_index_is_background():
    image = Image.new("P", (16, 16), 1)
    image.putpalette([255, 255, 255, 200, 200, 200] + [0] * 762)
    image.paste(0, (0, 0, 8, 16))
    decoded = decode(encode(image, transparency=0))[0]
    assert (decoded[:, :8] == 0).all()
    assert (decoded[:, 8:] == 200).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_transparent_grey_counts_in_the_bits_of_its_file(bits):
    white = 2**bits - 1
    pixels = np.where(np.indices((16, 16))[1] < 8, white, white // 2)
    encoded = png(pixels, 0, bits, key=struct.pack(">H", white))
    assert (decode(encoded)[0, :, :8] == 0).all()
    assert (decode(encoded)[0, :, 8:] == white // 2 * 255 // white).all()


def test_a_transparent_colour_of_16_bits_is_background():
    pixels = np.full((16, 16, 3), 40_000)
    pixels[:, :8] = 65_535, 300, 20_000
    decoded = decode(png(pixels, 2, 16, key=struct.pack(">HHH", 65_535, 300, 20_000)), channels=3)
    assert (decoded[..., :8] == 0).all()
    assert (decoded[..., 8:] == 40_000 >> 8).all()


def test_sixteen_bits_are_scaled_and_not_clipped():
    pixels = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    for file_format in ("PNG", "TIFF"):
        decoded = decode(encode(Image.fromarray(pixels), file_format))[0]
        assert np.array_equal(decoded.ravel(), np.arange(256))


def test_one_bit_is_black_and_white():
    bits = np.random.default_rng(0).random((16, 16)) > 0.5
    assert np.array_equal(decode(encode(Image.fromarray(bits)))[0], bits * np.uint8(255))


def test_cmyk_becomes_colour():
    decoded = decode(encode(flat((0, 255, 255, 0), "CMYK"), "JPEG", quality=95), channels=3)
    assert decoded[0].min() > 240
    assert decoded[1:].max() < 15


def test_floats_are_read_between_zero_and_one():
    decoded = decode(encode(flat(0.5, "F"), "TIFF"))
    assert (decoded == 128).all()
    for bad, why in ((1.5, r"0\.\.1 \(floats\)"), (-0.1, "negative"), (float("nan"), "NaN")):
        with pytest.raises(DataError, match=rf"a\.png: .*{why}"):
            decode(encode(flat(bad, "F"), "TIFF"))


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "TIFF", "WEBP"])
def test_animations_and_several_pages_are_refused_with_the_number(file_format):
    first, second = flat(10), flat(200)
    encoded = encode(first, file_format, save_all=True, append_images=[second])
    with pytest.raises(DataError, match="holds 2 frames or pages"):
        decode(encoded)


def test_a_gif_with_one_frame_is_a_picture():
    assert (decode(encode(flat(60), "GIF")) == 60).all()


def test_the_first_picture_of_a_phones_multi_picture_jpeg_is_used():
    encoded = encode(
        flat((40, 40, 40), "RGB"), "MPO", save_all=True, append_images=[flat((200,) * 3, "RGB")]
    )
    assert np.abs(decode(encoded).astype(int) - 40).max() <= 2


def test_an_empty_file_a_text_and_a_truncated_picture_name_the_file():
    whole = encode(noise(size=64))
    for broken, reason in [
        (b"", "0 bytes"),
        (b"this is no picture" * 9, "not a picture"),
        (whole[: len(whole) // 2], "truncated"),
        (encode(noise(size=64), "JPEG")[:400], "truncated"),
    ]:
        with pytest.raises(DataError, match=reason) as caught:
            decode(broken)
        assert str(caught.value).startswith("a.png: ")


def test_postscript_is_not_even_tried():
    with pytest.raises(DataError, match="not a picture in a format"):
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")


def bomb(width, height):
    """A tiny PNG that declares a huge size."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [8_001, 11_000, 30_000])
def test_a_picture_bomb_is_an_error_and_never_only_a_warning(side):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(DataError, match="64000000 pixels, refused"):
            decode(bomb(side, side))
    assert not caught


def test_the_pixel_cap_is_exact():
    encoded = encode(noise(size=20))
    assert decode(encoded, max_pixels=400).shape == (1, 16, 16)
    with pytest.raises(DataError, match="20 x 20 is more than 399 pixels"):
        decode(encoded, max_pixels=399)


def test_a_large_jpeg_decoded_at_a_fraction_looks_like_the_full_one():
    ramp = np.tile(np.linspace(0, 255, 1024).astype(np.uint8), (1024, 1))
    decoded = decode(encode(ramp, "JPEG", quality=95))[0].astype(float)
    expected = np.asarray(Image.fromarray(ramp).resize((16, 16), Image.Resampling.BOX), float)
    assert np.abs(decoded - expected).max() < 4


def test_mutated_files_decode_or_raise_a_data_error_and_nothing_else():
    rng = random.Random(0)
    colour = Image.fromarray(noise(size=20, channels=3))
    seeds = [
        encode(colour, "PNG"),
        encode(colour, "JPEG"),
        encode(colour.convert("CMYK"), "JPEG"),
        encode(colour.convert("P"), "GIF"),
        encode(colour.convert("P"), "PNG", transparency=3),
        encode(colour, "BMP"),
        encode(colour, "PPM"),
        encode(colour, "TIFF"),
        encode(colour, "WEBP"),
    ]
    outcomes = {"decoded": 0, "refused": 0}
    for _ in range(1500):
        mutated = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 3)):
            mutated[rng.randrange(min(len(mutated), rng.choice([60, 10**6])))] = rng.randrange(256)
        if rng.random() < 0.2:
            mutated = mutated[: rng.randrange(len(mutated))]
        try:
            assert decode(bytes(mutated)).shape == (1, 16, 16)
            outcomes["decoded"] += 1
        except DataError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 100


def test_raw_arrays_of_the_wanted_size_are_unchanged():
    images = np.stack([noise(seed, 16) for seed in range(3)])
    result = resize_pixels(images, "x", image_size=16, channels=3)
    assert result.shape == (3, 3, 16, 16)
    assert all(np.array_equal(result[:, channel], images) for channel in range(3))


def test_raw_arrays_are_resized_as_files_are():
    for channels in (1, 3):
        images = noise(5, 40, channels)[None]
        raw = resize_pixels(images, "x", image_size=16, channels=channels, invert=True)
        assert np.array_equal(raw[0], decode(encode(images[0]), channels=channels, invert=True))


@pytest.mark.parametrize("shape", [(2, 16), (2, 16, 16, 2), (2, 0, 16), (2, 3, 4, 5, 6)])
def test_raw_arrays_of_other_shapes_are_refused(shape):
    with pytest.raises(DataError, match="shape"):
        resize_pixels(np.zeros(shape, np.uint8), "x", image_size=16, channels=1)


def test_endings_decide_what_a_picture_is():
    assert is_picture("a.PNG")
    assert is_picture("b.c.jpeg")
    assert not is_picture("c.eps")
    assert not is_picture("png")
