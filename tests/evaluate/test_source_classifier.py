"""The classifier of the source domains: trained once, with a word on how far it is."""

from collections.abc import Callable
from pathlib import Path

from metagan.data.dataset import Dataset
from metagan.evaluate.source_classifier import kept_source_classifier
from tests.helpers import tiny_config


def test_it_is_trained_once_for_equal_settings_and_tells_every_step(
    data: Dataset, tmp_path: Path
) -> None:
    config = tiny_config(evaluate={"source_steps": 3})
    told: list[str] = []
    steps: list[int] = []

    def made(**changes: int) -> str:
        changed = config.model_copy(update={"evaluate": config.evaluate.model_copy(update=changes)})
        found = kept_source_classifier(
            tmp_path, data, (0, 1, 2), changed, tell=told.append, on_step=steps.append
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
            tmp_path, data, (0, 1, 2), config, tell=lambda _: None, on_step=on_step
        )
        return found.features().sha256

    def meanwhile(step: int) -> None:
        if step == 1:
            other.append(made(lambda _: None))

    assert made(meanwhile) == other[0]
    assert len(list(tmp_path.iterdir())) == 1
