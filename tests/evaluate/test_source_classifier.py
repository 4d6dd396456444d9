"""The classifier of the source domains: trained once, with a word on how far it is."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from metagan.data.dataset import Dataset
from metagan.evaluate import downstream, source_classifier
from metagan.evaluate.downstream import arm_accuracy, draw_target
from metagan.evaluate.source_classifier import (
    SourceClassifier,
    kept_source_classifier,
    train_source_classifier,
)
from metagan.kinds.registry import find_kind
from tests.evaluate.conftest import CONFIG, FORM
from tests.helpers import small_data, tiny_config


def test_it_is_trained_once_for_equal_settings_and_tells_every_step(
    data: Dataset, tmp_path: Path
) -> None:
    config = tiny_config(evaluate={"source_steps": 3})
    told: list[str] = []
    steps: list[int] = []

    def made(**changes: int) -> str:
        changed = config.model_copy(update={"evaluate": config.evaluate.model_copy(update=changes)})
        found = kept_source_classifier(
            tmp_path, data, (0, 1, 2), FORM, changed, tell=told.append, on_step=steps.append
        )
        return found.features().sha256

    first = made()
    assert told == ["training the source classifier: 3 classes, 3 steps"]
    assert steps == [0, 1, 2]
    assert made() == first
    assert (len(told), len(steps)) == (1, 3)
    assert made(source_steps=2) != first
    assert (len(told), len(steps)) == (2, 5)
    assert made() == first


def test_two_evaluations_at_once_may_both_train_it(data: Dataset, tmp_path: Path) -> None:
    config = tiny_config(evaluate={"source_steps": 2})
    other: list[str] = []

    def made(on_step: Callable[[int], None]) -> str:
        found = kept_source_classifier(
            tmp_path, data, (0, 1, 2), FORM, config, tell=lambda _: None, on_step=on_step
        )
        return found.features().sha256

    def meanwhile(step: int) -> None:
        if step == 1:
            other.append(made(lambda _: None))

    assert made(meanwhile) == other[0]
    assert len(list(tmp_path.iterdir())) == 1


def test_one_that_an_earlier_version_kept_is_used(data: Dataset, tmp_path: Path) -> None:
    config = tiny_config(evaluate={"source_steps": 2})
    told: list[str] = []

    def made() -> SourceClassifier:
        return kept_source_classifier(tmp_path, data, (0, 1, 2), FORM, config, tell=told.append)

    first = made()
    (folder,) = tmp_path.iterdir()
    # Its name is a hash over data, classes and settings, and is not to change.
    assert folder.name == "fe5e03e221d37332"
    manifest = folder / "manifest.json"
    kept = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(kept | {"image_shape": [1, 16, 16]}))
    again = made()
    assert len(told) == 1
    assert (again.form, again.accuracy) == (FORM, first.accuracy)
    assert again.features().sha256 == first.features().sha256


def test_vectors_of_other_scales_get_a_classifier_of_their_own(tmp_path: Path) -> None:
    dataset, config = small_data("vector"), tiny_config("vector", evaluate={"source_steps": 2})
    form = find_kind("vector").fit(dataset, (0, 1, 2), config.data)
    told: list[str] = []

    def made(**facts: object) -> str:
        other = dataclasses.replace(form, facts={**form.facts, **facts})
        found = kept_source_classifier(
            tmp_path, dataset, (0, 1, 2), other, config, tell=told.append
        )
        return found.features().sha256

    first = made()
    assert made(label="species") == first
    assert len(told) == 1
    assert made(scale=[2 * scale for scale in form.facts["scale"]]) != first
    assert made() == first
    assert len(told) == len(list(tmp_path.iterdir())) == 2


def test_it_learns_with_all_augmentation_and_targets_with_what_is_asked_for(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: list[str] = []

    def classical(samples: Tensor, rng: Any, word: str) -> Tensor:  # noqa: ARG001
        words.append(word)
        return samples

    kind = dataclasses.replace(find_kind("image"), classical=classical)
    for module in (downstream, source_classifier):
        monkeypatch.setattr(module, "find_kind", lambda _: kind)
    source = train_source_classifier(data, (0, 1, 2), FORM, steps=2, seed=0)
    assert words == ["affine+elastic"] * 2
    config = CONFIG.model_copy(update={"classical": "affine", "classifier_steps": 3})
    task = draw_target(data, range(12, 16), FORM, config, shots=3, seed=0)
    for classifier, steps in (("scratch", 3), ("centroid", 1)):
        words.clear()
        arm_accuracy(task, classifier, "classical", config, source)
        assert words == ["affine"] * steps


def test_samples_become_what_networks_see_by_the_form(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = draw_target(data, range(16), FORM, CONFIG, shots=3, seed=0)
    kind = find_kind("image")
    shifted = dataclasses.replace(
        kind, to_tensor=lambda samples, form: kind.to_tensor(samples, form) - form.facts["level"]
    )
    monkeypatch.setattr(downstream, "find_kind", lambda _: shifted)
    form = dataclasses.replace(FORM, facts={"level": 0.5})
    task = draw_target(data, range(16), form, CONFIG, shots=3, seed=0)
    assert (task.support == usual.support - 0.5).all()
    assert (task.test == usual.test - 0.5).all()
