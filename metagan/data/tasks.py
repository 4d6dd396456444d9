"""Tasks and episodes: which classes are learned from, and the draws that an episode is made of.

An `EpisodeKey` names an episode; equal keys give bit-equal episodes on any machine.

Shapes: W classes (ways) in an episode, K support samples and Q query samples of each.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from metagan.config.settings import TaskConfig
from metagan.data.dataset import DataError, Dataset
from metagan.data.pairs import MakeInputs
from metagan.data.reader import find_reader
from metagan.data.splits import SPLITS, Split, Splits
from metagan.seeding import derive_seed, generator

if TYPE_CHECKING:  # Whoever only looks at data waits for no torch.
    from torch import Tensor

    from metagan.data.library import Library


@dataclass(frozen=True, order=True)
class EpisodeKey:
    """Names an episode: the task, and the seed of every draw in it."""

    task: str
    seed: int


class Half(NamedTuple):
    """Samples of a task, by class, as networks see them.

    Attributes:
        samples: (W, n, *sample_shape) float32.
        inputs: (W, n, *given_shape) float32, the input of each; None where they have none.
    """

    samples: "Tensor"
    inputs: "Tensor | None" = None

    def of_classes(self, start: int, end: int) -> "Half":
        """Some of the classes."""
        inputs = None if self.inputs is None else self.inputs[start:end]
        return Half(self.samples[start:end], inputs)

    def cut(self, start: int, end: int) -> "Half":
        """These samples of each class."""
        inputs = None if self.inputs is None else self.inputs[:, start:end]
        return Half(self.samples[:, start:end], inputs)


@dataclass(frozen=True)
class Episode:
    """One support/query draw from a task.

    Attributes:
        key: Its name.
        support: W classes of K samples; W is at most `task.ways`. Pairs of a domain are one class.
        query: W classes of Q samples, disjoint from support.
    """

    key: EpisodeKey
    support: Half
    query: Half


class TaskSource(Protocol):
    """A source of episodes."""

    def tasks(self, split: Split) -> Sequence[str]:
        """Names of the tasks of a split, sorted."""

    def episode(self, key: EpisodeKey) -> Episode:
        """The episode with this key."""


class DatasetTasks:
    """Episodes drawn from the classes of a data set."""

    def __init__(
        self,
        dataset: Dataset,
        splits: Splits,
        config: TaskConfig,
        to_tensor: "Callable[[np.ndarray], Tensor]",
        make_inputs: MakeInputs | None = None,
        library: "Library | None" = None,
    ) -> None:
        """Keeps only classes with at least shots + num_query samples; see `left_out`.

        With `task.unit` domain, a domain whose classes lie in several splits is one task in each
        of them, named `domain@split`. With `make_inputs` such a task's samples are pairs, drawn
        from all of its classes as if they were one: a class needs a single sample. With `library`
        the input of a pair has behind it what other training domains answer to its label.

        Raises:
            DataError: If the training split has no task left.
        """
        self.dataset, self.config, self._to_tensor = dataset, config, to_tensor
        self._make_inputs, self._library = make_inputs, library
        self._is_pooled = make_inputs is not None and config.unit == "domain"
        need = config.shots + config.num_query
        usable = self._usable(splits, need)
        learned = set(chain(*splits.sides().values()))
        self.left_out = tuple(
            dataset.classes[i].name
            for i in range(dataset.num_classes)
            if i in learned and i not in usable
        )
        self._classes: dict[Split, dict[str, list[int]]] = {split: {} for split in SPLITS}
        domains = [{dataset.classes[i].domain for i in splits.of(split)} for split in SPLITS]
        shared = {domain for domain, times in Counter(chain(*domains)).items() if times > 1}
        for split in SPLITS:
            for index in splits.of(split):
                if index in usable:
                    record = dataset.classes[index]
                    task = record.name if config.unit == "class" else record.domain
                    if config.unit == "domain" and record.domain in shared:
                        # A task name alone must tell which classes may be drawn.
                        task = f"{record.domain}@{split}"
                    self._classes[split].setdefault(task, []).append(index)
        if not self._classes["train"]:
            raise DataError(_too_few(dataset, splits.train, config, pairs=make_inputs is not None))

    def _usable(self, splits: Splits, need: int) -> set[int]:
        """Classes with samples for an episode, alone or together with others of their task."""
        data = self.dataset
        if not self._is_pooled:
            return {i for i in range(data.num_classes) if data.count(i) >= need}
        found: set[int] = set()
        for split in SPLITS:
            by_domain: dict[str, list[int]] = {}
            for index in splits.of(split):
                by_domain.setdefault(data.classes[index].domain, []).append(index)
            for several in by_domain.values():
                if sum(map(data.count, several)) >= need:
                    found.update(several)
        return found

    def tasks(self, split: Split) -> Sequence[str]:
        """Names of the tasks of a split, sorted."""
        return sorted(self._classes[split])

    def task_weights(self, split: Split) -> list[int]:
        """Classes per task, in the order of `tasks`: large domains are drawn more often."""
        return [len(self._classes[split][task]) for task in self.tasks(split)]

    def episode(self, key: EpisodeKey) -> Episode:
        """The episode with this key, from whichever split holds its task.

        A domain with fewer classes than `task.ways` gives all of them and no class twice, so that
        support and query stay disjoint.

        Raises:
            ValueError: If no split has a task of this name.
        """
        pools = [tasks[key.task] for tasks in self._classes.values() if key.task in tasks]
        if not pools:
            raise ValueError(f"no task named {key.task!r} in any split")
        rng = generator(key.seed, "episode", key.task)
        shots, need = self.config.shots, self.config.shots + self.config.num_query
        if self._is_pooled:
            where = members(self.dataset, pools[0])
            where = where[rng.permutation(len(where))[:need]][None]
        else:
            ways = 1 if self.config.unit == "class" else min(self.config.ways, len(pools[0]))
            chosen = rng.choice(pools[0], size=ways, replace=False)
            where = np.stack(
                [
                    members(self.dataset, [index])[
                        rng.permutation(self.dataset.count(index))[:need]
                    ]
                    for index in chosen.tolist()
                ]
            )
        both = self.half(where, seed=key.seed)
        support, query = both.cut(0, shots), both.cut(shots, need)
        if self._library is not None:
            support, query = self._with_library(self._library, where[0], support, query)
        return Episode(key, support, query)

    def _with_library(
        self, library: "Library", where: NDArray[np.int64], support: Half, query: Half
    ) -> tuple[Half, Half]:
        """Both halves of a domain's pairs, with what other training domains answer to the same."""
        records = [self.dataset.classes[index] for index in where[:, 0].tolist()]
        labels = [record.label for record in records]
        shots = support.samples.shape[1]
        return library.beside(
            support, query, labels[:shots], labels[shots:], without=records[0].domain
        )

    def half(self, where: NDArray[np.int64], *, seed: int) -> Half:
        """Samples, and their inputs, at places of the data set.

        Args:
            where: (W, n, 2): the class of each sample, and its place in it.
            seed: Names inputs that are made from the sample itself.
        """
        offsets = self.dataset.offsets
        samples = self._to_tensor(self.dataset.samples[offsets[where[..., 0]] + where[..., 1]])
        if self._make_inputs is None:
            return Half(samples)
        classes, places = where.reshape(-1, 2).T
        inputs = self._make_inputs(classes, places, samples.flatten(0, 1), seed)
        return Half(samples, inputs.reshape(*where.shape[:2], *inputs.shape[1:]))


def members(dataset: Dataset, classes: Sequence[int]) -> NDArray[np.int64]:
    """Every sample of these classes, (n, 2): its class, and its place in it."""
    return np.concatenate(
        [
            np.stack([np.full(dataset.count(i), i), np.arange(dataset.count(i))], axis=1)
            for i in classes
        ]
    ).astype(np.int64)


def _too_few(dataset: Dataset, classes: Sequence[int], config: TaskConfig, *, pairs: bool) -> str:
    """A message about training classes, or whole domains, of which none has enough samples."""
    pooled = pairs and config.unit == "domain"
    origin = dataset.origin
    path = origin.get("prepared", origin.get("path"))
    where = "" if path is None else f" of data.path {path}"
    more = find_reader(dataset.kind).more_samples(origin)
    if pairs and not pooled:
        more = ", or set task.unit=domain: pairs are then drawn from whole domains"
    sizes: Counter[str] = Counter()
    for index in classes:
        record = dataset.classes[index]
        sizes[record.domain if pooled else record.name] += dataset.count(index)
    return (
        f"no training {'domain' if pooled else 'class'}{where} has task.shots {config.shots} + "
        f"task.num_query {config.num_query} = {config.shots + config.num_query} samples, the "
        f"largest has {max(sizes.values(), default=0)}; lower them{more}"
    )


def meta_batch(
    tasks: Sequence[str], *, step: int, size: int, seed: int, weights: Sequence[int] | None = None
) -> list[EpisodeKey]:
    """The episodes of an outer step: a pure function, so resuming needs only `step`.

    Args:
        tasks: Names to draw from, with replacement only if there are fewer than `size`.
        step: The outer step.
        size: Number of episodes.
        seed: The run's seed.
        weights: Relative frequency of each task; None: equal.
    """
    rng = generator(seed, "meta_batch", step)
    share = None if weights is None else np.asarray(weights, np.float64) / np.sum(weights)
    chosen = rng.choice(len(tasks), size=size, replace=len(tasks) < size, p=share)
    return [
        EpisodeKey(tasks[i], derive_seed(seed, "episode", step, position))
        for position, i in enumerate(chosen.tolist())
    ]
