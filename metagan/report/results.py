"""Numbers of an evaluation for its tables and charts: accuracies, initializations, quality."""

from collections.abc import Mapping
from typing import Any

from metagan.report.charts import Dot, dot_chart, span_of
from metagan.report.drawing import Chart
from metagan.report.headline import CLASSIFIERS, comparisons, is_closed, shots_of
from metagan.report.values import (
    MINUS,
    SPACE,
    column_decimals,
    estimate,
    estimate_text,
    finite,
    listing,
    percent,
    pick,
    plural,
    plus_minus,
    records,
)

Data = Mapping[str, Any]

TITLES = {
    "downstream": "From scratch",
    "downstream_pretrained": "Fine-tuned",
    "downstream_centroid": "Nearest centroid",
}
ARMS = {
    "none": "Real",
    "classical": "+ classical",
    "generated": "+ generated",
    "both": "+ both",
}
_DIFFERENCES = {"generated": "generated_minus_none", "both": "both_minus_classical"}
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
COMPARED = tuple(m for m in _QUALITY if m[0] not in ("fid", "density", "support_distance"))


def measured(data: Data) -> list[str]:
    """The classifiers with accuracies, as sections of the evaluation."""
    return [section for section, _, _ in CLASSIFIERS if shots_of(pick(data, section))]


def about_accuracy(data: Data) -> str:
    """Sentences on how accuracies were measured, and what they mean."""
    present = measured(data)
    found = [
        value
        for section in present
        for shots in shots_of(data[section])
        for arm in ARMS
        if (value := estimate(pick(data, section, str(shots), arm))) is not None
    ]
    seeds = next((value.seeds for value in found if value.seeds is not None), None)
    intervals = f"; intervals are 95{SPACE}% over {plural(seeds, 'paired seed')}" if seeds else ""
    classes = finite(data.get("num_test_classes"))
    over = f" over up to {plural(int(classes), 'class', 'classes')}" if classes else ""
    beyond = any(value.high is not None and value.high > 1 for value in found)
    return (
        f"Test accuracy{over} of a classifier for each unseen target, trained on the few real "
        "samples alone, with classical augmentation, with generated samples, and with both. "
        f"All arms of a repetition share samples, initial weights and order of batches{intervals}. "
        "Accuracies are in %, gains from generated samples in points; left out: the gate chose to "
        "do without generated samples, and the accuracy is the one without."
        + " Intervals are Student's t; of few seeds near 100 they can end beyond it."
        * beyond
    )


def accuracies(data: Data, section: str, shots: int) -> list[str | None]:
    """The accuracy of every arm, and what generated samples gained."""
    classifier = next(name for key, name, _ in CLASSIFIERS if key == section)
    entry = pick(data, section, str(shots))
    return [
        *(estimate_text(pick(entry, arm)) for arm in ARMS),
        *(
            f"left{SPACE}out"
            if is_closed(data, shots, classifier, arm)
            else estimate_text(pick(entry, difference), signed=True)
            for arm, difference in _DIFFERENCES.items()
        ),
    ]


def gain_chart(data: Data) -> Chart | None:
    """Chart of the gain from generated samples in every comparison."""
    groups: dict[str, list[Dot]] = {}
    for found in comparisons(data):
        label = f"{plural(found.shots, 'shot')}, {arm_name(found.arm)}"
        dot = Dot(label, None, text="left out") if found.closed else Dot(label, found.difference)
        groups.setdefault(TITLES[found.section], []).append(dot)
    unit = f"points of accuracy with 95{SPACE}% interval"
    return dot_chart("Gain from generated samples", groups, signed=True, unit=unit)


def accuracy_charts(data: Data) -> list[Chart | None]:
    """A chart per classifier, all on one axis."""
    charts = {
        f"Accuracy, {TITLES[section].lower()}": {
            plural(shots, "shot"): [
                Dot(
                    name,
                    estimate(pick(data, section, str(shots), arm)),
                    "accent" if arm in _DIFFERENCES else "base",
                )
                for arm, name in ARMS.items()
            ]
            for shots in shots_of(data[section])
        }
        for section in measured(data)
    }
    span = span_of([dot for groups in charts.values() for dots in groups.values() for dot in dots])
    return [dot_chart(title, groups, unit="%", span=span) for title, groups in charts.items()]


def by_inner_steps(data: Data) -> list[tuple[int, list[Data]]]:
    """The compared initializations at each number of inner steps: this run first."""
    rows = records(data.get("comparison"))
    inits = list(dict.fromkeys(str(row.get("init")) for row in rows))
    inits.sort(key=lambda name: (name == "scratch", name != "run"))
    found: dict[int, list[Data]] = {}
    for row in sorted(rows, key=lambda row: inits.index(str(row.get("init")))):
        found.setdefault(int(finite(row.get("adapt_steps")) or 0), []).append(row)
    return sorted(found.items())


def compared(data: Data, row: Data) -> list[str | None]:
    """Measures of quality of an initialization, as many as have room beside each other."""
    return [
        _quality_text(row, key, _kid_decimals(data) if key == "kid" else usual)
        for key, _, _, usual, _ in COMPARED
    ]


def is_paired(data: Data) -> bool:
    """True if differences from this run were measured."""
    return any(estimate(row.get("run_minus")) for row in records(data.get("comparison")))


def _kid_decimals(data: Data) -> int:
    kids = (finite(row.get("kid")) for row in records(data.get("comparison")))
    return column_decimals(kids, digits=4)


def init_name(row: Data) -> str:
    """An initialization in words."""
    name = str(row.get("init"))
    return _INIT_NAMES.get(name, name)


def about_inits(data: Data) -> str:
    """Legend of the table of initializations."""
    first = records(data.get("comparison"))[0]
    shots = finite(first.get("shots"))
    at = f"at {plural(int(shots), 'shot')} " if shots is not None else ""
    paired = f" This run {MINUS} it is paired over repetitions." if is_paired(data) else ""
    return (
        f"The same targets {at}and the same use of generated samples; only the initialization "
        "differs. Accuracy is of the from-scratch classifier on real and generated samples, "
        f"without classical augmentation and without the gate.{paired}"
        + judged_by(
            first.get("extractor_sha256"), pick(data, "source_classifier", "held_out_accuracy")
        )
    )


def kid_sentence(data: Data) -> str:
    """KID of every initialization after the most inner steps."""
    steps, group = by_inner_steps(data)[-1]
    decimals = _kid_decimals(data)
    texts = [
        f"{value} for {init_name(row).lower()}"
        for row in group
        if (value := _quality_text(row, "kid", decimals)) is not None
    ]
    text = (
        f"After {plural(steps, 'inner step')} KID, with its standard error, is {listing(texts)}; "
        "lower is better, and differences within the errors say nothing."
        if texts
        else ""
    )
    if {str(row.get("init")) for row in group} <= {"run", "scratch"}:
        text += (
            " No other training was compared; metagan evaluate --baseline joint=DIR adds a run "
            "that was pre-trained jointly."
        )
    return text.strip()


def init_chart(data: Data) -> Chart | None:
    """Accuracy of every initialization."""
    colours = {"run": "accent", "scratch": "base"}
    groups = {
        plural(steps, "inner step"): [
            Dot(
                init_name(row),
                estimate(row.get("accuracy")),
                colours.get(str(row.get("init")), "second"),
            )
            for row in group
        ]
        for steps, group in by_inner_steps(data)
    }
    dots = [dot for group in groups.values() for dot in group]
    has_intervals = any(dot.value is not None and dot.value.has_interval for dot in dots)
    unit = f"% with 95{SPACE}% interval" if has_intervals else "% in one repetition"
    return dot_chart("Accuracy with generated samples, by initialization", groups, unit=unit)


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


def arm_name(arm: object) -> str:
    """An arm with generated samples in words."""
    return {"generated": "over real", "both": "over classical"}.get(str(arm), str(arm))


def point_gain(gain: float | None, error: float | None, *, signed: bool = False) -> str | None:
    """A gain in points with its standard error."""
    return plus_minus(
        None if gain is None else 100 * gain,
        None if error is None else 100 * error,
        1,
        signed=signed,
    )


def section_title(classifier: object) -> str:
    """A classifier, as choices name it, in words."""
    titles = {name: TITLES[section] for section, name, _ in CLASSIFIERS}
    return titles.get(str(classifier), str(classifier))
