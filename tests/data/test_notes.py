"""Every note begins with a word of the table, by which it is weighed."""

import ast
import re

import pytest

from metagan.data.notes import FIRST_WORDS, by_weight, weight
from tests.conftest import REPOSITORY

NO_NOTES = {
    "sizes as stored",  # a line of inspect
    "other endings there",  # a part of an error
    "next",  # printed by adapt
}
SOURCES = REPOSITORY / "metagan"
ROOMS = ("data", "kinds/image/reading", "kinds/image/sources", "kinds/vector")
FILES = [
    *(file for room in ROOMS for file in sorted((SOURCES / room).rglob("*.py"))),
    SOURCES / "workflow" / "adapt.py",
]
FIRST = re.compile(r"([a-z]+(?: [a-z,]+){0,4}): ")


def literals(tree):
    """The beginning of every text in a program but docstrings, and what `listed` is told."""
    nodes = list(ast.walk(tree))
    inner = {part for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inner:
            yield node.value
        elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            yield node.values[0].value
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "listed":
            yield f"{node.args[1].value}: "


def first_words():
    """{first word and colon of a text in the sources: files}, but of texts behind a path."""
    found = {}
    for file in FILES:
        for text in literals(ast.parse(file.read_text())):
            if match := FIRST.match(text):
                found.setdefault(match[1], set()).add(file.name)
    return found


def test_every_note_that_a_source_writes_begins_with_a_word_of_the_table():
    others = {
        word: files for word, files in first_words().items() if word not in FIRST_WORDS | NO_NOTES
    }
    assert others == {}


def test_every_word_of_the_table_begins_some_note():
    assert set(first_words()) >= FIRST_WORDS


@pytest.mark.parametrize(
    ("heavier", "lighter"),
    [
        ("leak: x", "domains left out: x"),
        ("generated: x", "labels: x"),
        ("pictures left out: archives beside pictures", "labels: x"),
        ("folders without pictures: x", "splits: x"),
        ("domains: x", "blank: x"),
        ("colour: x", "duplicates: x"),
        ("duplicates: x", "left out: x"),
        ("duplicates: x", "skipped: metagan itself wrote x"),
        ("something of another version: x", "blank: x"),
    ],
)
def test_the_graver_of_two_notes_comes_first(heavier, lighter):
    assert weight(heavier) < weight(lighter)
    assert by_weight([lighter, heavier]) == (heavier, lighter)
