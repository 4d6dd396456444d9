"""Reading of each kind of sample from files: a torch-free row of functions and tables.

A row stands beside that of `metagan.kinds.registry`, which has networks and needs torch. Data and
run folders go by this one alone, so that looking at data costs no import of torch.

Shapes: N samples.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metagan.config.data import DataConfig
from metagan.data.dataset import DataError, Dataset, Samples
from metagan.data.notes import Weight

READERS: Final[Mapping[str, str]] = {
    "image": "metagan.kinds.image.files",
    "vector": "metagan.kinds.vector.files",
}
"""The module of each kind that holds its `READER`."""


@dataclass(frozen=True)
class Source:
    """A row of a kind's table of sources.

    Attributes:
        module: Has `load`, from the settings of data to a `Dataset`; imported when it is used.
        version: Raised when the same files become other samples, so that prepared ones are not
            reused.
        built_in: It makes its samples itself, and reads no files.
        idle: Settings that it does not read, though other sources of the kind do.
        libraries: Packages whose version shapes the samples.
    """

    module: str
    version: int
    built_in: bool = False
    idle: frozenset[str] = frozenset()
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True)
class Looks:
    """Words of `metagan data inspect` on samples of one kind, beside numbers of classes.

    Attributes:
        domains: A clause on the samples of each domain, such as their range.
        remarks: Lines on the whole data set.
    """

    domains: Mapping[str, str]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reader:
    """How one kind of sample is read, judged and shown; `settings` are of the kind's own class.

    Attributes:
        word: A sample in messages, such as "picture".
        sources: The table of sources, without prepared data, which all kinds have.
        detect: (file or folder) -> the name of the source that reads it, by names alone. Gives
            "arrow" for prepared data; DataError where none reads it or several could.
        files_with: (a file, the name of its source) -> every file that the source reads with it, in
            a fixed order.
        is_data: Whether a file of this name may be data of this kind.
        pack: ({class: samples} that Python code hands in, name for messages) -> {class: stored
            samples}; DataError where they cannot be used.
        check: Refuses, by DataError, an array whose type or shape no data set of this kind has.
        check_values: Refuses, by DataError, prepared samples with values that no sample has; reads
            them all.
        judge: (data as a source read them, settings) -> notes on how samples came out other than
            their owner will expect, and what `Dataset.origin` keeps of it. DataError where nothing
            can be learned from them.
        note_words: Words that such notes begin with, beside those of `metagan.data.notes`, and what
            they weigh.
        warned: Beginnings of notes which `metagan adapt` shows as warnings: the examples are read
            in another way than the run's own samples.
        blank: Which samples tell nothing of their class, (N,); equal ones are no leak.
        check_prepared: Refuses, by DataError, (prepared data, settings, their folder) where the
            data were prepared by settings that contradict these.
        more_samples: (`Dataset.origin`) -> what else than lower settings gives a class enough
            samples, as the end of a sentence; empty where nothing does.
        describe: (data, how many samples of each class repeat an earlier one) -> what to say.
        sheet: (data, file to write) -> the file: samples of some classes of every domain.
    """

    word: str
    sources: Mapping[str, Source]
    detect: Callable[[Path], str]
    files_with: Callable[[Path, str], Sequence[Path]]
    is_data: Callable[[str], bool]
    pack: Callable[[Any, str], Mapping[Any, Samples]]
    check: Callable[[Samples], None]
    check_values: Callable[[Samples], None]
    judge: Callable[[Dataset, Any], tuple[list[str], Mapping[str, Any]]]
    note_words: Mapping[str, Weight]
    warned: tuple[str, ...]
    blank: Callable[[Dataset], NDArray[np.bool_]]
    check_prepared: Callable[[Dataset, Any, Path], None]
    more_samples: Callable[[Mapping[str, Any]], str]
    describe: Callable[[Dataset, Mapping[int, int]], Looks]
    sheet: Callable[[Dataset, Path], Path]


def find_reader(kind: str) -> Reader:
    """How a kind of sample is read.

    Raises:
        DataError: If there is no such kind.
    """
    if kind not in READERS:
        raise DataError(f"no kind of sample is called {kind!r}; kinds are {', '.join(READERS)}")
    reader: Reader = importlib.import_module(READERS[kind]).READER
    return reader


def reader_of(settings: DataConfig) -> Reader:
    """How the data of these settings are read."""
    return find_reader(settings.kind)
