"""Names from the values of tables: one spelling for what looks the same, a note for what may be."""

import unicodedata

import pytest

from metagan.data.paths.names import TableNames, table_name, whole_number


@pytest.mark.parametrize(
    "text",
    ["c0 ", " c0", "\tc0\r\n", "\xa0c0\u3000", "\ufeffc0", "c0\u200b", "\u200e c0 \u2028", "c0\0"],
)
def test_white_space_and_invisible_characters_at_the_ends_are_no_part_of_a_name(text):
    assert table_name(text) == "c0"


def test_inside_a_name_nothing_is_dropped_and_what_cannot_be_printed_is_spelled_out():
    assert table_name("T-shirt / top") == "T-shirt / top"
    assert table_name("a\u200bb\nc") == "a\\u200bb\\nc"


@pytest.mark.parametrize("text", ["é", "각", "й"])
def test_composed_and_decomposed_text_is_one_name(text):
    assert table_name(unicodedata.normalize("NFD", text)) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("value", "expected"), [(1.0, 1), (0.5, 0.5), (True, True), ("1.0", "1.0"), (None, None)]
)
def test_only_floats_without_a_fraction_become_whole_numbers(value, expected):
    assert whole_number(value) == expected
    assert type(whole_number(value)) is type(expected)


def notes_of(*rows):
    names = TableNames()
    for domain, label in rows:
        names.label(names.domain(domain), label)
    return names.notes()


def test_names_that_need_no_change_make_no_note():
    assert notes_of(("latin", "a"), ("latin", "b"), ("greek", "a"), ("latin", 7)) == []


def test_changed_values_are_counted_and_shown():
    notes = notes_of(("latin", "c0 "), ("latin", "c0 "), ("latin ", "c0"), ("latin", "c1"))
    assert [note.split(" changed")[0] for note in notes] == [
        "domains: 1 value was",
        "labels: 2 values were",
    ]
    assert "'latin '" in notes[0]
    assert "'c0 '" in notes[1]


@pytest.mark.parametrize(
    ("first", "second"),
    [("cat", "Cat"), ("T shirt", "T  shirt"), ("ice cream", "icecream"), ("1", "01"), ("7", "7.0")],
)
def test_names_that_may_be_one_class_are_kept_apart_and_asked_about(first, second):
    (note,) = notes_of(("x", first), ("x", second))
    assert note.startswith("labels: do you mean one class? ")
    assert repr(f"x/{first}") in note
    assert repr(f"x/{second}") in note


def test_domains_that_may_be_one_are_asked_about():
    (note,) = notes_of(("Latin", "a"), ("latin", "b"))
    assert note.startswith("domains: do you mean one domain? 'Latin' and 'latin' differ")


@pytest.mark.parametrize(
    ("first", "second"), [("a", "b"), ("1", "10"), ("1", "\u0661"), ("c-0", "c_0"), ("0", "00x")]
)
def test_other_names_are_not_asked_about(first, second):
    assert notes_of(("x", first), ("x", second)) == []


def test_a_label_that_is_a_number_here_and_text_there_is_one_class_with_a_note():
    (note,) = notes_of(("x", 1), ("x", "1"), ("x", 2), ("y", "2"))
    assert note.startswith("labels: x/1 is given as a number and as text")


def test_a_note_shows_a_few_names_however_many_there_are():
    (note,) = notes_of(*(("x", name) for letter in "abcdefgh" for name in (letter, letter.upper())))
    assert "'x/A' and 'x/a'" in note
    assert ", 5 more differ" in note
    assert len(note) < 250
