"""Pictures of more than 8 bits: one white for a whole data set, taken from what is there."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from metagan.data.dataset import DataError
from metagan.data.registry import load_dataset
from metagan.kinds.image.reading.collect import scale_deep
from metagan.kinds.image.reading.decode import decode_image
from metagan.kinds.image.reading.depth import Levels, choose_whites, levels_of, scale_array
from tests.kinds.image.pictures import encode, noise, settings, write


def ramp(top, dtype=np.uint16):
    """(16, 16), evenly from 0 to `top`."""
    return np.rint(np.linspace(0, top, 256)).astype(dtype).reshape(16, 16)


def read(*files, white=None, **changes):
    """Pixels of the files of one data set, (H, W) each, and the notes."""
    pictures = [
        decode_image(content, f"{i}.x", **{"image_size": 16, "channels": 1, **changes})
        for i, content in enumerate(files)
    ]
    scaled, _, notes = scale_deep([p.pixels for p in pictures], white, "d")
    return [pixels[0] for pixels in scaled], notes


def levels(high, **changes):
    return Levels("a", 0, high, **{"real": False, **changes})


@pytest.mark.parametrize("top", [255, 1023, 4095, 16383, 65535])
@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_content_of_fewer_bits_than_its_container_fills_the_scale(top, file_format):
    (pixels,), notes = read(encode(Image.fromarray(ramp(top)), file_format))
    assert np.array_equal(pixels, np.rint(ramp(top) / top * 255))
    assert (f"{top} is read as white" in "".join(notes)) == (top not in (255, 65535))


@pytest.mark.parametrize(("dtype", "top"), [(np.int32, 255), (np.int32, 4095), (np.int32, 65535)])
def test_whole_numbers_of_32_bits_are_scaled_by_their_content(dtype, top):
    (pixels,), _ = read(encode(Image.fromarray(ramp(top, dtype)), "TIFF"))
    assert np.array_equal(pixels, np.rint(ramp(top) / top * 255))


def test_brightness_between_pictures_is_kept():
    dark, bright = ramp(400), ramp(4000)
    (first, second), notes = read(encode(dark), encode(bright))
    assert (first.max(), second.max()) == (25, 249)
    assert len(notes) == 1


def test_deep_pictures_do_not_change_those_of_8_bits():
    grey = noise(size=16)
    (first, second), _ = read(encode(grey), encode(ramp(1023)))
    assert np.array_equal(first, grey)
    assert second.max() == 255


def test_white_that_is_given_wins_over_what_is_there_and_must_hold_it():
    (pixels,), notes = read(encode(ramp(1000)), white=4000.0)
    assert (pixels.max(), notes) == (64, [])
    with pytest.raises(DataError, match=r"d: 0\.x: holds the value 5000, above data\.white 4095"):
        read(encode(ramp(5000)), white=4095.0)


def tiff(pixels, **tags):
    """A TIFF with further tags, by number."""
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for number, value in tags.items():
        directory[int(number[1:])] = value
    return encode(Image.fromarray(pixels), "TIFF", tiffinfo=directory)


def test_a_tiff_that_counts_from_white_is_turned_in_every_depth():
    dark_on_white = ramp(255, np.uint8)
    expected = 255 - dark_on_white
    (eight,), _ = read(tiff(dark_on_white, t262=0))
    (sixteen,), _ = read(tiff(ramp(65535), t262=0))
    (twelve,), _ = read(tiff(ramp(4095), t262=0))
    assert np.array_equal(sixteen, expected)
    assert np.array_equal(twelve, np.rint(255 - ramp(4095) / 4095 * 255))
    # Pillow itself turns 8 bits when it reads the tag; it writes the pixels turned as well.
    with Image.open(io.BytesIO(tiff(dark_on_white, t262=0))) as image:
        assert np.array_equal(eight, np.asarray(image))


@pytest.mark.parametrize("tag", ["t281", "t341"])
def test_the_largest_value_that_a_tiff_names_is_its_white(tag):
    (pixels,), _ = read(tiff(ramp(900), **{tag: 4095}))
    assert pixels.max() == round(900 / 4095 * 255)


def with_significant_bits(encoded, bits):
    """A PNG with an sBIT chunk."""
    body = b"sBIT" + bytes(bits)
    chunk = struct.pack(">I", len(bits)) + body + struct.pack(">I", zlib.crc32(body))
    return encoded[:33] + chunk + encoded[33:]


def test_the_significant_bits_of_a_png_are_its_white_if_no_value_is_larger():
    (pixels,), _ = read(with_significant_bits(encode(ramp(900)), [12]))
    assert pixels.max() == round(900 / 4095 * 255)
    # As the format's own rules have it, samples are shifted up to the container's scale.
    (pixels,), _ = read(with_significant_bits(encode(ramp(4095) * np.uint16(16)), [12]))
    assert pixels.max() == 255


def pgm(pixels, largest):
    size = f"{pixels.shape[1]} {pixels.shape[0]}"
    return f"P5 {size} {largest}\n".encode() + pixels.astype(">u2").tobytes()


def test_the_maximum_of_a_pgm_is_its_white():
    (pixels,), notes = read(pgm(ramp(900), 4095))
    assert abs(int(pixels.max()) - 900 / 4095 * 255) <= 1
    assert notes == []
    (pixels,), notes = read(pgm(ramp(4095), 65535))
    assert pixels.max() == 255
    assert "4095 is read as white" in notes[0]


def test_twelve_bits_packed_in_a_tiff_are_scaled_by_their_own_depth():
    values = ramp(900)
    flat = values.ravel().astype(np.uint32)
    packed = bytearray()
    for first, second in zip(flat[::2], flat[1::2], strict=True):
        packed += int(first << 12 | second).to_bytes(3, "big")
    entries = [(256, 3, 16), (257, 3, 16), (258, 3, 12), (259, 3, 1), (262, 3, 1), (277, 3, 1)]
    start = 8 + 2 + 12 * (len(entries) + 2) + 4
    entries += [(273, 4, start), (279, 4, len(packed))]
    directory = struct.pack("<H", len(entries))
    for tag, kind, value in sorted(entries):
        directory += struct.pack("<HHII", tag, kind, 1, value)
    (pixels,), _ = read(b"II*\0\x08\0\0\0" + directory + bytes(4) + bytes(packed))
    assert np.array_equal(pixels, np.rint(values / 4095 * 255))


def test_a_transparent_grey_of_16_bits_is_background():
    pixels = ramp(65535)
    pixels[:, :4] = 30000
    image = Image.fromarray(pixels)
    for invert in (False, True):
        (found,), _ = read(encode(image, transparency=30000), invert=invert)
        assert (found[:, :4] == 0).all()
        opaque = pixels[:, 4:] / 65535 * 255
        assert np.array_equal(found[:, 4:], np.rint(255 - opaque if invert else opaque))


def test_grey_of_16_bits_is_inverted_and_repeated_for_colour():
    picture = decode_image(encode(ramp(65535)), "a", image_size=16, channels=3, invert=True)
    (pixels,), _, _ = scale_deep([picture.pixels], None, "d")
    assert pixels.shape == (3, 16, 16)
    assert (pixels == 255 - np.arange(256).reshape(16, 16)).all()


def test_floats_are_read_over_one_or_255_by_the_whole_data_set():
    dark = ramp(0.2, np.float64) * 0 + np.linspace(0, 0.2, 256).reshape(16, 16)
    (first, second), _ = read(
        encode(Image.fromarray(dark.astype(np.float32)), "TIFF"),
        encode(Image.fromarray(ramp(200, np.float32)), "TIFF"),
    )
    assert (first.max(), second.max()) == (0, 200)
    (alone,), _ = read(encode(Image.fromarray(dark.astype(np.float32)), "TIFF"))
    assert alone.max() == 51


def test_floats_a_little_above_one_are_refused_and_not_read_as_black():
    with pytest.raises(DataError, match=r"run up to 1\.02.*data\.white"):
        choose_whites([levels(1.02, real=True)], None)
    assert choose_whites([levels(1.02, real=True)], 1.02).floats == 1.02


def test_values_that_are_no_grey_levels_are_refused_with_the_fix():
    for values, why in [
        (np.array([-1, 5], np.int16), "negative values are not read"),
        (np.array([np.nan]), "NaN or infinity"),
        (np.array(["1"]), "numbers are needed"),
    ]:
        with pytest.raises(DataError, match=f"^x: pixels.*{why}"):
            levels_of(values, "x")
    with pytest.raises(DataError, match=r"^a: pixels run up to 70000.*set data\.white"):
        choose_whites([levels(70000)], None)


def test_raw_values_are_scaled_as_files_are():
    assert scale_array(np.array([0, 65535], ">u2"), 65535).tolist() == [0, 255]
    assert scale_array(np.array([0.0, 0.5, 1.0]), 1).tolist() == [0, 128, 255]
    assert scale_array(np.array([0, 4095], np.int64), 4095).tolist() == [0, 255]


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i4", "<i8", "<u4"])
@pytest.mark.parametrize("top", [255, 4095, 65535])
def test_arrays_of_any_width_and_byte_order_are_scaled_by_their_content(tmp_path, dtype, top):
    images = np.stack([ramp(top), ramp(top).T]).astype(dtype)
    np.savez(tmp_path / "a.npz", images=images, labels=[0, 1])
    data = load_dataset(settings(tmp_path / "a.npz"))
    assert np.array_equal(data.samples[0, 0], np.rint(ramp(top) / top * 255))
    assert ("4095 is read as white" in " ".join(data.notes)) == (top == 4095)
    assert data.origin["white"] == {"integers": top}


def test_colour_of_16_bits_that_uses_few_of_them_is_refused_and_not_read_as_black(tmp_path):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    def deep_colour(top):
        rows = np.repeat(ramp(top)[..., None], 3, axis=2).astype(">u2")
        content = b"".join(b"\0" + row.tobytes() for row in rows)
        header = struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)
        start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
        return start + chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b"")

    write(tmp_path / "full", {"a/1.png": deep_colour(65535), "b/1.png": deep_colour(60000)})
    data = load_dataset(settings(tmp_path / "full", "image_folder"))
    assert data.samples.max() == 255
    assert data.origin["pictures"]["full"]["deep"] == 2
    write(tmp_path / "few", {"a/1.png": deep_colour(4095), "b/1.png": deep_colour(4000)})
    with pytest.raises(DataError, match=r"2 colour pictures of 16 bits.*hold 0\.\.15.*8 bits"):
        load_dataset(settings(tmp_path / "few", "image_folder"))


def test_a_tiff_that_pillow_cannot_read_is_named_as_such():
    entries = [(256, 3, 1), (257, 3, 1), (258, 3, 64), (259, 3, 1), (262, 3, 1), (273, 4, 150)]
    entries += [(277, 3, 1), (279, 4, 8), (339, 3, 3)]
    directory = struct.pack("<H", len(entries))
    for tag, kind, value in entries:
        directory += struct.pack("<HHII", tag, kind, 1, value)
    encoded = (b"II*\0\x08\0\0\0" + directory + bytes(4)).ljust(150, b"\0") + struct.pack("<d", 0.5)
    with pytest.raises(DataError, match=r"a: a TIFF of 64-bit floats.*32-bit floats"):
        decode_image(encoded, "a", image_size=16, channels=1)
