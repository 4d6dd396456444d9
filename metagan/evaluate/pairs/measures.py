"""Errors of answers whose truth is known.

Shapes: Q answers.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from metagan.data.form import Form
from metagan.kinds.registry import find_kind
from metagan.metrics.features import FeatureExtractor

LARGER_IS_BETTER = frozenset({"ssim"})
WORDS = {
    "rmse": "root mean square error",
    "ssim": "structural similarity, 1 for equal pictures",
    "perceptual": "distance in features of a classifier of labels, 0 to 2",
}
"""The measures; the first of an evaluation is the one that the gate goes by."""
UNSEEN = "_unseen"
"""Behind a measure's name: of labels that no training domain has."""


def is_larger_better(measure: str) -> bool:
    """True if larger values of a measure are better."""
    return measure.removesuffix(UNSEEN) in LARGER_IS_BETTER


def gain(measure: str, value: float, other: float) -> float:
    """How much better a value is than another."""
    return value - other if is_larger_better(measure) else other - value


def best(measure: str, values: Mapping[str, float]) -> str:
    """The name with the best value, the first of equals."""
    return max(values, key=lambda name: gain(measure, values[name], 0.0))


def errors(
    drawn: Tensor,
    truth: Tensor,
    known: NDArray[np.bool_],
    form: Form,
    judge: FeatureExtractor | None,
) -> Mapping[str, float]:
    """Every measure of a domain's answers, apart for labels that training domains lack.

    Args:
        drawn: (Q, *sample_shape), NaN where an arm has no answer.
        truth: The same, true.
        known: (Q,) whether training domains have the label.
        form: Of the samples.
        judge: Gives the features of `perceptual`; None: without.
    """
    found = {}
    for which, suffix in ((known, ""), (~known, UNSEEN)):
        a, b = drawn[which], truth[which]
        if len(a) == 0 or a.isnan().any():
            continue
        values = dict(find_kind(form.kind).errors(a, b, form))
        if judge is not None:
            values["perceptual"] = _feature_distance(judge, a, b)
        found.update({name + suffix: value for name, value in values.items()})
    return found


def _feature_distance(judge: FeatureExtractor, drawn: Tensor, truth: Tensor) -> float:
    """Mean distance of the features of answer and truth, scaled to length 1."""
    first, second = (
        features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
        for features in (judge(drawn), judge(truth))
    )
    return float(np.linalg.norm(first - second, axis=1).mean())
