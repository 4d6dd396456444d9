"""The evaluation: pairing, the gate end to end, what stays untouched."""

import dataclasses

import numpy as np
import pytest
import torch

from metagan.data.dataset import DataError, Dataset
from metagan.evaluate.downstream import ARMS, CLASSIFIERS, Mix, arm_accuracy, draw_target
from metagan.evaluate.evaluation import (
    Subject,
    ValidationItem,
    make_choices,
    run_validation_item,
)
from metagan.evaluate.gate import BASELINE
from metagan.evaluate.on_test import TestItem, downstream_tables, run_test_item
from metagan.evaluate.source_classifier import (
    SourceClassifier,
    load_source_classifier,
    save_source_classifier,
)
from tests.evaluate.conftest import CONFIG, FORM


def test_targets_are_disjoint_paired_and_nested_over_shots(data: Dataset) -> None:
    few = draw_target(data, range(16), FORM, CONFIG, shots=2, seed=3)
    more = draw_target(data, range(16), FORM, CONFIG, shots=5, seed=3)
    assert few.classes == more.classes
    assert torch.equal(few.test, more.test)
    assert torch.equal(few.support, more.support[:, :2])
    flat = more.support.flatten(2)[:, :, None] - more.test.flatten(2)[:, None]
    assert (flat.abs().amax(-1) > 0).all()


def test_too_few_samples_is_an_error_that_names_the_settings(data: Dataset) -> None:
    with pytest.raises(DataError, match=r"evaluate\.shots"):
        draw_target(data, range(16), FORM, CONFIG, shots=8, seed=0)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_a_share_of_zero_is_the_baseline_to_the_bit(
    data: Dataset, source: SourceClassifier, classifier
) -> None:
    task = draw_target(data, range(12, 16), FORM, CONFIG, shots=3, seed=0)
    garbage = torch.randn(4, 12, 1, 16, 16)
    for arm, baseline in BASELINE.items():
        with_none = arm_accuracy(
            task, classifier, arm, CONFIG, source, generated=garbage, mix=Mix(0.0, 4)
        )
        assert with_none == arm_accuracy(task, classifier, baseline, CONFIG, source)


def test_arms_that_generate_need_samples(data: Dataset, source: SourceClassifier) -> None:
    task = draw_target(data, range(12, 16), FORM, CONFIG, shots=3, seed=0)
    with pytest.raises(ValueError, match="needs generated samples"):
        arm_accuracy(task, "scratch", "both", CONFIG, source)


def test_validation_classes_with_few_samples_are_tested_on_what_is_left(subject: Subject) -> None:
    evaluate = CONFIG.model_copy(update={"test_per_class": 500})
    config = subject.config.model_copy(update={"evaluate": evaluate})
    many = dataclasses.replace(subject, config=config)
    assert many.draw("validation", 0, 3).test.shape[:2] == (4, 10 - 3)
    assert subject.draw("validation", 0, 3).test.shape[:2] == (4, 4)
    with pytest.raises(DataError, match="only 0 of 4 classes have 3 shots"):
        many.draw("test", 0, 3)


def test_a_useless_generator_is_left_out_and_does_no_harm(useless: Subject) -> None:
    items = [ValidationItem(r, 3, 0, baselines=True) for r in range(2)]
    choices, table = make_choices([(item, run_validation_item(useless, item)) for item in items])
    assert set(choices) == {(3, c, arm) for c in CLASSIFIERS for arm in BASELINE}
    assert all(choice.rejected for choice in choices.values())
    assert len(table) == len(CLASSIFIERS) * 2
    test_items = [
        TestItem(r, 3, {(k, a): choices[3, k, a] for k in CLASSIFIERS for a in BASELINE})
        for r in range(2)
    ]
    tables = downstream_tables([(item, run_test_item(useless, item)) for item in test_items])
    assert set(tables) == set(CLASSIFIERS)
    for by_shots in tables.values():
        entry = by_shots["3"]
        assert entry["both_minus_classical"]["mean"] == 0
        assert entry["generated_minus_none"]["mean"] == 0
        assert set(entry) >= set(ARMS)


def test_results_depend_on_the_item_alone(subject: Subject) -> None:
    item = ValidationItem(1, 3, 0, baselines=True)
    first = run_validation_item(subject, item)
    np.random.default_rng(0)
    torch.manual_seed(9)
    assert run_validation_item(subject, item) == first


def test_the_source_classifier_is_kept_under_its_key(tmp_path, source: SourceClassifier) -> None:
    save_source_classifier(tmp_path / "c", source, key="abc")
    kept = load_source_classifier(tmp_path / "c", FORM, key="abc")
    assert kept is not None
    assert kept.features().sha256 == source.features().sha256
    assert load_source_classifier(tmp_path / "c", FORM, key="other") is None
