"""Every setting says what it affects, and the lists that follow from it are these."""

import pytest

from cluster.config import JobConfig
from metagan.config.affects import AFFECTS, affected, field, settings_of
from metagan.config.image import ImageData
from metagan.config.may_change import read_again, resumable
from metagan.config.settings import EvaluateConfig, RunConfig
from metagan.evaluate.kept import _NOT_COMMON
from tune.config import SearchJobConfig
from tune.population import CHANGEABLE

ADAPTING = {
    "seed",
    "task.unit",
    "gan.loss",
    "gan.r1",
    "gan.r2",
    "gan.gradient_penalty",
    "gan.penalty_every",
    "gan.mode_seeking",
    "gan.reconstruction",
    "gan.reconstruction_weight",
    "gan.augment",
    "inner.lr",
    "inner.discriminator_lr_scale",
    "inner.optimizer",
    "inner.discriminator_steps",
    "inner.generator_steps",
    "inner.proximal",
    "inner.generator_moves",
    "inner.discriminator_moves",
    "evaluate.best_of",
}
BUILT_ON = {
    "data.kind",
    "data.columns",
    "data.inputs",
    "data.image_size",
    "data.channels",
    "data.input",
    "gan.conditioning",
    "gan.num_labels",
    "gan.family",
    "gan.reader",
    "gan.width",
    "gan.discriminator_width",
    "gan.latent_dim",
    "gan.max_displacement",
    "gan.spectral_norm",
    "gan.adversarial_weight",
    "algorithm.name",
    "inner.learn_rates",
    "inner.solve",
}


def sections(*names: str) -> set[str]:
    return {key for key in affected(JobConfig) if key.partition(".")[0] in names}


@pytest.mark.parametrize(("key", "words"), affected(SearchJobConfig).items())
def test_every_setting_says_what_it_affects(key: str, words: frozenset[str]) -> None:
    assert words, f"{key} does not say what it affects"
    assert words <= AFFECTS.keys()


@pytest.mark.parametrize("words", ["", "speed", "training speed"])
def test_a_field_without_a_known_word_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match="the words are samples, networks"):
        field(1, affects=words, description="x")


def test_a_resumed_run_may_change_only_what_alters_nothing_that_was_computed() -> None:
    assert set(resumable(JobConfig)) == {
        *sections("checkpoint", "evaluate", "cluster"),
        *("outer.steps", "device", "cuda_graphs"),
        *("data.cache_dir", "data.path", "data.source", "data.allow_leaks"),
    }


def test_a_trained_run_locks_what_its_weights_are_built_on() -> None:
    assert set(settings_of(RunConfig, "networks")) == BUILT_ON


def test_adapting_reads_the_inner_loop_and_evaluating_its_own_settings_too() -> None:
    other_data = {"data.invert", "data.white", "data.label", "data.domain"}
    assert read_again(JobConfig, "adapt") == ADAPTING | {"inner.steps"} | other_data
    evaluate = ADAPTING | sections("evaluate", "cluster") | {"device"}
    evaluate |= {"data.path", "data.source", "data.cache_dir"}
    assert read_again(JobConfig, "evaluate") == evaluate
    assert read_again(JobConfig, "evaluate --data") == evaluate | other_data


def test_a_running_trial_can_change_rates_and_weights_of_losses() -> None:
    assert set(CHANGEABLE) == {
        "inner.lr",
        "inner.discriminator_lr_scale",
        "inner.proximal",
        "outer.lr",
        "outer.momentum",
        "outer.beta1",
        "outer.beta2",
        "outer.ema",
        "outer.max_norm",
        "warmup.lr",
        "gan.mode_seeking",
        "gan.r1",
        "gan.r2",
        "gan.gradient_penalty",
        "gan.reconstruction_weight",
    }


def test_prepared_data_are_named_by_what_shapes_the_samples() -> None:
    named = set(settings_of(ImageData, "samples")) - {"kind"}
    glyphs = {"drawings_per_class", "max_classes_per_domain"}
    assert named == {"image_size", "channels", "invert", "white", "styles"} | glyphs


def test_items_of_an_evaluation_are_named_by_what_they_do_not_name_themselves() -> None:
    own = {"shots", "seeds", "validation_seeds", "comparison_seeds", "adapt_steps", "adapt_lr"}
    assert own | {"test_per_class", "own_folds"} == _NOT_COMMON
    assert own <= EvaluateConfig.model_fields.keys()
