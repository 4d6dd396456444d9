"""Small pictures in every format, mode, depth and orientation, and what each of them shows.

Every function gives the same kinds of pictures for every seed, with other pixels and sizes.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tests.kinds.image.picture_writers import bmp, png, pnm, tiff
from tests.kinds.image.pictures import encode
from tests.reference.reader import Raw


@dataclass(frozen=True)
class Variant:
    """A picture file of one kind.

    Attributes:
        name: What kind, as part of a folder's name.
        ending: That of its file's name, with the dot.
        encoded: Its bytes.
        truth: What it shows; None where its format loses something.
    """

    name: str
    ending: str
    encoded: bytes
    truth: Raw | None = None


class _Pixels:
    """Random pixels in shapes that are mostly not square."""

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)

    def __call__(self, channels=1, top=255, dtype=np.uint8):
        height, width = self._rng.integers(5, 25, 2)
        shape = (height, width) if channels == 1 else (height, width, channels)
        pixels = self._rng.integers(0, top + 1, shape)
        pixels.flat[:2] = 0, top  # The whole scale is used.
        return pixels.astype(dtype)

    def floats(self, top):
        return (self(1, 10_000, np.float32) / np.float32(10_000)) * np.float32(top)


def _exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _exif_chunk(orientation):
    return b"eXIf", _exif(orientation).tobytes().removeprefix(b"Exif\0\0")


def _icc_chunk():
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return b"iCCP", b"sRGB\0\0" + zlib.compress(profile)


_GAMMA = (b"gAMA", struct.pack(">I", 100_000))
_ORIENTATIONS = range(1, 9)


def png_variants(seed):
    """Every colour type and depth that is read in 8 bits or fewer, with keys and chunks."""
    pixels, found = _Pixels(seed), []

    def add(name, encoded, truth):
        found.append(Variant(f"png-{name}", ".png", encoded, truth))

    for interlaced in (False, True):
        way = "-interlaced" if interlaced else ""
        for bits in (1, 2, 4, 8):
            grey = pixels(top=2**bits - 1)
            truth = Raw(grey * np.uint8(255 // (2**bits - 1)))
            add(f"L{bits}{way}", png(grey, 0, bits, interlaced=interlaced), truth)
            for value in {0, 1, 2**bits - 1}:
                encoded = png(grey, 0, bits, key=struct.pack(">H", value), interlaced=interlaced)
                truth = Raw(truth.values, opacity=grey != value)
                add(f"L{bits}-key{value}{way}", encoded, truth)
            colours = pixels(3)[0][: 2**bits]
            index = pixels(top=len(colours) - 1)
            alphas = pixels()[0][: len(colours)]
            options = {"palette": colours.tobytes(), "interlaced": interlaced}
            add(f"P{bits}{way}", png(index, 3, bits, **options), Raw(colours[index]))
            part = np.concatenate([alphas, np.full(len(colours), 255)])
            encoded = png(index, 3, bits, key=alphas.tobytes(), **options)
            add(f"P{bits}-alphas{way}", encoded, Raw(colours[index], opacity=part[index] / 255))
            encoded = png(index, 3, bits, key=b"\xff\0"[: len(colours)], **options)
            add(f"P{bits}-key{way}", encoded, Raw(colours[index], opacity=index != 1))
        colour = pixels(3)
        add(f"RGB{way}", png(colour, 2, interlaced=interlaced), Raw(colour))
        key = struct.pack(">HHH", *colour[1, 1].tolist())
        truth = Raw(colour, opacity=(colour != colour[1, 1]).any(axis=-1))
        add(f"RGB-key{way}", png(colour, 2, key=key, interlaced=interlaced), truth)
        both = pixels(2)
        truth = Raw(both[..., 0], opacity=both[..., 1] / 255)
        add(f"LA{way}", png(both, 4, interlaced=interlaced), truth)
        four = pixels(4)
        truth = Raw(four[..., :3], opacity=four[..., 3] / 255)
        add(f"RGBA{way}", png(four, 6, interlaced=interlaced), truth)
        # Of colour in 16 bits Pillow gives the upper 8.
        wide = pixels(3, 65535, np.uint16)
        upper = (wide >> 8).astype(np.uint8)
        add(f"RGB16{way}", png(wide, 2, 16, interlaced=interlaced), Raw(upper))
        key = struct.pack(">HHH", *wide[1, 1].tolist())
        truth = Raw(upper, opacity=(wide != wide[1, 1]).any(axis=-1))
        add(f"RGB16-key{way}", png(wide, 2, 16, key=key, interlaced=interlaced), truth)
        wide = pixels(4, 65535, np.uint16)
        upper = (wide >> 8).astype(np.uint8)
        truth = Raw(upper[..., :3], opacity=upper[..., 3] / 255)
        add(f"RGBA16{way}", png(wide, 6, 16, interlaced=interlaced), truth)
        wide = pixels(2, 65535, np.uint16)
        upper = (wide >> 8).astype(np.uint8)
        truth = Raw(upper[..., 0], opacity=upper[..., 1] / 255)
        add(f"LA16{way}", png(wide, 4, 16, interlaced=interlaced), truth)
    chunks = [(b"sBIT", b"\5\6\5"), (b"bKGD", bytes(6)), (b"tEXt", b"Title\0x")]
    for chunk in (_GAMMA, _icc_chunk(), *chunks):
        colour = pixels(3)
        add(f"RGB-{chunk[0].decode()}", png(colour, 2, early=[chunk]), Raw(colour))
    grey = pixels()
    add("L-sBIT", png(grey, 0, early=[(b"sBIT", b"\5")]), Raw(grey))
    for turn in _ORIENTATIONS:
        grey, bits, colour, four = pixels(), pixels(top=1), pixels(3), pixels(4)
        add(f"L-exif{turn}", png(grey, 0, early=[_exif_chunk(turn)]), Raw(grey).turned(turn))
        truth = Raw(bits * np.uint8(255)).turned(turn)
        add(f"1-exif{turn}", png(bits, 0, 1, early=[_exif_chunk(turn)]), truth)
        late = png(colour, 2, late=[_exif_chunk(turn)])
        add(f"RGB-exif{turn}-late", late, Raw(colour).turned(turn))
        truth = Raw(four[..., :3], opacity=four[..., 3] / 255).turned(turn)
        add(f"RGBA-exif{turn}", png(four, 6, early=[_exif_chunk(turn)]), truth)
        colours = pixels(3)[0]
        index = pixels(top=len(colours) - 1)
        encoded = png(index, 3, palette=colours.tobytes(), key=b"\0", early=[_exif_chunk(turn)])
        add(f"P-exif{turn}", encoded, Raw(colours[index], opacity=index != 0).turned(turn))
    return found


def tiff_variants(seed):
    """TIFF in up to 8 bits, and in colour."""
    pixels, found = _Pixels(seed), []

    def add(name, encoded, truth):
        found.append(Variant(f"tiff-{name}", ".tif", encoded, truth))

    for order in "<>":
        name = {"<": "", ">": "-big"}[order]
        for bits in (1, 2, 4, 8):
            grey = pixels(top=2**bits - 1)
            levels = grey * np.uint8(255 // (2**bits - 1))
            add(f"L{bits}{name}", tiff(grey, 1, bits, order=order), Raw(levels))
            add(f"L{bits}-white0{name}", tiff(grey, 0, bits, order=order), Raw(255 - levels))
        colour, four, wide = pixels(3), pixels(4), pixels(3, 65535, np.uint16)
        add(f"RGB{name}", tiff(colour, 2, order=order), Raw(colour))
        add(f"RGB-planar{name}", tiff(colour, 2, order=order, planar=True), Raw(colour))
        truth = Raw(four[..., :3], opacity=four[..., 3] / 255)
        add(f"RGBA{name}", tiff(four, 2, order=order, tags=[(338, 2)]), truth)
        add(f"RGBX{name}", tiff(four, 2, order=order, tags=[(338, 0)]), Raw(four[..., :3]))
        truth = Raw((wide >> 8).astype(np.uint8))
        add(f"RGB16{name}", tiff(wide, 2, 16, order=order), truth)
        wide = pixels(4, 65535, np.uint16)
        upper = (wide >> 8).astype(np.uint8)
        truth = Raw(upper[..., :3], opacity=upper[..., 3] / 255)
        add(f"RGBA16{name}", tiff(wide, 2, 16, order=order, tags=[(338, 2)]), truth)
        both = pixels(2)
        truth = Raw(both[..., 0], opacity=both[..., 1] / 255)
        add(f"LA{name}", tiff(both, 1, order=order, tags=[(338, 2)]), truth)
    for turn in _ORIENTATIONS:
        tags = [(0x0112, turn)]
        for bits in (1, 8):
            grey = pixels(top=2**bits - 1)
            levels = grey * np.uint8(255 // (2**bits - 1))
            add(f"L{bits}-turn{turn}", tiff(grey, 1, bits, tags=tags), Raw(levels).turned(turn))
            truth = Raw(255 - levels).turned(turn)
            add(f"L{bits}-white0-turn{turn}", tiff(grey, 0, bits, tags=tags), truth)
        colour, four = pixels(3), pixels(4)
        add(f"RGB-turn{turn}", tiff(colour, 2, tags=tags), Raw(colour).turned(turn))
        truth = Raw(four[..., :3], opacity=four[..., 3] / 255).turned(turn)
        add(f"RGBA-turn{turn}", tiff(four, 2, tags=[*tags, (338, 2)]), truth)
    for method in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        for turn in (1, 6):
            for kind, array in (("L", pixels()), ("RGB", pixels(3)), ("1", pixels(top=1) == 1)):
                options = {"compression": method, "tiffinfo": {0x0112: turn}}
                encoded = encode(Image.fromarray(array), "TIFF", **options)
                truth = Raw(array * np.uint8(255) if kind == "1" else array).turned(turn)
                add(f"{kind}-{method}-turn{turn}", encoded, truth)
            palette, index = pixels(3), pixels(top=4)
            image = Image.fromarray(index)
            image.putpalette(palette[0, :5].tobytes())
            truth = Raw(palette[0][index]).turned(turn)
            add(f"P-{method}-turn{turn}", encode(image, "TIFF", **options), truth)
            ink = pixels(4)
            encoded = encode(Image.fromarray(ink, "CMYK"), "TIFF", **options)
            light = np.rint((255.0 - ink[..., :3]) * (255.0 - ink[..., 3:]) / 255)
            add(f"CMYK-{method}-turn{turn}", encoded, Raw(light.astype(np.uint8)).turned(turn))
            both = pixels(2)
            encoded = encode(Image.fromarray(both, "LA"), "TIFF", **options)
            truth = Raw(both[..., 0], opacity=both[..., 1] / 255).turned(turn)
            add(f"LA-{method}-turn{turn}", encoded, truth)
    bits = pixels(top=1) == 1
    encoded = encode(Image.fromarray(bits), "TIFF", compression="group4")
    add("1-group4", encoded, Raw(bits * np.uint8(255)))
    add("RGB-jpeg", encode(Image.fromarray(pixels(3)), "TIFF", compression="jpeg"), None)
    return found


def lossy_variants(seed):
    """JPEG and MPO, whose pixels are known only once they are decoded."""
    pixels, found = _Pixels(seed), []
    for turn in _ORIENTATIONS:
        grey, colour = Image.fromarray(pixels()), Image.fromarray(pixels(3))
        for kind, image in (("L", grey), ("RGB", colour)):
            encoded = encode(image, "JPEG", exif=_exif(turn))
            found.append(Variant(f"jpeg-{kind}-exif{turn}", ".jpg", encoded))
        encoded = encode(colour, "MPO", exif=_exif(turn), save_all=True, append_images=[grey])
        found.append(Variant(f"mpo-exif{turn}", ".jpg", encoded))
        encoded = encode(colour, "WEBP", exif=_exif(turn), quality=80)
        found.append(Variant(f"webp-lossy-exif{turn}", ".webp", encoded))
    ink = Image.fromarray(pixels(4), "CMYK")
    found.append(Variant("jpeg-CMYK", ".jpeg", encode(ink, "JPEG")))
    found.append(Variant("jpeg-CMYK-exif6", ".jpe", encode(ink, "JPEG", exif=_exif(6))))
    colour = Image.fromarray(pixels(3))
    found.append(Variant("jpeg-progressive", ".jfif", encode(colour, "JPEG", progressive=True)))
    found.append(Variant("jpeg-444", ".JPG", encode(colour, "JPEG", subsampling=0, quality=95)))
    profile = zlib.decompress(_icc_chunk()[1][6:])
    found.append(Variant("jpeg-icc", ".jpg", encode(colour, "JPEG", icc_profile=profile)))
    return found


def other_variants(seed):
    """BMP, GIF, PBM, PGM, PPM and WebP without loss."""
    pixels, found = _Pixels(seed), []

    def add(name, ending, encoded, truth):
        found.append(Variant(name, ending, encoded, truth))

    for downwards in (False, True):
        way = "-downwards" if downwards else ""
        for bits in (1, 4, 8):
            colours = pixels(3)[0][: 2**bits]
            index = pixels(top=len(colours) - 1)
            palette = [(b, g, r, 0) for r, g, b in colours.tolist()]
            encoded = bmp(index, bits, palette, downwards=downwards)
            add(f"bmp-P{bits}{way}", ".bmp", encoded, Raw(colours[index]))
        colour = pixels(3)
        add(f"bmp-RGB{way}", ".dib", bmp(colour, 24, downwards=downwards), Raw(colour))
    grey, bits = pixels(), pixels(top=1) == 1
    add("bmp-L", ".bmp", encode(grey, "BMP"), Raw(grey))
    add("bmp-1", ".bmp", encode(Image.fromarray(bits), "BMP"), Raw(bits * np.uint8(255)))

    colours = pixels(3)[0]
    index = pixels(top=len(colours) - 1)
    image = Image.fromarray(index)
    image.putpalette(colours.tobytes())
    add("gif-P", ".gif", encode(image, "GIF"), Raw(colours[index]))
    truth = Raw(colours[index], opacity=index != 2)
    add("gif-P-key", ".gif", encode(image, "GIF", transparency=2, optimize=False), truth)
    add("gif-P-interlaced", ".gif", encode(image, "GIF", interlace=1), Raw(colours[index]))
    add("gif-L", ".gif", encode(grey, "GIF"), Raw(grey))
    truth = Raw(grey, opacity=grey != grey[2, 2])
    encoded = encode(grey, "GIF", transparency=int(grey[2, 2]), optimize=False)
    add("gif-L-key", ".gif", encoded, truth)

    for turn in _ORIENTATIONS:
        colour, four = pixels(3), pixels(4)
        options = {"lossless": True, "exact": True, "exif": _exif(turn)}
        add(
            f"webp-RGB-exif{turn}",
            ".webp",
            encode(colour, "WEBP", **options),
            Raw(colour).turned(turn),
        )
        truth = Raw(four[..., :3], opacity=four[..., 3] / 255).turned(turn)
        add(f"webp-RGBA-exif{turn}", ".webp", encode(four, "WEBP", **options), truth)

    for number in (1, 4):
        ink = pixels(top=1)
        add(f"pbm-{number}", ".pbm", pnm(ink, number), Raw((1 - ink) * np.uint8(255)))
    for number in (2, 5):
        for largest in (255, 15, 100):
            grey = pixels(top=largest)
            levels = np.rint(grey * 255.0 / largest).astype(np.uint8)
            add(f"pgm-{number}-{largest}", ".pgm", pnm(grey, number, largest), Raw(levels))
    for number in (3, 6):
        for largest in (255, 15, 100, 300, 4095, 65535):
            colour = pixels(3, largest, np.uint16)
            levels = np.rint(colour * 255.0 / largest).astype(np.uint8)
            add(f"ppm-{number}-{largest}", ".ppm", pnm(colour, number, largest), Raw(levels))
    return found


def deep_variants(seed):
    """Grey of 16 bits that uses all of them, beside files that name a smaller scale themselves."""
    pixels, found = _Pixels(seed), []

    def add(name, ending, encoded, truth):
        found.append(Variant(f"deep-{name}", ending, encoded, truth))

    def grey():
        return pixels(1, 65535, np.uint16)

    for interlaced in (False, True):
        way = "-interlaced" if interlaced else ""
        values = grey()
        add(f"png{way}", ".png", png(values, 0, 16, interlaced=interlaced), Raw(values, None))
        key = struct.pack(">H", values[1, 1])
        truth = Raw(values, None, values != values[1, 1])
        add(f"png-key{way}", ".png", png(values, 0, 16, key=key, interlaced=interlaced), truth)
    values = grey()
    add("png-gAMA", ".png", png(values, 0, 16, early=[_GAMMA]), Raw(values, None))
    for turn in _ORIENTATIONS:
        values, whole = grey(), pixels(1, 65535, np.int32)
        truth = Raw(values, None).turned(turn)
        add(f"png-exif{turn}", ".png", png(values, 0, 16, early=[_exif_chunk(turn)]), truth)
        key = struct.pack(">H", values[1, 1])
        encoded = png(values, 0, 16, key=key, late=[_exif_chunk(turn)])
        truth = Raw(values, None, values != values[1, 1]).turned(turn)
        add(f"png-key-exif{turn}", ".png", encoded, truth)
        tags = [(0x0112, turn)]
        for order in "<>":
            name = f"{'big' if order == '>' else 'little'}-turn{turn}"
            truth = Raw(values, None).turned(turn)
            add(f"tiff-{name}", ".tif", tiff(values, 1, 16, order=order, tags=tags), truth)
            encoded = tiff(whole, 1, 32, order=order, numbers=2, tags=tags)
            add(f"tiff-I-{name}", ".tif", encoded, Raw(whole, None).turned(turn))
        truth = Raw(values, None, from_white=True).turned(turn)
        add(f"tiff-white0-turn{turn}", ".tif", tiff(values, 0, 16, tags=tags), truth)
        encoded = tiff(whole, 1, 32, tags=tags)
        add(f"tiff-unsigned-turn{turn}", ".tif", encoded, Raw(whole, None).turned(turn))
    for method in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        for kind, dtype in (("I16", np.uint16), ("I", np.int32)):
            values = pixels(1, 65535, dtype)
            encoded = encode(Image.fromarray(values), "TIFF", compression=method)
            add(f"tiff-{kind}-{method}", ".tiff", encoded, Raw(values, None))
    for number in (2, 5):
        for largest in (300, 1023, 4095, 65535):
            values = pixels(1, largest, np.uint16)
            white = None if largest == 65535 else largest
            add(f"pgm-{number}-{largest}", ".pgm", pnm(values, number, largest), Raw(values, white))
    return found


def shallow_variants(seed, top):
    """Grey that uses fewer bits than its container, and does not say so."""
    pixels, found = _Pixels(seed), []
    for turn in (1, 6):
        values, whole = pixels(1, top, np.uint16), pixels(1, top, np.int32)
        tags = [(0x0112, turn)]
        truth = Raw(values, None).turned(turn)
        encoded = png(values, 0, 16, early=[_exif_chunk(turn)])
        found.append(Variant(f"png{turn}", ".png", encoded, truth))
        encoded = tiff(values, 1, 16, order=">", tags=tags)
        found.append(Variant(f"tiff{turn}", ".tif", encoded, truth))
        truth = Raw(values, None, from_white=True).turned(turn)
        found.append(Variant(f"tiff-white0-{turn}", ".tif", tiff(values, 0, 16, tags=tags), truth))
        encoded = tiff(whole, 1, 32, numbers=2, tags=tags)
        found.append(Variant(f"tiff-I{turn}", ".tif", encoded, Raw(whole, None).turned(turn)))
    return found


def named_variants(seed, top, kind):
    """Grey up to `top` in 16 bits: PNG or TIFF that say that 12 are used, and one that does not."""
    pixels, found = _Pixels(seed), []
    for turn in (1, 8):
        for tag in (281, 341):
            values = pixels(1, top, np.uint16)
            encoded = tiff(values, 1, 16, order=">", tags=[(tag, 4095), (0x0112, turn)])
            if kind == "png":
                chunks = [(b"sBIT", b"\x0c"), _exif_chunk(turn)]
                encoded = png(values, 0, 16, early=chunks, interlaced=tag == 281)
            truth = Raw(values, None, largest=4095).turned(turn)
            found.append(Variant(f"{tag}-turn{turn}", f".{kind}", encoded, truth))
    values = pixels(1, top, np.uint16)
    return [*found, Variant("png-plain", ".png", png(values, 0, 16), Raw(values, None))]


def float_variants(seed, top):
    """Floats from 0 to 1 or to 255."""
    pixels, found = _Pixels(seed), []
    for turn in _ORIENTATIONS:
        for order in "<>":
            values = pixels.floats(top)
            name = f"F{'-big' if order == '>' else ''}-turn{turn}"
            options = {"order": order, "numbers": 3, "tags": [(0x0112, turn)]}
            truth = Raw(values, None).turned(turn)
            found.append(Variant(name, ".tif", tiff(values, 1, 32, **options), truth))
            truth = Raw(values, None, from_white=True).turned(turn)
            found.append(Variant(f"{name}-white0", ".tif", tiff(values, 0, 32, **options), truth))
    return found
