"""Pool evaluations of answers to inputs over several training seeds, as one table.

    python -m benchmarks.answers runs/seed0/evaluation.json runs/seed1/evaluation.json
    python -m benchmarks.answers E0.json E1.json --against joint --measures rmse

Every file has the same arms, at the same numbers of shots. A row's interval is over all domains of
all files, its difference from the run (or another arm) paired by file and domain; beside it stand
the means of each file, since training differs between files alone.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from metagan.evaluate.pairs.tables import bounded, estimate

Values = Mapping[str, Mapping[str, float]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a Markdown table for every number of shots and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="E.json")
    parser.add_argument("--measures", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument(
        "--against", default="run", metavar="ARM", help="less every arm; default: run"
    )
    options = parser.parse_args(arguments)
    found = [json.loads(file.read_text()) for file in options.files]
    for shots, by_measure in sorted(found[0]["values"].items(), key=lambda item: int(item[0])):
        for measure in options.measures or by_measure:
            print(f"\n{measure} at {shots} shots, {len(found)} trainings\n")
            files = [each["values"][shots].get(measure, {}) for each in found]
            print("\n".join(table(files, options.against)))


def table(files: Sequence[Values], against: str = "run") -> list[str]:
    """Lines of a Markdown table: every arm, the smallest mean first.

    Args:
        files: {arm: {domain: value}} of each file.
        against: The arm whose difference from every other one is shown, where all files have it.
    """
    arms = [arm for arm in files[0] if all(arm in each for each in files)]
    rows: list[tuple[float, str]] = []
    for arm in arms:
        values = [value for each in files for value in each[arm].values()]
        less = [
            each[against][domain] - value
            for each in files
            for domain, value in each[arm].items()
            if domain in each.get(against, {})
        ]
        means = ", ".join(f"{fmean(each[arm].values()):.4f}" for each in files)
        difference = bounded(estimate(less), signed=True) if less and arm != against else ""
        row = f"| {arm} | {bounded(estimate(values))} | {difference} | {means} |"
        rows.append((fmean(values), row))
    head = [f"| arm | mean | {against} - it | each training |", "| --- | --- | --- | --- |"]
    return [*head, *(row for _, row in sorted(rows))]


if __name__ == "__main__":
    main()
