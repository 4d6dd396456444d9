"""Faces of font files, and the characters that each of them has.

A face is asked by its table of characters, never by its drawing alone: what a font shows for a
character that it lacks is a picture, too.
"""

import contextlib
import io
import logging
import struct
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from fontTools import agl
from fontTools.ttLib import TTCollection, TTFont, TTLibError
from PIL import ImageFont

from metagan.data.dataset import Samples
from metagan.data.paths.names import table_name
from metagan.kinds.image.sources.face_drawing import CHARACTERS, draw_face, ink

_FAMILY: Final = (16, 1)  # numbers of names, the preferred one first
_STYLE: Final = (17, 2)
_PLAIN: Final = frozenset({"regular", "book", "normal", "roman"})
_OUTLINES: Final = ("glyf", "CFF ", "CFF2")
_MAX_SHARED: Final = 3  # characters that one drawing may stand for, such as 0, O and o
_SUFFIXES: Final = ("oldstyle", "small")  # of names of glyphs that are forms of a character
_UNMAPPED: Final = "\U0010fffd"  # private; shows what a face draws for a character that it lacks
_CHECKED_EM: Final = 64  # pixels
# All that a damaged table makes of fontTools and FreeType.
_DAMAGED: Final = (
    OSError,
    EOFError,
    TTLibError,
    struct.error,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    NotImplementedError,
    MemoryError,
    RecursionError,
)


class FaceError(ValueError):
    """A face, or a whole file, cannot be used; the message is the reason alone."""


@dataclass(frozen=True)
class Face:
    """One face of a font file.

    Attributes:
        file: Its file, for messages.
        family: The name of its family.
        name: Family and style; without the style where it is the family's plain one.
        characters: Those of `CHARACTERS` that it has.
        is_variable: It has other forms than the one that is drawn.
        content: The file.
        index: Its place in the file.
    """

    file: str
    family: str
    name: str
    characters: tuple[str, ...]
    is_variable: bool
    content: bytes
    index: int

    def open(self, em: float) -> ImageFont.FreeTypeFont:
        """The face at a size, pixels."""
        return _opened(self.content, self.index, em)

    def draw(self, image_size: int) -> tuple[dict[str, Samples], float]:
        """Pictures of its characters and their size, see `draw_face`.

        Raises:
            FaceError: If the font is damaged.
        """
        try:
            return draw_face(self.open, self.characters, image_size=image_size)
        except _DAMAGED as error:
            raise FaceError(f"damaged ({_said(error)})") from error


def faces_of(content: bytes, file: str) -> list[Face | FaceError]:
    """The faces of a font file, or why one of them, or the file, cannot be used.

    Args:
        content: The file.
        file: Its name, for messages.
    """
    with _quiet():
        return list(_faces(content, file))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of fontTools, which do not say of which file they are."""
    logger = logging.getLogger("fontTools")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _faces(content: bytes, file: str) -> Iterator[Face | FaceError]:
    try:
        with io.BytesIO(content) as stream:
            fonts = (
                TTCollection(stream, lazy=True).fonts
                if content[:4] == b"ttcf"
                else [TTFont(stream, lazy=True)]
            )
            for index, font in enumerate(fonts):
                yield _face(font, content, index, file)
    except _DAMAGED as error:
        yield FaceError(f"no font, or damaged ({_said(error)})")


def _face(font: Any, content: bytes, index: int, file: str) -> Face | FaceError:
    try:
        if not any(table in font for table in _OUTLINES):
            return FaceError("has no outlines, only pictures of fixed sizes")
        characters = _drawable(_characters(font), content, index)
        stem = file.rpartition("/")[2].rpartition(".")[0]
        family = _name(font, _FAMILY) or table_name(stem) or file
        style = _name(font, _STYLE)
        is_plain = style.casefold() in _PLAIN
        name = family if is_plain or not style else f"{family} {style}"
        return Face(file, family, name, characters, "fvar" in font, content, index)
    except FaceError as error:
        return error
    except _DAMAGED as error:
        return FaceError(f"damaged ({_said(error)})")


def _said(error: BaseException) -> str:
    """The words of an error of another package."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def _name(font: Any, numbers: Iterable[int]) -> str:
    """The first of a font's names that is there; empty where none is."""
    found = (font["name"].getDebugName(number) for number in numbers if "name" in font)
    return next((table_name(text) for text in found if text and table_name(text)), "")


def _opened(content: bytes, index: int, em: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(
        io.BytesIO(content), em, index=index, layout_engine=ImageFont.Layout.BASIC
    )


def _characters(font: Any) -> list[str]:
    """The characters that a font's tables give a glyph of their own.

    Raises:
        FaceError: If there are none.
    """
    table: Mapping[int, str] = font.getBestCmap() or {}
    missing = font.getGlyphOrder()[0]
    glyphs = {text: table[ord(text)] for text in CHARACTERS if ord(text) in table}
    shared = Counter(glyphs.values())
    glyphs = {
        text: glyph
        for text, glyph in glyphs.items()
        if glyph != missing and shared[glyph] <= _MAX_SHARED
    }
    if not glyphs:
        raise FaceError("has none of the letters A to Z, a to z and digits")
    named = {text: _stands_for(glyph) for text, glyph in glyphs.items()}
    other = [text for text, name in named.items() if name and _folded(name) != _folded(text)]
    if not other:
        return list(glyphs)
    # Symbols were put in the places of letters; only letters that are called so are trusted.
    letters = [text for text, name in named.items() if name and _folded(name) == _folded(text)]
    if not letters:
        raise FaceError(
            f"is of symbols, as the one in the place of {other[0]} is called {glyphs[other[0]]}"
        )
    return letters


def _stands_for(glyph: str) -> str:
    """The character that the usual name of a glyph stands for; empty for any other name."""
    for suffix in _SUFFIXES:
        if glyph.endswith(suffix):
            glyph = glyph.removesuffix(suffix)
    found: str = agl.toUnicode(glyph)
    return found


def _folded(text: str) -> str:
    """A character without case and letter style: capitals may be small ones' drawings."""
    return unicodedata.normalize("NFKC", text).casefold()


def _drawable(characters: Iterable[str], content: bytes, index: int) -> tuple[str, ...]:
    """The characters with ink of their own.

    Raises:
        FaceError: If there are none.
    """
    font = _opened(content, index, _CHECKED_EM)
    missing, _ = ink(font, _UNMAPPED)
    found = {text: ink(font, text)[0] for text in characters}
    drawn = tuple(
        text
        for text, bitmap in found.items()
        if bitmap.size and not np.array_equal(bitmap, missing)
    )
    if not drawn:
        raise FaceError("draws nothing for the letters A to Z, a to z and digits")
    return drawn


def named_apart(faces: Sequence[Face]) -> list[str]:
    """The faces' names; those that several faces have are told apart by file and place in it."""
    times = Counter(face.name for face in faces)
    in_file = Counter((face.name, face.file) for face in faces)
    names = []
    for face in faces:
        place = f", {face.index + 1}" if in_file[face.name, face.file] > 1 else ""
        apart = f" ({face.file}{place})" if times[face.name] > 1 else ""
        names.append(face.name + apart)
    return names


def families(faces: Iterable[Face]) -> dict[str, str]:
    """The group of each family: those whose names begin with another's words are one.

    Some fonts have their weight in the family's name: Foo, Foo Light and Foo Condensed.
    """
    groups: dict[str, str] = {}
    for family in sorted({face.family for face in faces}, key=lambda name: name.split()):
        words = family.split()
        above = (" ".join(words[:end]) for end in range(1, len(words)))
        groups[family] = next((groups[name] for name in above if name in groups), family)
    return groups
