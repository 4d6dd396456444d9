"""The words by which publishers call the parts of a split, in names of folders, files and columns.

Few-shot learning says base and novel; others number their parts, or put "images" behind the word.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from metagan.dataset import ClassRecord
from metagan.words import counted

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
    *("files", "folder", "classes", "domains"),
)
_FILLER: Final = "|".join(_FILLERS)
_COMPOUND: Final = re.compile(rf"(?:{_FILLER})?({'|'.join(_ROLES)})(?:{_FILLER})?")
_FOLD: Final = re.compile(
    r"(?i:fold|split|cv|part|chunk|shard)(?:[\W_]*\d+|[\W_]+[A-Za-z]|(?<=[a-z])[A-Z])"
)
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_TOKEN: Final = re.compile(r"[^\W\d_]+|\d+")


@dataclass(frozen=True)
class SplitName:
    """A name that has a split's word in it.

    Attributes:
        split: `train`, `validation` or `test`.
        rest: What else the name says: `A` of trainA, `2017` of val2017, `latin` of latin-test.
        is_plain: The word means nothing but a split.
    """

    split: str
    rest: str
    is_plain: bool

    @property
    def is_whole(self) -> bool:
        """Whether the name says nothing but the split, and perhaps a number."""
        return not self.rest or self.rest.isdigit()


def split_name(name: str) -> SplitName | None:
    """A name as that of a split's part; None where no word in it, or more than one, is a split's.

    Without regard to case: `Train`, `training_set`, `test-images`, `val2017`, `trainB`, `x-test`.
    """
    text = _CAMEL.sub(" ", unicodedata.normalize("NFKC", name).strip())
    words: list[str] = []
    rest = []
    for token in _TOKEN.findall(text):
        compound = _COMPOUND.fullmatch(token.lower())
        if compound:
            words.append(compound[1])
        elif token.lower() not in _FILLERS:
            rest.append(token)
    if words == ["train", "val"]:
        words = ["trainval"]
    if len(words) != 1:
        return None
    return SplitName(_ROLES[words[0]], "-".join(rest), words[0] in _PLAIN)


def canonical_split(name: str) -> str | None:
    """`train`, `validation` or `test` for a publisher's word for it; None for any other word."""
    found = split_name(name)
    return found.split if found and found.is_whole else None


def is_fold(name: str) -> bool:
    """Whether a name is that of a numbered part that has no use of its own, such as `fold3`."""
    return _FOLD.fullmatch(name.strip()) is not None


def names_of_parts(names: Collection[str]) -> dict[str, SplitName] | None:
    """What each of a level's names says, where all of them are parts of a split; else None.

    Names with more in them than the split count only where two parts of the same are there:
    latin-train and latin-test are, blood-test and skin-test are not. Folds beside other parts are
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
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for part in found.values():
        if not part.is_whole:
            splits[part.rest].add(part.split)
    return None if splits and max(map(len, splits.values())) == 1 else found


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
    """What a domain's name says besides a split's word."""
    found = split_name(domain)
    if is_fold(domain) or (found and found.is_whole):
        return ""
    return "-".join(_TOKEN.findall(found.rest if found else domain)).lower()
