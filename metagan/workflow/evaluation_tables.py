"""An evaluation's numbers as tables for a terminal."""

from collections.abc import Mapping
from typing import Any

from metagan.evaluate.pairs.items import NOT_ADAPTED
from metagan.evaluate.pairs.tables import bounded

HEADER = (
    "classifier",
    "shots",
    "none",
    "classical",
    "generated",
    "both",
    "generated - none",
    "both - classical",
)
_CLASSIFIERS = {
    "downstream": "from scratch",
    "downstream_pretrained": "pre-trained",
    "downstream_centroid": "centroid",
}
_INITS = {"run": "this run", "scratch": "untrained"}


def evaluation_rows(result: Mapping[str, Any]) -> list[list[str]]:
    """Accuracies, for `HEADER`: classifier, shots, four arms, two differences."""
    rows = []
    for section, label in _CLASSIFIERS.items():
        for shots, entry in result[section].items():
            row = [label, str(shots)]
            for arm in ("none", "classical", "generated", "both"):
                row.append(f"{100 * entry[arm]['mean']:.1f}")
            for difference in ("generated_minus_none", "both_minus_classical"):
                row.append(_points(entry[difference]))
            rows.append(row)
    return rows


def comparison_header(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Header of `comparison_rows`; the last column is there if repetitions make pairs."""
    header = ("initialization", "inner steps", "KID", "coverage", "accuracy (generated)")
    return (*header, "this run - it") if _is_paired(result) else header


def comparison_rows(result: Mapping[str, Any]) -> list[list[str]]:
    """Initializations at equal inner steps."""
    rows = []
    for row in result["comparison"]:
        error = "" if row["kid_stderr"] is None else f" ± {row['kid_stderr']:.4f}"
        cells = [
            _INITS.get(row["init"], row["init"]),
            str(row["adapt_steps"]),
            "-" if row["kid"] is None else f"{row['kid']:.4f}{error}",
            "-" if row["coverage"] is None else f"{row['coverage']:.2f}",
            "-" if row["accuracy"] is None else f"{100 * row['accuracy']['mean']:.1f}",
        ]
        if _is_paired(result):
            cells.append(_points(row["run_minus"]) if "run_minus" in row else "")
        rows.append(cells)
    return rows


def pair_header(result: Mapping[str, Any], shots: str) -> tuple[str, ...]:
    """Header of `pair_rows`: the first measure with intervals and differences, then the others."""
    first, *others = result["arms"][shots]
    return ("arm", "adapted by", first, f"{first}: this run - it", *others)


def pair_rows(result: Mapping[str, Any], shots: str) -> list[list[str]]:
    """Errors of every arm's answers to inputs, the best first."""
    measures = result["arms"][shots]
    first, *others = measures
    better = 1 if result["measures"][first]["better"] == "smaller" else -1
    how = {
        row["arm"]: row.get("how", "")
        for row in result["choices"]
        if (str(row["shots"]), row["measure"]) == (shots, first)
    }
    differences = result["differences"][shots][first]
    ordered = sorted(measures[first].items(), key=lambda item: better * item[1]["mean"])
    rows = []
    for arm, found in ordered:
        difference = differences.get(f"run - {arm}")
        rows.append(
            [
                pair_arm(arm),
                how[arm],
                bounded(found),
                "" if difference is None else bounded(difference, signed=True),
                *(
                    f"{measures[name][arm]['mean']:.4f}" if arm in measures[name] else "-"
                    for name in others
                ),
            ]
        )
    return rows


READING_HEADER = ("a reader that learns from", "accuracy", "gain over training domains alone")


def reading_rows(result: Mapping[str, Any], shots: str) -> list[list[str]]:
    """Readers of a domain's labels, for `READING_HEADER`, in %, the best first."""
    accuracy, gain = (result["reading"][shots][key] for key in ("accuracy", "gain"))
    ordered = sorted(accuracy.items(), key=lambda item: -item[1]["mean"])
    return [
        [pair_arm(arm), f"{100 * found['mean']:.1f}", _points(gain[arm]) if arm in gain else ""]
        for arm, found in ordered
    ]


def pair_arm(arm: str) -> str:
    """An arm's name for people."""
    name = arm.removesuffix(NOT_ADAPTED)
    shown = _INITS.get(name, name)
    return shown if name == arm else f"{shown}, not adapted"


def _is_paired(result: Mapping[str, Any]) -> bool:
    return any("run_minus" in row for row in result["comparison"])


def _points(estimate: Mapping[str, float | None]) -> str:
    """A difference in points, with its interval if it has one."""
    mean, *ends = (
        "" if (value := estimate[key]) is None else f"{100 * value:+.1f}"
        for key in ("mean", "low", "high")
    )
    return f"{mean} [{', '.join(ends)}]" if all(ends) else mean
