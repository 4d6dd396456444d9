"""Tasks and episodes: which classes are learned from, and the draws that an episode is made of.

An `EpisodeKey` names an episode; equal keys give bit-equal episodes on any machine.

Shapes: W classes (ways) in an episode, K support samples and Q query samples of each.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from metagan.config.data import DataConfig
from metagan.config.settings import TaskConfig
from metagan.data.dataset import DataError, Dataset
from metagan.data.pairs import MakeInputs, reference_domain, with_reference
from metagan.data.reader import find_reader
from metagan.seeding import derive_seed, generator
from metagan.words import counted

if TYPE_CHECKING:  # Whoever only looks at data waits for no torch.
    from torch import Tensor

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


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


@dataclass(frozen=True)
class Splits:
    """Three disjoint sets of classes, as indices into a data set, each sorted."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]

    def of(self, split: Split) -> tuple[int, ...]:
        """The classes of a split."""
        classes: tuple[int, ...] = getattr(self, split)
        return classes

    def sides(self) -> dict[str, tuple[int, ...]]:
        """The classes of every split, by its name."""
        return {split: self.of(split) for split in SPLITS}

    def names(self, dataset: Dataset) -> dict[str, list[str]]:
        """Class names by split, as a run stores them."""
        return {split: [dataset.classes[i].name for i in self.of(split)] for split in SPLITS}


def make_splits(dataset: Dataset, config: DataConfig, *, seed: int) -> Splits:
    """Assign every class to train, validation or test, but those of the reference domain.

    Domains named in `test_domains` and `validation_domains` go there. Otherwise, by
    `config.split_by`: the publisher's split where the data carry one (test and validation domains
    are then drawn from its training part if it has none, or validation classes where domains do
    not suffice), whole domains, or classes of every domain. Domains of a group are held out
    together; a publisher's split is followed even where it divides one.

    Raises:
        DataError: If a named domain does not exist, is named twice or is the reference domain, or
            a split would be empty.
    """
    dataset = with_reference(dataset, config)
    reference = reference_domain(dataset)
    domains = tuple(domain for domain in dataset.domains if domain != reference)
    for setting in ("test_domains", "validation_domains"):
        unknown = sorted(set(getattr(config, setting)) - set(domains))
        if unknown and unknown[0] == reference:
            raise DataError(
                f"data.{setting} names {reference!r}, which is the reference domain: it is the "
                "input of all pairs and cannot be measured; take it out, or set "
                "data.reference_domain"
            )
        if unknown:
            raise DataError(f"data.{setting}: no domain named {unknown[0]!r}; there are {domains}")
    both = sorted(set(config.test_domains) & set(config.validation_domains))
    if both:
        raise DataError(
            f"data.test_domains and data.validation_domains both name {both[0]!r}; keep it in one"
        )
    rng = generator(seed, "split")
    if config.split_by == "class":
        assigned = _split_classes(dataset, domains, config, rng)
    else:
        assigned = _split_domains(dataset, domains, config, rng)
    splits = Splits(
        *(tuple(i for i, split in sorted(assigned.items()) if split == s) for s in SPLITS)
    )
    for split in SPLITS:
        if not splits.of(split):
            groups = len(_units(dataset, domains))
            related = "" if groups == len(domains) else f" in {counted(groups, 'group')}"
            raise DataError(
                f"the {split} split is empty (domains {len(domains)}{related}, classes "
                f"{len(assigned)}, data.split_by {config.split_by}); "
                f"{_more_for(split, len(assigned), config)}"
            )
    return splits


def _more_for(split: Split, num_classes: int, config: DataConfig) -> str:
    """Fix for an empty split."""
    if num_classes < len(SPLITS):
        return (
            "training needs at least three classes: one each for train, validation and test. "
            "Fewer are enough for the target of a trained run: metagan evaluate --data"
        )
    if config.split_by != "class":
        return "add domains, or set data.split_by=class"
    if split == "train":
        return "add classes, or lower data.test_fraction and data.validation_fraction"
    return f"add classes, or raise data.{split}_fraction"


def _split_classes(
    dataset: Dataset, domains: Sequence[str], config: DataConfig, rng: np.random.Generator
) -> dict[int, Split]:
    """The split of every class when a part of each domain's classes is held out."""
    assigned: dict[int, Split] = {}
    for domain in domains:
        order = rng.permutation(np.array(dataset.classes_of(domain))).tolist()
        num_test = round(config.test_fraction * len(order))
        num_held = num_test + round(config.validation_fraction * len(order))
        for rank, index in enumerate(order):
            assigned[index] = "train"
            if domain in config.test_domains or domain in config.validation_domains:
                assigned[index] = "test" if domain in config.test_domains else "validation"
            elif rank < num_held:
                assigned[index] = "test" if rank < num_test else "validation"
    return assigned


def _split_domains(
    dataset: Dataset, domains: Sequence[str], config: DataConfig, rng: np.random.Generator
) -> dict[int, Split]:
    """The split of every class when domains are held out, or the publisher's split is followed."""
    records = {i: dataset.classes[i] for domain in domains for i in dataset.classes_of(domain)}
    published = {record.split for record in records.values()} - {None}
    by_publisher = config.split_by == "published" and bool(published)
    held_test, held_validation = _named(dataset, domains, config)
    free = [d for d in domains if d not in held_test | held_validation]
    if by_publisher:
        free = [
            d for d in free if {records[i].split for i in dataset.classes_of(d)} <= {"train", None}
        ]
    if not held_test and not (by_publisher and "test" in published):
        share = len(free if by_publisher else domains)
        held_test = _drawn(dataset, free, max(1, round(config.test_fraction * share)), rng)
        free = [d for d in free if d not in held_test]
    has_validation = held_validation or (by_publisher and "validation" in published)
    if not has_validation and len(_units(dataset, free)) > 1:
        count = min(max(1, round(config.validation_fraction * len(free))), len(free) - 1)
        held_validation = _drawn(dataset, free, count, rng)
    assigned: dict[int, Split] = {}
    for index, record in records.items():
        split = record.split if by_publisher and record.split is not None else "train"
        if record.domain in held_test:
            split = "test"
        elif record.domain in held_validation:
            split = "validation"
        assigned[index] = cast(Split, split)
    learned = [i for i, split in assigned.items() if split == "train"]
    if by_publisher and "validation" not in assigned.values() and len(learned) > 1:
        # No domain lies wholly in the training part but, at most, the only one: classes are drawn.
        count = min(max(1, round(config.validation_fraction * len(learned))), len(learned) - 1)
        for place in rng.permutation(len(learned))[:count]:
            assigned[learned[place]] = "validation"
    return assigned


def _units(dataset: Dataset, domains: Sequence[str]) -> list[tuple[str, ...]]:
    """The domains that stay together: those of a group, and every other one by itself."""
    units: dict[tuple[str, bool], list[str]] = {}
    for domain in domains:
        group = dataset.group_of(domain)
        units.setdefault((domain, False) if group is None else (group, True), []).append(domain)
    return [tuple(unit) for unit in units.values()]


def _named(
    dataset: Dataset, domains: Sequence[str], config: DataConfig
) -> tuple[set[str], set[str]]:
    """The domains to test and to validate on that are held out by name, and those of their groups.

    Raises:
        DataError: If domains of one group are named for both.
    """
    held_test, held_validation = set(config.test_domains), set(config.validation_domains)
    for unit in _units(dataset, domains):
        tested, chosen = held_test & set(unit), held_validation & set(unit)
        if tested and chosen:
            raise DataError(
                f"data.test_domains names {min(tested)!r} and data.validation_domains "
                f"{min(chosen)!r}, which are related (group {dataset.group_of(unit[0])!r}) and "
                "stay together; keep them in one"
            )
        held_test |= set(unit) if tested else set()
        held_validation |= set(unit) if chosen else set()
    return held_test, held_validation


def _drawn(
    dataset: Dataset, domains: Sequence[str], count: int, rng: np.random.Generator
) -> set[str]:
    """At most so many domains, drawn by groups: the first that fit, or the smallest of all."""
    units = _units(dataset, domains)
    order = [units[i] for i in rng.permutation(len(units))]
    held: set[str] = set()
    for unit in order:
        if len(held) + len(unit) <= count:
            held |= set(unit)
    return held or set(min(order, key=len, default=()))


def splits_from_names(names: Mapping[str, Sequence[str]], dataset: Dataset) -> Splits:
    """The splits that a run stored.

    Raises:
        DataError: If a stored class is not in the data set any more.
    """
    index = {record.name: i for i, record in enumerate(dataset.classes)}
    missing = [name for split in SPLITS for name in names[split] if name not in index]
    if missing:
        raise DataError(
            f"the run was split with class {missing[0]!r} (and {len(missing) - 1} more) that the "
            "data do not have; point data.path at the data that the run was trained on"
        )
    return Splits(*(tuple(sorted(index[name] for name in names[split])) for split in SPLITS))


class DatasetTasks:
    """Episodes drawn from the classes of a data set."""

    def __init__(
        self,
        dataset: Dataset,
        splits: Splits,
        config: TaskConfig,
        to_tensor: "Callable[[np.ndarray], Tensor]",
        make_inputs: MakeInputs | None = None,
    ) -> None:
        """Keeps only classes with at least shots + num_query samples; see `left_out`.

        With `task.unit` domain, a domain whose classes lie in several splits is one task in each
        of them, named `domain@split`. With `make_inputs` such a task's samples are pairs, drawn
        from all of its classes as if they were one: a class needs a single sample.

        Raises:
            DataError: If the training split has no task left.
        """
        self.dataset, self.config, self._to_tensor = dataset, config, to_tensor
        self._make_inputs = make_inputs
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
            raise DataError(_too_few(dataset, splits.train, config, pooled=self._is_pooled))

    def _usable(self, splits: Splits, need: int) -> set[int]:
        """Classes with samples for an episode, alone or together with others of their task."""
        data = self.dataset
        if not self._is_pooled:
            return {i for i in range(data.num_classes) if data.count(i) >= need}
        found: set[int] = set()
        for split in SPLITS:
            members: dict[str, list[int]] = {}
            for index in splits.of(split):
                members.setdefault(data.classes[index].domain, []).append(index)
            for several in members.values():
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
            where = _members(self.dataset, pools[0])
            where = where[rng.permutation(len(where))[:need]][None]
        else:
            ways = 1 if self.config.unit == "class" else min(self.config.ways, len(pools[0]))
            chosen = rng.choice(pools[0], size=ways, replace=False)
            where = np.stack(
                [
                    _members(self.dataset, [index])[
                        rng.permutation(self.dataset.count(index))[:need]
                    ]
                    for index in chosen.tolist()
                ]
            )
        both = self.half(where, seed=key.seed)
        return Episode(key, both.cut(0, shots), both.cut(shots, need))

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


def _members(dataset: Dataset, classes: Sequence[int]) -> NDArray[np.int64]:
    """Every sample of these classes, (n, 2): its class, and its place in it."""
    return np.concatenate(
        [
            np.stack([np.full(dataset.count(i), i), np.arange(dataset.count(i))], axis=1)
            for i in classes
        ]
    ).astype(np.int64)


def _too_few(dataset: Dataset, classes: Sequence[int], config: TaskConfig, *, pooled: bool) -> str:
    """A message about training classes, or whole domains, of which none has enough samples."""
    origin = dataset.origin
    path = origin.get("prepared", origin.get("path"))
    where = "" if path is None else f" of data.path {path}"
    more = find_reader(dataset.kind).more_samples(origin)
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
