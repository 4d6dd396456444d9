"""Writers of idx, and of PNG, TIFF, PNM and BMP in forms that Pillow reads but does not write.

Each follows its format's specification, and takes pixels as they are stored.

Shapes: H x W pixels, C channels.
"""

import struct
import zlib

import numpy as np


def png(array, kind, bits=8, *, palette=b"", key=b"", interlaced=False, early=(), late=()):
    """A PNG of colour type `kind`; `early` and `late` are (name, content) before and after pixels.

    Source: PNG specification, third edition, sections 5, 8, 11.
    """
    height, width = array.shape[:2]
    steps = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    steps = [*steps, (1, 0, 2, 1)] if interlaced else [(0, 0, 1, 1)]
    passes = [array[y::dy, x::dx] for y, x, dy, dx in steps]
    rows = b"".join(b"\0" + _packed(row, bits) for p in passes if p.size for row in p)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced))]
    chunks += [*early, *((name, c) for name, c in ((b"PLTE", palette), (b"tRNS", key)) if c)]
    chunks += [(b"IDAT", zlib.compress(rows)), *late, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(name, content):
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def _packed(row, bits, order=">"):
    """A row of samples, most significant bit first, filled up to a whole byte."""
    if bits > 8:
        return row.astype(f"{order}u{bits // 8}").tobytes()
    each = np.unpackbits(row.reshape(-1, 1).astype(np.uint8), axis=1)[:, 8 - bits :]
    return np.packbits(each).tobytes()


def tiff(array, photometric, bits=8, *, order="<", numbers=1, tags=(), planar=False):
    """An uncompressed TIFF of one strip, or one for each channel; `tags` are (number, value).

    Args:
        array: (H, W) or (H, W, C), as stored.
        photometric: What its values mean: 0 white is zero, 1 black is zero, 2 RGB.
        bits: Of each sample.
        order: < or >.
        numbers: 1 unsigned, 2 signed, 3 floats.
        tags: Further ones, of 16 bits each.
        planar: One channel after the other.

    Source: TIFF revision 6.0.
    """
    height, width = array.shape[:2]
    channels = array.shape[2] if array.ndim == 3 else 1
    planes = list(np.moveaxis(array, -1, 0)) if planar else [array]
    if numbers == 3:
        strips = [plane.astype(f"{order}f{bits // 8}").tobytes() for plane in planes]
    else:
        strips = [b"".join(_packed(row, bits, order) for row in plane) for plane in planes]
    entries = {256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * channels), 259: (3, [1])}
    entries |= {262: (3, [photometric]), 277: (3, [channels]), 278: (4, [height])}
    entries |= {284: (3, [2 if planar else 1]), 339: (3, [numbers] * channels)}
    entries |= {number: (3, [value]) for number, value in tags}
    entries |= {273: (4, [0] * len(strips)), 279: (4, list(map(len, strips)))}
    end = 8 + 2 + 12 * len(entries) + 4
    more = b""
    # The strips lie behind all values that are too long for the directory.
    starts = end + sum(_length(*entry) for entry in entries.values() if _length(*entry) > 4)
    places = np.cumsum([starts, *map(len, strips)])[:-1]
    entries[273] = (4, places.tolist())
    directory = struct.pack(f"{order}H", len(entries))
    for number, (kind, values) in sorted(entries.items()):
        content = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(content) > 4:
            place, more = end + len(more), more + content
            content = struct.pack(f"{order}I", place)
        directory += struct.pack(f"{order}HHI", number, kind, len(values)) + content.ljust(4, b"\0")
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(f"{order}HI", 42, 8)
    return head + directory + bytes(4) + more + b"".join(strips)


def _length(kind, values):
    return len(values) * (2 if kind == 3 else 4)


def pnm(array, number, largest=255):
    """A PBM, PGM or PPM by the number in its first two bytes: 1 to 3 are text, 4 to 6 are not."""
    head = f"P{number} {array.shape[1]} {array.shape[0]}\n"
    head += "" if number in (1, 4) else f"{largest}\n"
    if number <= 3:
        return (head + "\n".join(" ".join(map(str, row.ravel())) for row in array) + "\n").encode()
    bits = 1 if number == 4 else 16 if largest > 255 else 8
    return head.encode() + b"".join(_packed(row, bits) for row in array)


def bmp(array, bits, palette=(), *, downwards=False):
    """A BMP of 1, 4 or 8 bits with a palette of (B, G, R, 0), or of 24 bits."""
    height, width = array.shape[:2]
    rows = [_packed(row[..., ::-1] if bits == 24 else row, min(bits, 8)) for row in array]
    content = b"".join(
        row.ljust(-(-len(row) // 4) * 4, b"\0") for row in rows[:: 1 if downwards else -1]
    )
    colours = b"".join(map(bytes, palette))
    start = 14 + 40 + len(colours)
    head = b"BM" + struct.pack("<IHHI", start + len(content), 0, 0, start)
    size = (width, -height if downwards else height)
    head += struct.pack("<IiiHHIIiiII", 40, *size, 1, bits, 0, len(content), 0, 0, len(palette), 0)
    return head + colours + content


def idx(array, code=0x08):
    """An array in the published form; numbers of several bytes have the large end first."""
    head = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()
