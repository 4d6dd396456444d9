"""Names of font files; known apart, so that looking at a path imports no reader of fonts."""

from typing import Final

FONT_SUFFIXES: Final = (".ttf", ".otf", ".ttc", ".otc")


def is_font(name: str) -> bool:
    """True if a file of this name may be a font that is read."""
    return name.lower().endswith(FONT_SUFFIXES)
