"""Accuracies on unseen domains, the comparison of initializations, the gate, and quality."""

from collections.abc import Mapping, Sequence
from typing import Any

from metagan.report.charts import Dot, dot_chart, span_of
from metagan.report.headline import CLASSIFIERS, comparisons, is_closed, shots_of
from metagan.report.html import Child, Html, el
from metagan.report.tables import Column, Row, estimate_cell, plus_minus, table
from metagan.report.values import (
    MINUS,
    SPACE,
    column_decimals,
    count,
    estimate,
    finite,
    fixed,
    listing,
    percent,
    pick,
    plural,
    records,
)

Data = Mapping[str, Any]

TITLES = {
    "downstream": "From scratch",
    "downstream_pretrained": "Fine-tuned",
    "downstream_centroid": "Nearest centroid",
}
_ABOUT = {
    "downstream": "A small network trained on the target's few samples alone.",
    "downstream_pretrained": "The same network, pre-trained on the source domains, then fine-tuned "
    "on the target.",
    "downstream_centroid": "Nearest class mean in the features of the source classifier; nothing "
    "is trained on the target.",
}
_ARMS = (("none", "Real"), ("classical", "+ classical"), ("generated", "+ generated"),
         ("both", "+ both"))  # fmt: skip
_DIFFERENCES = (
    ("generated_minus_none", "generated", "Gain over real"),
    ("both_minus_classical", "both", "Gain over classical"),
)
INIT_NAMES = {"run": "This run", "joint": "Joint pre-training", "scratch": "Untrained (scratch)"}
_QUALITY = (
    ("kid", "KID", "lower", 4),
    ("fid", "FID", "lower", 2),
    ("precision", "Precision", "higher", 3),
    ("recall", "Recall", "higher", 3),
    ("density", "Density", "about 1", 3),
    ("coverage", "Coverage", "higher", 3),
    ("diversity", "Diversity", "about 1", 2),
    ("copies", "Copies", "at most 0.01", 3),
)
# As many as have room beside each other; the rest of each row is in evaluation.json.
_COMPARED = tuple(measure for measure in _QUALITY if measure[0] not in ("fid", "density"))
_MEANING = {
    "kid": "Kernel distance between generated and real samples, unbiased; 0 is perfect.",
    "fid": "Fr\u00e9chet distance; comparable only at equal numbers of samples.",
    "precision": "Share of generated samples that look real.",
    "recall": "Share of real samples that generated ones reach.",
    "density": "As precision, but robust to outliers.",
    "coverage": "As recall, but robust to outliers.",
    "diversity": "Mean distance inside a class, generated over real.",
    "copies": "Share of generated samples as close to a given one as the nearest 1\u00a0% of "
    "unseen real samples.",
    "support_distance": "Median distance to the nearest given sample, generated over real.",
}


def accuracy_section(data: Data) -> list[Child]:
    """A table per classifier, and all of them in charts."""
    present = [section for section, _, _ in CLASSIFIERS if shots_of(pick(data, section))]
    if not present:
        return [el("p", "The evaluation holds no accuracies.", class_="muted")]
    seeds = _seeds(data, present)
    about = f"intervals are 95{SPACE}% over {plural(seeds, 'paired seed')}" if seeds else ""
    classes = finite(data.get("num_test_classes"))
    over = f" over up to {plural(int(classes), 'class', 'classes')}" if classes else ""
    return [
        el(
            "p",
            f"Test accuracy{over} of a classifier for each unseen target, trained on the few real "
            "samples alone, with classical augmentation, with generated samples, and with both. "
            "All arms of a repetition share samples, initial weights and order of batches"
            f"{'; ' + about if about else ''}. Accuracies are in %, gains from generated samples "
            "in points; left out: the gate chose to do without generated samples, and the accuracy "
            f"is the one without.{_beyond(data, present)}",
        ),
        [_accuracy_table(data, section) for section in present],
        _gain_chart(data),
        _accuracy_charts(data, present),
    ]


def _beyond(data: Data, present: Sequence[str]) -> str:
    """A word on intervals that end beyond 100 %, where there are any."""
    ends = [
        found.high
        for section in present
        for shots in shots_of(data[section])
        for arm, _ in _ARMS
        if (found := estimate(pick(data, section, str(shots), arm))) is not None
    ]
    if not any(end is not None and end > 1 for end in ends):
        return ""
    return " Intervals are Student's t; of few seeds near 100 they can end beyond it."


def _seeds(data: Data, present: Sequence[str]) -> int | None:
    for section in present:
        for shots in shots_of(data[section]):
            found = estimate(pick(data, section, str(shots), "none"))
            if found is not None and found.seeds is not None:
                return found.seeds
    return None


def _accuracy_table(data: Data, section: str) -> Html:
    classifier = next(name for key, name, _ in CLASSIFIERS if key == section)
    rows = []
    for shots in shots_of(data[section]):
        entry = pick(data, section, str(shots))
        cells: list[Child] = [str(shots)]
        cells += [estimate_cell(estimate(pick(entry, arm))) for arm, _ in _ARMS]
        cells += [
            el("span", "left out", class_="ends")
            if is_closed(data, shots, classifier, arm)
            else estimate_cell(estimate(pick(entry, name)), signed=True)
            for name, arm, _ in _DIFFERENCES
        ]
        rows.append(Row(cells))
    columns = [Column("Shots")]
    columns += [Column(name) for *_, name in (*_ARMS, *_DIFFERENCES)]
    return table(
        TITLES[section],
        columns,
        rows,
        about=_ABOUT[section],
    )


def _gain_chart(data: Data) -> Html:
    groups: dict[str, list[Dot]] = {}
    for comparison in comparisons(data):
        label = f"{plural(comparison.shots, 'shot')}, {arm_name(comparison.arm)}"
        dot = (
            Dot(label, None, text="left out")
            if comparison.closed
            else Dot(label, comparison.difference)
        )
        groups.setdefault(TITLES[comparison.section], []).append(dot)
    return dot_chart(
        "Gain from generated samples",
        list(groups.items()),
        signed=True,
        unit=f"points of accuracy with 95{SPACE}% interval",
        show_values=True,
    )


def _accuracy_charts(data: Data, present: Sequence[str]) -> Html:
    charts: list[tuple[str, list[tuple[str, list[Dot]]]]] = []
    for section in present:
        groups = []
        for shots in shots_of(data[section]):
            entry = pick(data, section, str(shots))
            dots = [
                Dot(name, estimate(pick(entry, arm)), 0 if arm in ("generated", "both") else 2)
                for arm, name in _ARMS
            ]
            groups.append((plural(shots, "shot"), dots))
        charts.append((TITLES[section], groups))
    span = span_of([dot for _, groups in charts for _, dots in groups for dot in dots])
    return el(
        "div",
        [
            dot_chart(f"Accuracy, {title.lower()}", groups, unit="%", span=span)
            for title, groups in charts
        ],
        class_="grid3",
    )


def comparison_section(data: Data) -> list[Child]:
    """This run against other initializations at equal adaptation steps."""
    rows = records(data.get("comparison"))
    if not rows:
        return [el("p", "The evaluation compared no initializations.", class_="muted")]
    inits = list(dict.fromkeys(str(row.get("init")) for row in rows))
    inits.sort(key=lambda name: (name == "scratch", name != "run"))
    by_steps: dict[int, list[Data]] = {}
    for row in rows:
        by_steps.setdefault(int(finite(row.get("adapt_steps")) or 0), []).append(row)
    for group in by_steps.values():
        group.sort(key=lambda row: inits.index(str(row.get("init"))))
    ordered = sorted(by_steps.items())
    decimals = {key: usual for key, _, _, usual in _COMPARED}
    decimals["kid"] = column_decimals((finite(row.get("kid")) for row in rows), digits=4)
    is_paired = any(estimate(row.get("run_minus")) is not None for row in rows)
    body = []
    for steps, group in ordered:
        for position, row in enumerate(group):
            name = str(row.get("init"))
            cells: list[Child] = [INIT_NAMES.get(name, name), count(steps)]
            cells.append(estimate_cell(estimate(row.get("accuracy"))))
            if is_paired:
                cells.append(estimate_cell(estimate(row.get("run_minus")), signed=True))
            cells += [_quality_cell(row, key, decimals[key]) for key, _, _, _ in _COMPARED]
            body.append(Row(cells, is_first=position == 0))
    columns = [Column("Initialization", False), Column("Inner steps"), Column("Accuracy, %")]
    if is_paired:
        columns.append(Column(f"This run {MINUS} it, points"))
    columns += [Column(name) for _, name, _, _ in _COMPARED]
    shots = finite(rows[0].get("shots"))
    at = f"at {plural(int(shots), 'shot')} " if shots is not None else ""
    return [
        el("p", _comparison_text(ordered, decimals["kid"])),
        table(
            "Initializations at equal adaptation steps",
            columns,
            body,
            about=f"The same targets {at}and the same use of generated samples; only the "
            "initialization differs. Accuracy is of the from-scratch classifier on real and "
            "generated samples, without classical augmentation and without the gate."
            + (f" This run {MINUS} it is paired over repetitions." if is_paired else "")
            + _judged_by(
                rows[0].get("extractor_sha256"),
                pick(data, "source_classifier", "held_out_accuracy"),
            ),
        ),
        _comparison_chart(ordered),
    ]


def _comparison_text(ordered: Sequence[tuple[int, Sequence[Data]]], decimals: int) -> str:
    steps, group = ordered[-1]
    texts = []
    for row in group:
        name, error = str(row.get("init")), finite(row.get("kid_stderr"))
        if (kid := finite(row.get("kid"))) is None:
            continue
        value = fixed(kid, decimals) + (f" \u00b1 {fixed(error, decimals)}" if error else "")
        texts.append(f"{value} for {INIT_NAMES.get(name, name).lower()}")
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


def _quality_cell(row: Data, key: str, decimals: int) -> Child:
    error = finite(row.get("kid_stderr")) if key == "kid" else None
    return plus_minus(finite(row.get(key)), error, decimals)


def _comparison_chart(ordered: Sequence[tuple[int, Sequence[Data]]]) -> Html:
    colours = {"run": 0, "scratch": 2}
    groups = [
        (
            plural(steps, "inner step"),
            [
                Dot(
                    INIT_NAMES.get(name, name),
                    estimate(row.get("accuracy")),
                    colours.get(name, 1),
                )
                for row in group
                for name in [str(row.get("init"))]
            ],
        )
        for steps, group in ordered
    ]
    dots = [dot for _, of_steps in groups for dot in of_steps]
    has_intervals = any(dot.value is not None and dot.value.has_interval for dot in dots)
    return dot_chart(
        "Accuracy with generated samples, by initialization",
        groups,
        unit=f"% with 95{SPACE}% interval" if has_intervals else "% in one repetition",
        show_values=True,
    )


def quality_section(data: Data) -> list[Child]:
    """How good the generated samples are, in the source classifier's features."""
    quality = pick(data, "quality")
    if not isinstance(quality, Mapping) or not quality:
        return [el("p", "The evaluation holds no measures of quality.", class_="muted")]
    rows = []
    for key, name, better, decimals in (
        *_QUALITY,
        ("support_distance", "Support distance", "about 1", 2),
    ):
        rows.append(Row([name, _quality_cell(quality, key, decimals), better, _MEANING[key]]))
    judged = _judged_by(quality.get("extractor_sha256"), quality.get("extractor_accuracy"))
    return [
        table(
            "Measures",
            [Column("Measure", False), Column("Value"), Column("Better", False),
             Column("Meaning", False, prose=True)],
            rows,
            about=f"{count(quality.get('fid_n'))} generated against "
            f"{count(quality.get('num_real'))} unseen real samples of the same classes, mean "
            f"over repetitions at the largest number of inner steps.{judged}",
        )
    ]  # fmt: skip


def _judged_by(sha256: object, accuracy: object) -> str:
    """Whose features a score is in: its hash stands beside every score."""
    held_out = finite(accuracy)
    if not isinstance(sha256, str) or held_out is None:
        return ""
    return (
        f" The features are those of a classifier trained on the source domains, {sha256[:12]}, "
        f"whose held-out accuracy is {percent(held_out)}; numbers of another one do not compare."
    )


def arm_name(arm: object) -> str:
    """An arm with generated samples in words."""
    names = {"generated": "over real", "both": "over classical"}
    return names.get(str(arm), str(arm))
