"""How training went: curves, where the time went, what failed."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from metagan.report.axes import Points
from metagan.report.charts import Line, Mark, line_chart, stacked_bar
from metagan.report.html import Child, Html, el, shorten
from metagan.report.load import RunFiles
from metagan.report.tables import Column, Row, table
from metagan.report.values import count, duration, finite, fixed, plural

Record = Mapping[str, Any]

# Metrics with a chart of their own, several of the same kind in one; the rest follows by name.
_CURVES = (
    ("Generator loss", (("loss_g_first", "first"), ("loss_g_last", "last"))),
    ("Discriminator loss", (("loss_d_first", "first"), ("loss_d_last", "last"))),
    ("Norm of the generator's meta-gradient", (("grad_norm_generator", "norm"),)),
    ("Norm of the discriminator's meta-gradient", (("grad_norm_discriminator", "norm"),)),
)
_LINE_NAMES = {"first": "first inner step", "last": "last inner step", "norm": "norm"}
_NOT_CURVES = {
    "step", "episodes", "planned", "wall_s", "compute_s", "transfer_s", "wait_s",
}  # fmt: skip
_MAX_OTHER_CURVES = 8
_MAX_MARKS = 12  # More changes of the algorithm than these are not of its doing.
_MAX_FAILURES = 40
# Beyond these a number is a fault of the log, and no axis could show it with others.
_LARGEST = 1e30


def curves_section(run: RunFiles) -> list[Child]:
    """Losses and gradient norms by outer step."""
    if not run.steps:
        return [el("p", "No outer step has been logged.", class_="muted")]
    known = {key for _, lines in _CURVES for key, _ in lines}
    others = sorted(
        {
            key
            for record in run.steps
            for key, value in record.items()
            if key not in known | _NOT_CURVES and finite(value) is not None
        }
    )
    marks = _algorithm_changes(run.steps)
    charts = [
        _chart(run.steps, title, [(key, _LINE_NAMES[name]) for key, name in lines], marks)
        for title, lines in _CURVES
    ]
    charts += [_chart(run.steps, key, [(key, key)], marks) for key in others[:_MAX_OTHER_CURVES]]
    started = ", then ".join(
        dict.fromkeys(str(record["algorithm"]) for record in run.steps if record.get("algorithm"))
    )
    about = f" ({started})" if started else ""
    return [
        el(
            "p",
            f"Means over the episodes of an outer step{about}. Thin: every value; bold: a moving "
            "average, which does not cross a change of algorithm, because losses before and after "
            "it are not of the same episodes. Losses of adversarial training show stability, not "
            "quality.",
        ),
        el("div", charts, class_="grid2"),
    ]


def _chart(
    steps: Sequence[Record],
    title: str,
    keys: Sequence[tuple[str, str]],
    marks: Sequence[Mark],
) -> Html:
    lines = [
        Line(name, _points(steps, key), colour)
        for (key, name), colour in zip(keys, (1, 0) if len(keys) == 2 else (0,), strict=True)
        if any(finite(record.get(key)) is not None for record in steps)
    ]
    return line_chart(title, lines, x_name="outer step", marks=marks)


def _points(steps: Sequence[Record], key: str) -> Points:
    points = []
    for position, record in enumerate(steps):
        step = finite(record.get("step"))
        value = finite(record.get(key))
        if value is not None and abs(value) > _LARGEST:
            value = None
        points.append((float(position + 1) if step is None else step, value))
    return sorted(points, key=lambda point: point[0])


def _algorithm_changes(steps: Sequence[Record]) -> list[Mark]:
    marks = []
    for before, after in itertools.pairwise(steps):
        step = finite(after.get("step"))
        if before.get("algorithm") != after.get("algorithm") and step is not None:
            marks.append(Mark(step, shorten(str(after.get("algorithm")), 24)))
    return marks if len(marks) <= _MAX_MARKS else []


def time_section(run: RunFiles) -> list[Child]:
    """Seconds of the driver and of the workers, per outer step and in all."""
    wall = _seconds(run.steps, "wall_s")
    if not wall:
        return [el("p", "No times have been logged.", class_="muted")]
    compute, transfer, wait = (
        _seconds(run.steps, key) for key in ("compute_s", "transfer_s", "wait_s")
    )
    total = sum(wall)
    # Without workers the computing itself happens in the loop; with them the loop waits for it.
    is_local = sum(transfer) + sum(wait) == 0
    if is_local:
        parts = [("Computing", sum(compute)), ("The rest", max(0.0, total - sum(compute)))]
    else:
        rest = max(0.0, total - sum(transfer) - sum(wait))
        parts = [
            ("Waiting for workers that compute", sum(wait)),
            ("Transfer of parameters and results", sum(transfer)),
            ("The driver's own work", rest),
        ]
    rows = [
        _time_row("Outer step, wall clock", wall),
        _time_row("Computing, summed over workers", compute),
        _time_row("Transfer", transfer),
        _time_row("Waiting for workers", wait),
    ]
    return [
        el("p", _time_text(run, total, sum(compute), is_local=is_local)),
        stacked_bar(
            f"Where the {duration(total)} of training went",
            [(name, seconds, duration(seconds)) for name, seconds in parts],
        ),
        table(
            "Times",
            [Column("Part", False), Column("Total"), Column("Share of wall clock, %"),
             Column("Median per step"), Column("Slowest step")],
            [
                Row([name, *cells[:1], fixed(100 * amount / total, 1) if total else None,
                     *cells[1:]])
                for name, amount, cells in rows
            ],
            about="Computing is summed over workers that run at the same time, so its share can "
            "exceed 100.",
        ),
        line_chart(
            "Wall clock of an outer step, seconds",
            [Line("seconds", _points(run.steps, "wall_s"))],
            x_name="outer step",
            marks=_algorithm_changes(run.steps),
        ),
    ]  # fmt: skip


def _time_text(run: RunFiles, total: float, compute: float, *, is_local: bool) -> str:
    text = f"{plural(len(run.steps), 'outer step')} took {duration(total)}"
    episodes = sum(finite(record.get("episodes")) or 0 for record in run.steps)
    if total > 0:
        text += f": {fixed(episodes / total, 1)} episodes per second"
    if is_local or not total:
        return text + "."
    busy = compute / total
    workers = finite(run.settings.get("cluster.num_workers"))
    of = f" of {count(workers)}" if workers else ""
    return text + f". On average {fixed(busy, 1)}{of} workers were computing."


def _time_row(name: str, seconds: Sequence[float]) -> tuple[str, float, list[Child]]:
    if not seconds:
        return name, 0.0, [None, None, None]
    ordered = sorted(seconds)
    median = ordered[len(ordered) // 2]
    return (
        name,
        sum(seconds),
        [
            duration(sum(seconds)),
            duration(median),
            duration(ordered[-1]),
        ],
    )


def _seconds(steps: Sequence[Record], key: str) -> list[float]:
    found = (finite(record.get(key)) for record in steps)
    return [value for value in found if value is not None and 0 <= value < _LARGEST]


def failures_section(run: RunFiles) -> list[Child]:
    """Episodes that failed, and workers that had to be replaced."""
    lost = sum(
        max(0.0, (finite(r.get("planned")) or 0) - (finite(r.get("episodes")) or 0))
        for r in run.steps
    )
    if not run.failures:
        return [
            el("p", "No episode failed, no worker was restarted and nothing was tried again.")
            if not lost
            else el("p", f"{count(lost)} episodes gave no meta-gradient; no reason was logged.")
        ]
    kinds = Counter(str(record.get("kind", "unknown")) for record in run.failures)
    summary = ", ".join(f"{shorten(kind, 40)}: {number:,}" for kind, number in kinds.most_common())
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in run.failures:
        place = str(record["task"]) if "task" in record else _worker(record)
        key = (str(record.get("kind", "unknown")), str(record.get("reason", "")), place)
        groups.setdefault(key, []).append(record)
    # How the run ended comes first, as it is never among the most frequent.
    ordered = sorted(groups.items(), key=lambda item: (item[0][0] != "end", -len(item[1])))
    rows = [
        Row([shorten(kind, 40), count(len(found)), _steps_of(found), shorten(place, 80),
             shorten(reason, 300)])
        for (kind, reason, place), found in ordered[:_MAX_FAILURES]
    ]  # fmt: skip
    more = len(ordered) - _MAX_FAILURES
    about = f"The {_MAX_FAILURES} most frequent; {more:,} more are in failures.jsonl." * (more > 0)
    return [
        el(
            "p",
            f"{plural(len(run.failures), 'event')} ({summary}). Every planned episode is counted "
            f"once whatever happened to its worker; {count(lost)} gave no finite meta-gradient.",
        ),
        table(
            "Failures and restarts",
            [Column("Kind", False), Column("Times"), Column("Outer steps", False),
             Column("Task or worker", False), Column("Reason", False, prose=True)],
            rows,
            about=about,
        ),
    ]  # fmt: skip


def _worker(record: Record) -> str:
    return "" if record.get("worker") is None else f"worker {record['worker']}"


def _steps_of(found: Sequence[Record]) -> str:
    steps = sorted(int(step) for r in found if (step := finite(r.get("step"))) is not None)
    if not steps:
        return ""
    return f"{steps[0]:,}" if steps[0] == steps[-1] else f"{steps[0]:,} to {steps[-1]:,}"
