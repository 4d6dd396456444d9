"""Numbers of an evaluation for its tables: accuracies, initializations, choices, quality."""

import itertools
import math
from collections.abc import Mapping
from statistics import fmean, stdev
from typing import Any

from metagan.report.charts import Chart, dot_chart
from metagan.report.headline import (
    ARMS,
    CLASSIFIERS,
    Classifier,
    comparisons,
    is_closed,
    shots_of,
)
from metagan.report.values import (
    MINUS,
    SPACE,
    Estimate,
    count,
    estimate_text,
    finite,
    percent,
    pick,
    plural,
    plus_minus,
    records,
)

Data = Mapping[str, Any]
Cells = list[str | None]

_ACCURACIES = ("none", "classical", "generated", "both")
_INIT_NAMES = {"run": "This run", "joint": "Joint pre-training", "scratch": "Untrained (scratch)"}
_QUALITY = (
    ("kid", "KID", "lower", 4,
     "Kernel distance between generated and real samples, unbiased; 0 is perfect."),
    ("fid", "FID", "lower", 2,
     "Fr\u00e9chet distance; comparable only at equal numbers of samples."),
    ("precision", "Precision", "higher", 3, "Share of generated samples that look real."),
    ("recall", "Recall", "higher", 3, "Share of real samples that generated ones reach."),
    ("density", "Density", "about 1", 3, "As precision, but robust to outliers."),
    ("coverage", "Coverage", "higher", 3, "As recall, but robust to outliers."),
    ("diversity", "Diversity", "about 1", 2,
     "Mean distance inside a class, generated over real."),
    ("copies", "Copies", "at most 0.01", 3,
     "Share of generated samples as close to a given one as the nearest 1\u00a0% of unseen real "
     "samples."),
    ("support_distance", "Support distance", "about 1", 2,
     "Median distance to the nearest given sample, generated over real."),
)  # fmt: skip
# As many as have room beside each other; the rest of each row is in evaluation.json.
_COMPARED = tuple(m for m in _QUALITY if m[0] not in ("fid", "density", "support_distance"))


def measured(data: Data) -> list[Classifier]:
    """The classifiers with accuracies."""
    return [classifier for classifier in CLASSIFIERS if shots_of(pick(data, classifier.section))]


def about_accuracy(data: Data) -> str:
    """Sentences on how accuracies were measured, and what they mean."""
    seeds = next((c.difference.seeds for c in comparisons(data) if c.difference.seeds), None)
    over_seeds = f" over {plural(seeds, 'paired seed')}" if seeds else ""
    classes = finite(data.get("num_test_classes"))
    over = f" over up to {plural(int(classes), 'class', 'classes')}" if classes else ""
    return (
        f"Test accuracy{over} of a classifier for each unseen target, trained on the few real "
        "samples alone, with classical augmentation, with generated samples, and with both. "
        "All arms of a repetition share samples, initial weights and order of batches; brackets "
        f"hold 95{SPACE}% intervals{over_seeds} (Student's t; of few seeds near 100 they can end "
        "beyond it). Accuracies are in %, gains from generated samples in points; left out: the "
        "gate chose to do without generated samples, and the accuracy is the one without."
    )


def accuracies(data: Data, classifier: Classifier) -> list[list[Any]]:
    """For each number of shots the accuracy of every arm, and what generated samples gained."""
    return [
        [
            shots,
            *(estimate_text(pick(entry, arm)) for arm in _ACCURACIES),
            *(
                f"left{SPACE}out"
                if is_closed(data, shots, classifier, arm)
                else estimate_text(pick(entry, arm.difference), signed=True)
                for arm in ARMS
            ),
        ]
        for shots in shots_of(pick(data, classifier.section))
        for entry in [pick(data, classifier.section, str(shots))]
    ]


def gain_chart(data: Data) -> Chart | None:
    """Chart of the gain from generated samples in every comparison."""
    rows: list[tuple[str, Estimate | str]] = []
    for classifier, group in itertools.groupby(comparisons(data), lambda found: found.classifier):
        rows.append((classifier.title, ""))
        for found in group:
            label = f"{plural(found.shots, 'shot')}, {found.arm.over}"
            rows.append((label, "left out" if found.closed else found.difference))
    unit = f"points of accuracy with 95{SPACE}% interval"
    return dot_chart("Gain from generated samples", rows, unit=unit)


def initializations(data: Data) -> list[Cells]:
    """Each compared initialization at each number of inner steps: this run first."""
    rows = records(data.get("comparison"))
    inits = list(dict.fromkeys(str(row.get("init")) for row in rows))
    inits.sort(key=lambda name: (name == "scratch", name != "run"))
    rows.sort(key=lambda r: (finite(r.get("adapt_steps")) or 0.0, inits.index(str(r.get("init")))))
    return [
        [
            _INIT_NAMES.get(name := str(row.get("init")), name),
            count(row.get("adapt_steps")),
            estimate_text(row.get("accuracy")),
            estimate_text(row.get("run_minus"), signed=True),
            *(_quality_text(row, key, decimals) for key, _, _, decimals, _ in _COMPARED),
        ]
        for row in rows
    ]


def about_inits(data: Data) -> str:
    """Legend of the table of initializations."""
    rows = records(data.get("comparison"))
    first = rows[0] if rows else {}
    shots = finite(first.get("shots"))
    at = f"at {plural(int(shots), 'shot')} " if shots is not None else ""
    alone = {str(row.get("init")) for row in rows} <= {"run", "scratch"}
    return (
        f"The same targets {at}and the same use of generated samples; only the initialization "
        "differs. Accuracy is of the from-scratch classifier on real and generated samples, "
        f"without classical augmentation and without the gate. This run {MINUS} it is paired over "
        "repetitions. KID is given with its standard error; lower is better, and differences "
        "within the errors say nothing."
        + judged_by(
            first.get("extractor_sha256"), pick(data, "source_classifier", "held_out_accuracy")
        )
        + " No other training was compared; metagan evaluate --baseline joint=DIR adds a run that "
        "was pre-trained jointly." * alone
    )


def choices(data: Data) -> list[Cells]:
    """The gate's choices with their reasons, by number of shots."""
    found = sorted(records(data.get("choices")), key=lambda row: finite(row.get("shots")) or 0.0)
    return [[*_place(choice), *_decision(data, choice)] for choice in found]


def _decision(data: Data, choice: Data) -> Cells:
    """Cells: the decision, inner steps, share, samples per real one, gain on validation."""
    if choice.get("closed") is not True:
        gain, error = finite(choice.get("validation_gain")), finite(choice.get("validation_stderr"))
        return ["used", *_use(choice), _points(gain, error, signed=True)]
    found = [
        (mean, error)
        for row in records(data.get("validation"))
        if all(row.get(key) == choice.get(key) for key in ("shots", "classifier", "arm"))
        for mean, error in [_mean_and_error(row.get("gains"))]
        if mean is not None
    ]
    if not found:
        return ["left out", None, None, None, None]
    best, error = max(found, key=lambda pair: pair[0])
    reason = "no candidate helped" if best <= 0 else "gain within its standard error"
    return [f"left out: {reason}", None, None, None, _points(best, error, signed=True)]


def own_checks(data: Data) -> list[Cells]:
    """Rows on how often a target from other data kept a choice, judged by its own samples."""
    return [
        [*_place(row), f"{count(row.get('kept'))} of {count(row.get('asked'))}"]
        for row in records(data.get("own_checks"))
    ]


def candidates(data: Data) -> list[Cells]:
    """Everything that was tried on validation."""
    return [
        [*_place(row), *_use(row), _points(*_mean_and_error(row.get("gains")))]
        for row in records(data.get("validation"))
    ]


def _place(row: Data) -> list[str]:
    titles = {classifier.name: classifier.title for classifier in CLASSIFIERS}
    gains = {arm.name: arm.over for arm in ARMS}
    classifier, arm = str(row.get("classifier")), str(row.get("arm"))
    return [count(row.get("shots")), titles.get(classifier, classifier), gains.get(arm, arm)]


def _use(row: Data) -> list[str]:
    """Use of generated samples in words: inner steps, share of a batch, samples per real one."""
    share = percent(finite(row.get("share")), decimals=0)
    return [count(row.get("adapt_steps")), share, count(row.get("per_real"))]


def _points(gain: float | None, error: float | None, **sign: bool) -> str | None:
    """A gain in points with its standard error."""
    gain, error = (None if value is None else 100 * value for value in (gain, error))
    return plus_minus(gain, error, 1, **sign)


def _mean_and_error(values: object) -> tuple[float | None, float | None]:
    """Mean and standard error of the finite values; no error of a single one."""
    listed = values if isinstance(values, list) else []
    numbers = [number for value in listed if (number := finite(value)) is not None]
    if not numbers:
        return None, None
    error = stdev(numbers) / math.sqrt(len(numbers)) if len(numbers) > 1 else None
    return fmean(numbers), error


def quality(found: Data) -> list[list[str | None]]:
    """Each measure with its value, what is better, and what it means."""
    return [
        [name, _quality_text(found, key, decimals), better, meaning]
        for key, name, better, decimals, meaning in _QUALITY
    ]


def _quality_text(row: Data, key: str, decimals: int) -> str | None:
    error = finite(row.get("kid_stderr")) if key == "kid" else None
    return plus_minus(finite(row.get(key)), error, decimals)


def judged_by(sha256: object, accuracy: object) -> str:
    """Sentence on the classifier whose features scores are in; its hash stands beside them."""
    held_out = finite(accuracy)
    if not isinstance(sha256, str) or held_out is None:
        return ""
    return (
        f" The features are those of a classifier trained on the source domains, {sha256[:12]}, "
        f"whose held-out accuracy is {percent(held_out)}; numbers of another one do not compare."
    )
