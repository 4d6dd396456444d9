import json
import math
import os
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from metagan.config.load import (
    Config,
    ConfigError,
    describe,
    json_schema,
    list_settings,
    load_config,
)
from metagan.config.load import to_yaml as dump
from metagan.config.settings import RunConfig
from metagan.config.yaml import YamlError, format_value, parse_document, parse_scalar


class Inner(Config):
    steps: int = Field(5, ge=1, le=100, description="Inner steps.")
    lr: float = Field(1e-2, gt=0, description="Inner learning rate.")
    optimizer: Literal["sgd", "adam"] = "sgd"
    max_norm: float | None = Field(None, gt=0)


class Run(Config):
    seed: int = Field(0, ge=0)
    verbose: bool = False
    name: str | None = None
    shots: tuple[int, ...] = Field((5,), min_length=1)
    inner: Inner = Inner()


@pytest.fixture
def write(tmp_path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "config.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def problems(path: Path | None, *overrides: str, model: type[Config] = Run) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(model, path, overrides)
    assert isinstance(caught.value, ValueError)
    assert all("\n" not in problem for problem in caught.value.problems)
    return [problem.replace(f"{path}", "config.yaml") for problem in caught.value.problems]


# --- what the file may hold -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E-4", 1e-4),
        ("3", 3.0),
        (".5", 0.5),
        ("+2.", 2.0),
        ("1.5e+3", 1500.0),
    ],
)
def test_a_plain_decimal_is_a_number(write, text, value):
    assert load_config(Run, write(f"inner: {{lr: {text}}}")).config.inner.lr == value


@pytest.mark.parametrize("text", ["010", "1_000", "12:30", "0x1F", "0o17", "1__0"])
def test_numbers_that_yaml_would_read_surprisingly_stay_text(text):
    assert parse_scalar(text) == text


@pytest.mark.parametrize("text", ["yes", "no", "on", "off", "True", "False", "TRUE", "y", "n"])
def test_only_true_and_false_are_booleans(write, text):
    assert parse_scalar(text) == text
    [problem] = problems(write(f"verbose: {text}"))
    assert problem.startswith(f"config.yaml:1: verbose: expected true or false; got {text}")
    assert load_config(Run, write(f"name: {text}")).config.name == text


def test_null_clears_a_setting_that_may_be_null(write):
    loaded = load_config(Run, write("name: null\ninner:\n  max_norm: ~\n"))
    assert loaded.config.name is None
    assert loaded.config.inner.max_norm is None


def test_a_byte_order_mark_is_not_part_of_the_first_key(write):
    assert load_config(Run, write(b"\xef\xbb\xbfseed: 4\n")).config.seed == 4


BAD_FILES = {
    "unknown key": (
        "sede: 1",
        "config.yaml:1: sede: unknown key; did you mean seed? (known: inner",
    ),
    "a section of another command": (
        "tune: {num_trials: 3}",
        "config.yaml:1: tune: only metagan tune reads this section",
    ),
    "unknown key in a section": (
        "seed: 1\ninner:\n  stepz: 2\n",
        "config.yaml:3: inner.stepz: unknown key; did you mean inner.steps? "
        "(known: lr, max_norm, optimizer, steps)",
    ),
    "key of another section": ("lr: 1", "config.yaml:1: lr: unknown key; did you mean inner.lr?"),
    "dotted key": ("inner.lr: 1", "unknown key; in a file, write lr below inner:"),
    "wrong type": (
        "seed: abc",
        "config.yaml:1: seed: expected a whole number, at least 0; got abc",
    ),
    "boolean for a number": ("seed: true", "seed: expected a whole number, at least 0; got true"),
    "fraction for a count": ("inner: {steps: 1.5}", "at least 1 and at most 100; got 1.5"),
    "float for a count": ("inner: {steps: 1e1}", "got 10.0; write 10"),
    "quoted number": ('inner: {lr: "1e-4"}', 'greater than 0; got "1e-4"; remove the quotes'),
    "octal": ("seed: 010", 'got "010"; write plain decimal digits'),
    "underscore": ("seed: 1_000", "write plain decimal digits, without leading zeros or under"),
    "nan": ("inner: {lr: .nan}", "got nan; it must be finite"),
    "infinity": ("inner: {lr: .inf}", "got inf; it must be finite"),
    "overflow": ("inner: {lr: 1e999}", "got inf; it must be finite"),
    "negative": ("seed: -1", "seed: expected a whole number, at least 0; got -1"),
    "zero steps": ("inner: {steps: 0}", "inner.steps: expected a whole number, at least 1"),
    "endless number": ("seed: " + "9" * 5000, "has at most 18 digits, not 5000"),
    "number for text": ("name: 5", "name: expected text or null; got 5; put it between quotes"),
    "None": ("inner: {max_norm: None}", "expected a number or null, greater than 0; got None; wri"),
    "scalar for a list": (
        "shots: 5",
        "expected a list, each item a whole number, not empty; got 5",
    ),
    "wrong item": (
        "shots:\n - 5\n - a\n",
        "config.yaml:3: shots[1]: expected a whole number; got a",
    ),
    "empty list": ("shots: []", "shots: expected a list, each item a whole number, not empty"),
    "unknown choice": (
        "inner: {optimizer: adan}",
        "inner.optimizer: expected one of sgd, adam; got adan; did you mean adam?",
    ),
    "duplicate key": (
        "inner:\n  lr: 1\n  lr: 2\n",
        "config.yaml:3: inner.lr is given twice, first in line 2",
    ),
    "tab": ("inner:\n\tlr: 1\n", "config.yaml:2: a tab in the indentation"),
    "tab before a value": (
        "seed:\t1\n",
        "config.yaml:1: a tab in the indentation or before a value",
    ),
    "escape of no character": ('name: "\\UFFFFFFFF"', "config.yaml: not valid YAML: a number"),
    "bad indentation": ("inner:\n  lr: 1\n steps: 2\n", "config.yaml:3: not valid YAML"),
    "colon in a value": ("name: a: b", "config.yaml:1: not valid YAML: mapping values"),
    "unclosed bracket": ("shots: [1, 2\n", "not valid YAML: while parsing a flow sequence"),
    "python tag": ("name: !!python/name:os.system x", "config.yaml:1: tags such as"),
    "standard tag": ("name: !!str 5", "config.yaml:1: tags such as"),
    "anchor": ("shots: &a [1]", "config.yaml:1: anchors such as &a are not allowed"),
    "alias": ("name: *a", "config.yaml:1: aliases such as *a are not allowed"),
    "merge key": ("inner:\n  <<: {lr: 1}\n", "config.yaml:2: inner.<<: unknown key"),
    "key that is a number": ("5: 1", "config.yaml:1: a key must be a name, not 5"),
    "key that is a list": ("? [a]\n: 1", "a key must be a name, not [a]"),
    "empty file": ("", "config.yaml: is empty"),
    "comments alone": ("# nothing\n", "config.yaml: is empty"),
    "list at the top": ("- seed: 1\n", "config.yaml:1: holds a list"),
    "text at the top": ("seed\n", "config.yaml:1: holds a single value"),
    "empty section": ("seed: 1\ninner:\n", "config.yaml:2: inner: the section is empty"),
    "scalar for a section": ("inner: 5", "inner: is a section, not a single setting; got 5"),
    "two documents": ("seed: 1\n---\nseed: 2\n", "config.yaml:2: a second document"),
    "not UTF-8": (b"seed: 1\nname: \xff\n", "config.yaml:2: is not UTF-8"),
    "UTF-16": ("seed: 1".encode("utf-16"), "is not UTF-8"),
    "control character": ("name: \x07", "config.yaml:1: the character with code 7"),
    "half a character": ('name: "\\ud800"', "config.yaml:1: half of a surrogate pair"),
    "too deep": ("name: " + "[" * 5000, "config.yaml:1: nested too deeply"),
    "too large": ("# " + "x" * 300_000, "config.yaml: is larger than 256 KiB"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_with_the_place_and_the_fix(write, name):
    text, expected = BAD_FILES[name]
    found = problems(write(text))
    assert expected in found[0]
    assert len(found) == 1


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    assert problems(tmp_path / "no.yaml") == ["config.yaml: no such file"]
    [problem] = problems(tmp_path)
    assert problem == "config.yaml: is a folder; name the YAML file in it"


def test_a_path_with_a_null_byte_is_an_error_of_the_user():
    [problem] = problems(Path("a\0b"))
    assert "cannot be read" in problem


def test_all_problems_are_reported_at_once(write):
    path = write("sede: 1\nverbose: 3\ninner:\n  lr: 0\n  steps: 1\n  steps: 2\n")
    found = problems(path, "inner.optimizer=rmsprop", "inner", "nme=x")
    assert len(found) == 7
    assert sum(problem.startswith("command line: ") for problem in found) == 3
    assert {problem.split(": ")[0] for problem in found if "config.yaml" in problem} == {
        "config.yaml:1",
        "config.yaml:2",
        "config.yaml:4",
        "config.yaml:6",
    }


def test_python_tags_run_nothing(write, tmp_path):
    canary = tmp_path / "canary"
    problems(write(f"name: !!python/object/apply:os.mkdir ['{canary}']"))
    assert not canary.exists()


# --- overrides ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "get", "value"),
    [
        ("seed=7", lambda run: run.seed, 7),
        ("--inner.lr=3e-4", lambda run: run.inner.lr, 3e-4),
        ("shots=[5, 10]", lambda run: run.shots, (5, 10)),
        ("verbose=true", lambda run: run.verbose, True),
        ("inner={steps: 7, lr: 1}", lambda run: (run.inner.steps, run.inner.lr), (7, 1.0)),
        ("name=123", lambda run: run.name, "123"),
        ("name=a: b #c", lambda run: run.name, "a: b #c"),
        ("name=a=b", lambda run: run.name, "a=b"),
        ("name='null'", lambda run: run.name, "null"),
        ("name=null", lambda run: run.name, None),
        ("inner.max_norm=null", lambda run: run.inner.max_norm, None),
    ],
)
def test_an_override_is_a_yaml_value_for_its_setting(override, get, value):
    assert get(load_config(Run, None, [override]).config) == value


BAD_OVERRIDES = {
    "inner.lr": "inner.lr: expected key.path=value, such as inner.lr=0.01",
    "=4": "expected key.path=value",
    "inner..lr=3": "expected key.path=value, such as seed=0",
    "inner=5": "inner: is a section, not a single setting; got 5; set one of its keys, such as",
    "inner=": "nothing after the '='",
    "inner.lr.x=5": "inner.lr.x: unknown key; inner.lr is a setting, not a section",
    "inner.stepz=5": "inner.stepz: unknown key; did you mean inner.steps?",
    "iner.steps=5": "iner.steps: unknown key; did you mean inner.steps?",
    "inner_steps=5": "inner_steps: unknown key; did you mean inner.steps?",
    "iner=5": "iner: unknown key; did you mean inner?",
    "stepz=5": "stepz: unknown key; did you mean inner.steps?",
    "inner={stepz: 3}": "inner.stepz: unknown key; did you mean inner.steps?",
    "shots=[5": "shots: not valid YAML",
    "shots=5": "write [5]",
    "shots=5,6": "write [5, 6]",
    "shots=five": "got five",
    "seed=": "seed: nothing after the '='; write seed=null to clear a setting",
    "seed=!!int 5": "seed: expected a whole number",
    "seed=[&a 5]": "anchors such as",
    "inner.optimizer=adm": "expected one of sgd, adam; got adm; did you mean adam?",
    "name=\udcff": "name: the value is not UTF-8 text",
}


@pytest.mark.parametrize("override", BAD_OVERRIDES)
def test_a_bad_override_is_refused_with_the_fix(override):
    [problem] = problems(None, override)
    assert problem.startswith("command line: ")
    assert BAD_OVERRIDES[override] in problem
    assert "write [five]" not in problem, "no item of the list could be that"


def test_the_last_of_equal_overrides_wins_over_the_file(write):
    path = write("inner: {lr: 1, steps: 3}")
    loaded = load_config(Run, path, ["inner.lr=2", "inner.lr=3"])
    assert (loaded.config.inner.lr, loaded.config.inner.steps) == (3.0, 3)


def test_an_override_repairs_a_wrong_value_of_the_file(write):
    assert load_config(Run, write("inner: {lr: -1}"), ["inner.lr=2"]).config.inner.lr == 2.0


def test_every_value_knows_where_it_comes_from(write):
    path = write("# a run\nseed: 3\nshots:\n  - 1\ninner:\n  steps: 2\n  lr: 1\n")
    loaded = load_config(Run, path, ["inner.lr=2"])
    assert loaded.provenance == {
        "seed": f"{path}:2",
        "verbose": "default",
        "name": "default",
        "shots": f"{path}:3",
        "inner.steps": f"{path}:6",
        "inner.lr": "command line",
        "inner.optimizer": "default",
        "inner.max_norm": "default",
    }


def test_a_disagreement_names_every_setting_and_where_it_was_written(write):
    path = write("gan:\n  conditioning: none\n  family: dcgan\n")
    [problem] = problems(path, "task.unit=domain", model=RunConfig)
    assert problem.startswith("command line: gan.conditioning none needs task.unit class")
    assert problem.endswith("(task.unit: command line, gan.conditioning: config.yaml:2)")


# --- writing and describing -----------------------------------------------------------------


def test_resolved_yaml_loads_as_the_same_settings_with_origins_beside(write):
    before = load_config(Run, None, ["seed=3", "name='yes: #'", "inner.lr=1e-7", "shots=[1, 2]"])
    text = dump(before.config, comments=before.provenance)
    assert load_config(Run, write(text)).config == before.config
    by_key = {line.split(":")[0].strip(): line for line in text.splitlines()}
    assert by_key["seed"].endswith("# command line")
    assert by_key["steps"].endswith("# default")
    assert "#" not in dump(before.config, comments=None).replace('"yes: #"', "")


_TEXTS = st.text() | st.sampled_from(["null", "1e-4", "no", "010", "~", "a b", "\u2028", "\x85"])
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False)
    | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(_VALUES)
def test_any_value_reads_back_as_it_was_written(value):
    if isinstance(value, float) and math.isinf(value):
        return
    text = format_value(value)
    assert "\n" not in text
    if "inf" not in text:
        document = parse_document(f"key: {text}")
        assert document.problems == ()
        assert document.data == {"key": value}


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab:-[]{}#&*!|>'\"%@` \n\t,?1.e\\", max_size=30))
def test_any_text_is_read_or_refused_and_nothing_else_happens(text):
    try:
        problems = parse_document(text).problems
    except YamlError as error:
        problems = error.problems
    assert all(problem.message for problem in problems)


def test_a_setting_is_described_in_words():
    setting = describe(Run, "inner.lr")
    assert setting.type == "a number"
    assert setting.bounds == "greater than 0"
    assert setting.default == "0.01"
    assert setting.description == "Inner learning rate."
    assert describe(Run, "inner.optimizer").type == "one of sgd, adam"
    assert describe(Run, "inner.steps").bounds == "at least 1 and at most 100"


@pytest.mark.parametrize(
    ("key", "expected"),
    [("inner.lrr", "did you mean inner.lr?"), ("inner", "is a section"), ("", "unknown key")],
)
def test_describing_what_is_no_setting_names_the_nearest(key, expected):
    with pytest.raises(ConfigError, match=expected.replace("?", r"\?")):
        describe(Run, key)


def test_every_setting_is_listed_once():
    keys = [setting.key for setting in list_settings(RunConfig)]
    assert len(keys) == len(set(keys))
    assert set(keys) == set(load_config(RunConfig, None).provenance)


def test_the_schema_is_json_and_refuses_unknown_keys():
    schema = json.loads(json.dumps(json_schema(RunConfig)))
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["InnerConfig"]["properties"]["lr"]["exclusiveMinimum"] == 0


@pytest.mark.parametrize(
    ("text", "overrides", "said"),
    [
        # A path in bytes of another encoding than UTF-8, as the shell gives it.
        (None, ["data.source=auto", "data.path=caf\udce9"], r"data.path: the value is not UTF-8"),
        (None, ["data.source=auto", 'data.path="caf\\udce9"'], r"not UTF-8 text (caf\xe9); rename"),
        ('data: {source: auto, path: "\\udce9"}\n', [], r"config.yaml:1: the value is not UTF-8"),
        ('evaluate: {shots: ["\\ud800"]}\n', [], "config.yaml:1: half of a surrogate pair"),
        ('"\\ud800"\n', [], "config.yaml:1: half of a surrogate pair"),
        ("data: {test_domains: [!tag a]}\n", [], "config.yaml:1: tags such as"),
    ],
)
def test_one_mistake_is_one_error_also_where_other_settings_rest_on_it(
    tmp_path, text, overrides, said
):
    file = None
    if text is not None:
        file = tmp_path / "config.yaml"
        file.write_text(text)
    [problem] = problems(file, *overrides, model=RunConfig)
    assert said in problem


@pytest.mark.timeout(20)
def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "run.yaml")
    [problem] = problems(tmp_path / "run.yaml")
    assert problem.endswith("is a pipe; name a file")


def test_two_mistakes_are_two_errors():
    found = problems(None, "data.path=caf\udce9", "inner.lr=-1", model=RunConfig)
    assert ["data.path" in problem for problem in found] == [True, False]
