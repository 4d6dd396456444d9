"""Picture formats, recognised by the first bytes of a file, whatever its name."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

# The first group of formats is read here, the second is not.
_READ: Final = {
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "GIF": re.compile(rb"GIF8[79]a"),
    "BMP": re.compile(rb"BM.{4}\x00\x00\x00\x00", re.DOTALL),
    "TIFF": re.compile(rb"II[*+]\x00|MM\x00[*+]"),
    "WebP": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "PPM": re.compile(rb"P[1-6]\s[\d#]"),
}
_NOT_READ: Final = {
    "HEIC": re.compile(rb".{4}ftyp(?:hei|hev|mif1|msf1)", re.DOTALL),
    "AVIF": re.compile(rb".{4}ftypavi[fs]", re.DOTALL),
    "JPEG 2000": re.compile(rb"\x00\x00\x00\x0cjP {2}\r\n|\xff\x4f\xff\x51"),
    "JPEG XL": re.compile(rb"\x00\x00\x00\x0cJXL "),
    "SVG": re.compile(rb"\s*(?:<\?xml.*)?<svg", re.DOTALL),
    "PSD": re.compile(rb"8BPS"),
    "ICO": re.compile(rb"\x00\x00\x01\x00[^\x00]\x00"),
    "OpenEXR": re.compile(rb"v/1\x01"),
    "FITS": re.compile(rb"SIMPLE {2}="),
    "DICOM": re.compile(rb".{128}DICM", re.DOTALL),
}
_MAX_SHOWN: Final = 5
# What lies where a picture should, and what to do about it.
_IN_PLACE: Final = {
    re.compile(
        rb"version https://git-lfs"
    ): "a Git LFS pointer, no picture: fetch it (git lfs pull)",
    re.compile(
        rb"\s*<(?:!doctype\s+html|html)", re.IGNORECASE
    ): "a web page and no picture; get it again",
}


def why_no_picture(head: bytes) -> str:
    """Why a file that is called like a picture has no format that is read here."""
    for start, why in _IN_PLACE.items():
        if start.match(head):
            return why
    kind = picture_format(head)
    if kind in _NOT_READ:
        return f"{kind} by content, which is not read: convert it to PNG"
    return "not a picture in a format that is read here"


def picture_format(head: bytes) -> str:
    """The picture format that a file starts as; empty for any other file."""
    for name, start in (_READ | _NOT_READ).items():
        if start.match(head):
            return name
    return ""


def format_notes(formats: Iterable[tuple[str, str]]) -> list[str]:
    """A note on pictures whose ending is not read, by what they are; none without them.

    Args:
        formats: Name of each such file and its format.
    """
    counts = Counter(
        (kind, PurePosixPath(name).suffix.lower() or "no ending") for name, kind in formats
    )
    if not counts:
        return []
    shown = counts.most_common(_MAX_SHOWN)
    named = ", ".join(f"{kind} {ending} ({n})" for (kind, ending), n in shown)
    if rest := counts.total() - sum(n for _, n in shown):
        named += f", others ({rest})"
    are = "picture is" if sum(counts.values()) == 1 else "pictures are"
    fix = [
        text
        for kinds, text in ((_READ, "rename them (.png, .jpg)"), (_NOT_READ, "convert them to PNG"))
        if any(kind in kinds for kind, _ in counts)
    ]
    return [
        f"pictures left out: {sum(counts.values())} {are} not called so, by content: {named}; "
        f"{' or '.join(fix)}"
    ]
