"""Encoded pictures and raw arrays to the one form that a data set holds.

The result is always (C, H, W) uint8 with H = W = the wanted size. A picture that is not square is
squeezed to the square, never cropped: what tells two classes apart may lie at the border. Pictures
deeper than 8 bits are scaled once all are known, see `metagan.kinds.image.reading.depth`.

Shapes: C channels, H x W pixels, N samples.
"""

import io
import struct
import warnings
import zlib
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from metagan.data.dataset import DataError
from metagan.kinds.image.pictures import GENERATED_MARK
from metagan.kinds.image.reading.depth import Deep, levels_of
from metagan.kinds.image.reading.first_bytes import why_no_picture
from metagan.kinds.image.reading.headers import BITS_PER_SAMPLE, HeaderDepth, depth_of, scale_key

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
# Tags of TIFF and EXIF.
_ORIENTATION: Final = 0x0112
_SAMPLE_FORMAT: Final = 339
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Levels of 255. A scan of a grey page is tinted by less; a picture with less contrast is blank.
_TINT: Final = 16
LEAST_CONTRAST: Final = 4
_LOOKED_AT: Final = 256


@dataclass(frozen=True)
class Traits:
    """Traits of a picture's file beyond the pixels that are kept.

    Attributes:
        colour: Its channels differ.
        transparent: Some of its pixels are.
        deep: It has more than 8 bits a channel.
        narrowed: It is deep and was read by the upper 8 bits alone, which Pillow does to colour
            pictures: the largest value found there; None where all bits were read.
        hidden: It is blank over its background, though its file holds a drawing.
        generated: The file says that `metagan generate` wrote it.
        clear: All of its pixels are transparent.
        faint: Its pixels differ, but by so few levels that it counts as blank.
    """

    colour: bool = False
    transparent: bool = False
    deep: bool = False
    narrowed: int | None = None
    hidden: bool = False
    generated: bool = False
    clear: bool = False
    faint: bool = False


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        pixels: (C, H, W) uint8, or a deep picture that still has to be scaled.
        size: Width and height as stored, pixels.
        traits: What else its file holds.
    """

    pixels: NDArray[np.uint8] | Deep
    size: tuple[int, int]
    traits: Traits


def is_picture(file_name: str) -> bool:
    """True if the ending is that of a picture format that `decode_image` reads."""
    return any(file_name.lower().endswith(suffix) for suffix in PICTURE_SUFFIXES)


def decode_image(
    encoded: bytes,
    name: str,
    *,
    image_size: int,
    channels: int,
    invert: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Picture:
    """Decode one picture.

    The camera's orientation (EXIF, TIFF) is applied; palettes, CMYK and 1-bit pictures are
    expanded. Transparent pixels become background, which is dark in the result: black, or white
    where `invert` turns it dark afterwards. Of a phone's multi-picture JPEG the first picture is
    used; animations and several pages are refused, as no single frame is known to be the sample.

    Args:
        encoded: The file's bytes: PNG, JPEG, GIF, BMP, PPM, TIFF or WebP, whatever its ending.
        name: The file's name, for messages.
        image_size: Height and width of the result, pixels.
        channels: 1 for grey, 3 for colour.
        invert: Swap dark and bright.
        max_pixels: Larger pictures are refused before they are decoded.

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
                pixels, traits = _read(image, encoded, name, channels, invert, image_size)
                keyword, text = GENERATED_MARK
                traits = replace(traits, generated=image.info.get(keyword) == text)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"{name}: {_unidentified(encoded)}") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{name}: more than {max_pixels} pixels, refused") from error
    except _DECODER_ERRORS as error:
        raise DataError(f"{name}: damaged or truncated picture ({error})") from error
    return Picture(pixels, stored, traits)


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
        flat, _ = _flatten(image, channels, 255 if invert else 0)
        result[index] = _finish(flat, image_size, invert)
    return result


def array_traits(images: NDArray[Any]) -> list[Traits]:
    """Traits of raw pictures, one by one: (N, H, W) or (N, H, W, C), whole numbers or floats."""
    wide = images.dtype.itemsize > 1
    found = []
    for picture in images:
        coloured = picture.ndim == 3 and picture.shape[-1] in (3, 4)
        # Compared with white in 255: the tint of a deep picture counts in its own scale.
        top = max(float(picture.max()) if picture.size else 0.0, 1.0) if wide else 255.0
        spread = np.ptp(picture[..., :3], axis=-1).max() if coloured and picture.size else 0
        clear = coloured and picture.shape[-1] == 4 and picture[..., 3].min() < top
        contrast = np.ptp(picture) if picture.size else 0
        faint = not wide and 0 < contrast < LEAST_CONTRAST and picture.dtype.kind != "b"
        found.append(Traits(bool(spread > _TINT / 255 * top), bool(clear), wide, faint=bool(faint)))
    return found


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


def _read(
    image: Image.Image, encoded: bytes, name: str, channels: int, invert: bool, image_size: int
) -> tuple[NDArray[np.uint8] | Deep, Traits]:
    """An opened picture upright and in the wanted size."""
    depth = depth_of(image, encoded)  # Loading forgets some of it.
    if image.format == "PNG":
        scale_key(image)
    # JPEG can be decoded at a fraction of its size; four times the target loses nothing visible.
    image.draft(None, (4 * image_size, 4 * image_size))
    image.load()
    # Asked for after loading: Pillow turns a TIFF while it loads, and then drops the tag.
    turn = _TURNS.get(_orientation(image))
    if image.mode.startswith("I") or image.mode == "F":
        return _read_deep(image, depth, name, channels, invert, image_size, turn)
    flat, traits = _flatten(image, channels, 255 if invert else 0)
    if depth.deep:
        # Where the header names the largest value, Pillow has scaled by it.
        narrowed = None if depth.white else max(int(high) for _, high in _extrema(flat))
        traits = replace(traits, deep=True, narrowed=narrowed)
    return _finish(flat if turn is None else flat.transpose(turn), image_size, invert), traits


def _flatten(image: Image.Image, channels: int, background: int) -> tuple[Image.Image, Traits]:
    """A picture of 8 bits as it lies on the background, in mode L or RGB."""
    transparent = hidden = clear = False
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        least, most = _extrema(layers)[3]
        transparent, clear = least < 255, most == 0
        opaque = Image.new("RGBA", image.size, (background, background, background, 255))
        opaque.alpha_composite(layers)
        hidden = not clear and _is_blank(opaque.convert("RGB")) and not _is_blank(layers)
        image = opaque
    if image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    colour = image.mode == "RGB" and _is_coloured(image)
    faint = _is_blank(image) and any(high > low for low, high in _extrema(image))
    return image.convert("L" if channels == 1 else "RGB"), Traits(
        colour, transparent, hidden=hidden, clear=clear, faint=faint
    )


def _extrema(image: Image.Image) -> list[tuple[float, float]]:
    """Smallest and largest value of every channel."""
    found: Any = image.getextrema()
    return list(found) if isinstance(found[0], tuple) else [found]


def _is_blank(image: Image.Image) -> bool:
    """True if no channel has any contrast."""
    return all(high - low < LEAST_CONTRAST for low, high in _extrema(image))


def _is_coloured(image: Image.Image) -> bool:
    """True if the channels of an RGB picture differ; of a large picture a sample is looked at."""
    if max(image.size) > _LOOKED_AT:
        width, height = (min(side, _LOOKED_AT) for side in image.size)
        image = image.resize((width, height), Image.Resampling.NEAREST)
    return bool(np.ptp(np.asarray(image), axis=-1).max() > _TINT)


def _read_deep(
    image: Image.Image,
    depth: HeaderDepth,
    name: str,
    channels: int,
    invert: bool,
    image_size: int,
    turn: Image.Transpose | None,
) -> tuple[Deep, Traits]:
    """A grey picture of more than 8 bits, its values kept."""
    stored = np.asarray(image)
    levels = levels_of(stored, name, white=depth.white, hint=depth.hint)
    values = stored.astype(np.float32)
    key = image.info.get("transparency")
    opacity = (stored != key).astype(np.float32) if isinstance(key, int) else None
    transparent = opacity is not None and not opacity.all()

    def fitted(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        picture = Image.fromarray(plane)
        picture = picture if turn is None else picture.transpose(turn)
        if picture.size != (image_size, image_size):
            picture = picture.resize((image_size, image_size), Image.Resampling.LANCZOS)
        return np.array(picture, np.float32)

    deep = Deep(
        fitted(values if opacity is None else values * opacity),
        fitted(opacity) if opacity is not None and transparent else None,
        levels,
        depth.white_is_zero,
        channels,
        invert,
    )
    return deep, Traits(transparent=transparent, deep=True)


def _unidentified(encoded: bytes) -> str:
    """Why Pillow has no reader for a file."""
    if encoded[:4] not in (b"II*\0", b"MM\0*"):
        return why_no_picture(encoded[:_LOOKED_AT])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tags = TiffImagePlugin.ImageFileDirectory_v2(encoded[:8])
            stream = io.BytesIO(encoded)
            stream.seek(tags.next)
            tags.load(stream)
        bits = max(tags.get(BITS_PER_SAMPLE, (1,)))
        kinds = {1: "whole numbers", 2: "signed whole numbers", 3: "floats"}
        kind = kinds.get(max(tags.get(_SAMPLE_FORMAT, (1,))), "another kind of number")
    except _DECODER_ERRORS:
        return "damaged or truncated picture (TIFF)"
    return (
        f"a TIFF of {bits}-bit {kind}, which Pillow does not read in this layout; save it as PNG "
        "of 8 or 16 bits, or as TIFF of 32-bit floats"
    )


def _orientation(image: Image.Image) -> int:
    """The camera's orientation, 1 (upright) where there is none that can be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except _DECODER_ERRORS:
        return 1


def _finish(image: Image.Image, image_size: int, invert: bool) -> NDArray[np.uint8]:
    """Resize an L or RGB picture and order its axes (C, H, W)."""
    if image.size != (image_size, image_size):
        image = image.resize((image_size, image_size), Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(255 - planes if invert else planes)
