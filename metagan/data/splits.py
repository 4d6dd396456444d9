"""Splits: which classes are learned from, which choices are made on, and which are measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from metagan.config.data import DataConfig
from metagan.data.dataset import DataError, Dataset
from metagan.data.pairs import reference_domain, unseen_labels, with_reference
from metagan.seeding import generator
from metagan.words import counted

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


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
    together; a publisher's split is followed even where it divides one. Of labels that are to be
    unseen the classes of training domains are in no split.

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
    unseen = unseen_labels(dataset, config)
    for index, split in list(assigned.items()):
        if split == "train" and dataset.classes[index].label in unseen:
            del assigned[index]
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
