"""The small, unsurprising part of YAML that settings are written in.

YAML 1.1, as most readers implement it, turns `1e-4` into text, `no` into false, `010` into 8 and
`12:30` into 750, and keeps the last of two equal keys. Here a plain value is null, `true`,
`false`, a decimal number or text, a key given twice is an error, and so are tags, anchors and
aliases: a file of settings needs none of them, and they are how YAML files run code or grow
without bound. Every key's line is kept, so later errors can name it.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_MAX_DEPTH = 16
_MAX_FILE_BYTES = 256 * 1024
_MAX_DIGITS = 18
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_NON_FINITE = {".nan": "nan", ".inf": "inf", "+.inf": "inf", "-.inf": "-inf"}
_PLAIN_TEXT = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
# Characters that YAML refuses or folds even between quotes.
_ESCAPED = re.compile("[\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
# Stands for a value that was refused and noted: it is left out, so it is complained about once.
_REFUSED = object()

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a text.

    Attributes:
        line: Line it is on, from 1; None where it concerns the whole text.
        message: What is wrong and what to write instead.
    """

    line: int | None
    message: str


class YamlError(ValueError):
    """The text is not the YAML that settings are written in.

    Attributes:
        problems: Everything that was found, in the order of the text.
    """

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(problem.message for problem in problems))


@dataclass(frozen=True)
class Document:
    """A parsed text.

    Attributes:
        data: Dicts, lists, text, numbers, booleans and None.
        lines: Line (from 1) of every key and list item, by its path in `data`.
        problems: What is not allowed in it, where reading could go on all the same.
    """

    data: Any
    lines: dict[Location, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def read_document(path: Path) -> Document:
    """The mapping in a file; raises YamlError for anything else."""
    if path.is_fifo() and not path.is_relative_to("/dev"):
        # Opening it would wait for somebody who writes; the shell's own <(...) are in /dev.
        raise YamlError(Problem(None, "is a pipe; name a file"))
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise YamlError(Problem(None, "no such file")) from None
    except IsADirectoryError:
        raise YamlError(Problem(None, "is a folder; name the YAML file in it")) from None
    except (OSError, ValueError) as error:
        raise YamlError(Problem(None, f"cannot be read: {error}")) from None
    if len(raw) > _MAX_FILE_BYTES:
        raise YamlError(
            Problem(None, f"is larger than {_MAX_FILE_BYTES // 1024} KiB; is it a settings file?")
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise YamlError(Problem(line, "is not UTF-8 text; save it as UTF-8")) from None
    document = parse_document(text)
    if document.data is None:
        if document.problems:
            raise YamlError(*document.problems)
        raise YamlError(Problem(None, "is empty; give it settings or leave the file out"))
    if not isinstance(document.data, dict):
        kind = "a list" if isinstance(document.data, list) else "a single value"
        raise YamlError(Problem(1, f"holds {kind}; write settings as `key: value`"))
    return document


def parse_document(text: str) -> Document:
    """Parse a whole file.

    Raises:
        YamlError: If reading cannot go on after a problem; with all problems up to it.
    """
    return _Reader(text).document()


def parse_scalar(text: str) -> bool | int | float | str | None:
    """The value of a plain (unquoted) word.

    Raises:
        YamlError: If it is a whole number of more than 18 digits.
    """
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INT.fullmatch(text):
        if len(text.lstrip("+-")) > _MAX_DIGITS:
            raise YamlError(
                Problem(None, f"a whole number has at most {_MAX_DIGITS} digits, not {len(text)}")
            )
        return int(text)
    if text in _NON_FINITE or _FLOAT.fullmatch(text):
        return float(_NON_FINITE.get(text, text))
    return text


def format_value(value: Any) -> str:
    """A value on one line, such that `parse_document` reads the same value back."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _format_text(value)
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{_format_text(k)}: {format_value(v)}" for k, v in value.items()) + "}"
        )
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(format_value(item) for item in value) + "]"
    return repr(value)


def _format_text(text: str) -> str:
    if _PLAIN_TEXT.fullmatch(text) and isinstance(parse_scalar(text), str):
        return text
    # Not json.dumps: its \ud83d\ude00 for one character is two broken ones to a YAML reader.
    quoted = "".join(
        {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}.get(c)
        or (f"\\x{ord(c):02x}" if ord(c) < 32 else c)
        for c in text
    )
    return '"' + _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted) + '"'


def text_problem(text: str) -> str | None:
    """What is wrong with the characters of a text, if anything.

    Python keeps a byte of a path or argument that is not UTF-8 as a half of a surrogate pair.
    """
    halves = re.findall("[\ud800-\udfff]", text)
    if not halves:
        return None
    if all("\udc80" <= half <= "\udcff" for half in halves):
        written = os.fsencode(text).decode("utf-8", "backslashreplace")
        return f"the value is not UTF-8 text ({written}); rename the file or folder"
    return "half of a surrogate pair is not a character; write \\UXXXXXXXX"


class _Reader:
    """Recursive descent over PyYAML's events; collects problems instead of stopping at one."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._events: Iterator[yaml.Event] = iter(())
        self._lines: dict[Location, int] = {}
        self._problems: list[Problem] = []

    def document(self) -> Document:
        try:
            # The reader checks the first characters at once, so this line can raise, too.
            self._events = yaml.parse(self._text, Loader=yaml.SafeLoader)
            next(self._events)  # stream start
            if isinstance(next(self._events), yaml.StreamEndEvent):
                return Document(None)
            data = self._value(next(self._events), ())
            next(self._events)  # document end
            rest = next(self._events)
            if not isinstance(rest, yaml.StreamEndEvent):
                self._note(rest, "a second document starts here; a file holds one")
        except yaml.reader.ReaderError as error:
            position = error.position if isinstance(error.position, int) else 0
            raise YamlError(
                Problem(
                    self._text.count("\n", 0, position) + 1,
                    f"the character with code {error.character} is not allowed in YAML",
                )
            ) from None
        except yaml.MarkedYAMLError as error:
            raise YamlError(*self._problems, self._syntax_problem(error)) from None
        return Document(None if data is _REFUSED else data, self._lines, tuple(self._problems))

    def _value(self, event: yaml.Event, path: Location) -> Any:
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            self._note(event, f"aliases such as *{anchor} are not allowed; repeat the value")
            return _REFUSED
        if anchor is not None:
            self._note(event, f"anchors such as &{anchor} are not allowed; remove it")
        if len(path) > _MAX_DEPTH:
            # Going on would recurse as deep as the text likes.
            raise YamlError(*self._problems, Problem(_line(event), "nested too deeply"))
        if isinstance(event, yaml.MappingStartEvent):
            value: Any = self._mapping(path)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(path)
        else:
            assert isinstance(event, yaml.ScalarEvent)
            value = self._scalar(event)
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._note(event, f"tags such as {tag!r} are not allowed; remove it")
            return _REFUSED
        return value

    def _mapping(self, path: Location) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_event in self._events:
            if isinstance(key_event, yaml.MappingEndEvent):
                break
            key = self._value(key_event, (*path, "?"))
            place = (*path, str(key))
            value = self._value(next(self._events), place)
            if key is _REFUSED:
                continue
            if not isinstance(key, str):
                self._note(key_event, f"a key must be a name, not {format_value(key)}")
            elif key in result:
                self._note(
                    key_event,
                    f"{_dotted(place)} is given twice, first in line {self._lines[place]}",
                )
            elif value is not _REFUSED:
                result[key] = value
                self._lines[place] = _line(key_event)
        return result

    def _sequence(self, path: Location) -> Any:
        result: list[Any] = []
        refused = False
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            place = (*path, len(result))
            self._lines[place] = _line(event)
            value = self._value(event, place)
            refused = refused or value is _REFUSED
            result.append(value)
        # Without one of its items it might be refused for that, too.
        return _REFUSED if refused else result

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        problem = text_problem(event.value)
        if problem is not None:
            self._note(event, problem)
            return _REFUSED
        if event.style is not None:
            return str(event.value)
        try:
            return parse_scalar(event.value)
        except YamlError as error:
            self._note(event, str(error))
            return _REFUSED

    def _note(self, event: yaml.Event, message: str) -> None:
        self._problems.append(Problem(_line(event), message))

    def _syntax_problem(self, error: yaml.MarkedYAMLError) -> Problem:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        written = self._text.splitlines()[line - 1 : line] if line else []
        if written and "\t" in written[0][: len(written[0]) - len(written[0].lstrip())]:
            return Problem(line, "a tab in the indentation; YAML is indented with spaces")
        parts = [part for part in (error.context, error.problem) if part]
        return Problem(line, "not valid YAML: " + ", ".join(parts))


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    assert mark is not None  # Only events built by hand have none.
    return mark.line + 1


def _dotted(path: Location) -> str:
    return ".".join(str(part) for part in path)
