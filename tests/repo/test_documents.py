"""Documents say what is true of the code: links, settings, commands and targets exist."""

import ast
import re
from itertools import chain
from pathlib import Path

import pytest

from cluster.config import JobConfig
from metagan.cli.app import COMMANDS, SHORT, build_parser
from metagan.config.algorithms import ALGORITHMS
from metagan.config.kinds import KIND_WORDS
from metagan.config.load import list_settings
from metagan.config.removed import REMOVED
from metagan.core.losses import ADVERSARIAL_LOSSES
from metagan.data.reader import READERS, find_reader
from metagan.data.registry import sources_of
from tests.conftest import REPOSITORY

PACKAGES = ("metagan", "cluster", "tune", "benchmarks")
PARTS = {"config": ("show", "schema", "explain"), "data": ("inspect", "prepare")}
DOCUMENTS = sorted(
    path
    for path in (*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"))
    # Only what is there and says something: a page may be written after the tests.
    if path.stat().st_size
)
SETTINGS = {known.key for known in list_settings(JobConfig)}
SECTIONS = {key.rpartition(".")[0] for key in SETTINGS} - {""}
MACHINE_PATH = re.compile(r"(?<![\w.~}>])/(?:work|tmp|root|home|Users|mnt|workspace)/[\w.-]")

documents = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


def blocks(text: str) -> list[str]:
    """The fenced blocks of a page."""
    return re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def spans(text: str) -> list[str]:
    """Texts between single backticks outside of fenced blocks; may run over a line's end."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]


def command_lines(text: str) -> list[list[str]]:
    """Every `metagan ...` in code, as words, without comments and the shell around it."""
    lines = [line for block in blocks(text) for line in block.replace("\\\n", " ").splitlines()]
    code = [re.sub(r"\s+#.*", "", line) for line in lines] + spans(text)
    found = [re.match(r"(?:\$ )?(?:\.venv/bin/)?metagan (.+)", line.strip()) for line in code]
    lines_of_words = [match[1].split() for match in found if match]
    # What `metagan submit` runs elsewhere stands behind a -- and is a command line, too.
    parts = (" ".join(words).split(" -- ") for words in lines_of_words)
    return [part.split() for several in parts for part in several]


def named_settings(text: str) -> set[str]:
    """`section.key` and `section.key=value`, in code, of the sections that there are."""
    words = [word for span in spans(text) for word in span.split()]
    words += [word for line in command_lines(text) for word in line]
    keys = (word.removeprefix("--").partition("=")[0].strip(",;:()") for word in words)
    return {key for key in keys if re.fullmatch(r"[a-z]+(\.[a-z_0-9]+)+", key)}


@documents
def test_a_document_names_only_settings_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    sections = {section.partition(".")[0] for section in SECTIONS}
    # A file or function may be written like a key: `losses.py`, `aggregate.aggregate`.
    asked = {key for key in named_settings(text) if key.partition(".")[0] in sections}
    files = {key for key in asked if key.endswith((".py", ".md", ".yaml", ".json"))}
    assert asked - files - SETTINGS - set(REMOVED) == set()


@documents
def test_settings_given_in_examples_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    given = {word for line in command_lines(text) for word in line if not word.startswith("-")}
    keys = {word.partition("=")[0] for word in given if "=" in word}
    # A label of a node, such as metagan.io/role=driver, is no setting.
    dotted = {key for key in keys if "." in key and "/" not in key}
    assert dotted - SETTINGS == set()


@documents
def test_a_document_names_only_commands_and_options_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    parser = build_parser()
    for words in command_lines(text):
        if words[0] in ("--help", "--version", "COMMAND", "..."):
            continue
        words = [*SHORT.get(words[0], words[:1]), *words[1:]]
        assert words[0] in COMMANDS, f"metagan {' '.join(words)}"
        place = [words[0]]
        if words[0] in PARTS and len(words) > 1 and not words[1].startswith("-"):
            assert words[1] in PARTS[words[0]], f"metagan {' '.join(words)}"
            place.append(words[1])
        options = options_of(parser, place)
        for word in words[1:]:
            if word.startswith("-") and "." not in word and word != "-":
                assert word.partition("=")[0] in options, f"metagan {' '.join(words)}"


def options_of(parser, place):
    for name in place:
        [action] = [
            a for a in parser._actions if hasattr(a, "choices") and name in (a.choices or ())
        ]
        parser = action.choices[name]
    return set(parser._option_string_actions)


@documents
def test_links_between_files_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = re.findall(r"!?\[[^\]]*\]\(([^)\s]+)", text)
    targets += re.findall(r"<img[^>]+src=\"([^\"]+)\"", text)
    broken = [
        target
        for target in targets
        if not re.match(r"[a-z]+:|#", target)
        and not (path.parent / target.partition("#")[0]).exists()
    ]
    assert broken == []


@documents
def test_files_named_in_code_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = {
        span
        for span in spans(text)
        if re.fullmatch(r"(metagan|cluster|tests|configs|docs|benchmarks|examples)/[\w./-]*", span)
    }
    assert [name for name in sorted(named) if not (REPOSITORY / name).exists()] == []


@documents
def test_targets_of_make_named_in_a_document_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    code = spans(text) + [line for block in blocks(text) for line in block.splitlines()]
    asked = {m[1] for line in code if (m := re.match(r"make ([a-z][a-z-]*)(?:\s|$)", line.strip()))}
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    there = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    assert asked - there == set()


@documents
def test_a_document_knows_no_machine(path: Path) -> None:
    assert MACHINE_PATH.findall(path.read_text(encoding="utf-8")) == []


def page(name: str) -> str:
    return (REPOSITORY / "docs" / name).read_text(encoding="utf-8")


def test_every_algorithm_loss_and_family_is_described() -> None:
    text = page("algorithms.md")
    for name in ALGORITHMS:
        assert f"## `{name}`" in text
    for name in ADVERSARIAL_LOSSES:
        assert f"| `{name}` |" in text
    for family in chain(*(words.families for words in KIND_WORDS.values())):
        assert f"**{family}**" in text


def test_every_source_of_data_is_described() -> None:
    text = page("data.md")
    sources = {name for kind in READERS for name in sources_of(find_reader(kind))}
    assert [name for name in sorted(sources) if f"### `{name}`:" not in text] == []


def test_every_setting_has_a_description() -> None:
    assert [known.key for known in list_settings(JobConfig) if not known.description.strip()] == []


def test_the_changelog_has_its_headings() -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### (.+)$", text, re.MULTILINE)
    known = {"Added", "Changed", "Changed numerics", "Deprecated", "Removed", "Fixed", "Security"}
    assert "## [Unreleased]" in text
    assert set(headings) <= known


def test_every_test_that_numerics_names_is_there():
    text = (REPOSITORY / "docs" / "numerics.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:\w+/)*test_\w+\.py)(?:::(\w+))?`", text)
    assert len(named) > 40
    for file, test in named:
        source = (REPOSITORY / "tests" / file).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in source, f"{file}::{test}"


# --- where things are -------------------------------------------------------------------------


def names_by_module() -> dict[str, set[str]]:
    """Names that every module of ours defines or imports, by its dotted name."""
    found = {}
    for package in PACKAGES:
        for file in (REPOSITORY / package).rglob("*.py"):
            dotted = ".".join(file.relative_to(REPOSITORY).with_suffix("").parts)
            nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
            found[dotted.removesuffix(".__init__")] = {
                *(node.name for node in nodes if hasattr(node, "name") and node.name),
                *(node.id for node in nodes if isinstance(node, ast.Name)),
                *(node.arg for node in nodes if isinstance(node, ast.arg)),
            }
    return found


def misplaced(text: str, known: dict[str, set[str]]) -> list[str]:
    """`module.name` in code whose module is there and does not have the name."""
    tails: dict[str, set[str]] = {}
    for module, names in known.items():
        parts = module.split(".")
        for start in range(len(parts)):
            tails.setdefault(".".join(parts[start:]), set()).update(names)
    words = [span.split("(")[0] for span in spans(text)]
    dotted = [word for word in words if re.fullmatch(r"[A-Za-z_]+(\.[A-Za-z_]+)+", word)]
    return [
        word
        for word in dotted
        if word not in tails
        # Sections of the settings, and what arguments are called.
        and word.split(".")[0] not in {*SECTIONS, "tune", "config"}
        and not re.search(r"\.(md|py|yaml|json|jsonl|arrow|parquet|html|png|npz)$", word)
        and (names := tails.get(word.rpartition(".")[0])) is not None
        and word.rpartition(".")[2] not in names
    ]


def test_what_a_text_says_is_in_a_module_is_there() -> None:
    known = names_by_module()
    sources = [p for name in PACKAGES for p in (REPOSITORY / name).rglob("*.py")]
    found = {
        str(path.relative_to(REPOSITORY)): misplaced(path.read_text(encoding="utf-8"), known)
        for path in (*DOCUMENTS, *sources)
    }
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


def test_a_name_in_the_wrong_module_is_found() -> None:
    known = names_by_module()
    wrong = ["algorithms.prefers_vmap", "metagan.core.algorithms.chunk_gradient"]
    assert misplaced(" ".join(f"`{word}`" for word in wrong), known) == wrong
    assert misplaced("`chunk_gradient.prefers_vmap` `inner.lr` `config.yaml`", known) == []
