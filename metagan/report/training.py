"""Course of the training, for the page: curves, times, failures."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from metagan.report.charts import Chart, Line, line_chart
from metagan.report.load import RunFiles
from metagan.report.values import count, duration, finite, fixed, plural, shorten

Record = Mapping[str, Any]

_FIRST_AND_LAST = [("first inner step", "second"), ("last inner step", "accent")]
# Metrics with a chart of their own, several of the same kind in one; the rest follows by name.
_CURVES = {
    "Generator loss": ("loss_g_first", "loss_g_last"),
    "Discriminator loss": ("loss_d_first", "loss_d_last"),
    "Norm of the generator's meta-gradient": ("grad_norm_generator",),
    "Norm of the discriminator's meta-gradient": ("grad_norm_discriminator",),
    "Wall clock of an outer step, seconds": ("wall_s",),
}
_NOT_CURVES = {"step", "episodes", "planned", "compute_s", "transfer_s", "wait_s"}
_MAX_OTHER_CURVES = 8
_MAX_CHANGES = 12  # More changes of the algorithm than these are not of its doing.
_MAX_FAILURES = 40
# Beyond these a number is a fault of the log, and no axis could show it with others.
_LARGEST = 1e30


def curves(run: RunFiles) -> list[Chart | None]:
    """Losses, gradient norms, time and whatever else was logged, by outer step."""
    known = _NOT_CURVES.union(*_CURVES.values())
    others = {
        key
        for record in run.steps
        for key, value in record.items()
        if key not in known and finite(value) is not None
    }
    shown = {**_CURVES, **{key: (key,) for key in sorted(others)[:_MAX_OTHER_CURVES]}}
    return [_chart(run.steps, title, keys) for title, keys in shown.items()]


def _chart(steps: Sequence[Record], title: str, keys: Sequence[str]) -> Chart | None:
    looks = [(key, "accent") for key in keys] if len(keys) == 1 else _FIRST_AND_LAST
    lines = [
        Line(name, _points(steps, key), colour)
        for key, (name, colour) in zip(keys, looks, strict=True)
        if any(finite(record.get(key)) is not None for record in steps)
    ]
    return line_chart(title, lines, x_name="outer step", changes=_changes(steps))


def _points(steps: Sequence[Record], key: str) -> list[tuple[float, float | None]]:
    points = []
    # A record without the key is no gap in the line: some numbers are logged now and then.
    for position, record in [(i, record) for i, record in enumerate(steps) if key in record]:
        step, value = finite(record.get("step")), finite(record.get(key))
        if value is not None and abs(value) > _LARGEST:
            value = None
        points.append((float(position + 1) if step is None else step, value))
    return sorted(points, key=lambda point: point[0])


def _changes(steps: Sequence[Record]) -> list[tuple[float, str]]:
    """(outer step, algorithm from there on)."""
    found = []
    for before, after in itertools.pairwise(steps):
        if before.get("algorithm") != after.get("algorithm"):
            step = finite(after.get("step"))
            if step is not None:
                found.append((step, shorten(str(after.get("algorithm")), 24)))
    return found if len(found) <= _MAX_CHANGES else []


def time_sentence(run: RunFiles) -> str:
    """Sentence on the speed of training."""
    total, compute = sum(_seconds(run, "wall_s")), sum(_seconds(run, "compute_s"))
    if not total:
        return "No times have been logged."
    speed = fixed(run.total("episodes") / total, 1)
    steps = plural(len(run.steps), "outer step")
    text = f"{steps} took {duration(total)}: {speed} episodes per second."
    if _is_local(run):
        return text
    workers = finite(run.settings.get("cluster.num_workers"))
    of = f" of {count(workers)}" if workers else ""
    return f"{text} On average {fixed(compute / total, 1)}{of} workers were computing."


def times(run: RunFiles) -> list[list[str | None]]:
    """Seconds of the driver and of the workers: in all, their share, and by outer step."""
    total = sum(_seconds(run, "wall_s"))
    if not total:
        return []
    # Without workers the computing itself happens in the loop; with them the loop waits for it.
    loop = ("compute_s",) if _is_local(run) else ("transfer_s", "wait_s")
    rest = total - sum(sum(_seconds(run, key)) for key in loop)
    rows: list[list[str | None]] = []
    for name, seconds in (
        ("Outer step, wall clock", _seconds(run, "wall_s")),
        ("Computing, summed over workers", _seconds(run, "compute_s")),
        ("Transfer of parameters and results", _seconds(run, "transfer_s")),
        ("Waiting for workers that compute", _seconds(run, "wait_s")),
        ("The driver's own work", [max(0.0, rest)]),
    ):
        share = fixed(100 * sum(seconds) / total, 1)
        each = sorted(seconds) if len(seconds) > 1 else []
        middle, slowest = (each[len(each) // 2], each[-1]) if each else (None, None)
        whole = sum(seconds) if seconds else None
        rows.append([name, duration(whole), share, duration(middle), duration(slowest)])
    return rows


def _is_local(run: RunFiles) -> bool:
    return sum(_seconds(run, "transfer_s")) + sum(_seconds(run, "wait_s")) == 0


def _seconds(run: RunFiles, key: str) -> list[float]:
    found = (finite(record.get(key)) for record in run.steps)
    return [value for value in found if value is not None and 0 <= value < _LARGEST]


def failures_sentence(run: RunFiles) -> str:
    """Sentence on the number of failed episodes, and the kinds of all events."""
    lost = sum(
        max(0.0, (finite(r.get("planned")) or 0) - (finite(r.get("episodes")) or 0))
        for r in run.steps
    )
    if not run.failures:
        if lost:
            return f"{count(lost)} episodes gave no meta-gradient; no reason was logged."
        return "No episode failed, no worker was restarted and nothing was tried again."
    kinds = Counter(str(record.get("kind", "unknown")) for record in run.failures)
    summary = ", ".join(f"{shorten(kind, 40)}: {number:,}" for kind, number in kinds.most_common())
    return (
        f"{plural(len(run.failures), 'event')} ({summary}). Every planned episode is counted once "
        f"whatever happened to its worker; {count(lost)} gave no finite meta-gradient."
    )


def failures(run: RunFiles) -> tuple[list[list[str]], str]:
    """Equal failures in one row each, and a word on those that have no row."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in run.failures:
        worker = "" if record.get("worker") is None else f"worker {record['worker']}"
        place = str(record.get("task", worker))
        key = (str(record.get("kind", "unknown")), str(record.get("reason", "")), place)
        groups.setdefault(key, []).append(record)
    # How the run ended comes first, as it is never among the most frequent.
    ordered = sorted(groups.items(), key=lambda item: (item[0][0] != "end", -len(item[1])))
    more = len(ordered) - _MAX_FAILURES
    rows = [
        [shorten(kind, 40), count(len(found)), _steps_of(found), shorten(place, 80),
         shorten(reason, 300)]
        for (kind, reason, place), found in ordered[:_MAX_FAILURES]
    ]  # fmt: skip
    about = f"The {_MAX_FAILURES} most frequent; {more:,} more are in failures.jsonl."
    return rows, about * (more > 0)


def _steps_of(found: Sequence[Record]) -> str:
    steps = sorted(int(step) for r in found if (step := finite(r.get("step"))) is not None)
    if not steps:
        return ""
    return f"{steps[0]:,}" if steps[0] == steps[-1] else f"{steps[0]:,} to {steps[-1]:,}"
