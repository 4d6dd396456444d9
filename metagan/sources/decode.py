"""Encoded pictures and raw arrays to the one form that a data set holds.

The result is always (C, H, W) uint8 with H = W = the wanted size. A picture that is not square is
squeezed to the square, never cropped: what tells two classes apart may lie at the border.

Shapes: C channels, H x W pixels, N samples.
"""

import io
import struct
import warnings
import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from metagan.dataset import DataError

# A phone's largest photographs have 50 million pixels; one at this cap takes 200 MB to decode.
MAX_PIXELS: Final = 64_000_000
PICTURE_SUFFIXES: Final = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pnm"}
    | {".apng", ".jpe", ".jfif", ".dib", ".pbm"}
)
# Named, because Pillow would otherwise also try formats that start other programs (EPS).
_FORMATS: Final = ("PNG", "JPEG", "GIF", "BMP", "DIB", "PPM", "TIFF", "WEBP")
_DECODER_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_EXIF_ORIENTATION: Final = 0x0112
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def is_picture(file_name: str) -> bool:
    """Whether the ending is that of a picture format that `decode_image` reads."""
    return any(file_name.lower().endswith(suffix) for suffix in PICTURE_SUFFIXES)


def decode_image(
    encoded: bytes,
    name: str,
    *,
    image_size: int,
    channels: int,
    invert: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """One encoded picture as pixels, and the size that it has in the file.

    The camera's orientation (EXIF) is applied; palettes, CMYK and 1-bit pictures are expanded;
    16-bit grey is scaled, not clipped. Transparent pixels become background, which is dark in the
    result: black, or white where `invert` turns it dark afterwards. Of a phone's multi-picture
    JPEG the first picture is used; animations and several pages are refused, as no single frame is
    known to be the sample.

    Args:
        encoded: The file's bytes: PNG, JPEG, GIF, BMP, PPM, TIFF or WebP, whatever its ending.
        name: The file's name, for messages.
        image_size: Height and width of the result, pixels.
        channels: 1 for grey, 3 for colour.
        invert: Swap dark and bright.
        max_pixels: Larger pictures are refused before they are decoded.

    Returns:
        (channels, image_size, image_size) uint8; width and height as stored.

    Raises:
        DataError: If the bytes are not one still picture within the cap; the message has `name`.
    """
    if not encoded:
        raise DataError(f"{name}: the file is empty (0 bytes)")
    try:
        # Pillow warns where we refuse (size) or accept (odd metadata); neither is news to the user.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
                _check_header(image, name, max_pixels)
                stored = image.size
                flat = _flatten(image, name, channels, 255 if invert else 0, image_size)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"{name}: not a picture in a format that is read here") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{name}: more than {max_pixels} pixels, refused") from error
    except _DECODER_ERRORS as error:
        raise DataError(f"{name}: damaged or truncated picture ({error})") from error
    return _finish(flat, image_size, invert), stored


def pixels_to_uint8(pixels: NDArray[Any], name: str, *, unit_range: bool = True) -> NDArray[Any]:
    """Raw pixel values on the scale 0..255, in uint8.

    Args:
        pixels: Any shape; bool, uint8, uint16 (scaled from 0..65535), another integer type with
            values 0..255, or floats.
        name: File and array, for messages.
        unit_range: Floats run over 0..1; otherwise over 0..255.

    Raises:
        DataError: If values are outside the range, not finite, or not numbers.
    """
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype == np.uint16:
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if pixels.dtype.kind not in "iuf":
        raise DataError(f"{name}: pixels are {pixels.dtype}; numbers are needed")
    if pixels.size and not np.isfinite(pixels).all():
        raise DataError(f"{name}: pixels hold NaN or infinity; repair or drop those pictures")
    top = 1.0 if pixels.dtype.kind == "f" and unit_range else 255.0
    if pixels.size and (pixels.min() < 0 or pixels.max() > top):
        raise DataError(
            f"{name}: pixels run over {pixels.min()}..{pixels.max()}; "
            "0..255 (integers or floats) or 0..1 (floats) is read"
        )
    return np.rint(pixels * (255.0 / top)).astype(np.uint8)


def resize_pixels(
    images: NDArray[np.uint8], name: str, *, image_size: int, channels: int, invert: bool = False
) -> NDArray[np.uint8]:
    """Raw uint8 pictures in the wanted size and channels.

    Args:
        images: (N, H, W), or (N, H, W, C) with C 1, 3 or 4 (colour and opacity).
        name: File and array, for messages.
        image_size: Height and width of the result, pixels.
        channels: 1 for grey, 3 for colour.
        invert: Swap dark and bright.

    Returns:
        (N, channels, image_size, image_size) uint8.

    Raises:
        DataError: If the shape is none of the above, or a side is 0.
    """
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (3, 4)):
        raise DataError(f"{name}: shape {images.shape}; (n, H, W) or (n, H, W, 1 or 3) is read")
    if 0 in images.shape[1:]:
        raise DataError(f"{name}: shape {images.shape} has a side of 0 pixels")
    if images.shape[1] * images.shape[2] > MAX_PIXELS:
        raise DataError(f"{name}: shape {images.shape} has more than {MAX_PIXELS} pixels a picture")
    if images.ndim == 3 and images.shape[1:] == (image_size, image_size):
        grey = 255 - images if invert else images
        return np.repeat(grey[:, None], channels, axis=1)
    result = np.empty((len(images), channels, image_size, image_size), np.uint8)
    for index, pixels in enumerate(images):
        image = Image.fromarray(np.ascontiguousarray(pixels))
        flat = _flatten(image, name, channels, 255 if invert else 0, image_size)
        result[index] = _finish(flat, image_size, invert)
    return result


def _check_header(image: Image.Image, name: str, max_pixels: int) -> None:
    """Refuse, before any pixel is decoded, what is too large or not one still picture."""
    width, height = image.size
    if width * height > max_pixels:
        raise DataError(f"{name}: {width} x {height} is more than {max_pixels} pixels, refused")
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise DataError(
            f"{name}: holds {getattr(image, 'n_frames', 'several')} frames or pages; "
            "save the one that is meant as a still picture"
        )


def _flatten(
    image: Image.Image, name: str, channels: int, background: int, image_size: int
) -> Image.Image:
    """The picture upright, opaque and 8-bit, in mode L or RGB."""
    turn = _TURNS.get(_orientation(image))
    # JPEG can be decoded at a fraction of its size; four times the target loses nothing visible.
    image.draft(None, (4 * image_size, 4 * image_size))
    image.load()
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(pixels_to_uint8(_deep_pixels(image), name))
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, (background, background, background, 255))
        opaque.alpha_composite(image.convert("RGBA"))
        image = opaque
    if image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    image = image.convert("L" if channels == 1 else "RGB")
    return image if turn is None else image.transpose(turn)


def _deep_pixels(image: Image.Image) -> NDArray[Any]:
    """Values of a picture deeper than 8 bits, (H, W): uint16, or float32 as stored."""
    pixels = np.asarray(image)
    if pixels.dtype.kind in "iu" and pixels.size and 0 <= pixels.min() <= pixels.max() <= 65535:
        return pixels.astype(np.uint16)
    return pixels


def _orientation(image: Image.Image) -> int:
    """The camera's orientation, 1 (upright) where there is none that can be read."""
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except _DECODER_ERRORS:
        return 1


def _finish(image: Image.Image, image_size: int, invert: bool) -> NDArray[np.uint8]:
    """Resize an L or RGB picture and order its axes (C, H, W)."""
    if image.size != (image_size, image_size):
        image = image.resize((image_size, image_size), Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(255 - planes if invert else planes)
