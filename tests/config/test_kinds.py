"""Settings of data of several kinds: one section, whose kind says what else it holds."""

import json
import pickle
from typing import get_args

import pytest

from cluster.config import JobConfig
from metagan.cli.app import run_cli
from metagan.config.image import ImageData
from metagan.config.kinds import KIND_WORDS
from metagan.config.learning import GanConfig
from metagan.config.load import (
    ConfigError,
    describe,
    flat_settings,
    json_schema,
    list_settings,
    load_config,
    to_yaml,
)
from metagan.config.may_change import check_changes, other_networks
from metagan.config.settings import EvaluateConfig, RunConfig
from metagan.config.tree import KIND, kind_of, sections_of
from metagan.config.vector import VectorData

VECTORS = ["data.kind=vector", "data.path=x.npz"]
MODELS = sections_of(RunConfig.model_fields["data"].annotation)


def refused(*overrides: str, file=None, model: type[RunConfig] = JobConfig) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(model, file, overrides)
    return caught.value.problems


@pytest.fixture
def write(tmp_path):
    def write(text: str):
        path = tmp_path / "run.yaml"
        path.write_text(text)
        return path

    return write


# --- both kinds -------------------------------------------------------------------------------


def test_data_are_pictures_unless_their_kind_is_named():
    for config in (RunConfig(), RunConfig(data={"image_size": 32}), RunConfig(data=ImageData())):
        assert isinstance(config.data, ImageData)
        assert (config.data.kind, config.data.source) == ("image", "glyphs")


def test_vectors_are_chosen_by_their_kind_however_the_settings_are_made(write):
    given = {"kind": "vector", "path": "x.npz", "columns": ["a", "b"]}
    file = write("data:\n  kind: vector\n  path: x.npz\n  columns: [a, b]\n")
    made = [
        load_config(RunConfig, None, [*VECTORS, "data.columns=[a, b]"]).config,
        load_config(RunConfig, None, [f"data={json.dumps(given)}"]).config,
        load_config(RunConfig, file).config,
        RunConfig(data=given),
        RunConfig(data=VectorData(path="x.npz", columns=("a", "b"))),
        RunConfig.model_validate({"data": given}),
        RunConfig.model_validate_json(json.dumps({"data": given})),
    ]
    for config in made:
        assert config == made[0]
        assert isinstance(config.data, VectorData)
        assert (config.data.source, config.data.columns) == ("auto", ("a", "b"))


def test_the_kinds_of_settings_are_those_of_the_table_of_words():
    assert [kind_of(model) for model in MODELS] == list(KIND_WORDS)


@pytest.mark.parametrize(
    ("section", "name"),
    [(GanConfig, "family"), (GanConfig, "augment"), (EvaluateConfig, "classical")],
)
def test_a_setting_takes_the_words_of_every_kind_and_no_others(section, name):
    annotation = section.model_fields[name].annotation
    taken = get_args(get_args(annotation)[0] if name == "augment" else annotation)
    key = f"{'gan' if section is GanConfig else 'evaluate'}.{name}"
    assert sorted(taken) == sorted(word for row in KIND_WORDS.values() for word in row.known()[key])


def test_the_defaults_of_pictures_are_those_that_stand_beside_the_settings():
    settings = {"gan": GanConfig(), "evaluate": EvaluateConfig()}
    for name, defaults in KIND_WORDS["image"].defaults().items():
        for key, value in defaults.items():
            assert getattr(settings[name], key) == value


def test_a_setting_that_several_kinds_have_affects_the_same_in_each():
    words: dict[str, set[str]] = {}
    for model in MODELS:
        for name, info in model.model_fields.items():
            words.setdefault(name, set()).add(json.dumps(info.json_schema_extra))
    assert {name: found for name, found in words.items() if len(found) > 1} == {}


def test_settings_of_both_kinds_survive_pickle_and_the_file_of_a_run(write):
    for overrides in ([], VECTORS, [*VECTORS, "gan.augment=[noise]"]):
        config = load_config(JobConfig, None, overrides).config
        assert pickle.loads(pickle.dumps(config)) == config
        # Every setting stands in a run's file, so that none is a default any more.
        assert load_config(JobConfig, write(to_yaml(config))).config == config
        assert type(config).model_validate(config.model_dump()) == config


def test_a_file_of_a_run_from_before_there_were_kinds_is_of_pictures(write):
    text = to_yaml(RunConfig(data={"path": "letters", "image_size": 32}))
    before = "".join(line for line in text.splitlines(True) if line.strip() != "kind: image")
    assert before != text
    config = load_config(RunConfig, write(before)).config
    assert config == RunConfig(data={"path": "letters", "image_size": 32})
    assert to_yaml(config) == text


# --- defaults ---------------------------------------------------------------------------------


def test_what_nobody_set_fits_the_kind():
    vectors = load_config(RunConfig, None, VECTORS).config
    assert (vectors.gan.family, vectors.gan.augment) == ("mlp", ())
    assert vectors.evaluate.classical == "jitter"
    # The sections that all settings share by default are as they were.
    pictures = RunConfig()
    assert (pictures.gan.family, pictures.gan.augment) == ("flow", ("translation",))
    assert pictures.evaluate.classical == "affine+elastic"


def test_what_somebody_set_stays_and_the_rest_of_its_section_fits_the_kind():
    given = [*VECTORS, "gan.augment=[noise]", "gan.width=32", "gan.loss=wgan_gp"]
    gan = load_config(RunConfig, None, given).config.gan
    assert (gan.augment, gan.width, gan.family, gan.r1) == (("noise",), 32, "mlp", 0.0)
    section = GanConfig(width=32)
    assert RunConfig(data={"kind": "vector", "path": "x"}, gan=section).gan.family == "mlp"
    assert section.family == "flow"


@pytest.mark.parametrize(
    "overrides",
    [
        ["gan.conditioning=none"],
        ["gan.conditioning=label", "task.unit=domain"],
        ["gan.conditioning=sample"],
    ],
)
def test_networks_of_vectors_take_every_conditioning(overrides):
    assert load_config(RunConfig, None, [*VECTORS, *overrides]).config.gan.family == "mlp"


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["data.kind=vector"], "data.source auto needs data.path"),
        (["data.kind=vector", "data.source=npz"], "data.source npz needs data.path"),
        (
            [*VECTORS, "data.image_size=32"],
            "data.image_size is a setting of data.kind image, and data.kind is vector; leave it "
            "out",
        ),
        (
            ["data.columns=[a]"],
            "data.columns is a setting of data.kind vector, and data.kind is image; leave it out",
        ),
        (
            ["data.drawings_per_class=9", *VECTORS],
            "data.drawings_per_class is a setting of data.kind image, and data.kind is vector",
        ),
        (
            ["data.kind=vectr", "data.columns=[a]", "data.image_size=8", "data.source=table"],
            "data.kind: expected one of image, vector; got vectr; did you mean vector?",
        ),
        (["data.kind=3"], "data.kind: expected one of image, vector; got 3"),
        (
            [*VECTORS, "data.source=omniglot"],
            "data.source: expected one of auto, npz, table, arrow; got omniglot",
        ),
        (
            ["data.source=table"],
            "fonts, image_folder, manifest, parquet, idx, npz, arrow; got",
        ),
        (["data.columnz=[a]", *VECTORS], "data.columnz: unknown key; did you mean data.columns?"),
        ([*VECTORS, "data.columns=[3]"], "data.columns[0]: expected text; got 3"),
        (["data.image=3"], "data.image: unknown key; did you mean data.image_size?"),
        (["data.vector=3"], "data.vector: unknown key"),
        (
            [*VECTORS, "gan.family=dcgan"],
            "gan.family is dcgan, but data.kind is vector, which has mlp; set gan.family mlp",
        ),
        (
            # That it needs a given sample is beside the point.
            [*VECTORS, "gan.family=flow", "gan.conditioning=none"],
            "gan.family is flow, but data.kind is vector",
        ),
        (
            [*VECTORS, "gan.augment=[noise, cutout]"],
            "gan.augment holds cutout, but data.kind is vector, which has noise; leave cutout out",
        ),
        (
            [*VECTORS, "evaluate.classical=affine"],
            "evaluate.classical is affine, but data.kind is vector, which has jitter; set "
            "evaluate.classical jitter",
        ),
        (
            ["gan.family=mlp"],
            "gan.family is mlp, but data.kind is image, which has flow, dcgan, residual, unet; set "
            "gan.family flow",
        ),
        (["gan.augment=[noise]"], "gan.augment holds noise, but data.kind is image"),
        (["evaluate.classical=jitter"], "evaluate.classical is jitter, but data.kind is image"),
    ],
)
def test_one_mistake_about_kinds_is_one_error_in_words(overrides, said):
    [problem] = refused(*overrides)
    assert said in problem
    assert problem.startswith("command line: ")


def test_all_mistakes_are_told_at_once_each_with_its_place(write):
    file = write(
        "data:\n  kind: vector\n  path: x\n  image_size: 32\n  label: 3\ninner:\n  lr: 0\n"
    )
    found = refused("data.invert=true", "data.domein=a", file=file)
    assert [problem.replace(f"{file}", "run.yaml")[:45] for problem in found] == [
        "command line: data.domein: unknown key; did y",
        "run.yaml:5: data.label: expected text, not em",
        "run.yaml:4: data.image_size is a setting of d",
        "command line: data.invert is a setting of dat",
        "run.yaml:7: inner.lr: expected a number, grea",
    ]


def test_beside_a_wrong_kind_only_what_all_kinds_share_is_checked():
    found = refused(
        *("data.kind=vectr", "data.columns=3", "data.image_size=3", "data.source=x"),
        *("data.test_fraction=3", "data.foo=1"),
    )
    keys = {problem.split(": ")[1] for problem in found}
    assert keys == {"data.kind", "data.test_fraction", "data.foo"}
    [unknown] = [problem for problem in found if "data.foo" in problem]
    assert "columns" in unknown
    assert "image_size" in unknown


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"kind": "vectr"}, "data.kind: expected one of image, vector; got vectr; did you mean"),
        ({"kind": "vector", "image_size": 32}, "data.image_size is a setting of data.kind image"),
        (5, "data: is a section, not a single setting; got 5; set one of its keys, such as data.k"),
    ],
)
def test_python_is_answered_like_the_command_line(data, said):
    with pytest.raises(ConfigError) as caught:
        RunConfig(data=data)
    [problem] = caught.value.problems
    assert problem.startswith(f"RunConfig: {said}")


# --- where values come from, help, schema -----------------------------------------------------


def test_every_value_of_a_kind_knows_where_it_comes_from(write):
    file = write("data:\n  kind: vector\n  path: x\n")
    loaded = load_config(RunConfig, file, ["data.label=digit"])
    keys = ("kind", "path", "label", "domain", "source")
    assert [loaded.provenance[f"data.{key}"] for key in keys] == [
        f"{file}:2",
        f"{file}:3",
        "command line",
        "default",
        "default",
    ]
    assert flat_settings(loaded.config).keys() <= loaded.provenance.keys()


def test_settings_of_every_kind_are_listed_once_and_say_whose_they_are():
    listed = [setting for setting in list_settings(RunConfig) if setting.key.startswith("data.")]
    only = {setting.key.removeprefix("data."): setting.only for setting in listed}
    assert len(only) == len(listed)
    names = [set(model.model_fields) for model in MODELS]
    for name, said in only.items():
        kinds = [kind_of(model) for model in MODELS if name in model.model_fields]
        assert said == ("" if len(kinds) == len(MODELS) else f"data.kind {' or '.join(kinds)}")
    assert only.keys() == set.union(*names)
    assert describe(RunConfig, "data.kind").type == "one of image, vector"
    assert describe(RunConfig, "data.source").type.endswith("npz, arrow, table")
    assert not any(setting.only for setting in list_settings(JobConfig) if setting not in listed)


def test_help_shows_both_kinds(capsys):
    assert run_cli(["config", "explain", "data"]) == 0
    shown = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "Only with data.kind image." in shown["data.image_size"]
    assert "Only with data.kind vector." in shown["data.columns"]
    assert "Only with" not in shown["data.path"]
    assert run_cli(["config", "explain", "data.columns"]) == 0
    assert "  with:     data.kind vector\n" in capsys.readouterr().out


def test_the_schema_tells_the_kinds_apart():
    schema = json_schema(RunConfig)
    named = [part["$ref"].rpartition("/")[2] for part in schema["properties"]["data"]["oneOf"]]
    assert named == [model.__name__ for model in MODELS]
    pictures, vectors = (schema["$defs"][name] for name in named)
    assert {"image_size", KIND} <= pictures["properties"].keys()
    assert {"columns", KIND} <= vectors["properties"].keys()
    assert pictures["additionalProperties"] is vectors["additionalProperties"] is False
    # Exactly one must fit: without a kind that is pictures'.
    assert KIND not in pictures.get("required", [])
    assert vectors["required"] == [KIND]
    assert [part["properties"][KIND]["const"] for part in (pictures, vectors)] == list(KIND_WORDS)


# --- trained runs -----------------------------------------------------------------------------


def test_a_trained_run_keeps_its_kind():
    asked = load_config(RunConfig, None, VECTORS).config
    with pytest.raises(ConfigError, match=r"data\.kind: r was .*weights cannot leave"):
        check_changes(RunConfig(), asked, run="r", where="here", use="evaluate")


def test_networks_of_two_kinds_differ_in_what_both_have():
    vectors = load_config(RunConfig, None, VECTORS).config
    assert other_networks(RunConfig(), vectors) == [
        "data.kind is image, there vector",
        "gan.family is flow, there mlp",
    ]
