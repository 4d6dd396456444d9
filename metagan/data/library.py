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
"""How strongly weights are held at nothing, for what a generator is told, in units of the mean
squared answer of a domain."""
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
                f"gan.conditioning has library, but the answers of {len(domains)} training domains "
                f"to {len(labels)} labels take {4 * values / 2**30:.1f} GiB in every process, more "
                "than 2; leave library out, or give fewer or smaller samples"
            )
        self._answers = torch.full((len(domains), len(labels), *shape), torch.nan)
        for record, index in zip(records, classes, strict=True):
            place = self._rows[record.domain], self._columns[record.label]
            self._answers[place] = to_tensor(dataset.class_samples(index)).mean(0)
        self._has = ~self._answers.flatten(2).isnan().any(-1)
        self._grams: dict[int, Tensor] = {}

    @property
    def labels(self) -> frozenset[str]:
        """All labels that a training domain has."""
        return frozenset(self._columns)

    @property
    def domains(self) -> tuple[str, ...]:
        """The training domains."""
        return tuple(self._rows)

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
        return self._answers_to(asked, self._fit(shown, shown_labels, without), strengths)

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
        on it. Labels that no domain has are answered by nothing: zeros.

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
        folds = np.arange(len(samples)) % min(_FOLDS, len(samples))
        told = samples.new_empty((len(samples), WAYS * samples.shape[1], *samples.shape[2:]))
        for fold in range(folds.max() + 1):
            rest, part = (np.flatnonzero(side).tolist() for side in (folds != fold, folds == fold))
            fit = self._fit(samples[rest], [shown[i] for i in rest], without)
            told[part] = _joined(self._answers_to([shown[i] for i in part], fit, STRENGTHS))
        whole = self._fit(samples, shown, without)
        return (
            _behind(support, told),
            _behind(query, _joined(self._answers_to(asked, whole, STRENGTHS))),
        )

    def _fit(self, shown: Tensor, labels: Sequence[str], without: str | None) -> "_Fit":
        """Inner products of what domains answer to these labels, and of that with what is shown."""
        kept = self._kept(without)
        columns = [self._columns[label] for label in labels if label in self._columns]
        whole = kept[self._has[kept][:, columns].all(1)] if columns else kept[:0]
        if len(whole) < 2:
            return _Fit(kept, kept[:0], torch.zeros(0, 0), torch.zeros(0))
        gram = torch.stack([self._gram(column) for column in columns]).sum(0)
        known = [i for i, label in enumerate(labels) if label in self._columns]
        answers = self._answers[whole][:, columns].flatten(1).double()
        with_truth = answers @ shown[known].flatten().double()
        return _Fit(kept, whole, gram[whole][:, whole], with_truth)

    def _kept(self, without: str | None) -> Tensor:
        """Rows of all domains but one and its group."""
        group = self._groups.get(without) if without is not None else None
        related = [
            domain != without and (group is None or self._groups[domain] != group)
            for domain in self._rows
        ]
        return torch.tensor(related).nonzero()[:, 0]

    def _gram(self, column: int) -> Tensor:
        """Inner products (S, S) of the domains' answers to a label; 0 of one without."""
        if column not in self._grams:
            answers = self._answers[:, column].flatten(1).double().nan_to_num(0.0)
            self._grams[column] = answers @ answers.T
        return self._grams[column]

    def _answers_to(
        self, labels: Sequence[str], fit: "_Fit", strengths: Sequence[float]
    ) -> Combined:
        shape = self._answers.shape[2:]
        known = [i for i, label in enumerate(labels) if label in self._columns]
        columns = [self._columns[labels[i]] for i in known]
        answers = self._answers[fit.kept][:, columns].double()
        mean = answers.nanmean(0)
        weights, nearest = _weights(fit, strengths)
        rows = torch.isin(fit.kept, fit.whole)
        # Of a label that one lacks it answers the mean of the others.
        differences = (answers[rows] - mean).nan_to_num(0.0)

        def spread(found: Tensor) -> Tensor:
            every = torch.full((len(labels), *shape), torch.nan)
            every[known] = found.float()
            return every

        ridge = {
            strength: spread(mean + torch.tensordot(each, differences, 1))
            for strength, each in zip(strengths, weights, strict=True)
        }
        alone = mean if nearest is None else mean + differences[nearest]
        return Combined(spread(mean), spread(alone), ridge)


class _Fit(NamedTuple):
    """Sums over what is shown.

    Attributes:
        kept: Rows of domains that are not left out.
        whole: Those of them that have all labels that are shown.
        gram: Their answers' inner products with each other.
        truth: And with what is shown.
    """

    kept: Tensor
    whole: Tensor
    gram: Tensor
    truth: Tensor


def _weights(fit: _Fit, strengths: Sequence[float]) -> tuple[Tensor, int | None]:
    """Weights (strengths, whole) of the ridge, and which domain is nearest; 0 and None of none."""
    size = len(fit.whole)
    if not size:
        return torch.zeros(len(strengths), 0, dtype=torch.float64), None
    nearest = int((fit.gram.diagonal() - 2 * fit.truth).argmin())
    of_mean = fit.gram.mean(1)
    centred = fit.gram - of_mean - of_mean[:, None] + of_mean.mean()
    right = fit.truth - of_mean
    right = right - right.mean()
    unit = float(centred.diagonal().mean()) or 1.0
    held = torch.tensor(strengths, dtype=torch.float64)[:, None, None] * unit * torch.eye(size)
    factor, _ = torch.linalg.cholesky_ex(centred + held)
    found = torch.cholesky_solve(right.expand(len(strengths), size)[..., None], factor)
    return found[..., 0], nearest


def _joined(answers: Combined) -> Tensor:
    """(n, J C, ...): every way to combine, one behind the other."""
    return torch.cat([answers.mean, *answers.ridge.values(), answers.nearest], dim=1)


def _behind(half: Half, channels: Tensor) -> Half:
    assert half.inputs is not None, "of pairs"
    return Half(half.samples, torch.cat([half.inputs, channels.nan_to_num(0.0)[None]], dim=2))


def told_form(form: Form) -> Form:
    """The form of samples whose inputs have a library's answers behind them."""
    first, *rest = form.given
    return Form(form.kind, form.shape, form.facts, (first + WAYS * form.shape[0], *rest))
