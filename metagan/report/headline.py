"""The result in plain words, from the numbers alone: a gain, a loss, neither, or not yet known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

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
    plus_minus,
    records,
    whole,
)

Verdict = Literal["gain", "loss", "none", "closed"]
Data = Mapping[str, Any]


class Classifier(NamedTuple):
    """A section of the evaluation, its name in choices, and words for it."""

    section: str
    name: str
    title: str
    words: str
    about: str


class Arm(NamedTuple):
    """An arm with generated samples, its baseline, their difference, and words for the baseline."""

    name: str
    baseline: str
    difference: str
    over: str
    words: str


CLASSIFIERS = (
    Classifier("downstream", "scratch", "From scratch", "from-scratch classifier",
               "A small network trained on the target's few samples alone."),
    Classifier("downstream_pretrained", "pretrained", "Fine-tuned",
               "fine-tuned pre-trained classifier",
               "The same network, pre-trained on the source domains, then fine-tuned on the "
               "target."),
    Classifier("downstream_centroid", "centroid", "Nearest centroid",
               "nearest-centroid classifier",
               "Nearest class mean in the features of the source classifier; nothing is trained on "
               "the target."),
)  # fmt: skip
ARMS = (
    Arm("generated", "none", "generated_minus_none", "over real", "the real samples alone"),
    Arm("both", "classical", "both_minus_classical", "over classical", "classical augmentation"),
)


@dataclass(frozen=True)
class Comparison:
    """One arm with generated samples against its baseline, on test.

    Accuracies of the baseline (`before`) and with generated samples (`after`), their paired
    difference, and whether the gate left generated samples out (`closed`).
    """

    classifier: Classifier
    shots: int
    arm: Arm
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
    return [
        Comparison(
            classifier,
            shots,
            arm,
            before=estimate(pick(entry, arm.baseline)),
            after=estimate(pick(entry, arm.name)),
            difference=measured,
            closed=is_closed(data, shots, classifier, arm),
        )
        for classifier in CLASSIFIERS
        for shots in shots_of(pick(data, classifier.section))
        for entry in [pick(data, classifier.section, str(shots))]
        for arm in ARMS
        if (measured := estimate(pick(entry, arm.difference))) is not None
    ]


def is_closed(data: Data, shots: int, classifier: Classifier, arm: Arm) -> bool:
    """True if the gate left generated samples out in this comparison."""
    return any(
        choice.get("closed") is True
        and (choice.get("classifier"), choice.get("arm")) == (classifier.name, arm.name)
        and finite(choice.get("shots")) == shots
        for choice in records(data.get("choices"))
    )


def reference_shots(data: Data) -> int | None:
    """The number of shots that the headline is about: the middle one of `evaluate.shots`.

    It is fixed by the settings, so that the headline cannot be the luckiest of several numbers; it
    is also the one at which initializations are compared.
    """
    measured = shots_of(pick(data, "downstream"))
    listed = pick(data, "evaluate", "shots")
    middle = whole(listed[len(listed) // 2]) if isinstance(listed, list) and listed else None
    return middle if middle in measured else measured[len(measured) // 2] if measured else None


def at_reference(data: Data, classifier: Classifier = CLASSIFIERS[0]) -> list[Comparison]:
    """Comparisons at the headline's number of shots, that with the strongest baseline first."""
    wanted = (classifier, reference_shots(data))
    found = [c for c in comparisons(data) if (c.classifier, c.shots) == wanted]
    return sorted(found, key=lambda c: c.arm.name != "both")


def headline(data: Data | None) -> str:
    """The result of an evaluation in one sentence; `data` is None if there was none."""
    if data is None:
        return "Not evaluated yet: what the generated samples are worth is not known."
    if data.get("yardstick") == "predict":
        return leak_sentence(data) + str(data.get("verdict", "The evaluation holds no verdict."))
    found = at_reference(data)
    if not found:
        return "The evaluation holds no accuracies of a from-scratch classifier to report."
    return f"{leak_sentence(data)}{sentence(found[0])}"


def more_results(data: Data) -> list[str]:
    """Sentences on the results that the headline leaves out."""
    if isinstance(verdicts := pick(data, "verdicts"), Mapping):
        return [str(text) for text in verdicts.values() if text != pick(data, "verdict")]
    more = [*at_reference(data)[1:], *at_reference(data, CLASSIFIERS[1])[:1]]
    return [text for text in (*map(sentence, more), tally(data), _quality_sentence(data)) if text]


def _quality_sentence(data: Data) -> str:
    kid, error, copies = (
        finite(pick(data, "quality", name)) for name in ("kid", "kid_stderr", "copies")
    )
    parts = []
    if (text := plus_minus(kid, error, 4)) is not None:
        parts.append(f"the kernel distance (KID) is {text} (0 is perfect)")
    if copies is not None:
        parts.append(
            f"{percent(copies)} of the generated samples are copies of a given one (about "
            f"1{SPACE}% is what unseen real samples would show)"
        )
    return f"On unseen domains {listing(parts)}." if parts else ""


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
    start = f"At {plural(found.shots, 'shot')}"
    name, over = found.classifier.words, found.arm.words
    before, after = (
        None if value is None else percent(value.mean) for value in (found.before, found.after)
    )
    if found.verdict == "closed":
        stays = f" and the {name} stays at {before}" if before else ""
        return (
            f"{start} there is no gain: on validation domains no use of generated samples beat "
            f"{over} by more than its standard error, so the do-no-harm gate left them out{stays}."
        )
    mean, low, high = (
        None if end is None else fixed(100 * end, 1, signed=True)
        for end in (found.difference.mean, found.difference.low, found.difference.high)
    )
    if low is None or high is None:
        return (
            f"{start} generated samples change the accuracy of the {name} by {mean} points over "
            f"{over}; without an interval this is not evidence."
        )
    change = f" from {before} to {after}" if before and after else ""
    change += f" ({mean} points, 95{SPACE}% interval {low} to {high})"
    if found.verdict == "gain":
        return f"{start} generated samples raise the {name}{change} over {over}."
    if found.verdict == "loss":
        harm = "they do harm here"
        return f"{start} generated samples lower the {name}{change} against {over}: {harm}."
    return (
        f"{start} there is no measurable gain or loss: with generated samples the {name} "
        f"goes{change} over {over}, and the interval includes zero."
    )


def tally(data: Data) -> str:
    """Tally of all comparisons, so that one headline hides no other result."""
    found = [comparison.verdict for comparison in comparisons(data)]
    if len(found) < 2:
        return ""
    words: dict[Verdict, tuple[str, str]] = {
        "gain": ("shows a gain", "show a gain"),
        "loss": ("shows a loss", "show a loss"),
        "none": ("has an interval around zero", "have an interval around zero"),
    }
    parts = [
        f"{number or 'none'} {many if number > 1 else one}"
        for verdict, (one, many) in words.items()
        if (number := found.count(verdict)) or verdict == "gain"
    ]
    if closed := found.count("closed"):
        parts.append(f"in {closed} the gate left generated samples out")
    return (
        f"Of {len(found)} comparisons (classifier, shots, with or without classical "
        f"augmentation) {listing(parts)}."
    )
