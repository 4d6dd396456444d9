"""The do-no-harm gate: how generated samples are used, decided on validation tasks alone.

Generated samples are used only where they helped on domains that neither the GAN nor the decision
was trained on; where none of the candidates did, the choice is not to use them, and the target's
classifier is then bit for bit the one without.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metagan.config.settings import EvaluateConfig
from metagan.evaluate.downstream import Arm, Classifier, Mix

# What each generated arm must beat.
BASELINE: Mapping[Arm, Arm] = {"generated": "none", "both": "classical"}


@dataclass(frozen=True)
class Candidate:
    """One way to use the GAN: inner steps on the target, and how samples are mixed."""

    adapt_steps: int
    mix: Mix


@dataclass(frozen=True)
class Choice:
    """The gate's choice for one arm of one classifier at one number of shots.

    Attributes:
        candidate: The best candidate, or one with share 0 if none helped.
        gain: Its mean accuracy gain over the baseline on validation; 0 if none helped.
        stderr: Standard error of that gain over validation repetitions.
        rejected: Whether the gate refused all candidates.
    """

    candidate: Candidate
    gain: float
    stderr: float
    rejected: bool


def candidates(config: EvaluateConfig) -> list[Candidate]:
    """Every combination of the settings that uses generated samples."""
    return [
        Candidate(steps, Mix(share, per_real))
        for steps, share, per_real in itertools.product(
            config.adapt_steps, config.mix, config.generated_per_real
        )
        if share > 0
    ]


def choose(gains: Mapping[Candidate, Sequence[float]]) -> Choice:
    """The candidate with the largest mean gain, if that is above its own standard error.

    Args:
        gains: Per candidate, accuracy minus the baseline's, one per validation repetition.
    """
    nothing = Choice(Candidate(0, Mix(0.0, 0)), 0.0, 0.0, True)
    if not gains:
        return nothing
    best = max(gains, key=lambda candidate: float(np.mean(gains[candidate])))
    values = np.asarray(gains[best], np.float64)
    mean = float(values.mean())
    stderr = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    if not mean > stderr:
        return nothing
    return Choice(best, mean, stderr, False)


ChoiceKey = tuple[int, Classifier, Arm]
