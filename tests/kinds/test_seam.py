"""The seam for kinds of samples: nobody above it asks which kind there is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from metagan.config.data import DataConfig
from metagan.config.image import ImageData
from metagan.config.vector import VectorData
from metagan.data.reader import READERS, find_reader
from metagan.kinds.registry import KINDS

ROOT = Path(__file__).resolve().parents[2]
#: Rooms that are handed a kind's functions, or find them by the name that a form or settings have.
ROOMS = (
    "metagan/core",
    "metagan/data",
    "metagan/runs",
    "metagan/metrics",
    "metagan/evaluate",
    "metagan/workflow",
    "cluster",
    "tune",
)
#: The table of readers by name, and words in names of folders.
ALLOWED = ("metagan/data/reader.py", "metagan/data/paths/split_words.py")
#: Words that only notes on one kind of sample begin with, and settings that only one kind has.
OWN_WORDS = {word for kind in READERS for word in find_reader(kind).note_words}
OWN_FIELDS = {*ImageData.model_fields, *VectorData.model_fields} - set(DataConfig.model_fields)
OWN_SETTINGS = re.compile(rf"\bdata\.({'|'.join(sorted(OWN_FIELDS))})\b")


def questions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Lines that ask which kind of sample there is, or that know one by its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in KINDS:
            yield node.lineno, f"the name {node.value!r}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            word, colon, _ = node.value.partition(":")
            if word in OWN_WORDS and (colon or " " in word):
                yield node.lineno, f"a note of one kind, {node.value!r}"
            for setting in OWN_SETTINGS.findall(node.value):
                yield node.lineno, f"a setting of one kind, data.{setting}"
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            parts = (module or "").split(".")
            if parts[:2] == ["metagan", "kinds"] and parts[2:3] and parts[2] in KINDS:
                yield node.lineno, f"imports {module}"
            if parts[:2] == ["metagan", "config"] and parts[2:3] and parts[2] in KINDS:
                yield node.lineno, f"imports {module}"


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_asks_which_kind_of_sample_there_is(room: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in sorted((ROOT / room).rglob("*.py"))
        if str(path.relative_to(ROOT)) not in ALLOWED
        for line, what in questions(ast.parse(path.read_text()))
    ]
    assert not found, "\n".join(found)


def test_a_question_would_be_found() -> None:
    code = 'from metagan.kinds.image.convert import to_float\nif form.kind == "image": pass\n'
    assert [line for line, _ in questions(ast.parse(code))] == [1, 2]


def test_words_and_settings_of_one_kind_would_be_found() -> None:
    code = 'POLARITY = "polarity:"\nfix = f"depth: data.white is {white}"\nkey = "data.path"\n'
    assert [line for line, _ in questions(ast.parse(code))] == [1, 2, 2]
