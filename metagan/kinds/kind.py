"""Kinds of samples: each is one row of functions that the rest of the program uses.

Shapes: N samples, W classes of K samples each.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from metagan.core.gan import MakePlayers
from metagan.data.dataset import Dataset, Samples
from metagan.data.form import Form
from metagan.data.pairs import MakeInputs


class Support(dict[str, Samples]):
    """Classes that were read from a user's files: {label: (n, *sample_shape) stored samples}.

    Attributes:
        form: How these samples were read, which may differ from how the run's own were.
    """

    def __init__(self, classes: Mapping[str, Samples], form: Form) -> None:
        """The same classes, and how they were read."""
        super().__init__(classes)
        self.form = form


class Model(Protocol):
    """The target's own model: a torch module whose body gives features to a linear head."""

    @property
    def body(self) -> nn.Module:
        """All of it but the head."""

    @property
    def head(self) -> nn.Linear:
        """Features to logits."""

    @property
    def num_features(self) -> int:
        """That the body gives for a sample."""

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Of one sample that it takes."""

    def features(self, samples: Tensor) -> Tensor:
        """(B, *sample_shape) on any device to (B, num_features) on the model's."""

    def __call__(self, samples: Tensor) -> Tensor:
        """(B, *sample_shape) to logits (B, number of classes)."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Its weights."""

    def state_dict(self) -> dict[str, Tensor]:
        """Its weights by name."""

    def load_state_dict(self, state_dict: Mapping[str, Tensor], /) -> object:
        """Take weights by name."""

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Say whether weights get gradients."""

    def eval(self) -> Self:
        """Be used, not trained."""

    def to(self, device: torch.device | str, /) -> Self:
        """Move to a device."""


@dataclass(frozen=True)
class Pairs:
    """How a kind's samples are told from their inputs, and put together with them.

    Attributes:
        inputs_of: (stored pairs (..., *stored_shape), form, seed) -> inputs as networks see them.
        read_inputs: (path, form) -> a file's inputs alone, stored, and notes on them.
        form_of_inputs: (form) -> the form of inputs alone, by which `to_tensor` converts them.
        shown: (inputs as networks see them, form) -> the same as samples (..., *form.shape), to
            look at; None where they are nothing like samples.
        kept: (answers, inputs, form) -> answers with what inputs show of them.
        joined: (inputs stored, samples as `to_samples` gives them, form) -> whole pairs as their
            owner has them, and their form.
    """

    inputs_of: Callable[[Samples, Form, int], Tensor]
    read_inputs: Callable[[Path, Form], tuple[Support, list[str]]]
    form_of_inputs: Callable[[Form], Form]
    shown: Callable[[Tensor, Form], Tensor | None]
    kept: Callable[[Tensor, Tensor, Form], Tensor]
    joined: Callable[[Samples, NDArray[Any], Form], tuple[NDArray[Any], Form]]


@dataclass(frozen=True)
class Kind:
    """A row of the table of kinds.

    Attributes:
        fit: (data, training classes, settings) -> the form of the data's samples.
        to_tensor: (stored samples (..., *sample_shape), form) -> (..., *form.shape) float32.
        conversion_facts: Names of the form's facts that `to_tensor` goes by.
        make_inputs: (data, form) -> what gives its samples' inputs; DataError where they have none.
        to_samples: (what networks draw, form) -> samples as their owner's own files have them.
        within: What a generator draws, brought to what samples can be.
        check_support: Refuses, by DataError, a support that is no tensor of floats, or has values
            that no sample has; its shape (W, K, *form.shape) has been looked at.
        check_classes: (classes that Python code hands in, form of the run's) -> the same as stored
            samples; DataError if they are no such samples.
        other_settings: (a run's data settings, form of its samples, layout of other data, names of
            settings that are said of them) -> what changes in the settings to read them alike.
        other_looks: (other data, form of the run's samples, settings that they were read by) -> a
            warning where they look as if they were read in another way, else None.
        other_notes: (notes on other data, names of settings that are said of them) -> those that a
            trained run can follow.
        players: Networks, and the augmentation inside of the discriminator.
        classical: (samples (B, *form.shape), random numbers, word of `evaluate.classical`) ->
            randomly changed copies.
        degraded: (samples (B, *form.shape), random numbers) -> the same in bad quality, so that
            they are hard to tell apart.
        model: (number of classes, form) -> an untrained model of the target's, with weights from
            torch's global generator.
        errors: (answers (Q, *form.shape), what is true, form) -> errors by the names of
            `metagan.evaluate.pairs.measures.WORDS`.
        look: (rows of groups of samples as `to_samples` gives them, form) -> one PNG.
        read: (path, form, settings of data that are said of these files) -> a user's examples, and
            notes on them.
        write: (folder, labels, samples (W, n, ...) as `to_samples` gives them, support (W, K, ...)
            the same, seed, form) -> what was written, in words; the folder is new.
        remark: (form, command: adapt, generate, evaluate or export) -> what is to be known of
            such samples there, as how they differ from what networks take and draw; "" if nothing.
        pairs: How pairs are told apart and put together.
        fillers: (samples that are shown, their inputs, inputs that are asked, form) -> answers
            (Q, *form.shape) of methods that learn from no domain, by name and candidate.
        form_of_before: (settings, data.json) -> the form of a run of an earlier version, which
            kept none; None where there are no such runs.
    """

    fit: Callable[[Dataset, Sequence[int], Any], Form]
    to_tensor: Callable[[Samples, Form], Tensor]
    conversion_facts: frozenset[str]
    make_inputs: Callable[[Dataset, Form], MakeInputs]
    to_samples: Callable[[Tensor, Form], NDArray[Any]]
    within: Callable[[Tensor], Tensor]
    check_support: Callable[[object, Form], None]
    check_classes: Callable[[object, Form], Support]
    other_settings: Callable[[Any, Form, str, Collection[str]], dict[str, Any]]
    other_looks: Callable[[Dataset, Form, Any], str | None]
    other_notes: Callable[[Iterable[str], Collection[str]], list[str]]
    players: MakePlayers
    classical: Callable[[Tensor, np.random.Generator, str], Tensor]
    degraded: Callable[[Tensor, np.random.Generator], Tensor]
    model: Callable[[int, Form], Model]
    errors: Callable[[Tensor, Tensor, Form], dict[str, float]]
    look: Callable[[Sequence[Sequence[NDArray[Any]]], Form], bytes]
    read: Callable[[Path, Form, Mapping[str, Any]], tuple[Support, list[str]]]
    write: Callable[[Path, Sequence[str], NDArray[Any], NDArray[Any], int, Form], str]
    remark: Callable[[Form, str], str]
    pairs: Pairs
    fillers: Callable[[Tensor, Tensor, Tensor, Form], dict[str, dict[str, Tensor]]]
    form_of_before: Callable[[Any, Mapping[str, Any]], Form] | None = None
