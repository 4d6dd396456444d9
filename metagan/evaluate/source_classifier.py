"""A classifier of the source classes: extractor of features, and start for fine-tuning.

It sees training classes only; its held-out accuracy is on samples of those classes that it was
not trained on.
"""

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from metagan.config.kinds import KIND_WORDS
from metagan.config.settings import RunConfig
from metagan.data.dataset import Dataset
from metagan.data.form import Form
from metagan.devices import pinned_threads
from metagan.evaluate.classifier import batched, predict, train_classifier, untrained
from metagan.kinds.kind import Model
from metagan.kinds.registry import find_kind
from metagan.metrics.features import Features
from metagan.runs.checkpoint import read_manifest, read_tensors, write_tensor_folder
from metagan.seeding import derive_seed, generator

HELD_OUT_SHARE = 0.1
# Samples in a step of every classifier, this one and a target's: what `evaluate.source_steps`,
# `classifier_steps` and `finetune_steps` are counted in. A mix of a quarter is 16 of them.
CLASSIFIER_BATCH = 64
FILE = "classifier.safetensors"


class ClassifierFeatures:
    """Features of a classifier that was trained on the source classes, and on nothing else.

    Target classes must not have been seen: scores on them would flatter samples that resemble the
    classifier's training set.
    """

    def __init__(
        self,
        classifier: Model,
        *,
        accuracy: float | None = None,
        name: str = "source-classifier",
    ) -> None:
        """Freeze a classifier.

        Args:
            classifier: Trained; it is copied, so that later training cannot change the features.
            accuracy: Its accuracy on samples of the source classes that were held out, [0, 1].
            name: For people.

        Raises:
            ValueError: If `accuracy` is not a share.
        """
        if accuracy is not None and not 0 <= accuracy <= 1:
            raise ValueError(f"extractor accuracy is {accuracy}; it is a share in [0, 1]")
        self._classifier = copy.deepcopy(classifier).requires_grad_(False).eval()
        self.name = name
        self.accuracy = accuracy
        self.num_features = classifier.num_features
        self.sha256 = _weights_hash(classifier)

    def __call__(self, samples: Tensor) -> Features:
        """(N, *sample_shape) to (N, d) float64.

        Raises:
            ValueError: If the samples do not have the shape that the classifier was built for.
        """
        return batched(self._classifier.features, samples).double().cpu().numpy()


def _weights_hash(classifier: Model) -> str:
    """SHA-256 over the architecture and every weight but the head's, which features pass by."""
    digest = hashlib.sha256(f"{type(classifier).__name__} {classifier.sample_shape}".encode())
    for name, tensor in sorted(classifier.body.state_dict().items()):
        values = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class SourceClassifier:
    """The trained classifier.

    Attributes:
        weights: Its state dict.
        num_classes: Source classes.
        form: Of the samples that it takes.
        accuracy: On held-out samples of the source classes.
    """

    weights: dict[str, Tensor]
    num_classes: int
    form: Form
    accuracy: float

    def features(self, device: torch.device | str = "cpu") -> ClassifierFeatures:
        """As an extractor of features, named by its hash, that computes on this device."""
        model = find_kind(self.form.kind).model
        # Whatever weights are drawn here, those that were trained replace them.
        net = untrained(partial(model, self.num_classes, self.form), 0)
        net.load_state_dict(self.weights)
        return ClassifierFeatures(net.eval().to(device), accuracy=self.accuracy)


def train_source_classifier(
    dataset: Dataset,
    classes: tuple[int, ...],
    form: Form,
    *,
    steps: int,
    seed: int,
    on_step: Callable[[int], None] = lambda _step: None,
) -> SourceClassifier:
    """Train on the classes of the training split, with classical augmentation.

    Args:
        dataset: All samples.
        classes: Training classes, indices into the data set.
        form: Of the samples.
        steps: Training steps.
        seed: Names every draw.
        on_step: Told of every step before it is taken.
    """
    kind = find_kind(form.kind)
    rng = generator(seed, "source classifier", "held out")
    train: list[np.ndarray] = []
    held: list[np.ndarray] = []
    for index in classes:
        order = int(dataset.offsets[index]) + rng.permutation(dataset.count(index))
        count = round(HELD_OUT_SHARE * len(order)) if len(order) > 1 else 0
        held.append(order[:count])
        train.append(order[count:])

    def batch_at(step: int) -> tuple[Tensor, Tensor]:
        on_step(step)
        draws = generator(seed, "source classifier", step)
        ways = draws.integers(len(classes), size=CLASSIFIER_BATCH)
        rows = np.array([draws.choice(train[way]) for way in ways])
        samples = kind.to_tensor(dataset.samples[rows], form)
        # All of its kind's augmentation, whatever targets get by `evaluate.classical`.
        samples = kind.classical(samples, draws, KIND_WORDS[form.kind].classical[0])
        return samples, torch.from_numpy(ways)

    net = train_classifier(
        partial(kind.model, len(classes), form),
        batch_at,
        steps=steps,
        seed=derive_seed(seed, "source classifier"),
    )
    rows = np.concatenate(held)
    labels = np.repeat(np.arange(len(classes)), [len(part) for part in held])
    accuracy = 0.0
    if len(rows):
        guesses = predict(net, kind.to_tensor(dataset.samples[rows], form))
        accuracy = float((guesses.cpu().numpy() == labels).mean())
    return SourceClassifier(dict(net.state_dict()), len(classes), form, accuracy)


def kept_source_classifier(
    folder: Path,
    dataset: Dataset,
    classes: tuple[int, ...],
    form: Form,
    config: RunConfig,
    *,
    tell: Callable[[str], None],
    on_step: Callable[[int], None] = lambda _step: None,
) -> SourceClassifier:
    """The source classifier of these settings, trained at first need and kept in a folder.

    Args:
        folder: Of source classifiers, each under a name of its own.
        dataset: All samples.
        classes: Training classes, indices into the data set.
        form: Of the samples.
        config: Its seed, and `evaluate`'s settings of classifiers.
        tell: Told before it is trained.
        on_step: Told of every step of that.
    """
    settings: dict[str, object] = {
        "data": dataset.fingerprint(),
        "classes": [dataset.classes[i].name for i in classes],
        "steps": config.evaluate.source_steps,
        "batch": CLASSIFIER_BATCH,
        "seed": config.seed,
    }
    # A search's folder outlives a version that fits other facts to the same classes. Kinds without
    # such facts keep the names that earlier versions gave.
    if names := find_kind(form.kind).conversion_facts:
        settings["facts"] = {name: form.facts[name] for name in names}
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    path = folder / key[:16]
    kept = load_source_classifier(path, form, key=key)
    if kept is not None:
        return kept
    tell(
        f"training the source classifier: {len(classes)} classes, "
        f"{config.evaluate.source_steps} steps"
    )
    with pinned_threads(1):  # Its hash is compared between machines.
        trained = train_source_classifier(
            dataset,
            classes,
            form,
            steps=config.evaluate.source_steps,
            seed=config.seed,
            on_step=on_step,
        )
    try:
        save_source_classifier(path, trained, key=key)
    except OSError:
        # Another evaluation of the same run may have been first; it trained the same.
        if load_source_classifier(path, form, key=key) is None:
            raise
    return trained


def save_source_classifier(path: Path, classifier: SourceClassifier, *, key: str) -> None:
    """Keep it as a folder; `key` names what it depends on (data, classes, settings)."""
    info = {
        "what": "source classifier",
        "key": key,
        "num_classes": classifier.num_classes,
        "accuracy": classifier.accuracy,
    }
    write_tensor_folder(path, {FILE: classifier.weights}, info)


def load_source_classifier(path: Path, form: Form, *, key: str) -> SourceClassifier | None:
    """Read back the one of samples of this form, or None if there is none with this key.

    Raises:
        CheckpointError: If it is damaged.
    """
    if not path.is_dir():
        return None
    info = read_manifest(path)
    if info.get("key") != key:
        return None
    return SourceClassifier(
        read_tensors(path, FILE), int(info["num_classes"]), form, float(info["accuracy"])
    )
