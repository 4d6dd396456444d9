"""A tiny subject that the tests of the evaluation share."""

import dataclasses

import pytest
import torch

from metagan.config.settings import EvaluateConfig
from metagan.core.batches import Condition
from metagan.core.params import GanParams
from metagan.data.dataset import Dataset
from metagan.data.form import Form
from metagan.evaluate.evaluation import Subject
from metagan.evaluate.source_classifier import SourceClassifier, train_source_classifier
from metagan.workflow.worker import build_run_gan
from tests.helpers import bars, tiny_config

FORM = Form("image", (1, 16, 16))
CONFIG = EvaluateConfig(
    shots=(3,),
    seeds=2,
    validation_seeds=2,
    max_classes=4,
    test_per_class=4,
    adapt_steps=(0,),
    mix=(0.0, 0.5),
    generated_per_real=(4,),
    classifier_steps=25,
    finetune_steps=15,
    quality_samples=50,
)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of the work of every classifier that is trained for a target."""
    monkeypatch.setattr("metagan.evaluate.downstream.CLASSIFIER_BATCH", 16)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return bars()


@pytest.fixture(scope="module")
def source(data: Dataset) -> SourceClassifier:
    return train_source_classifier(data, tuple(range(8)), FORM, steps=30, seed=0)


@pytest.fixture
def subject(data: Dataset, source: SourceClassifier) -> Subject:
    config = tiny_config(evaluate=CONFIG.model_dump())
    gan, _, init = build_run_gan(config, FORM)
    classes = tuple(range(8, 12)), tuple(range(12, 16))
    return Subject(config, gan, {"run": init}, data, classes[0], data, classes[1], source, "bars")


class Noise(torch.nn.Module):
    """A generator that is worth nothing to any classifier."""

    def forward(self, condition: Condition, z: torch.Tensor) -> torch.Tensor:
        """Noise of the sample's shape."""
        rng = torch.Generator().manual_seed(0)
        return torch.rand(condition["sample"].shape, generator=rng) * 2 - 1 + 0 * z.sum()


@pytest.fixture
def useless(subject: Subject) -> Subject:
    """The same with that generator."""
    noisy = dataclasses.replace(subject.gan, generator=Noise())
    no_weights = GanParams({}, subject.inits["run"].discriminator)
    return dataclasses.replace(subject, gan=noisy, inits={"run": no_weights})
