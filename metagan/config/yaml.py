"""The small, unsurprising part of YAML that settings are written in.

YAML 1.1, as most readers implement it, turns `1e-4` into text, `no` into false, `010` into 8 and
`12:30` into 750, and keeps the last of two equal keys. Here a plain value is null, `true`,
`false`, a decimal number or text, a key given twice is an error, and so are tags, anchors and
aliases: a file of settings needs none of them, and they are how YAML files run code or grow
without bound. Every key's line is kept, so later errors can name it.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_MAX_DEPTH = 16
_MAX_FILE_BYTES = 256 * 1024
# A longer whole number stays text: it is a mistake, and Python refuses to read 5000 digits.
MAX_DIGITS = 18
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_NULL_OR_BOOL = {"": None, "~": None, "null": None, "true": True, "false": False}
_NON_FINITE = {".nan": math.nan, ".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf}
_WORDS: dict[str, bool | float | None] = {**_NULL_OR_BOOL, **_NON_FINITE}
_PLAIN_TEXT = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
# Characters that YAML refuses or folds even between quotes.
_ESCAPED = re.compile("[\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
# Stands for a value that was refused and noted: it is left out, so it is complained about once.
_REFUSED = object()

Location = tuple[str | int, ...]


class Problem(NamedTuple):
    """A mistake and its correction, with its line from 1; None where it is no single line's."""

    line: int | None
    message: str


class YamlError(ValueError):
    """The text is not the YAML that settings are written in.

    Attributes:
        problems: Everything that was found, in the order of the text.
    """

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = tuple(Problem(None, p) if isinstance(p, str) else p for p in problems)
        super().__init__("\n".join(problem.message for problem in self.problems))


@dataclass(frozen=True)
class Document:
    """A parsed text.

    Attributes:
        data: Dicts, lists, text, numbers, booleans and None.
        lines: Line (from 1) of every key and list item, by its path in `data`.
        problems: Everything in it that is not allowed and was left out of `data`.
    """

    data: Any
    lines: dict[Location, int]
    problems: tuple[Problem, ...]


def read_document(path: Path) -> Document:
    """The mapping in a file; raises YamlError for anything else."""
    if path.is_fifo() and not path.is_relative_to("/dev"):
        # Opening it would wait for somebody who writes; the shell's own <(...) are in /dev.
        raise YamlError("is a pipe; name a file")
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise YamlError("no such file") from None
    except IsADirectoryError:
        raise YamlError("is a folder; name the YAML file in it") from None
    except (OSError, ValueError) as error:
        raise YamlError(f"cannot be read: {error}") from None
    if len(raw) > _MAX_FILE_BYTES:
        raise YamlError(f"is larger than {_MAX_FILE_BYTES // 1024} KiB; is it a settings file?")
    try:
        document = parse_document(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise YamlError(Problem(line, "is not UTF-8 text; save it as UTF-8")) from None
    if document.data is None:
        empty = Problem(None, "is empty; give it settings or leave the file out")
        raise YamlError(*(document.problems or [empty]))
    if not isinstance(document.data, dict):
        kind = "a list" if isinstance(document.data, list) else "a single value"
        raise YamlError(Problem(1, f"holds {kind}; write settings as `key: value`"))
    return document


def parse_document(text: str) -> Document:
    """Parse a whole file.

    Raises:
        YamlError: If reading cannot continue after a problem; with all problems up to it.
    """
    reader = _Reader(yaml.parse(text, Loader=yaml.SafeLoader))
    line: int | None = None
    try:
        return reader.document()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"the character with code {error.character} is not allowed in YAML"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        message = "not valid YAML: " + ", ".join(filter(None, (error.context, error.problem)))
        if "'\\t' that cannot start" in message:
            message = "a tab in the indentation or before a value; write spaces"
    except (OverflowError, ValueError) as error:
        if isinstance(error, YamlError):
            raise
        message = f"not valid YAML: a number in it is out of range ({error})"
    raise YamlError(*reader.problems, Problem(line, message))


def parse_scalar(text: str) -> bool | int | float | str | None:
    """The value of a plain (unquoted) word."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text) if len(text.lstrip("+-")) <= MAX_DIGITS else text
    return float(text) if _FLOAT.fullmatch(text) else text


def format_value(value: Any) -> str:
    """A value on one line, such that `parse_document` reads the same value back."""
    if isinstance(value, dict):
        items = (f"{format_value(key)}: {format_value(item)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(format_value(item) for item in value) + "]"
    if isinstance(value, str):
        if _PLAIN_TEXT.fullmatch(value) and value not in _WORDS:
            return value
        # Its own escapes write one character as two halves, which no YAML reader joins.
        quoted = json.dumps(value, ensure_ascii=False)
        return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)
    return json.dumps(value) if value is None or isinstance(value, bool) else repr(value)


def text_problem(text: str) -> str | None:
    """Fault in the characters of a text; None without one.

    Python keeps a byte of a path or argument that is not UTF-8 as a half of a surrogate pair.
    """
    try:
        written = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return "half of a surrogate pair is not a character; write \\UXXXXXXXX"
    if written != text:
        return f"the value is not UTF-8 text ({written}); rename the file or folder"
    return None


class _Reader:
    """Recursive descent over PyYAML's events; collects problems instead of stopping at one."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._lines: dict[Location, int] = {}
        self.problems: list[Problem] = []

    def document(self) -> Document:
        next(self._events)  # stream start
        data = None
        if isinstance(next(self._events), yaml.DocumentStartEvent):
            data = self._value(next(self._events), ())
            next(self._events)  # document end
            rest = next(self._events)
            if isinstance(rest, yaml.DocumentStartEvent):
                self._note(rest, "a second document starts here; a file holds one")
        return Document(None if data is _REFUSED else data, self._lines, tuple(self.problems))

    def _value(self, event: yaml.Event, place: Location) -> Any:
        """The value that begins with an event, or `_REFUSED` after a note about it."""
        if len(place) > _MAX_DEPTH:
            # Going on would recurse as deep as the text likes.
            raise YamlError(*self.problems, Problem(_line(event), "nested too deeply"))
        anchor, tag = (getattr(event, name, None) for name in ("anchor", "tag"))
        if isinstance(event, yaml.AliasEvent):
            return self._note(event, f"aliases such as *{anchor} are not allowed; repeat the value")
        if anchor is not None:
            self._note(event, f"anchors such as &{anchor} are not allowed; remove it")
        if tag is not None:
            self._note(event, f"tags such as {tag!r} are not allowed; remove it")
        if isinstance(event, yaml.ScalarEvent):
            if problem := text_problem(event.value):
                return self._note(event, problem)
            value: Any = parse_scalar(event.value) if event.style is None else event.value
        elif isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(place)
        else:
            value = self._sequence(place)
        return value if tag is None else _REFUSED

    def _mapping(self, place: Location) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for event in self._events_inside():
            key = self._value(event, (*place, "?"))
            here = (*place, str(key))
            value = self._value(next(self._events), here)
            if key is _REFUSED:
                continue
            if not isinstance(key, str):
                self._note(event, f"a key must be a name, not {format_value(key)}")
            elif key in result:
                name, first = ".".join(map(str, here)), self._lines[here]
                self._note(event, f"{name} is given twice, first in line {first}")
            elif value is not _REFUSED:
                result[key] = value
                self._lines[here] = _line(event)
        return result

    def _sequence(self, place: Location) -> Any:
        result: list[Any] = []
        for event in self._events_inside():
            here = (*place, len(result))
            self._lines[here] = _line(event)
            result.append(self._value(event, here))
        # Without one of its items it might be refused for that as well.
        return _REFUSED if _REFUSED in result else result

    def _events_inside(self) -> Iterator[yaml.Event]:
        return takewhile(lambda e: not isinstance(e, yaml.CollectionEndEvent), self._events)

    def _note(self, event: yaml.Event, message: str) -> object:
        self.problems.append(Problem(_line(event), message))
        return _REFUSED


def _line(event: yaml.Event) -> int:
    assert event.start_mark is not None  # Only events built by hand have none.
    return event.start_mark.line + 1
