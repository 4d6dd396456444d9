"""Readers that learn from answers: what they are, and their tables."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from metagan.config.settings import RunConfig
from metagan.data.form import Form
from metagan.data.library import Library
from metagan.evaluate.pairs.items import PairSubject
from metagan.evaluate.pairs.reader import ReadItem, accuracy, reading_tables
from metagan.evaluate.pairs.task import PairTask
from metagan.evaluate.source_classifier import train_source_classifier
from tests.data.test_library import clouds_of_styles

FORM = Form("vector", (3,), {"center": [0.0] * 3, "scale": [1.0] * 3}, (3,))


def test_answers_are_drawn_of_all_labels_and_domains_alike() -> None:
    data, classes = clouds_of_styles()
    library = Library(data, classes, torch.tensor)
    samples, labels = library.draw(3000, np.random.default_rng(0))
    assert samples.shape == (3000, 3)
    counts = Counter(labels)
    assert set(counts) == library.labels
    assert max(counts.values()) < 1.2 * min(counts.values())
    known: dict[str, Any] = {}
    for index in classes:
        record = data.classes[index]
        known.setdefault(record.label, []).append(torch.tensor(data.class_samples(index)).mean(0))
    for sample, label in zip(samples[:50], labels, strict=False):
        assert min(float((sample - each).abs().max()) for each in known[label]) < 1e-5


def test_the_truth_of_a_target_of_its_own_teaches_more_than_other_domains() -> None:
    """Training domains say nothing of where a target's labels are: only its own samples do."""
    data, classes = clouds_of_styles()
    library = Library(data, classes, torch.tensor)
    judge = train_source_classifier(data, tuple(classes), FORM, steps=1, seed=0)
    labels = sorted(library.labels)
    places = 5 * torch.cat([torch.eye(3), -torch.eye(3)])
    at = dict(zip(labels, places, strict=False))
    asked = labels * 3
    truth = torch.stack([at[label] for label in asked])
    task = PairTask(
        truth[:0], truth[:0], truth, truth, (), asked, np.ones(len(asked), bool), library, 3
    )
    config = RunConfig.model_validate({"evaluate": {"finetune_steps": 60}})
    subject = PairSubject(config, FORM, {}, {}, {}, library, judge, "test", False)
    alone, told = (accuracy(subject, task, own) for own in (None, truth))
    assert told == 1
    assert alone < told
    assert accuracy(subject, task, truth) == told
    assert accuracy(subject, replace(task, seed=4), truth) == told


@pytest.mark.parametrize("domains", [("a", "b"), ("a",)])
def test_gains_are_paired_with_training_domains_alone(domains: tuple[str, ...]) -> None:
    results = []
    for number, domain in enumerate(domains):
        for repetition in range(2):
            base = 0.5 + 0.1 * number + 0.01 * repetition
            plain = ReadItem(domain, repetition, 5, "plain", {})
            results.append((plain, {"training domains": base, "truth": base + 0.2}))
            network = ReadItem(domain, repetition, 5, "run", {})
            results.append((network, {"run": base + 0.1 + 0.02 * number}))
    tables = reading_tables(results)["5"]
    assert tables["gain"]["truth"]["mean"] == pytest.approx(0.2)
    expected = 0.11 if len(domains) == 2 else 0.1
    assert tables["gain"]["run"]["mean"] == pytest.approx(expected)
    assert tables["accuracy"]["truth"]["seeds"] == 2
