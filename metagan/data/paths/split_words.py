"""Which names are those of a split's parts: one rule for folders, files and values.

Publishers write train, Training_Set, val2017, test-images or trainA; few-shot learning says base
and novel. One name alone does not always tell: novel beside base is a part, novel beside poem is
none. All names of a level are therefore looked at together (`parts_among`).
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from metagan.data.dataset import ClassRecord, DataError
from metagan.data.paths.names import a_few
from metagan.words import agreeing, counted

_ROLES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("train", "training", "trn", "trainval", "base", "seen"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "vali", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation", "novel", "unseen"), "test"),
}
# The others are also common names of classes and domains: novel and poem, valid and invalid.
_PLAIN: Final = frozenset({"train", "training", "trainval", "val", "validation", "test", "testing"})
_FILLERS: Final = (
    *("dataset", "datasets", "data", "sets", "set", "splits", "split", "parts", "part", "meta"),
    *("images", "image", "imgs", "img", "pictures", "pics", "photos", "samples", "examples"),
    *("files", "folder", "classes", "domains", "shards", "shard", "partial"),
)
_FILLER: Final = "|".join(_FILLERS)
_COMPOUND: Final = re.compile(rf"(?:{_FILLER})?({'|'.join(_ROLES)})(?:{_FILLER})?")
_FOLD: Final = re.compile(
    r"(?i:fold|split|cv|part|chunk|shard)(?:[\W_]*\d+|[\W_]+[A-Za-z]|(?<=[a-z])[A-Z])"
)
# A number, with the k of QMNIST's test10k; or letters up to a small one before a capital.
_TOKEN: Final = re.compile(r"\d+(?:k(?![^\W\d_]))?|[^\W\d_](?:(?!(?<=[a-z])[A-Z])[^\W\d_])*")
# Counts something; a longer one, such as a year, may be a name.
_SHORT_NUMBER: Final = re.compile(r"\d{1,3}|0\d+")
_OPENING: Final = "-_. =([{"
_CLOSING: Final = "-_. =)]}"


@dataclass(frozen=True)
class SplitName:
    """The meaning of a name that has a split's word in it.

    Attributes:
        split: `train`, `validation` or `test`; None for a name beside those of parts.
        rest: What else the name says, as it is spelled: `A` of trainA, `latin` of latin-test2.
        is_plain: The word means nothing but a split.
    """

    split: str | None
    rest: str
    is_plain: bool

    @property
    def is_whole(self) -> bool:
        """True if the name says nothing but the split."""
        return not self.rest


def split_name(name: str) -> SplitName | None:
    """A name as that of a split's part; None where no word in it, or more than one, is a split's.

    Without regard to case: `Train`, `training_set`, `test-images`, `val2017`, `trainB`, `x-test`.
    Words such as `set` beside the split's go with it, and numbers behind it, which count parts.
    """
    text = unicodedata.normalize("NFKC", name).strip()
    tokens = list(_TOKEN.finditer(text))
    lower = [token[0].lower() for token in tokens]
    hits = [(i, match[1]) for i, word in enumerate(lower) if (match := _COMPOUND.fullmatch(word))]
    if [word for _, word in hits] == ["train", "val"] and hits[1][0] == hits[0][0] + 1:
        first, last, word = hits[0][0], hits[1][0], "trainval"
    elif len(hits) == 1:
        (first, word), last = hits[0], hits[0][0]
    else:
        return None
    others = lower[:first] + lower[last + 1 :]
    if all(other in _FILLERS or _SHORT_NUMBER.fullmatch(other) for other in others):
        return SplitName(_ROLES[word], "", word in _PLAIN)
    while first and lower[first - 1] in _FILLERS:
        first -= 1
    while last + 1 < len(lower) and (lower[last + 1] in _FILLERS or lower[last + 1][0].isdigit()):
        last += 1
    before = text[: tokens[first].start()].rstrip(_OPENING)
    behind = text[tokens[last].end() :].strip(_CLOSING)
    rest = "-".join(part for part in (before, behind) if part)
    return SplitName(_ROLES[word], rest, word in _PLAIN)


def canonical_split(name: str) -> str | None:
    """`train`, `validation` or `test` for a value that is known to be a split's, else None.

    Of a name that may be another thing `parts_among` tells, by the names beside it.
    """
    found = split_name(name)
    return found.split if found and found.is_whole else None


def is_plain_split(name: str) -> bool:
    """True if a name is that of a part of a split, and can be nothing else."""
    found = split_name(name)
    return found is not None and found.is_whole and found.is_plain


def is_fold(name: str) -> bool:
    """True if a name is that of a numbered part that has no use of its own, such as `fold3`."""
    return _FOLD.fullmatch(name.strip()) is not None


def names_of_parts(names: Collection[str]) -> dict[str, SplitName] | None:
    """Meaning of each of a level's names if all of them are parts of a split; else None.

    Names with more in them than the split count only where two parts of the same are there:
    latin-train and latin-test are, blood-test and skin-test are not. Words that can mean other
    things (base, novel, valid) count only where they name two parts. Folds beside other parts are
    for training.
    """
    found: dict[str, SplitName] = {}
    for name in names:
        part = SplitName("train", "", is_plain=True) if is_fold(name) else split_name(name)
        if part is None:
            return None
        found[name] = part
    if not found or all(map(is_fold, names)):
        return None
    splits = _splits_by_rest(found.values())
    whole = splits.pop("", set())
    if splits and max(map(len, splits.values())) == 1:
        return None
    is_sure = splits or len(whole) > 1 or any(part.is_plain for part in found.values())
    return found if is_sure else None


def parts_among(names: Collection[str]) -> dict[str, SplitName]:
    """Meaning of all of a level's names where some are parts of a split; else empty.

    All may be parts (`names_of_parts`). Else names of which two parts of the same are there are
    parts, and those beside them are in no split: latin-train and latin-test beside greek. Where a
    plain word stands beside other names nothing is known: see `check_mixed`.
    """
    found = names_of_parts(names)
    if found is not None:
        return found
    parts = {name: part for name in names if (part := split_name(name)) and not part.is_whole}
    paired = {rest for rest, splits in _splits_by_rest(parts.values()).items() if len(splits) > 1}
    if not paired or any(map(is_plain_split, names)):
        return {}
    return {
        name: parts[name]
        if name in parts and parts[name].rest in paired
        else SplitName(None, name, is_plain=False)
        for name in names
    }


def _splits_by_rest(parts: Iterable[SplitName]) -> dict[str, set[str | None]]:
    splits: defaultdict[str, set[str | None]] = defaultdict(set)
    for part in parts:
        splits[part.rest].add(part.split)
    return dict(splits)


def check_mixed(names: Collection[str], root: str) -> None:
    """Refuse plain names of a split's parts beside others of their level.

    Raises:
        DataError: With the names and what to do.
    """
    plain = sorted(filter(is_plain_split, names))
    others = sorted(set(names) - set(plain))
    if plain and others:
        called = agreeing(len(plain), "is called like a part", "are called like parts")
        raise DataError(
            f"{root}: {a_few(plain)} {called} of a split, but {a_few(others)} beside it not; put "
            "all others below folders of the split as well (train/, test/), take it away, or give "
            "it another name if it is no split"
        )


def doubtful_notes(names: Iterable[str], what: str) -> list[str]:
    """A note on names with a split's word that are read as something else.

    Args:
        names: Of domains or classes.
        what: `domains` or `classes`.
    """
    doubtful = sorted(name for name in names if split_name(name) or is_fold(name))
    if not doubtful:
        return []
    return [
        f"splits: read as {what} with a split's word: {a_few(doubtful)}; if they are parts "
        "of a split, give all parts such names (latin-train, latin-test)"
    ]


def split_domain_notes(classes: Iterable[ClassRecord]) -> list[str]:
    """A note on domains that look like parts of one data set: equal classes, and split words.

    The same class is then on both sides wherever domains are held out.
    """
    labels: defaultdict[str, set[str]] = defaultdict(set)
    for record in classes:
        # Where the publisher's split holds out classes it is known, whatever domains are called.
        if record.split is None:
            labels[record.domain].add(record.label)
    stems: defaultdict[str, list[str]] = defaultdict(list)
    for domain in sorted(labels):
        stems[_stem(domain)].append(domain)
    notes = []
    for domains in stems.values():
        shared = [
            labels[a] & labels[b]
            for a, b in combinations(domains, 2)
            if any(split_name(name) or is_fold(name) for name in (a, b))
        ]
        most = max(map(len, shared), default=0)
        if most:
            several = f"{counted(most, 'class', 'classes')} of the same name"
            notes.append(
                f"leak by construction: the domains {', '.join(domains[:5])} look like parts of "
                f"one data set and have {several}, so that a class can be both learnt from and "
                "measured on; put the parts into folders train/ and test/, or name them in a "
                "column split"
            )
    return notes


def _stem(domain: str) -> str:
    """A domain's name without a split's word."""
    found = split_name(domain)
    if is_fold(domain) or (found and found.is_whole):
        return ""
    return "-".join(_TOKEN.findall(found.rest if found else domain)).lower()
