"""The space of a search: what is refused, and what of a sample applies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.config import JobConfig
from metagan.config.algorithms import ALGORITHMS
from metagan.config.load import ConfigError
from tune.space import applied, default_space, parse_space, with_sample

CONFIG = JobConfig()


@pytest.mark.parametrize(
    ("key", "entry", "said"),
    [
        ("inner.lrr", {"choice": [1e-3]}, "did you mean inner.lr"),
        ("inner.steps", {"choice": [3, 0]}, "0: Input should be greater than or equal to 1"),
        ("inner.steps", {"randint": [1, 2.5]}, "expected two whole numbers"),
        ("inner.lr", {"loguniform": [0, 1e-2]}, "both above 0"),
        ("inner.lr", {"uniform": [1e-2, 1e-3]}, "low below high"),
        ("inner.lr", {"normal": [0, 1]}, "expected one of uniform, loguniform"),
        ("inner.lr", {"uniform": [0.1, 0.2], "choice": [1]}, "expected one of"),
        ("inner.lr", 3e-4, "expected a distribution"),
        ("inner.lr", {"choice": []}, "expected a list"),
        ("algorithm.name", {"choice": ["reptil"]}, "'reptil'"),
        ("evaluate.seeds", {"choice": [2, 3]}, "decides where a run computes"),
        ("inner.lr", {"choice": [1e-3], "when": {"outer.lrr": [1]}}, "did you mean outer.lr"),
        ("inner.lr", {"choice": [1e-3], "when": {"outer.lr": 1}}, "expected a list of values"),
    ],
)
def test_an_entry_that_cannot_be_searched_is_refused_with_its_key(key, entry, said) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_space({key: entry}, CONFIG)
    assert f"tune.space: {key}: " in str(caught.value)
    assert said in str(caught.value)


def test_a_search_on_data_of_one_kind_has_no_setting_of_another() -> None:
    vectors = JobConfig.model_validate({"data": {"kind": "vector", "path": "x.npz"}})
    space = {
        "data.image_size": {"choice": [16]},
        "inner.lr": {"choice": [1e-3], "when": {"data.invert": [True]}},
        "inner.steps": {"choice": [3], "when": {"data.label": ["label"]}},
    }
    with pytest.raises(ConfigError) as caught:
        parse_space(space, vectors)
    assert caught.value.problems == (
        "tune.space: data.image_size: data.image_size is a setting of data.kind image, and "
        "data.kind is vector; leave it out",
        "tune.space: inner.lr: when: data.invert is a setting of data.kind image, and data.kind is "
        "vector; leave it out",
    )


def test_all_problems_are_told_at_once() -> None:
    space = {"inner.lrr": {"choice": [1]}, "gan.width": {"choice": [8, 9]}, "seed": 4}
    with pytest.raises(ConfigError) as caught:
        parse_space(space, CONFIG)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam"])
@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_every_algorithm_has_a_space_of_its_own(algorithm: str, optimizer: str) -> None:
    outer = {"optimizer": optimizer, **({"steps": 1} if algorithm == "average" else {})}
    pairs = {"conditioning": "input", "family": "unet"} if ALGORITHMS[algorithm].solves else {}
    config = JobConfig.model_validate(
        {"algorithm": {"name": algorithm}, "outer": outer, "gan": pairs}
    )
    parameters = {p.key: p for p in parse_space({}, config)}
    assert parameters
    assert set(parameters) == set(default_space(config))
    if "outer.lr" in parameters:
        # Adam moves every weight by its rate, whatever the meta-gradient's size.
        assert (max(parameters["outer.lr"].values) <= 1e-3) == (optimizer == "adam")


def test_a_parameter_applies_only_where_its_condition_holds() -> None:
    space = {
        "outer.optimizer": {"choice": ["nesterov", "adam"]},
        "outer.momentum": {"uniform": [0.5, 0.9], "when": {"outer.optimizer": ["nesterov"]}},
        "inner.lr": {"choice": [1e-3, 1e-2], "when": {"algorithm.name": ["maml"]}},
    }
    parameters = parse_space(space, CONFIG)
    sample = {"outer.optimizer": "adam", "outer.momentum": 0.7, "inner.lr": 1e-3}
    assert applied(parameters, sample, CONFIG) == {"outer.optimizer": "adam"}
    sample["outer.optimizer"] = "nesterov"
    assert set(applied(parameters, sample, CONFIG)) == {"outer.optimizer", "outer.momentum"}


def test_whole_numbers_reach_both_ends() -> None:
    (steps,) = parse_space({"inner.steps": {"randint": [2, 4]}}, CONFIG)
    domain = steps.to_domain()
    assert {domain.sample() for _ in range(200)} == {2, 3, 4}


@given(lr=st.floats(1e-6, 1.0), steps=st.integers(1, 50))
def test_a_sample_lies_over_the_given_settings_and_changes_nothing_else(lr, steps) -> None:
    found = with_sample(CONFIG, {"inner.lr": lr, "inner.steps": steps})
    inner = CONFIG.inner.model_copy(update={"lr": lr, "steps": steps})
    assert found == CONFIG.model_copy(update={"inner": inner})
