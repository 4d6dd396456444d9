"""Every note begins with a word of the table, by which it is weighed."""

import ast
import re

import pytest

from metagan.data.notes import WORDS, by_weight, weight
from metagan.data.reader import READERS, find_reader
from tests.conftest import REPOSITORY

NO_NOTES = {
    "sizes as stored",  # a line of inspect
    "other endings there",  # a part of an error
    "next",  # printed by adapt
}
SOURCES = REPOSITORY / "metagan"
#: The words that notes written in a room may begin with.
ROOMS = {
    "data": frozenset(WORDS),
    "workflow/adapt.py": frozenset(WORDS),
    "kinds/image/reading": frozenset(WORDS) | frozenset(find_reader("image").note_words),
    "kinds/image/sources": frozenset(WORDS) | frozenset(find_reader("image").note_words),
    "kinds/vector": frozenset(WORDS) | frozenset(find_reader("vector").note_words),
}
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


def first_words(room):
    """{first word and colon of a text in a room: files}, but of texts behind a path."""
    found = {}
    place = SOURCES / room
    for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        for text in literals(ast.parse(file.read_text())):
            if match := FIRST.match(text):
                found.setdefault(match[1], set()).add(file.name)
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_every_note_that_a_source_writes_begins_with_a_word_of_its_table(room):
    others = {
        word: files
        for word, files in first_words(room).items()
        if word not in ROOMS[room] | NO_NOTES
    }
    assert others == {}


def test_every_word_of_the_tables_begins_some_note():
    used = {word for room in ROOMS for word in first_words(room)}
    assert frozenset().union(*ROOMS.values()) <= used


@pytest.mark.parametrize("kind", READERS)
def test_no_word_of_a_kind_weighs_something_else_among_those_of_all_kinds(kind):
    assert not set(find_reader(kind).note_words) & set(WORDS)


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
    own = find_reader("image").note_words
    assert weight(heavier, own) < weight(lighter, own)
    assert by_weight([lighter, heavier], own) == (heavier, lighter)


@pytest.mark.parametrize(
    ("heavier", "lighter"),
    [
        ("domains left out: x", "rows left out: x"),
        ("columns left out: x", "labels: x"),
        ("labels: x", "units: x"),
        ("columns: x", "duplicates: x"),
    ],
)
def test_notes_on_vectors_are_weighed_by_their_own_words(heavier, lighter):
    assert by_weight([lighter, heavier], find_reader("vector").note_words) == (heavier, lighter)
