"""The yardstick `classify` of answers with labels: a reader of a domain that learns from them, too.

Every reader starts from the classifier of training domains, and takes as many steps on batches of
as many samples. What differs is half of each batch: more of the training domains, the samples that
are shown, these and an arm's answers, or these and the truth. It is then asked for labels of the
domain's own samples that no arm was shown, in bad quality: clean ones would be too easy.

Shapes: K samples that are shown, Q that are asked, B in a batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

import numpy as np
import torch
from torch import Tensor

from metagan.config.kinds import KIND_WORDS
from metagan.evaluate.classifier import predict, train_classifier
from metagan.evaluate.pairs.items import (
    NOT_ADAPTED,
    PLAIN,
    PairItem,
    PairSubject,
    drawn_by,
)
from metagan.evaluate.pairs.tables import Unit, by_unit, estimate
from metagan.evaluate.pairs.task import PairTask
from metagan.evaluate.source_classifier import CLASSIFIER_BATCH
from metagan.kinds.registry import find_kind
from metagan.seeding import derive_seed, generator

NOTHING: Final = "training domains"
"""The reader that learns from samples of the training domains alone."""
# Samples by which the head of every reader starts, and copies of the truth that it is asked about.
_FOR_CENTROIDS: Final = 512
_COPIES: Final = 4


@dataclass(frozen=True)
class ReadItem:
    """Readers that learn from the answers of one contestant, or of all plain arms.

    Attributes:
        domain: The target.
        repetition: Of it.
        shots: Samples that are shown.
        who: A contestant's name, or `PLAIN`, with the readers that learn from no answers.
        wanted: The candidate of each arm.
        split: That the target is of.
    """

    domain: str
    repetition: int
    shots: int
    who: str
    wanted: Mapping[str, str]
    split: ClassVar[str] = "test"


def read_items(
    subject: PairSubject, chosen: Mapping[tuple[int, str, str], str], measure: str
) -> list[ReadItem]:
    """Every reader of the test domains, of each arm as chosen for a measure."""
    found = []
    for shots in subject.config.evaluate.shots:
        arms = {arm: name for (n, m, arm), name in chosen.items() if (n, m) == (shots, measure)}
        networks = {who: {who: arms.pop(who)} for who in subject.contestants if who in arms}
        plain = {arm: name for arm, name in arms.items() if not arm.endswith(NOT_ADAPTED)}
        found += [
            ReadItem(domain, repetition, shots, who, wanted)
            for domain in subject.domains[ReadItem.split]
            for repetition in range(subject.config.evaluate.seeds)
            for who, wanted in (*networks.items(), (PLAIN, plain))
        ]
    return found


def reading_tables(results: Sequence[tuple[ReadItem, Mapping[str, float]]]) -> dict[str, Any]:
    """Accuracies, and gains over training domains alone, with intervals over domains.

    Returns:
        {shots: {"accuracy" and "gain": {arm: estimate}}}; of a single domain over repetitions.
    """
    several = len({item.domain for item, _ in results}) > 1
    values: dict[int, dict[str, list[tuple[Unit, float]]]] = {}
    for item, found in results:
        for arm, share in found.items():
            own = values.setdefault(item.shots, {}).setdefault(arm, [])
            own.append(((item.domain, item.repetition), share))
    tables = {}
    for shots, arms in values.items():
        means = {arm: by_unit(shares, several=several) for arm, shares in arms.items()}
        base = means[NOTHING]
        tables[str(shots)] = {
            "accuracy": {arm: estimate(list(own.values())) for arm, own in means.items()},
            "gain": {
                arm: estimate([share - base[unit] for unit, share in own.items()])
                for arm, own in means.items()
                if arm != NOTHING
            },
        }
    return tables


def run_read_item(subject: PairSubject, item: ReadItem) -> dict[str, float]:
    """Accuracy of a reader of each of the item's arms."""
    task = subject.draw(item.split, item.domain, item.repetition, item.shots)
    wanted = {arm: (candidate,) for arm, candidate in item.wanted.items()}
    drawing = PairItem(item.split, item.domain, item.repetition, item.shots, item.who, wanted)
    learned: dict[str, Tensor | None] = {}
    if item.who == PLAIN:
        learned = {NOTHING: None, "shown": task.truth[:0], "truth": task.truth[task.known]}
    for arm, _, drawn in drawn_by(subject, task, drawing):
        if not drawn[task.known].isnan().any():
            learned[arm] = drawn[task.known]
    return {arm: accuracy(subject, task, own) for arm, own in learned.items()}


def accuracy(subject: PairSubject, task: PairTask, own: Tensor | None) -> float:
    """Share of a target's asked samples whose label is read.

    Args:
        subject: Of the evaluation; it has a library and a judge.
        task: The target.
        own: (A, *sample_shape), answers to the first A asked of known labels, from which the reader
            learns beside what is shown; None: from training domains alone.
    """
    library, judge = subject.library, subject.judge
    assert library is not None, "labels that domains share"
    assert judge is not None, "labels that domains share"
    kind, form = find_kind(subject.form.kind), subject.form
    number = {label: index for index, label in enumerate(sorted(library.labels))}
    asked = [label for label, known in zip(task.asked_labels, task.known, strict=True) if known]
    mine, labels = task.shown[:0], list[str]()
    if own is not None:
        mine = torch.cat([task.shown, own])
        labels = [*task.shown_labels, *asked[: len(own)]]

    def numbers(names: list[str]) -> Tensor:
        return torch.tensor([number[name] for name in names])

    def batch_at(step: int) -> tuple[Tensor, Tensor]:
        rng = generator(task.seed, "reader", step)
        count = CLASSIFIER_BATCH // 2 if len(mine) else CLASSIFIER_BATCH
        samples, names = library.draw(count, rng)
        if len(mine):
            rows = rng.integers(len(mine), size=CLASSIFIER_BATCH - count)
            samples = torch.cat([samples, mine[torch.from_numpy(rows)]])
            names += [labels[row] for row in rows]
        samples = kind.classical(samples, rng, KIND_WORDS[form.kind].classical[0])
        return kind.degraded(samples, rng), numbers(names)

    rng = generator(task.seed, "reader")
    centres, names = library.draw(_FOR_CENTROIDS, rng)
    net = train_classifier(
        partial(kind.model, len(number), form),
        batch_at,
        steps=subject.config.evaluate.finetune_steps,
        seed=derive_seed(task.seed, "reader"),
        init=judge.weights,
        head_from=(kind.degraded(centres, rng), numbers(names)),
    )
    truth = task.truth[task.known].repeat(_COPIES, *[1] * len(form.shape))
    guesses = predict(net, kind.degraded(truth, generator(task.seed, "reader", "asked")))
    return float(np.mean((guesses == numbers(asked * _COPIES)).numpy()))
