"""One paired repetition: a target's few samples, and classifiers trained on them in several ways.

All arms of a repetition share the samples, the initial weights and the order of the batches; they
differ in what is added to the real samples alone.

Shapes: W classes, K shots, T test samples per class, R generated samples per shot.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from metagan.config.settings import EvaluateConfig
from metagan.data.dataset import DataError, Dataset
from metagan.data.form import Form
from metagan.evaluate.classifier import nearest_centroid, predict, train_classifier
from metagan.evaluate.source_classifier import CLASSIFIER_BATCH, SourceClassifier
from metagan.kinds.registry import find_kind
from metagan.seeding import derive_seed, generator

Arm = Literal["none", "classical", "generated", "both"]
ARMS: tuple[Arm, ...] = ("none", "classical", "generated", "both")
Classifier = Literal["scratch", "pretrained", "centroid"]
CLASSIFIERS: tuple[Classifier, ...] = ("scratch", "pretrained", "centroid")
CLASSICAL_COPIES = 20
# A pre-trained body moves more slowly than its new head; measured on source classes only.
PRETRAINED_BODY_LR = 0.1


@dataclass(frozen=True)
class TargetTask:
    """A target domain's data for one repetition.

    Attributes:
        support: (W, K, *sample_shape) float32, as networks see samples, on the device to
            compute on.
        test: (W, T, *sample_shape), never trained on.
        classes: Indices into the data set, W of them.
        seed: Names every further draw of the repetition.
    """

    support: Tensor
    test: Tensor
    classes: tuple[int, ...]
    seed: int

    def to(self, device: torch.device) -> "TargetTask":
        """The same target on a device."""
        return replace(self, support=self.support.to(device), test=self.test.to(device))


def draw_target(
    dataset: Dataset,
    classes: Sequence[int],
    form: Form,
    config: EvaluateConfig,
    *,
    shots: int,
    seed: int,
) -> TargetTask:
    """Draw a target: at most `evaluate.max_classes` classes with enough samples.

    Test samples are drawn first, so they are the same at every number of shots, and smaller
    supports are parts of larger ones.

    Args:
        dataset: All samples.
        classes: That the target may have, indices into the data set.
        form: Of the samples.
        config: How many classes and test samples.
        shots: K.
        seed: Names every draw.

    Raises:
        DataError: If fewer than two classes have enough samples.
    """
    need = shots + config.test_per_class
    usable = [index for index in classes if dataset.count(index) >= need]
    if len(usable) < 2:
        raise DataError(
            f"only {len(usable)} of {len(classes)} classes have {shots} shots + "
            f"{config.test_per_class} test samples; lower evaluate.shots or "
            "evaluate.test_per_class"
        )
    rng = generator(seed, "target classes")
    chosen = sorted(rng.permutation(np.array(usable))[: config.max_classes].tolist())
    support, test = [], []
    for index in chosen:
        samples = dataset.class_samples(index)
        order = generator(seed, "target samples", index).permutation(len(samples))
        test.append(samples[order[: config.test_per_class]])
        support.append(samples[order[config.test_per_class :][:shots]])
    to_tensor = find_kind(form.kind).to_tensor
    return TargetTask(
        to_tensor(np.stack(support), form), to_tensor(np.stack(test), form), tuple(chosen), seed
    )


@dataclass(frozen=True)
class Mix:
    """How generated samples are used.

    Attributes:
        share: Of each batch, [0, 1); 0: not at all.
        per_real: Generated samples per real one in the pool that batches draw from.
    """

    share: float
    per_real: int


def arm_accuracy(
    task: TargetTask,
    classifier: Classifier,
    arm: Arm,
    config: EvaluateConfig,
    source: SourceClassifier,
    *,
    generated: Tensor | None = None,
    mix: Mix | None = None,
) -> float:
    """Test accuracy of the target's classifier, trained in one way.

    Args:
        task: The target.
        classifier: From scratch; fine-tuned from the source classifier; or no training at all, the
            nearest class centroid in its features.
        arm: What is added to the real samples.
        config: Steps, and the classical augmentation.
        source: The source classifier.
        generated: (W, K * R, *sample_shape); needed by the arms that use it.
        mix: How it is used; a share of 0 makes "generated" the same as "none", and "both" the
            same as "classical", to the bit.
    """
    share, pool = 0.0, task.support[:, :0]
    if arm in ("generated", "both"):
        if generated is None or mix is None:
            raise ValueError(f"arm {arm} needs generated samples and how to mix them")
        share, pool = mix.share, generated[:, : task.support.shape[1] * mix.per_real]
    if classifier == "centroid":
        return _centroid_accuracy(task, arm, config, source, pool, share)
    return _trained_accuracy(task, classifier, arm, config, source, pool, share)


def _trained_accuracy(
    task: TargetTask,
    classifier: Classifier,
    arm: Arm,
    config: EvaluateConfig,
    source: SourceClassifier,
    pool: Tensor,
    share: float,
) -> float:
    kind, form = find_kind(source.form.kind), source.form
    ways, shots = task.support.shape[:2]
    real = task.support.flatten(0, 1)
    real_labels = torch.arange(ways).repeat_interleave(shots)
    num_generated = round(share * CLASSIFIER_BATCH)

    def batch_at(step: int) -> tuple[Tensor, Tensor]:
        rng = generator(task.seed, "classifier batch", classifier, step)
        rows = torch.from_numpy(rng.integers(len(real), size=CLASSIFIER_BATCH))
        samples, labels = real[rows], real_labels[rows]
        if num_generated:
            way = torch.from_numpy(rng.integers(ways, size=num_generated))
            which = torch.from_numpy(rng.integers(pool.shape[1], size=num_generated))
            samples = torch.cat([samples[num_generated:], pool[way, which]])
            labels = torch.cat([labels[num_generated:], way])
        if arm in ("classical", "both"):
            rng = generator(task.seed, "classical", classifier, step)
            samples = kind.classical(samples, rng, config.classical)
        return samples, labels

    tuned = classifier == "pretrained"
    net = train_classifier(
        partial(kind.model, ways, form),
        batch_at,
        steps=config.finetune_steps if tuned else config.classifier_steps,
        seed=derive_seed(task.seed, "classifier"),
        init=source.weights if tuned else None,
        head_from=(real, real_labels) if tuned else None,
        body_lr_scale=PRETRAINED_BODY_LR if tuned else 1.0,
        device=real.device,
    )
    return _accuracy(predict(net, task.test.flatten(0, 1)), task)


def _centroid_accuracy(
    task: TargetTask,
    arm: Arm,
    config: EvaluateConfig,
    source: SourceClassifier,
    pool: Tensor,
    share: float,
) -> float:
    kind = find_kind(source.form.kind)
    extract = source.features(task.support.device)

    def class_means(samples: Tensor) -> Tensor:
        flat = samples.flatten(0, 1)
        if arm in ("classical", "both"):
            rng = generator(task.seed, "classical", "centroid")
            flat = kind.classical(flat, rng, config.classical)
        return torch.from_numpy(extract(flat)).reshape(*samples.shape[:2], -1).mean(1)

    real = task.support
    if arm in ("classical", "both"):
        # Copies around each real sample; without augmentation they would change nothing.
        real = real.repeat_interleave(CLASSICAL_COPIES, dim=1)
    means = class_means(real)
    if share > 0:
        means = (1 - share) * means + share * class_means(pool)
    test = torch.from_numpy(extract(task.test.flatten(0, 1)))
    return _accuracy(nearest_centroid(means, torch.arange(len(means)), test), task)


def _accuracy(guesses: Tensor, task: TargetTask) -> float:
    labels = torch.arange(len(task.test)).repeat_interleave(task.test.shape[1])
    return float((guesses.cpu() == labels).double().mean())
