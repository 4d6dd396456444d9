"""Which characters the built-in data has: scripts, font faces, and look-alikes left out.

The shapes are those of the DejaVu and STIX fonts that matplotlib installs, so nothing has to be
downloaded. A character belongs to the script whose Unicode range holds it, and is kept if no
character before it looks the same.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from metagan.data.dataset import DataError

# N characters that a face has, G x G pixels of a reference picture.

Bitmap = NDArray[np.uint8]

# Of two look-alikes the one further up is kept, so an alphabet loses none of its letters to a
# table of technical symbols.
_RANGES: Mapping[str, tuple[tuple[int, int], ...]] = MappingProxyType(
    {
        "latin": (
            *((0x0030, 0x0039), (0x0041, 0x024F), (0x1E00, 0x1EFF)),
            *((0x2C60, 0x2C7F), (0xA720, 0xA7FF)),
        ),
        "greek": ((0x0370, 0x03E1), (0x03F0, 0x03FF)),
        "cyrillic": ((0x0400, 0x052F), (0xA640, 0xA69F)),
        "armenian": ((0x0530, 0x058F),),
        "georgian": ((0x10A0, 0x10FF), (0x2D00, 0x2D2F)),
        "hebrew": ((0x05D0, 0x05F2),),
        "arabic": ((0x0620, 0x06FF), (0x0750, 0x077F)),
        "nko": ((0x07C0, 0x07FF),),
        "tifinagh": ((0x2D30, 0x2D7F),),
        "syllabics": ((0x1400, 0x167F),),
        "lao": ((0x0E80, 0x0EFF),),
        "ogham": ((0x1680, 0x169F),),
        "old_italic": ((0x10300, 0x1032F),),
        "phonetic": ((0x0250, 0x02AF), (0x1D00, 0x1DBF)),
        "fraktur": ((0x1D504, 0x1D537),),
        "script": ((0x1D49C, 0x1D4CF),),
        "double_struck": ((0x1D538, 0x1D56B),),
        "operators": ((0x2200, 0x22FF),),
        "operators_extended": ((0x27C0, 0x27EF), (0x2980, 0x29FF), (0x2A00, 0x2AFF)),
        "arrows": (
            *((0x2190, 0x21FF), (0x27F0, 0x27FF), (0x2900, 0x297F)),
            *((0x2B00, 0x2B11), (0x2B30, 0x2B4C)),
        ),
        "shapes": ((0x25A0, 0x25FF), (0x2B12, 0x2B2F), (0x2B50, 0x2B59)),
        "symbols": ((0x2600, 0x26FF),),
        "technical": ((0x2300, 0x23FF),),
        "dingbats": ((0x2700, 0x27BF),),
    }
)

SCRIPTS: tuple[str, ...] = tuple(sorted(_RANGES))
"""The names of all built-in domains."""

# Letters of these are variants of Latin ones by definition, so a decomposition is no reason to
# leave them out.
_LETTER_STYLES = frozenset({"fraktur", "script", "double_struck"})
_SYMBOL_SCRIPTS = frozenset(
    {"operators", "operators_extended", "arrows", "shapes", "symbols", "technical", "dingbats"}
)
_LETTER_CATEGORIES = frozenset({"Lu", "Ll", "Lt", "Lo", "Nd"})
_SYMBOL_CATEGORIES = frozenset({"Sm", "So"})

# The first face that has a character is its reference.
_FACES = (
    *("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral"),
    *("DejaVuSans-Bold", "DejaVuSerif-Bold", "DejaVuSansMono-Bold", "STIXGeneralBol"),
    *("DejaVuSans-Oblique", "DejaVuSerif-Italic", "DejaVuSansMono-Oblique"),
    *("STIXGeneralItalic", "DejaVuSans-BoldOblique", "DejaVuSerif-BoldItalic"),
    *("DejaVuSansMono-BoldOblique", "STIXGeneralBolIta"),
)

_REFERENCE_EM = 64  # pixels
_REFERENCE_SIZE = 32  # pixels; the longer side of the glyph fills all but a margin of it
_REFERENCE_MARGIN = 2  # pixels on each side
_INK_LEVEL = 0.4

LOOKALIKE_RADIUS = 2
"""Two pictures of 32 x 32 are look-alikes when neither has ink further than this from the other's.

In pixels, 7 % of the glyph's longer side. At 1.5 many capitals still count as a second class beside
a small letter of the same shape (Cyrillic ka); at 2.3 letters of different shape go (I and i). It
sees no gap that is narrower than twice the radius.
"""


def label_of(text: str) -> str:
    """The label of a single character, such as `U+0416 CYRILLIC CAPITAL LETTER ZHE`.

    Letters that differ by case alone have labels that differ otherwise, as folders need them.
    """
    return f"U+{ord(text):04X} {unicodedata.name(text, '')}".rstrip()


@dataclass(frozen=True)
class Character:
    """One class of the built-in data.

    Attributes:
        code: Its Unicode code point.
        script: Its domain.
        faces: The names of the font faces to draw it from, the reference face first.
    """

    code: int
    script: str
    faces: tuple[str, ...]

    @property
    def text(self) -> str:
        """The character itself."""
        return chr(self.code)

    @property
    def label(self) -> str:
        """The class's name, such as `U+0416 CYRILLIC CAPITAL LETTER ZHE`."""
        return label_of(self.text)


@dataclass(frozen=True)
class Catalogue:
    """All characters that can be classes, and a line on each kind of character left out.

    Attributes:
        characters: In order of script (as in the table above), then code point.
        notes: What was left out and why.
    """

    characters: tuple[Character, ...]
    notes: tuple[str, ...]


class FontShelf:
    """The font faces on disk, each opened once per size."""

    def __init__(self, folder: Path | None = None, faces: Sequence[str] = _FACES) -> None:
        """Use the faces in a folder of .ttf files, by default the ones that matplotlib installs.

        Raises:
            DataError: If the folder has none of the expected faces.
        """
        self._folder = folder or _matplotlib_fonts()
        self._open: dict[tuple[str, float], ImageFont.FreeTypeFont] = {}
        self.faces = tuple(face for face in faces if self._path(face).is_file())
        if not self.faces:
            raise DataError(
                f"{self._folder}: none of the fonts that the built-in data are drawn from is here, "
                f"such as {faces[0]}.ttf; reinstall matplotlib, or set data.source to your own data"
            )

    def _path(self, face: str) -> Path:
        return self._folder / f"{face}.ttf"

    def font(self, face: str, em: float) -> ImageFont.FreeTypeFont:
        """A face at a size, pixels."""
        if (face, em) not in self._open:
            self._open[face, em] = ImageFont.truetype(
                str(self._path(face)), em, layout_engine=ImageFont.Layout.BASIC
            )
        return self._open[face, em]

    def codes(self, face: str) -> frozenset[int]:
        """The code points for which a face has a glyph other than its missing-glyph box."""
        from matplotlib.ft2font import FT2Font

        charmap = FT2Font(str(self._path(face))).get_charmap()
        return frozenset(code for code, glyph in charmap.items() if glyph != 0)

    def bitmap(self, face: str, text: str, em: int) -> Bitmap:
        """Ink of a character, cropped: (height, width), 255 inside the outline, (0, 0) if blank.

        Args:
            face: Name of the face.
            text: The character.
            em: Size of the font, pixels.
        """
        font = self.font(face, em)
        left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
        if right <= left or bottom <= top:
            return np.zeros((0, 0), np.uint8)
        page = Image.new("L", (right - left + 2, bottom - top + 2))
        ImageDraw.Draw(page).text((1 - left, 1 - top), text, font=font, fill=255)
        box = page.getbbox()
        return np.asarray(page.crop(box)) if box else np.zeros((0, 0), np.uint8)


def _matplotlib_fonts() -> Path:
    # Imported here: a process that maps prepared glyphs never needs it.
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def _reference(bitmap: Bitmap) -> NDArray[np.bool_]:
    """Mask of the ink, (G, G), after centring and scaling the longer side to fill the picture."""
    size = _REFERENCE_SIZE
    height, width = bitmap.shape
    scale = (size - 2 * _REFERENCE_MARGIN) / max(height, width)
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(Image.fromarray(bitmap).resize(shape, Image.Resampling.BILINEAR))
    picture = np.zeros((size, size), bool)
    y, x = (size - shape[1]) // 2, (size - shape[0]) // 2
    picture[y : y + shape[1], x : x + shape[0]] = small > _INK_LEVEL * 255
    return picture


def _thicken(pictures: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Add every pixel that is at most `radius` away from ink; pictures are (N, G, G)."""
    height, width = pictures.shape[1:]
    padded = np.pad(pictures, ((0, 0), (radius, radius), (radius, radius)))
    out = np.zeros_like(pictures)
    for dy in range(2 * radius + 1):
        for dx in range(2 * radius + 1):
            if (dy - radius) ** 2 + (dx - radius) ** 2 <= radius**2:
                out |= padded[:, dy : dy + height, dx : dx + width]
    return out


def lookalikes(pictures: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which pairs of pictures look the same, whatever their stroke weight.

    Args:
        pictures: (N, G, G), True where there is ink.

    Returns:
        (N, N), symmetric: no ink of either is further than `LOOKALIKE_RADIUS` from the other's.
    """
    some = pictures.any(axis=0)  # the margin is empty in all
    ink = pictures[:, some].astype(np.float32)
    far = (~_thicken(pictures, LOOKALIKE_RADIUS))[:, some].astype(np.float32)
    inside = (ink @ far.T) == 0
    return inside & inside.T


def _candidates() -> tuple[list[tuple[int, str]], int]:
    """Code points and scripts in order of preference, and how many composed ones were left out."""
    found: list[tuple[int, str]] = []
    composed = 0
    for script, ranges in _RANGES.items():
        wanted = _SYMBOL_CATEGORIES if script in _SYMBOL_SCRIPTS else _LETTER_CATEGORIES
        for first, last in ranges:
            for code in range(first, last + 1):
                if unicodedata.category(chr(code)) not in wanted:
                    continue
                if unicodedata.decomposition(chr(code)) and script not in _LETTER_STYLES:
                    composed += 1
                    continue
                found.append((code, script))
    return found, composed


def _face_pictures(
    shelf: FontShelf, face: str, codes: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The indices into `codes` of the characters that a face can draw, and their pictures."""
    covered = shelf.codes(face)
    # A private-use code point that no face maps shows what the face draws for a missing glyph.
    missing = shelf.bitmap(face, "\U0010fffd", _REFERENCE_EM)
    indices: list[int] = []
    pictures: list[NDArray[np.bool_]] = []
    for index, code in enumerate(codes):
        if code not in covered:
            continue
        bitmap = shelf.bitmap(face, chr(code), _REFERENCE_EM)
        if bitmap.size and not np.array_equal(bitmap, missing):
            indices.append(index)
            pictures.append(_reference(bitmap))
    shape = (-1, _REFERENCE_SIZE, _REFERENCE_SIZE)
    return np.array(indices, np.int64), np.array(pictures, bool).reshape(shape)


def catalogue(shelf: FontShelf) -> Catalogue:
    """Every character that a face has, less composed ones and look-alikes.

    Two characters are the same class if they look alike in the first face that has both, or in
    their reference faces: Latin A stands for Greek Alpha and Cyrillic A too. Where they look
    alike only in a further face (Cyrillic te is an m in some italics), the later character is
    not drawn from that face.

    Args:
        shelf: The fonts.
    """
    found, composed = _candidates()
    codes = [code for code, _ in found]
    total = len(codes)
    reference = np.zeros((total, _REFERENCE_SIZE, _REFERENCE_SIZE), bool)
    faces_of: list[list[str]] = [[] for _ in codes]
    compared = np.zeros((total, total), bool)
    same = np.zeros((total, total), bool)
    same_in_face: dict[str, NDArray[np.bool_]] = {}
    indices_of: dict[str, NDArray[np.int64]] = {}
    for face in shelf.faces:
        indices, pictures = _face_pictures(shelf, face, codes)
        grid = np.ix_(indices, indices)
        alike = lookalikes(pictures)
        same[grid] |= alike & ~compared[grid]
        compared[grid] = True
        same_in_face[face], indices_of[face] = alike, indices
        for index, picture in zip(indices, pictures, strict=True):
            if not faces_of[index]:
                reference[index] = picture
            faces_of[index].append(face)
    drawn = np.array([bool(faces) for faces in faces_of])
    # A character without a face has an empty picture, which is inside any other.
    same |= lookalikes(reference) & drawn[:, None] & drawn[None, :]

    kept = np.zeros(total, bool)
    for index in np.flatnonzero(drawn):
        kept[index] = not (same[index, :index] & kept[:index]).any()
    for face, indices in indices_of.items():
        clash = np.tril(same_in_face[face], -1) & kept[indices][None, :]
        for index in indices[clash.any(axis=1) & kept[indices]]:
            faces_of[index].remove(face)
    characters = tuple(
        Character(code, script, tuple(faces))
        for (code, script), faces, keep in zip(found, faces_of, kept, strict=True)
        if keep
    )
    notes = (
        f"characters left out: {int(drawn.sum() - kept.sum())} look like another one",
        f"characters left out: {composed} are composed of others, such as letters with accents",
        f"characters left out: {total - int(drawn.sum())} are in none of {len(shelf.faces)} fonts",
    )
    return Catalogue(characters, notes)
