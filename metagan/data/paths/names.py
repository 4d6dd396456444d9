"""Names that come from files: fit to be printed and compared, a few of many, those of a table.

In a table one class is often spelled in two ways: with a space behind it, with a composed or a
decomposed accent, in capitals. Differences that cannot be seen are removed; the others are noted.
Names of folders and files are only cleaned (`clean_name`).
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from metagan.words import agreeing, counted

# White space of all of Unicode, and what is drawn as nothing: joiners, order and direction marks.
_INVISIBLE: Final = "".join(
    chr(code)
    for code in (
        *(code for code in range(0x3001) if chr(code).isspace()),
        *(0x0000, 0x00AD, 0x061C, 0x180E, 0xFEFF),
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
    )
)
_NUMBER: Final = re.compile(r"0*([0-9]+?)(?:\.0*)?")
_MAX_SHOWN: Final = 3


def clean_name(name: str) -> str:
    r"""A name that can be printed and compared: composed Unicode, other bytes as `\xNN`."""
    readable = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    composed = unicodedata.normalize("NFC", readable)
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in composed
    )


def a_few(names: Sequence[str], *, most: int = 5) -> str:
    """The first of names that come from files, fit to be printed, and how many more there are."""
    shown = [clean_name(name) for name in names[:most]]
    if len(names) > most:
        shown.append(f"{len(names) - most} more")
    return ", ".join(shown) or "none"


def strip_invisible(text: str) -> str:
    """A text without white space and invisible characters at its two ends."""
    return text.strip(_INVISIBLE)


def table_name(text: str) -> str:
    """The name that a text in a table stands for: stripped, and in composed Unicode."""
    # Half of a surrogate pair, which JSON can spell, is spelled out.
    whole = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return clean_name(strip_invisible(whole))


def whole_number(value: Any) -> Any:
    """The integer of a float that has no fraction; every other value as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class TableNames:
    """Makes the names of one table's domains and classes, and remembers what to note of them."""

    def __init__(self) -> None:
        self._changed: dict[str, Counter[str]] = {"domains": Counter(), "labels": Counter()}
        # Name, and whether it is another than the text: a table repeats few texts many times.
        self._names: dict[str, tuple[str, bool]] = {}
        self._kinds: dict[str, dict[str, set[type]]] = defaultdict(lambda: defaultdict(set))

    def domain(self, value: str | int) -> str:
        """The name of a domain that a value of the table stands for."""
        return self._name("domains", str(value))

    def label(self, domain: str, value: str | int) -> str:
        """The name of a class inside a domain (a name already, not a value)."""
        name = self._name("labels", str(value))
        self._kinds[domain][name].add(type(value))
        return name

    def notes(self) -> list[str]:
        """Lines on names that were changed, or that may be spellings of one name."""
        changed = [_changed_note(column, texts) for column, texts in self._changed.items() if texts]
        mixed = [
            f"{domain}/{name}"
            for domain, names in self._kinds.items()
            for name, kinds in names.items()
            if len(kinds) > 1
        ]
        if mixed:
            are = agreeing(len(mixed), "is", "are")
            changed.append(
                f"labels: {a_few(mixed, most=_MAX_SHOWN)} {are} given as a number and as text; "
                "both count as one class"
            )
        classes = [
            [f"{domain}/{name}" for name in alike]
            for domain, names in self._kinds.items()
            for alike in look_alikes(names)
        ]
        return [
            *changed,
            *_look_alike_notes("domains", "domain", look_alikes(self._kinds)),
            *_look_alike_notes("labels", "class", classes),
        ]

    def _name(self, column: str, text: str) -> str:
        if text not in self._names:
            changed = unicodedata.normalize("NFC", strip_invisible(text)) != text
            self._names[text] = (table_name(text), changed)
        name, changed = self._names[text]
        if changed:
            self._changed[column][text] += 1
        return name


def _changed_note(column: str, texts: Counter[str]) -> str:
    were = f"{counted(texts.total(), 'value')} {agreeing(texts.total(), 'was', 'were')}"
    # A composed and a decomposed accent look the same unless they are escaped.
    examples = [repr(text) if strip_invisible(text) != text else ascii(text) for text in texts]
    return (
        f"{column}: {were} changed, as white space and invisible characters at the ends are "
        f"dropped and accents are composed, in {a_few(examples, most=_MAX_SHOWN)}"
    )


def look_alikes(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ only by case, white space inside, or zeros of a number."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        number = _NUMBER.fullmatch(name)
        groups[number[1] if number else "".join(name.casefold().split())].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _look_alike_notes(column: str, noun: str, groups: list[list[str]]) -> list[str]:
    """A question for each kind of name; none where no names look alike."""
    if not groups:
        return []
    shown = [" and ".join(repr(name) for name in group) for group in groups]
    return [
        f"{column}: do you mean one {noun}? {a_few(shown, most=_MAX_SHOWN)} differ only by case, "
        "white space or zeros and are read apart; if they are one, spell them alike"
    ]
