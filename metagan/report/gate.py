"""What the do-no-harm gate chose, and the validation gains that it chose by."""

import math
from collections.abc import Mapping
from typing import Any

from metagan.report.headline import CLASSIFIERS, GENERATED_ARMS, choice_of
from metagan.report.html import Child, el
from metagan.report.results import TITLES, arm_name
from metagan.report.tables import Column, Row, plus_minus, table
from metagan.report.values import SPACE, count, finite, fixed, percent, plural, records

Data = Mapping[str, Any]


def gate_section(data: Data) -> list[Child]:
    """The choices with their reasons, and the whole validation table folded away."""
    shots = sorted(
        {
            int(number)
            for choice in records(data.get("choices"))
            if (number := finite(choice.get("shots"))) is not None
        }
    )
    rows = []
    for number in shots:
        first = True
        for section, classifier, _ in CLASSIFIERS:
            for arm, _, _, _ in GENERATED_ARMS:
                choice = choice_of(data, number, classifier, arm)
                if choice is None:
                    continue
                cells = [
                    str(number),
                    TITLES[section],
                    arm_name(arm),
                    *_decision(data, choice, number, classifier, arm),
                ]
                rows.append(Row(cells, is_first=first))
                first = False
    if not rows:
        return [el("p", "The evaluation holds no choices.", class_="muted")]
    return [
        el(
            "p",
            "How many inner steps, how many generated samples, and whether to use any at all is "
            "decided on validation domains. The candidate with the largest mean gain is used if "
            "that gain exceeds its own standard error; otherwise generated samples are left out, "
            "and the classifier is the one without them.",
        ),
        table(
            "Choices",
            [
                Column("Shots"),
                Column("Classifier", False),
                Column("Gain counted", False),
                Column("Decision", False, prose=True),
                Column("Inner steps"),
                Column("Generated share"),
                Column("Per real"),
                Column("Validation gain, points"),
            ],
            rows,
            about="The gain is a mean \u00b1 standard error over repetitions on validation "
            "domains; of arms that were left out it is that of the best candidate. The share is "
            "of each batch; per real is the number of generated samples for each real one.",
        ),
        _own_checks(data),
        _validation(data),
    ]


def _own_checks(data: Data) -> Child:
    """What a target from other data said of the choices, on its own samples."""
    titles = {classifier: TITLES[section] for section, classifier, _ in CLASSIFIERS}
    rows = [
        Row(
            [
                count(row.get("shots")),
                titles.get(str(row.get("classifier")), str(row.get("classifier"))),
                arm_name(row.get("arm")),
                f"{count(row.get('kept'))} of {count(row.get('asked'))}",
            ]
        )
        for row in records(data.get("own_checks"))
    ]
    if not rows:
        return None
    return table(
        "What the target's own samples said",
        [
            Column("Shots"),
            Column("Classifier", False),
            Column("Gain counted", False),
            Column("Kept in repetitions"),
        ],
        rows,
        about="This target is not drawn as the validation domains are, so a choice is used only "
        "where it gains on the target's own samples, too: some shots held out, the others "
        "trained on, the mean gain above its standard error over such folds. Where it does not, "
        "the classifier is the one without generated samples.",
    )


def _decision(data: Data, choice: Data, shots: int, classifier: str, arm: str) -> list[Child]:
    """Cells: the decision, inner steps, share, samples per real one, gain on validation."""
    if choice.get("closed") is True:
        best = _best_gain(data, shots, classifier, arm)
        if best is None:
            return ["left out", None, None, None, None]
        reason = "no candidate helped" if best[0] <= 0 else "gain within its standard error"
        return [f"left out: {reason}", None, None, None, _gain(*best)]
    gain = finite(choice.get("validation_gain"))
    return [
        el("b", "used"),
        count(choice.get("adapt_steps")),
        percent(finite(choice.get("share")), decimals=0),
        count(choice.get("per_real")),
        None if gain is None else _gain(gain, finite(choice.get("validation_stderr"))),
    ]


def _gain(gain: float, error: float | None) -> Child:
    shown = [fixed(100 * gain, 1, signed=True)]
    if error is not None:
        return [*shown, el("span", f" \u00b1 {fixed(100 * error, 1)}", class_="ends")]
    return shown


def _best_gain(
    data: Data, shots: int, classifier: str, arm: str
) -> tuple[float, float | None] | None:
    found = [
        summary
        for row in records(data.get("validation"))
        if finite(row.get("shots")) == shots
        and (row.get("classifier"), row.get("arm")) == (classifier, arm)
        and (summary := _mean_and_error(row.get("gains"))) is not None
    ]
    return max(found, key=lambda pair: pair[0], default=None)


def _mean_and_error(values: object) -> tuple[float, float | None] | None:
    """Mean and standard error of the finite values; no error of a single one."""
    numbers = (
        [n for v in values if (n := finite(v)) is not None] if isinstance(values, list) else []
    )
    if not numbers:
        return None
    mean = math.fsum(numbers) / len(numbers)
    if len(numbers) == 1:
        return mean, None
    variance = math.fsum((n - mean) ** 2 for n in numbers) / (len(numbers) - 1)
    return mean, math.sqrt(variance / len(numbers))


def _validation(data: Data) -> Child:
    titles = {classifier: TITLES[section] for section, classifier, _ in CLASSIFIERS}
    rows = []
    for row in records(data.get("validation")):
        summary = _mean_and_error(row.get("gains"))
        mean, error = (None, None) if summary is None else summary
        rows.append(
            Row(
                [
                    count(row.get("shots")),
                    titles.get(str(row.get("classifier")), str(row.get("classifier"))),
                    arm_name(row.get("arm")),
                    count(row.get("adapt_steps")),
                    percent(finite(row.get("share")), decimals=0),
                    count(row.get("per_real")),
                    plus_minus(
                        None if mean is None else 100 * mean,
                        None if error is None else 100 * error,
                        1,
                    ),
                ]
            )
        )
    if not rows:
        return None
    return el(
        "details",
        el("summary", f"All {plural(len(rows), 'candidate')} on validation"),
        table(
            "Candidates on validation",
            [
                Column("Shots"),
                Column("Classifier", False),
                Column("Gain counted", False),
                Column("Inner steps"),
                Column("Generated share"),
                Column("Per real"),
                Column("Gain, points"),
            ],
            rows,
            about=f"Mean \u00b1 standard error over repetitions; the share is of each{SPACE}batch.",
        ),
    )
