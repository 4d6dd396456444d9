"""The result in plain words, from the numbers alone: a gain, a loss, neither, or not yet known."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from metagan.report.values import (
    SPACE,
    Estimate,
    estimate,
    finite,
    fixed,
    listing,
    percent,
    pick,
    plural,
    records,
)

Verdict = Literal["gain", "loss", "none", "closed"]
Data = Mapping[str, Any]

# Section of the evaluation, its name in choices, and what it is called here.
CLASSIFIERS: tuple[tuple[str, str, str], ...] = (
    ("downstream", "scratch", "from-scratch classifier"),
    ("downstream_pretrained", "pretrained", "fine-tuned pre-trained classifier"),
    ("downstream_centroid", "centroid", "nearest-centroid classifier"),
)
# An arm with generated samples: its baseline, the difference, and what the baseline is called.
GENERATED_ARMS: tuple[tuple[str, str, str, str], ...] = (
    ("generated", "none", "generated_minus_none", "the real samples alone"),
    ("both", "classical", "both_minus_classical", "classical augmentation"),
)


@dataclass(frozen=True)
class Comparison:
    """One arm with generated samples against its baseline, on test.

    Attributes:
        section: Of the evaluation, such as "downstream".
        classifier: Its name in choices, such as "scratch".
        classifier_name: In words.
        shots: Real samples per class.
        arm: "generated" or "both".
        baseline_name: In words.
        before: Accuracy of the baseline.
        after: Accuracy with generated samples.
        difference: Paired difference.
        closed: Whether the gate left generated samples out.
    """

    section: str
    classifier: str
    classifier_name: str
    shots: int
    arm: str
    baseline_name: str
    before: Estimate | None
    after: Estimate | None
    difference: Estimate
    closed: bool

    @property
    def verdict(self) -> Verdict:
        """Verdict by the interval: one that touches zero means neither gain nor loss."""
        if self.closed:
            return "closed"
        low, high = self.difference.low, self.difference.high
        if low is not None and low > 0:
            return "gain"
        if high is not None and high < 0:
            return "loss"
        return "none"


def shots_of(section: object) -> list[int]:
    """The numbers of shots in a table of accuracies, ascending."""
    keys = section if isinstance(section, Mapping) else ()
    return sorted(int(key) for key in keys if isinstance(key, str) and key.isdecimal())


def comparisons(data: Data) -> list[Comparison]:
    """Every classifier, number of shots and arm with generated samples that was measured."""
    return list(_comparisons(data))


def _comparisons(data: Data) -> Iterator[Comparison]:
    for section, classifier, name in CLASSIFIERS:
        for shots in shots_of(pick(data, section)):
            entry = pick(data, section, str(shots))
            for arm, baseline, difference, baseline_name in GENERATED_ARMS:
                measured = estimate(pick(entry, difference))
                if measured is None:
                    continue
                yield Comparison(
                    section=section,
                    classifier=classifier,
                    classifier_name=name,
                    shots=shots,
                    arm=arm,
                    baseline_name=baseline_name,
                    before=estimate(pick(entry, baseline)),
                    after=estimate(pick(entry, arm)),
                    difference=measured,
                    closed=is_closed(data, shots, classifier, arm),
                )


def is_closed(data: Data, shots: int, classifier: str, arm: str) -> bool:
    """True if the gate left generated samples out in this comparison."""
    choice = choice_of(data, shots, classifier, arm)
    return choice is not None and choice.get("closed") is True


def choice_of(data: Data, shots: int, classifier: str, arm: str) -> Data | None:
    """The gate's choice in this comparison, None if that was not written down."""
    for choice in records(data.get("choices")):
        if (choice.get("classifier"), choice.get("arm")) == (classifier, arm) and finite(
            choice.get("shots")
        ) == shots:
            return choice
    return None


def reference_shots(data: Data) -> int | None:
    """The number of shots that the headline is about: the middle one of `evaluate.shots`.

    It is fixed by the settings, so that the headline cannot be the luckiest of several numbers; it
    is also the one at which initializations are compared.
    """
    listed = pick(data, "evaluate", "shots")
    if isinstance(listed, list) and listed:
        middle = finite(listed[len(listed) // 2])
        if middle is not None and int(middle) in shots_of(pick(data, "downstream")):
            return int(middle)
    measured = shots_of(pick(data, "downstream"))
    return measured[len(measured) // 2] if measured else None


def at_reference(data: Data, section: str = "downstream") -> list[Comparison]:
    """Comparisons at the headline's number of shots, that with the strongest baseline first."""
    shots = reference_shots(data)
    found = [c for c in comparisons(data) if (c.section, c.shots) == (section, shots)]
    return sorted(found, key=lambda c: c.arm != "both")


def headline(data: Data | None) -> str:
    """The result of an evaluation in one sentence; `data` is None if there was none."""
    if data is None:
        return "Not evaluated yet: what the generated samples are worth is not known."
    found = at_reference(data)
    if not found:
        return "The evaluation holds no accuracies of a from-scratch classifier to report."
    return f"{leak_sentence(data)}{sentence(found[0])}"


def leak_sentence(data: Data) -> str:
    """A warning before the result where training saw what is measured; else nothing."""
    samples = finite(pick(data, "leak", "samples"))
    if not samples:
        return ""
    are = "picture is" if samples == 1 else "pictures are"
    return (
        f"Leak: {samples:.0f} {are} on both sides of the split, so that the numbers here are too "
        "good. "
    )


def sentence(found: Comparison) -> str:
    """One comparison in plain words."""
    place = f"At {plural(found.shots, 'shot')}"
    before, after = (
        None if value is None else percent(value.mean) for value in (found.before, found.after)
    )
    if found.verdict == "closed":
        stays = f" and the {found.classifier_name} stays at {before}" if before else ""
        return (
            f"{place} there is no gain: on validation domains no use of generated samples beat "
            f"{found.baseline_name} by more than its standard error, so the do-no-harm gate left "
            f"them out{stays}."
        )
    points = f"{fixed(100 * found.difference.mean, 1, signed=True)} points"
    low, high = found.difference.low, found.difference.high
    if low is None or high is None:
        return (
            f"{place} generated samples change the accuracy of the {found.classifier_name} by "
            f"{points} over {found.baseline_name}; without an interval this is not evidence."
        )
    ends = (
        f"95{SPACE}% interval {fixed(100 * low, 1, signed=True)} to "
        f"{fixed(100 * high, 1, signed=True)}"
    )
    change = f" from {before} to {after}" if before and after else ""
    if found.verdict == "gain":
        return (
            f"{place} generated samples raise the {found.classifier_name}{change} "
            f"({points}, {ends}) over {found.baseline_name}."
        )
    if found.verdict == "loss":
        return (
            f"{place} generated samples lower the {found.classifier_name}{change} "
            f"({points}, {ends}) against {found.baseline_name}: they do harm here."
        )
    return (
        f"{place} there is no measurable gain or loss: with generated samples the "
        f"{found.classifier_name} goes{change} ({points}, {ends}) over "
        f"{found.baseline_name}, and the interval includes zero."
    )


def tally(data: Data) -> str:
    """Tally of all comparisons, so that one headline hides no other result."""
    found = comparisons(data)
    if len(found) < 2:
        return ""
    verdicts = [comparison.verdict for comparison in found]
    gains, losses, neither, closed = (
        verdicts.count(verdict) for verdict in ("gain", "loss", "none", "closed")
    )
    parts = [f"{gains or 'none'} {'show' if gains > 1 else 'shows'} a gain"]
    if losses:
        parts.append(f"{losses} {'show' if losses > 1 else 'shows'} a loss")
    if neither:
        parts.append(f"{neither} {'have' if neither > 1 else 'has'} an interval around zero")
    if closed:
        parts.append(f"in {closed} the gate left generated samples out")
    return (
        f"Of {len(found)} comparisons (classifier, shots, with or without classical "
        f"augmentation) {listing(parts)}."
    )
