import pytest

from metagan.data.dataset import DataError
from metagan.kinds.image.reading.decode import decode_image
from metagan.kinds.image.reading.first_bytes import format_notes, picture_format
from tests.kinds.image.pictures import encode, noise


@pytest.mark.parametrize(
    "name", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WebP", "PPM", "JPEG 2000", "AVIF", "ICO"]
)
def test_formats_are_known_by_what_pillow_writes(name):
    form = {"JPEG 2000": "JPEG2000", "WebP": "WEBP"}.get(name, name)
    assert picture_format(encode(noise(3, 32), form)[:132]) == name


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (bytes(128) + b"DICM", "DICOM"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x">', "SVG"),
        (b"P5 # a comment\n3 3\n", "PPM"),
    ],
)
def test_formats_are_known_by_their_marks(head, name):
    assert picture_format(head) == name


@pytest.mark.parametrize(
    "head",
    [b"", b"BMW is a car", b"PK\x03\x04", b"P3 is a port", b"%PDF-1.4", b"<html>", bytes(132)],
)
def test_other_files_are_no_pictures(head):
    assert picture_format(head) == ""


def test_a_note_counts_by_format_and_ending_and_says_what_to_do():
    found = [("a/x.jpg_large", "JPEG"), ("a/y.jpg_large", "JPEG"), ("b/z.heic", "HEIC")]
    [note] = format_notes(found)
    assert "3 pictures" in note
    assert "JPEG .jpg_large (2), HEIC .heic (1)" in note
    assert "rename them (.png, .jpg) or convert them to PNG" in note
    assert format_notes([]) == []


def test_a_note_on_many_kinds_says_how_many_are_not_named():
    found = [(f"a.{letter}", "PNG") for letter in "abcdefg"]
    [note] = format_notes(found)
    assert "7 pictures are not called so" in note
    assert "PNG .e (1), others (2); " in note


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "a web page and no picture"),
        (b"\0\0\0\x18ftypheic" + bytes(99), "HEIC by content, which is not read: convert it"),
        (b"8BPS" + bytes(99), "PSD by content"),
        (b"nothing", "not a picture in a format that is read here"),
    ],
)
def test_a_file_in_the_place_of_a_picture_is_called_what_it_is(content, why):
    with pytest.raises(DataError, match=why):
        decode_image(content, "a.png", image_size=16, channels=1)
