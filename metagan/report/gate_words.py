"""Choices of the do-no-harm gate, and the validation gains that it chose by."""

import math
from collections.abc import Mapping
from typing import Any

from metagan.report.headline import CLASSIFIERS, GENERATED_ARMS, choice_of
from metagan.report.results import arm_name, point_gain, section_title
from metagan.report.values import count, finite, percent, records

Data = Mapping[str, Any]


Cells = list[str | None]


def choices(data: Data) -> list[list[Cells]]:
    """Every choice with its reason, for each number of shots."""
    shots = {
        int(number)
        for choice in records(data.get("choices"))
        if (number := finite(choice.get("shots"))) is not None
    }
    return [
        [
            [
                str(number),
                section_title(classifier),
                arm_name(arm),
                *_decision(data, choice, number, classifier, arm),
            ]
            for _, classifier, _ in CLASSIFIERS
            for arm, _, _, _ in GENERATED_ARMS
            if (choice := choice_of(data, number, classifier, arm)) is not None
        ]
        for number in sorted(shots)
    ]


def _decision(data: Data, choice: Data, shots: int, classifier: str, arm: str) -> Cells:
    """Cells: the decision, inner steps, share, samples per real one, gain on validation."""
    if choice.get("closed") is True:
        found = [
            summary
            for row in records(data.get("validation"))
            if finite(row.get("shots")) == shots
            and (row.get("classifier"), row.get("arm")) == (classifier, arm)
            and (summary := _mean_and_error(row.get("gains")))[0] is not None
        ]
        if not found:
            return ["left out", None, None, None, None]
        best, error = max(found, key=lambda pair: pair[0] or 0.0)
        reason = "no candidate helped" if (best or 0) <= 0 else "gain within its standard error"
        return [f"left out: {reason}", None, None, None, point_gain(best, error, signed=True)]
    gain, error = finite(choice.get("validation_gain")), finite(choice.get("validation_stderr"))
    return ["used", *_use(choice), point_gain(gain, error, signed=True)]


def _use(row: Data) -> list[str]:
    """Use of generated samples in words: inner steps, share of a batch, samples per real one."""
    share = percent(finite(row.get("share")), decimals=0)
    return [count(row.get("adapt_steps")), share, count(row.get("per_real"))]


def _mean_and_error(values: object) -> tuple[float | None, float | None]:
    """Mean and standard error of the finite values; no error of a single one."""
    listed = values if isinstance(values, list) else []
    numbers = [number for value in listed if (number := finite(value)) is not None]
    if not numbers:
        return None, None
    mean = math.fsum(numbers) / len(numbers)
    if len(numbers) == 1:
        return mean, None
    variance = math.fsum((n - mean) ** 2 for n in numbers) / (len(numbers) - 1)
    return mean, math.sqrt(variance / len(numbers))


def own_checks(data: Data) -> list[Cells]:
    """Rows on how often a target from other data kept a choice, judged by its own samples."""
    return [
        [*_place(row), f"{count(row.get('kept'))} of {count(row.get('asked'))}"]
        for row in records(data.get("own_checks"))
    ]


def candidates(data: Data) -> list[Cells]:
    """Everything that was tried on validation."""
    return [
        [*_place(row), *_use(row), point_gain(*_mean_and_error(row.get("gains")))]
        for row in records(data.get("validation"))
    ]


def _place(row: Data) -> list[str]:
    return [count(row.get("shots")), section_title(row.get("classifier")), arm_name(row.get("arm"))]
