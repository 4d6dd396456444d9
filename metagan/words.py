"""Counts, names and commands in messages."""

import shlex
from collections.abc import Sequence


def counted(number: int, noun: str, nouns: str | None = None) -> str:
    """`1 domain`, `2 domains`; `nouns` is the plural where it is not the noun with an s."""
    return f"{number} {agreeing(number, noun, nouns)}"


def agreeing(number: float, noun: str, nouns: str | None = None) -> str:
    """The noun as it stands behind this number."""
    return noun if number == 1 else nouns or noun + "s"


def short(number: float, digits: int = 6) -> str:
    """A number with so many significant digits; a negative zero is zero."""
    return f"{number + 0.0:.{digits}g}"


def command_line(*words: object, program: Sequence[str] = ("metagan",)) -> str:
    """A command that can be pasted into a shell, whatever is in its paths."""
    return shlex.join([*program, *map(str, words)])


def printable(text: str) -> str:
    """Text without what could steer a terminal: names come from files."""
    return "".join(char if char.isprintable() else "?" for char in text)
