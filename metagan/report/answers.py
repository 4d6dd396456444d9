"""An evaluation of answers to inputs, for its part of the page: verdicts, arms, choices."""

from collections.abc import Mapping
from typing import Any

from metagan.report.values import (
    MINUS,
    SPACE,
    estimate_text,
    finite,
    fixed,
    pick,
    plural,
    records,
)

Data = Mapping[str, Any]
Cells = list[str | None]
_NAMES = {"run": "This run", "joint": "Joint pre-training", "scratch": "Untrained (scratch)"}
_NOT_ADAPTED = " not adapted"
_DECIMALS = 4
_FORM: Mapping[str, Any] = {"scale": 1, "decimals": _DECIMALS}


def is_measured(data: Data) -> bool:
    """True if answers were measured, and not classifiers of generated samples."""
    return data.get("yardstick") == "predict"


def shots_of(data: Data) -> list[str]:
    """The numbers of shots that were measured."""
    found = pick(data, "arms")
    keys = found if isinstance(found, Mapping) else ()
    return sorted((str(key) for key in keys if str(key).isdecimal()), key=int)


def measures(data: Data, shots: str) -> list[str]:
    """The measures, the one that the gate goes by first."""
    found = pick(data, "arms", shots)
    first = pick(data, "gate", "measure")
    names = [str(name) for name in found] if isinstance(found, Mapping) else []
    return sorted(names, key=lambda name: (name != first, name.endswith("_unseen")))


def columns(data: Data, shots: str) -> list[tuple[str, str]]:
    """Columns of the table of arms."""
    names = measures(data, shots)
    first = [(names[0], "num"), (f"This run {MINUS} it", "num")] if names else []
    others = [(name.replace("_", " "), "num") for name in names[1:]]
    return [("Arm", "text"), ("Adapted by", "text"), *first, *others]


def arms(data: Data, shots: str) -> list[Cells]:
    """Every arm, the best first: how it was adapted, its errors, this run's less its."""
    names = measures(data, shots)
    if not names:
        return []
    table = pick(data, "arms", shots)
    sign = -1 if pick(data, "measures", names[0], "better") == "larger" else 1
    first = table[names[0]] if isinstance(table[names[0]], Mapping) else {}
    how = {
        str(row.get("arm")): str(row["how"])
        for row in records(data.get("choices"))
        if row.get("how") and (str(row.get("shots")), row.get("measure")) == (shots, names[0])
    }
    less = pick(data, "differences", shots, names[0])
    order = [(finite(pick(found, "mean")), str(arm)) for arm, found in first.items()]
    return [
        [
            arm_name(arm),
            how.get(arm),
            estimate_text(pick(first, arm), **_FORM),
            estimate_text(pick(less, f"run - {arm}"), signed=True, **_FORM),
            *(estimate_text(pick(table, name, arm), **_FORM) for name in names[1:]),
        ]
        for mean, arm in sorted((sign * m, a) for m, a in order if m is not None)
    ]


def about(data: Data, shots: str) -> str:
    """Legend of the table of arms."""
    domains = pick(data, "domains")
    number = len(domains) if isinstance(domains, list) else 0
    found = pick(data, "measures")
    told = found.items() if isinstance(found, Mapping) else ()
    words = "; ".join(
        f"{str(name).replace('_', ' ')}: {pick(each, 'meaning')}, {pick(each, 'better')} is better"
        for name, each in told
    )
    arms = pick(data, "plain_arms")
    meanings = "".join(
        f"{str(name).capitalize()}: {meaning}. "
        for name, meaning in (arms.items() if isinstance(arms, Mapping) else ())
    )
    return (
        f"Answers to inputs of {plural(number, 'domain')} that training never saw, from "
        f"{plural(int(shots), 'pair')} of each that were shown; what is asked is never shown. "
        f"Means with 95{SPACE}% intervals over domains. How each arm adapts is chosen on "
        f"validation domains, for each measure by itself. {words}. {meanings}"
    )


def readers(data: Data, shots: str) -> list[Cells]:
    """Readers of labels that learned from answers, the best first."""
    found = pick(data, "reading", shots, "accuracy")
    gains = pick(data, "reading", shots, "gain")
    means = [
        (mean, str(arm))
        for arm, each in (found.items() if isinstance(found, Mapping) else ())
        if (mean := finite(pick(each, "mean"))) is not None
    ]
    form = {"scale": 100, "decimals": 1}
    return [
        [
            arm_name(arm),
            estimate_text(pick(found, arm), **form),
            estimate_text(pick(gains, arm), signed=True, **form),
        ]
        for _, arm in sorted(means, reverse=True)
    ]


def choices(data: Data) -> list[Cells]:
    """Choices on validation, for every number of shots, measure and arm."""
    return [
        [
            str(row.get("shots")),
            str(row.get("measure")).replace("_", " "),
            arm_name(str(row.get("arm"))),
            str(row.get("how") or row.get("chosen") or "") or None,
        ]
        for row in records(data.get("choices"))
    ]


def gates(data: Data) -> list[Cells]:
    """The gate's decision at every number of shots."""
    found = pick(data, "gates")
    return [
        [
            str(shots),
            str(pick(gate, "verdict")),
            str(pick(gate, "best_plain_arm")),
            f"{fixed(finite(pick(gate, 'gain')), _DECIMALS, signed=True)} \u00b1{SPACE}"
            f"{fixed(finite(pick(gate, 'stderr')), _DECIMALS)}",
        ]
        for shots, gate in (found.items() if isinstance(found, Mapping) else ())
    ]


def arm_name(arm: str) -> str:
    """An arm's name for people."""
    name = arm.removesuffix(_NOT_ADAPTED)
    shown = _NAMES.get(name, name)
    return shown if name == arm else f"{shown}, not adapted"
