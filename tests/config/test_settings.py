from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from cluster.config import ClusterConfig, JobConfig
from metagan.config.agreement import BUILT_IN
from metagan.config.image import ImageData
from metagan.config.load import ConfigError, list_settings, load_config, to_yaml
from metagan.config.settings import EvaluateConfig, RunConfig
from metagan.config.tree import sections_of


def sections(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel], BaseModel]]:
    for name, info in model.model_fields.items():
        # A section of several kinds is of the first one where nobody says another.
        for section in sections_of(info.annotation)[:1]:
            yield name, section, info.default
            yield from sections(section)


def test_every_setting_says_what_it_means():
    undescribed = [setting.key for setting in list_settings(JobConfig) if not setting.description]
    assert undescribed == []


def test_every_number_has_a_lower_bound():
    free = [
        setting.key
        for setting in list_settings(JobConfig)
        if "number" in setting.type and "list" not in setting.type and not setting.bounds
    ]
    assert free == []


def test_a_section_given_in_part_keeps_the_defaults_of_the_rest():
    # A section's default that differed from its class would be lost by setting one of its keys.
    for name, section, default in sections(JobConfig):
        assert section() == default, name


def test_a_run_without_settings_is_valid_and_frozen():
    config = load_config(RunConfig, None).config
    assert config == RunConfig()
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 1


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["gan.conditioning=none", "task.unit=domain"], "needs task.unit class"),
        (["gan.conditioning=none"], "set gan.family dcgan or residual"),
        (["gan.conditioning=label", "gan.family=dcgan"], "so it needs task.unit domain"),
        (["gan.conditioning=label", "task.unit=domain"], "set gan.family dcgan or residual"),
        (
            [
                "gan.conditioning=label",
                "gan.family=dcgan",
                "task.unit=domain",
                "task.ways=9",
            ],
            "task.ways is 9, more than gan.num_labels 5",
        ),
        (["data.image_size=30"], "it must be a multiple of 4"),
        (["warmup.steps=2000"], "more than outer.steps 1000"),
        (["data.source=omniglot"], "needs data.path"),
        (
            ["data.validation_fraction=0.9", "data.test_fraction=0.9"],
            "data.validation_fraction 0.9 and data.test_fraction 0.9 leave nothing to train on",
        ),
        (["data.test_fraction=0.85"], "make their sum less than 1"),
        (["algorithm.multi_step=5"], "reptile has no query loss after each inner step"),
        (
            ["algorithm.name=imaml", "algorithm.multi_step=5"],
            "set it to 0, or use fomaml, maml, anil, meta_sgd",
        ),
        (
            ["algorithm.name=fomaml", "algorithm.second_order_from=9"],
            "has no second order to switch to",
        ),
        (["algorithm.name=imaml", "inner.learn_rates=tensor"], "imaml cannot learn rates"),
        (["algorithm.name=imaml", "inner.proximal=0"], "set it above 0, or null for 2"),
        (
            ["algorithm.name=imaml", "inner.discriminator_lr_scale=0"],
            "set inner.discriminator_moves none",
        ),
        (["algorithm.name=average", "warmup.steps=40"], "set it to 41"),
        (
            ["algorithm.name=average", "outer.steps=1", "outer.staleness=1"],
            "outer.staleness is 1, but algorithm.name average fine-tunes from where the warm-up",
        ),
        (
            ["algorithm.name=average", "outer.steps=1", "outer.max_episode_norm=2"],
            "outer.max_episode_norm is 2, but algorithm.name average is the mean over all",
        ),
        (
            ["inner.generator_moves=none", "inner.discriminator_moves=none"],
            "so that nothing adapts and algorithm.name reptile has nothing to learn from",
        ),
        (
            ["inner.discriminator_moves=none"],
            "learns only what its inner loop moves: that player would stay untrained",
        ),
        (
            ["inner.discriminator_lr_scale=0"],
            "the discriminator would stay untrained; set warmup.steps above 0",
        ),
        (
            ["algorithm.name=average", "outer.steps=1", "outer.rollbacks=1"],
            "outer.rollbacks is 1, but algorithm.name average takes one step",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(overrides, expected):
    with pytest.raises(ConfigError, match=expected):
        load_config(RunConfig, None, overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["inner.discriminator_moves=none", "warmup.steps=4"],
        ["inner.discriminator_moves=none", "outer.init_from=runs/other"],
        ["inner.discriminator_moves=none", "algorithm.name=maml"],
        ["inner.discriminator_lr_scale=0", "algorithm.name=fomaml"],
    ],
)
def test_a_player_that_does_not_adapt_but_is_trained_is_allowed(overrides):
    assert load_config(RunConfig, None, overrides).config


def test_all_contradictions_are_told_at_once_each_with_its_origin():
    given = (
        "gan.conditioning=none task.unit=domain data.image_size=30 warmup.steps=2000 "
        "outer.steps=1000 algorithm.name=average data.source=omniglot"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(JobConfig, None, given.split())
    problems = caught.value.problems
    for part in (
        "needs task.unit class",
        "set gan.family dcgan or residual",
        "data.image_size is 30; it must be a multiple of 4",
        "warmup.steps is 2000, more than outer.steps 1000",
        "outer.steps is 1000, but algorithm.name average fine-tunes",
        "data.source omniglot needs data.path",
    ):
        [problem] = [problem for problem in problems if part in problem]
        assert problem.startswith("command line: ")
    assert len(problems) == 6


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("evaluate.shots=[5, 2, 2]", "2"),
        ("evaluate.adapt_steps=[0, 0]", "0"),
        ("evaluate.generated_per_real=[20, 5, 20]", "20"),
        ("evaluate.mix=[0.25, 0.5, 0.25]", "0.25"),
    ],
)
def test_a_value_that_is_given_twice_does_not_pass_for_two_repetitions(setting, value):
    key = setting.partition("=")[0]
    with pytest.raises(ConfigError, match=f"{key}: holds {value} more than once; give each once"):
        load_config(RunConfig, None, [setting])


@pytest.mark.parametrize(
    "address", ["auto", "10.0.0.1:6379", "head.example.org:6379", "[::1]:6379"]
)
def test_a_cluster_address_is_auto_or_host_and_port(address):
    assert ClusterConfig(address=address).address == address


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["cluster.address=ray://head:10001"], "metagan submit"),
        (["cluster.address=head"], "expected null, auto or host:port"),
        (["cluster.gpus_per_worker=1.5"], "above 1 Ray reserves whole GPUs only"),
        (["cluster.num_workers=0"], "at least 1"),
        (["cluster.cpus_per_worker=0"], "greater than 0"),
        (["cluster.chunk_timeout_s=0"], "greater than 0"),
        (["device=cpu", "cluster.gpus_per_worker=1"], "leave those GPUs idle"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(overrides, expected):
    with pytest.raises(ConfigError, match=expected):
        load_config(JobConfig, None, overrides)


def test_cluster_settings_are_the_only_ones_that_a_job_adds():
    added = {setting.key for setting in list_settings(JobConfig)} - {
        setting.key for setting in list_settings(RunConfig)
    }
    assert added == {f"cluster.{name}" for name in ClusterConfig.model_fields}
    defaults = ClusterConfig()
    assert (defaults.num_workers, defaults.threads_per_worker) == (2, 1)
    assert (defaults.cpus_per_worker, defaults.gpus_per_worker) == (1.0, 0.0)


# --- where data are ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "source"),
    [
        ([], "glyphs"),
        (["data.path=my_data"], "auto"),
        (["data.path=null"], "glyphs"),
        (["data.path=my_data", "data.source=npz"], "npz"),
        (["data.source=npz", "data.path=my_data"], "npz"),
    ],
)
def test_a_path_without_a_source_is_looked_at(overrides, source):
    assert load_config(JobConfig, None, overrides).config.data.source == source


def test_a_path_is_looked_at_however_the_settings_are_made(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("data:\n  path: my_data\n")
    made = [
        load_config(RunConfig, file).config,
        RunConfig(data={"path": "my_data"}),
        RunConfig(data={"path": Path("my_data")}),
        RunConfig(data=ImageData(path="my_data")),
        RunConfig.model_validate({"data": {"path": "my_data"}}),
        RunConfig.model_validate_json('{"data": {"path": "my_data"}}'),
    ]
    assert [(run.data.source, run.data.path) for run in made] == [("auto", "my_data")] * len(made)
    # What was meant is written down, and reads back as the same.
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(to_yaml(made[0]))
    assert "source: auto" in resolved.read_text()
    assert load_config(RunConfig, resolved).config == made[0]


def test_a_reader_of_answers_needs_answers():
    with pytest.raises(ConfigError, match=r"evaluate\.classify is true, but gan\.conditioning is"):
        load_config(JobConfig, None, ["evaluate.classify=true"])


TAKEN = ("data.source=styles", "gan.conditioning=[input]", "gan.family=unet")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["data.input=mask"],
            "data.input is mask, but gan.conditioning is sample, so that no input is told; set "
            "gan.conditioning input",
        ),
        (
            [*TAKEN, "data.input=mask", "data.reference_domain=Foo"],
            "data.input is mask, but data.reference_domain is Foo: inputs are made from the "
            "pictures themselves, or are pictures of that domain; leave one out",
        ),
        (
            [*TAKEN, "data.input=mask", "gan.conditioning=[input, library]", "task.unit=domain"],
            "data.input is mask, but gan.conditioning has library",
        ),
        (
            [*TAKEN, "data.input=grey"],
            "data.input is grey, but data.channels is 1, so that there is no colour to take",
        ),
        (
            [*TAKEN, "data.input=mask", "gan.family=flow"],
            "data.input is mask, but gan.family flow bends a whole picture; set gan.family unet",
        ),
        ([*TAKEN, "data.input=blur"], "data.input: expected"),
    ],
)
def test_inputs_that_are_made_from_pictures_fit_what_is_told(overrides, said):
    with pytest.raises(ConfigError) as caught:
        load_config(JobConfig, None, overrides)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["data.source=glyphs", "data.path=my_data"],
            "data.path is my_data, but data.source glyphs is built in and reads no files; set "
            "data.source auto to read that path, or data.path null",
        ),
        (
            ["data.path=my_data", "data.drawings_per_class=3"],
            "data.drawings_per_class is 3, but it is for data.source glyphs alone, and data.source "
            "is auto; leave it out, or set it to 20",
        ),
        (
            ["data.path=x.npz", "data.source=npz", "data.max_classes_per_domain=2"],
            "data.max_classes_per_domain is 2, but it is for data.source glyphs alone, and "
            "data.source is npz; leave it out, or set it to null",
        ),
        (
            ["data.source=styles", "data.path=my_data"],
            "data.source styles is built in and reads no files; set data.source auto to read that "
            "path, or data.path null to draw styles",
        ),
        (
            ["data.styles=5"],
            "data.styles is 5, but it is for data.source styles alone, and data.source is glyphs; "
            "leave it out, or set it to 120",
        ),
        (
            ["data.source=styles", "data.drawings_per_class=5"],
            "it is for data.source glyphs alone, and data.source is styles",
        ),
        (["data.source=styles", "data.styles=3"], "data.styles: expected a whole number, at least"),
        (
            ["data.path=d", "data.reference_domain=Foo", "data.test_domains=[Foo]"],
            "data.test_domains names Foo, which is data.reference_domain and is not measured",
        ),
        (["data.source=fonts"], "data.source fonts needs data.path"),
        (["data.path=''"], "data.path: expected text or null, not empty"),
    ],
)
def test_a_setting_for_other_data_than_are_read_is_refused(overrides, said):
    with pytest.raises(ConfigError) as caught:
        load_config(JobConfig, None, overrides)
    assert said in str(caught.value)


def test_settings_of_glyphs_at_their_defaults_are_no_setting_for_other_data(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(to_yaml(RunConfig(data={"path": "my_data"})))
    assert "drawings_per_class: 20" in file.read_text()
    assert load_config(RunConfig, file, ["data.image_size=32"]).config.data.path == "my_data"


@pytest.mark.parametrize("source", BUILT_IN)
def test_every_setting_of_built_in_data_alone_says_so(source):
    for name in BUILT_IN[source]:
        description = ImageData.model_fields[name].description
        assert description.startswith(f"{source.capitalize()} only")


# --- from Python ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"data": {"imagesize": 32}}, "data.imagesize: unknown key; did you mean data.image_size?"),
        ({"sede": 1}, "sede: unknown key; did you mean seed?"),
        ({"data": {"image_size": "32"}}, "data.image_size: expected a whole number, at least 16"),
        ({"outer": {"lr": float("nan")}}, "outer.lr: expected a number, greater than 0; got nan"),
        ({"gan": {"loss": "hinges"}}, "did you mean hinge?"),
        ({"gan": "hinge"}, "gan: is a section, not a single setting; got hinge"),
        ({"evaluate": {"shots": 5}}, "evaluate.shots: expected a list, each item a whole number"),
        ({"evaluate": {"shots": [5, 5]}}, "evaluate.shots: holds 5 more than once; give each once"),
        ({"outer": {"steps": object()}}, "outer.steps: expected a whole number, at least 1; got <"),
        ({"seed": {1: 2}}, "seed: expected a whole number, at least 0; got {1: 2}"),
        ({"warmup": {"steps": 5000}}, "warmup.steps is 5000, more than outer.steps 1000"),
    ],
)
def test_mistakes_in_python_read_like_those_of_the_command_line(settings, said):
    for make in (lambda: RunConfig(**settings), lambda: RunConfig.model_validate(settings)):
        with pytest.raises(ConfigError) as caught:
            make()
        assert said in str(caught.value)
        assert "pydantic" not in str(caught.value)
        assert all(problem.startswith("RunConfig: ") for problem in caught.value.problems)


def test_settings_that_are_no_mapping_are_refused_in_words():
    with pytest.raises(ConfigError, match=r"RunConfig: expected settings by name; got \[1\]"):
        RunConfig.model_validate([1])
    with pytest.raises(ConfigError, match="JobConfig: seed: expected a whole number"):
        JobConfig(seed="x")
    with pytest.raises(ConfigError, match="RunConfig: seed: expected a whole number"):
        RunConfig.model_validate_json('{"seed": "x"}')


def test_lists_paths_and_numbers_of_numpy_are_taken_from_python():
    run = RunConfig(
        seed=np.int64(4),
        inner={"lr": np.float32(0.5)},
        evaluate={"shots": [1, np.int64(5)], "mix": np.array([0.0, 0.5])},
        data={"path": Path("a") / "b", "cache_dir": Path("c"), "test_domains": ["greek"]},
        outer={"init_from": Path("runs") / "x"},
    )
    assert (run.seed, run.inner.lr, run.evaluate.shots) == (4, 0.5, (1, 5))
    assert (run.data.path, run.data.cache_dir, run.outer.init_from) == ("a/b", "c", "runs/x")
    assert run.evaluate.mix == (0.0, 0.5)
    assert run.data.test_domains == ("greek",)
    assert EvaluateConfig(shots=[3]).shots == (3,)
