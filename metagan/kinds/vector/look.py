"""Vectors as one picture for people: a panel for every class.

With one column a panel shows every group's values on a line of its own, with two the plane that
they span, with more the columns side by side, each in its own scale, and a line for every sample.

Shapes: n samples of a group, D columns.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from metagan.data.dataset import DataError, Dataset
from metagan.data.form import Form
from metagan.data.paths.names import clean_name
from metagan.files import write_bytes
from metagan.kinds.vector.scales import REACH, center_and_scale, column_names, drawn_columns

Group = NDArray[Any]

# What the groups of a row are, by how many there are, and their colours: dark, orange, blue; told
# apart by people who do not see red and green.
_NAMES: Final[Mapping[int, tuple[str, ...]]] = {
    1: ("samples",),
    2: ("real", "generated"),
    3: ("real", "generated before adapting", "generated after"),
}
_COLOURS: Final = ("#222222", "#d95f02", "#0072b2")
_MARKS: Final = ("o", "^", "s")
_MAX_PANELS: Final = 40
_MAX_ACROSS: Final = 4
_MAX_TICKS: Final = 12
_MAX_LINES: Final = 60
_PANEL_INCHES: Final = (2.9, 2.4)
_STRIP_INCHES: Final = 0.8
# Few, so that pictures of similar samples have the same axis.
_ENDS: Final = (2, 5, int(REACH))
_DPI: Final = 100


def look(rows: Sequence[Sequence[Group]], form: Form, titles: Sequence[str] = ()) -> bytes:
    """A PNG with a panel for every row of groups.

    Rows of one group each and without names are strips below each other, all of one height, so that
    names can stand beside them, and several such pictures can be compared.

    Args:
        rows: Per class its groups (n, D), as `to_samples` gives them: real, then generated ones;
            of three groups the second are those before adapting.
        form: Their form.
        titles: A name for each row.

    Raises:
        DataError: If there is no row, or a group is no (n, D).
    """
    _check(rows, form)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = rows[:_MAX_PANELS]
    if not titles and all(len(groups) == 1 for groups in shown):
        return _strips([groups[0] for groups in shown], form)
    across = min(len(shown), _MAX_ACROSS)
    down = -(-len(shown) // across)
    width = _PANEL_INCHES[0] * max(across, 2)
    figure = Figure(
        (width, _PANEL_INCHES[1] * down + 0.5), dpi=_DPI, facecolor="white", layout="constrained"
    )
    FigureCanvasAgg(figure)
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    draw = {1: _draw_line, 2: _draw_plane}.get(form.shape[0], _draw_columns)
    for number, (panel, groups) in enumerate(zip(panels, shown, strict=False)):
        draw(panel, groups, form)
        unnamed = f"class {number + 1}" if len(rows) > 1 else ""
        title = titles[number] if number < len(titles) else unnamed
        panel.set_title(_plain(title), fontsize=9)
        panel.tick_params(labelsize=7)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
        # Numbers and names of the axes stand at the lowest and at the leftmost panels alone.
        is_lowest = number + across >= len(shown)
        panel.tick_params(labelbottom=is_lowest)
        panel.xaxis.label.set_visible(is_lowest)
        panel.yaxis.label.set_visible(number % across == 0)
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    _legend(figure, max(map(len, shown)))
    return _png(figure)


def _strips(groups: Sequence[Group], form: Form) -> bytes:
    """One group below the other, in scales from the median; the ends of the axis at the left."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    center, scale = (np.asarray(form.facts[name]) for name in ("center", "scale"))
    scaled = [np.clip((group - center) / scale, -REACH, REACH) for group in groups]
    largest = max(float(np.abs(group).max(initial=0)) for group in scaled)
    end = next(end for end in _ENDS if largest <= end)
    size = (_PANEL_INCHES[0], _STRIP_INCHES * len(groups))
    figure = Figure(size, dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    for number, group in enumerate(scaled):
        height = 1 / len(groups)
        panel = figure.add_axes((0.09, 1 - (number + 0.96) * height, 0.9, 0.92 * height))
        if form.shape[0] == 1:
            panel.scatter(group[:, 0], np.zeros(len(group)), s=90, marker="|", color=_COLOURS[0])
            panel.set_yticks([])
        elif form.shape[0] == 2:
            panel.scatter(group[:, 0], group[:, 1], s=8, color=_COLOURS[0], linewidths=0)
        else:
            lines = group[:_MAX_LINES].T
            panel.plot(range(form.shape[0]), lines, color=_COLOURS[0], alpha=0.5, linewidth=0.9)
        if form.shape[0] > 1:
            panel.set_ylim(-end, end)
            panel.set_yticks([-end, 0, end], [f"{-end}", "0", f"{end}"], fontsize=5)
        if form.shape[0] < 3:
            panel.set_xlim(-end, end)
        panel.set_xticks([])
        for side in ("top", "right", "bottom"):
            panel.spines[side].set_color("#cccccc")
    return _png(figure)


def _png(figure: Any) -> bytes:
    stream = io.BytesIO()
    # Without the version of the library: equal samples give equal files.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def sheet(dataset: Dataset, path: Path) -> Path:
    """Write a PNG with some classes of every domain; equal data give the same sheet.

    Args:
        dataset: Vectors.
        path: The file; its folder is made if need be.

    Returns:
        The file.
    """
    rows: list[list[Group]] = []
    titles = []
    each = max(1, _MAX_PANELS // len(dataset.domains))
    for domain in dataset.domains:
        indices = np.array(dataset.classes_of(domain))
        places = np.linspace(0, len(indices) - 1, min(each, len(indices))).round().astype(int)
        for index in indices[places].tolist():
            rows.append([dataset.class_samples(index)[:_MAX_LINES]])
            titles.append(dataset.classes[index].name)
    center, scale = center_and_scale(np.asarray(dataset.samples))
    facts = {
        "columns": column_names(dataset),
        "center": center.tolist(),
        "scale": scale.tolist(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, look(rows, Form("vector", dataset.sample_shape, facts), titles))
    return path


def _check(rows: Sequence[Sequence[Group]], form: Form) -> None:
    if not rows or not any(len(groups) for groups in rows):
        raise DataError("rows is empty; give rows of groups of vectors (n, D)")
    for groups in rows:
        for group in groups:
            if np.ndim(group) != 2 or np.shape(group)[1:] != form.shape:
                raise DataError(
                    f"a group of rows has shape {np.shape(group)}; expected (n, {form.shape[0]})"
                )


def _draw_line(panel: Any, groups: Sequence[Group], form: Form) -> None:
    """One column: every group's values on a line of its own."""
    for number, group in enumerate(groups):
        panel.scatter(
            group[:, 0],
            np.full(len(group), -number),
            s=90,
            marker="|",
            color=_COLOURS[number % 3],
            alpha=0.8,
        )
    panel.set_yticks([])
    panel.set_ylim(-len(groups) + 0.4, 0.6)
    panel.set_xlabel(_plain(drawn_columns(form)[0]), fontsize=8)


def _draw_plane(panel: Any, groups: Sequence[Group], form: Form) -> None:
    """Two columns: the plane."""
    for number, group in enumerate(groups):
        panel.scatter(
            group[:, 0],
            group[:, 1],
            s=14,
            marker=_MARKS[number % 3],
            color=_COLOURS[number % 3],
            alpha=0.65,
            linewidths=0,
        )
    panel.set_xlabel(_plain(drawn_columns(form)[0]), fontsize=8)
    panel.set_ylabel(_plain(drawn_columns(form)[1]), fontsize=8)


def _draw_columns(panel: Any, groups: Sequence[Group], form: Form) -> None:
    """Many columns: side by side, in scales, a line for every sample."""
    places = np.arange(form.shape[0])
    center, scale = (np.asarray(form.facts[name]) for name in ("center", "scale"))
    for number, group in enumerate(groups):
        scaled = np.clip((group[:_MAX_LINES] - center) / scale, -REACH, REACH)
        # Generated ones lie on top, thin enough to see real ones below them.
        width = 2.4 if number == 0 else 0.9
        alpha = 0.45 if number == 0 else 0.75
        panel.plot(places, scaled.T, color=_COLOURS[number % 3], alpha=alpha, linewidth=width)
    step = -(-len(places) // _MAX_TICKS)
    names = [_plain(name) for name in drawn_columns(form)]
    panel.set_xticks(places[::step], names[::step], rotation=60, ha="right")
    panel.set_ylabel("scales from the median", fontsize=8)


def _legend(figure: Any, groups: int) -> None:
    from matplotlib.lines import Line2D

    names = _NAMES.get(groups) or tuple(f"group {number + 1}" for number in range(groups))
    if groups == 1:
        return
    lines = [
        Line2D([], [], color=_COLOURS[i % 3], marker=_MARKS[i % 3], linestyle="-", label=name)
        for i, name in enumerate(names)
    ]
    figure.legend(
        handles=lines, loc="outside upper left", ncols=len(lines), fontsize=9, frameon=False
    )


def _plain(name: str) -> str:
    """A name from a file, short and without the marks of formulas."""
    shown = clean_name(str(name)).replace("$", r"\$")
    return shown if len(shown) <= 24 else f"{shown[:22]}.."
