"""Answers of training domains to the same inputs, combined on what is shown of another domain.

It is the simplest rival of a generator that answers inputs: where inputs have labels that domains
share, a new domain may be little more than a mixture of known ones. A generator that is told what
the library answers can only add to it.

Shapes: S domains, K samples that are shown, Q labels that are asked, J = 5 ways to combine.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metagan.data.dataset import DataError, Dataset, Samples
from metagan.data.form import Form
from metagan.data.tasks import Half

STRENGTHS = (0.03, 0.3, 3.0)
"""How strongly weights are held at nothing, for what a generator is told, in units of a domain's
mean square difference from the mean over domains."""
WAYS = 2 + len(STRENGTHS)
"""J: the mean over domains, ridge at every strength, the nearest domain."""
# What is shown is answered from the rest of it, in so many parts, each left out in turn.
_FOLDS = 5
_MOST_BYTES = 2**31


class Combined(NamedTuple):
    """Answers to what is asked, (Q, *sample_shape) each; NaN for labels that no domain has."""

    mean: Tensor
    nearest: Tensor
    ridge: Mapping[float, Tensor]


class Library:
    """The answers of training domains by label: of several samples of a label, their mean."""

    def __init__(
        self, dataset: Dataset, classes: Sequence[int], to_tensor: Callable[[Samples], Tensor]
    ) -> None:
        """Convert all answers once.

        Args:
            dataset: All samples.
            classes: Of training.
            to_tensor: From stored samples to what networks see.

        Raises:
            DataError: If they take more than 2 GiB of memory.
        """
        records = [dataset.classes[index] for index in classes]
        domains = list(dict.fromkeys(record.domain for record in records))
        self._groups = {record.domain: record.group for record in records}
        self._rows = {domain: row for row, domain in enumerate(domains)}
        labels = sorted({record.label for record in records})
        self._columns = {label: column for column, label in enumerate(labels)}
        shape = tuple(to_tensor(dataset.samples[:1]).shape[1:])
        values = len(domains) * len(labels) * (int(np.prod(shape)) + 2 * len(domains))
        if 4 * values > _MOST_BYTES:
            raise DataError(
                f"the answers of {len(domains)} training domains to {len(labels)} labels take "
                f"{4 * values / 2**30:.1f} GiB in every process, more than 2; give smaller "
                "samples, or fewer training domains or labels"
            )
        # A label's answers lie together: one product combines them in every way.
        self._answers = torch.zeros(len(labels), len(domains), *shape)
        self._has = torch.zeros(len(labels), len(domains), dtype=torch.bool)
        for record, index in zip(records, classes, strict=True):
            place = self._columns[record.label], self._rows[record.domain]
            self._answers[place] = to_tensor(dataset.class_samples(index)).mean(0)
            self._has[place] = True
        self._grams: dict[int, Tensor] = {}

    @property
    def labels(self) -> frozenset[str]:
        """All labels that a training domain has."""
        return frozenset(self._columns)

    @property
    def domains(self) -> tuple[str, ...]:
        """The training domains."""
        return tuple(self._rows)

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, list[str]]:
        """Answers (count, *sample_shape) of domains drawn at random, to labels drawn alike."""
        names = list(self._columns)
        columns = rng.integers(len(names), size=count)
        rows = [rng.choice(np.flatnonzero(self._has[column])) for column in columns]
        found = self._answers[torch.from_numpy(columns), torch.from_numpy(np.array(rows))]
        return found, [names[column] for column in columns]

    def combined(
        self,
        shown: Tensor,
        shown_labels: Sequence[str],
        asked: Sequence[str],
        *,
        strengths: Sequence[float],
        without: str | None = None,
    ) -> Combined:
        """Answers to labels, combined on what is shown.

        The ridge over domains minimises the squared error on what is shown, with weights on each
        domain's difference from the mean over domains that are held at 0.

        Args:
            shown: (K, *sample_shape).
            shown_labels: K labels; what no domain has is not fitted on.
            asked: Q labels.
            strengths: Of the ridge.
            without: A training domain that is left out, with all of its group.
        """
        (fit,) = self._fits(shown, shown_labels, [[]], without)
        found = self._answers_to(asked, fit, strengths)
        return Combined(
            found[:, 0], found[:, -1], dict(zip(strengths, found[:, 1:-1].unbind(1), strict=True))
        )

    def beside(
        self,
        support: Half,
        query: Half,
        shown: Sequence[str],
        asked: Sequence[str],
        *,
        without: str | None = None,
    ) -> tuple[Half, Half]:
        """Pairs whose inputs have behind them what the library answers to the same.

        Each sample that is shown is answered from the others: what is told of it is never fitted
        on it. Labels that no domain has are answered by the input itself.

        Args:
            support: (1, K, ...), what is shown.
            query: (1, Q, ...), what is asked.
            shown: K labels.
            asked: Q labels.
            without: A training domain that is left out, with all of its group.

        Returns:
            Both with inputs (1, n, given + J C, ...), C the first axis of a sample.
        """
        samples = support.samples[0]
        parts = [
            list(range(len(samples)))[fold :: min(_FOLDS, len(samples))]
            for fold in range(min(_FOLDS, len(samples)))
        ]
        whole, *fits = self._fits(samples, shown, [[], *parts], without)
        told = samples.new_empty((len(samples), WAYS, *samples.shape[1:]))
        for part, fit in zip(parts, fits, strict=True):
            told[part] = self._answers_to([shown[i] for i in part], fit, STRENGTHS)
        return (
            _behind(support, told.flatten(1, 2)),
            _behind(query, self._answers_to(asked, whole, STRENGTHS).flatten(1, 2)),
        )

    def _fits(
        self,
        shown: Tensor,
        labels: Sequence[str],
        parts: Sequence[Sequence[int]],
        without: str | None,
    ) -> "list[_Fit]":
        """Sums that weights are found by, for each part of what is shown that is left out."""
        group = self._groups.get(without) if without is not None else None
        kept = torch.tensor(
            [
                domain != without and (group is None or self._groups[domain] != group)
                for domain in self._rows
            ]
        )
        known = {i: self._columns[x] for i, x in enumerate(labels) if x in self._columns}
        whole = (kept & self._has[list(known.values())].all(0)).nonzero()[:, 0]
        if not known or len(whole) < 2:
            return [_Fit(kept, whole[:0], torch.zeros(0, 0), torch.zeros(0))] * len(parts)
        grams = {i: self._gram(column) for i, column in known.items()}
        truths = {
            i: (self._answers[column].flatten(1) @ shown[i].flatten()).double()
            for i, column in known.items()
        }
        gram, truth = (torch.stack(list(s.values())).sum(0) for s in (grams, truths))
        fits = []
        for part in parts:
            left, less = gram, truth
            for i in set(part) & known.keys():
                left, less = left - grams[i], less - truths[i]
            if len(known.keys() - set(part)) == 0:
                fits.append(_Fit(kept, whole[:0], torch.zeros(0, 0), torch.zeros(0)))
            else:
                fits.append(_Fit(kept, whole, left[whole][:, whole], less[whole]))
        return fits

    def _gram(self, column: int) -> Tensor:
        """Inner products (S, S) of the domains' answers to a label; 0 of one without."""
        if column not in self._grams:
            answers = self._answers[column].flatten(1).double()
            self._grams[column] = answers @ answers.T
        return self._grams[column]

    def _answers_to(self, labels: Sequence[str], fit: "_Fit", strengths: Sequence[float]) -> Tensor:
        """(n, 2 + strengths, *sample_shape): the mean, the ridge at each, the nearest; or NaN."""
        shape = self._answers.shape[2:]
        found = torch.full((len(labels), 2 + len(strengths), *shape), torch.nan)
        weights = _weights(fit, strengths)
        for place, label in enumerate(labels):
            if label not in self._columns:
                continue
            column = self._columns[label]
            has = fit.kept & self._has[column]
            if not has.any():
                continue
            # Of a label that a domain lacks it answers the mean of the others.
            mean = has.double() / has.sum()
            lacking = (weights * ~has).sum(1)
            each = weights * has + (1 - weights.sum(1) + lacking)[:, None] * mean
            answers = self._answers[column].flatten(1)
            found[place] = (torch.cat([mean[None], each]).float() @ answers).reshape(-1, *shape)
        return found


class _Fit(NamedTuple):
    """Sums over what is shown.

    Attributes:
        kept: (S,) whether a domain takes part.
        whole: Rows of those that do and have all labels that are shown.
        gram: Their answers' inner products with each other.
        truth: And with what is shown.
    """

    kept: Tensor
    whole: Tensor
    gram: Tensor
    truth: Tensor


def _weights(fit: _Fit, strengths: Sequence[float]) -> Tensor:
    """Weights (strengths + 1, S): of the ridge on differences from the mean, and of the nearest."""
    found = torch.zeros(len(strengths) + 1, len(fit.kept), dtype=torch.float64)
    size = len(fit.whole)
    if not size:
        return found
    found[-1, fit.whole[int((fit.gram.diagonal() - 2 * fit.truth).argmin())]] = 1
    of_mean = fit.gram.mean(1)
    centred = fit.gram - of_mean - of_mean[:, None] + of_mean.mean()
    right = fit.truth - of_mean
    right = right - right.mean()
    unit = float(centred.diagonal().mean()) or 1.0
    for row, strength in enumerate(strengths):
        held = centred + strength * unit * torch.eye(size, dtype=torch.float64)
        factor, _ = torch.linalg.cholesky_ex(held)
        found[row, fit.whole] = torch.cholesky_solve(right[:, None], factor)[:, 0]
    return found


def _behind(half: Half, channels: Tensor) -> Half:
    assert half.inputs is not None, "of pairs"
    inputs = half.inputs[0]
    repeated = torch.cat([inputs] * WAYS, dim=1)
    answered = torch.where(channels.isnan(), repeated, channels)
    return Half(half.samples, torch.cat([inputs, answered], dim=1)[None])


def told_form(form: Form) -> Form:
    """The form of samples whose inputs have a library's answers behind them."""
    first, *rest = form.given
    return Form(form.kind, form.shape, form.facts, (first + WAYS * form.shape[0], *rest))
