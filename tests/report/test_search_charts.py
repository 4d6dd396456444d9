import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metagan.report.plots import HEIGHT, TOP, value_axis
from metagan.report.search_charts import (
    best_so_far,
    curves_chart,
    history_chart,
    pareto_chart,
    pareto_front,
)
from metagan.report.search_load import load_search
from metagan.report.search_parallel import NUM_COLOURS, line_class, parallel_chart, rows_of
from tests.report.pages import Page
from tests.report.search_files import SPACE, many_trials, one_key, search_data, trial, write_search


def stairs(chart: str) -> list[tuple[float, float]]:
    """Corners of the first such line, in its frame of 1000 x 1000."""
    d = re.search(r'class="front s0" d="([^"]*)"', chart)[1]
    start, *rest = re.findall(r"[MHV][^MHV]*", d)
    x, y = map(float, start[1:].split())
    points = [(x, y)]
    for word in rest:
        x, y = (float(word[1:]), y) if word[0] == "H" else (x, float(word[1:]))
        points.append((x, y))
    return points


def circles(chart: str, sign: str) -> list[tuple[float, float]]:
    found = re.findall(rf'<circle class="{sign}" cx="([\d.]+)%" cy="([\d.]+)"', chart)
    return [(float(x), float(y)) for x, y in found]


def test_trials_lie_at_their_order_and_their_value(read):
    trials = [trial(3, 0.04), trial(1, 0.02), trial(4, 0.01, step=50), trial(2, None)]
    search = read(search_data(trials, best=(), given=()))
    chart = history_chart(search)
    y = value_axis("", [4.0, 2.0, 1.0])
    assert circles(chart, "best") == [(pytest.approx(62.5), y.down(4.0))]
    assert circles(chart, "full") == [(pytest.approx(12.5), y.down(2.0))]
    assert circles(chart, "ring") == [(pytest.approx(87.5), y.down(1.0))]
    assert re.findall(r'class="cross" x="([\d.]+)%"', chart) == ["37.50"]
    # In the space of its 170 pixels the axis runs from 0.82 to 4.18.
    assert y.down(4.0) == pytest.approx(TOP + HEIGHT * (4.18 - 4) / (4.18 - 0.82), abs=0.1)


def test_the_best_so_far_never_falls_and_ends_at_the_best(read):
    search = read(search_data(many_trials(60)))
    found = best_so_far(search)
    values = [value for _, value in found]
    assert len(values) > 2
    assert values == sorted(values)
    assert values[-1] == search.best_trial.value
    done = sorted((t.order, t.value) for t in search.measured if t.step == 100)
    assert found == [
        (order, value) for i, (order, value) in enumerate(done)
        if all(value > earlier for _, earlier in done[:i])
    ]  # fmt: skip
    heights = [y for _, y in stairs(history_chart(search))]
    assert heights == sorted(heights, reverse=True)


def test_values_of_trials_that_were_stopped_are_not_the_best_so_far(read):
    trials = [trial(2, 0.02), trial(3, 0.01), trial(1, 0.9, step=25)]
    assert best_so_far(read(search_data(trials))) == [(2, 0.02)]


def test_smaller_is_better_in_the_line_of_the_best_so_far(read):
    kid = [trial(n, 0.0, metrics={"kid": value}) for n, value in ((2, 0.1), (1, 0.3), (3, 0.4))]
    search = read(search_data(kid, objective="kid", direction="min"))
    assert best_so_far(search) == [(1, 0.3), (2, 0.1)]


def test_means_of_fresh_seeds_are_levels_in_the_history(read):
    search = read(search_data([trial(1, 0.05)], best=(0.02, 0.02), given=(0.01, 0.03)))
    levels = re.findall(
        r'class="level (s\d)" x1="0" x2="100%" y1="([\d.]+)"', history_chart(search)
    )
    y = value_axis("", [5.0, 2.0])
    assert levels == [("s2", f"{y.down(2.0)}"), ("s1", f"{y.down(2.0)}")]


def test_each_trial_has_its_curve_and_the_best_stands_apart(read):
    search = read(search_data([trial(1, 0.04), trial(2, 0.02, step=50)]))
    chart = curves_chart(search)
    lines = re.findall(r'class="(curve(?: best)?)" d="([^"]*)"', chart)
    assert [name for name, _ in lines] == ["curve", "curve best"]
    y = value_axis("", [1.0, 2.0, 3.0, 4.0])
    corners = [1000 * (1 - y.scale.share(value)) for value in (1.0, 2.0, 3.0, 4.0)]
    expected = "L".join(f"{x} {corner:.0f}" for x, corner in zip((250, 500, 750, 1000), corners,
                                                                  strict=True))  # fmt: skip
    assert lines[1][1] == f"M{expected}"
    assert circles(chart, "ring") == [(50.0, y.down(2.0))]


pairs = st.tuples(
    st.sampled_from([0.0, 0.01, 0.02, 0.03]) | st.floats(-1, 1), st.sampled_from([1.0, 2.0, 3.5])
)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(pairs, min_size=1, max_size=12), is_larger_better=st.booleans())
def test_the_front_is_that_of_all_comparisons(tmp_path_factory, values, is_larger_better):
    trials = [trial(n, value, seconds=s) for n, (value, s) in enumerate(values, 1)]
    data = search_data(trials, direction="max" if is_larger_better else "min")
    search = load_search(write_search(tmp_path_factory.mktemp("front"), data))
    sign = 1 if is_larger_better else -1
    expected = {
        str(trials[i]["id"])
        for i, (value, seconds) in enumerate(values)
        if not any(
            sign * other >= sign * value and cost <= seconds and (other, cost) != (value, seconds)
            for other, cost in values
        )
    }
    assert {t.id for t in pareto_front(search)} == expected


def test_the_front_is_drawn_where_its_trials_lie(read):
    trials = [
        trial(1, 0.03, seconds=100.0),
        trial(2, 0.02, seconds=40.0),
        trial(3, 0.01, seconds=60.0),
    ]
    chart = pareto_chart(read(search_data(trials)))
    # The axis is from 37 to 103 seconds.
    assert circles(chart, "full") == [(pytest.approx(100 * 3 / 66, abs=0.01), pytest.approx(93.0))]
    assert circles(chart, "best")[0][0] == pytest.approx(100 * 63 / 66, abs=0.01)
    assert circles(chart, "ring")[0][0] == pytest.approx(100 * 23 / 66, abs=0.01)
    assert [x for x, _ in stairs(chart)] == pytest.approx([45.5, 954.5, 954.5, 1000], abs=0.1)


def test_parallel_axes_are_logarithmic_where_the_space_is(read):
    samples = [1e-4, 1e-3, 1e-2]
    trials = [trial(i, 0.01 * i, sample={"inner.lr": lr}) for i, lr in enumerate(samples, 1)]
    search = read(search_data(trials, space=[one_key("inner.lr", "loguniform", [1e-4, 1e-2])]))
    lr, objective = rows_of(search)
    assert lr.places == pytest.approx([0.015, 0.5, 0.985])
    assert lr.name == "inner.lr (log)"
    assert [text for _, text, _ in lr.ticks] == ["0.0001", "0.001", "0.01"]
    assert objective.places == pytest.approx([0.015, 0.5, 0.985])


def test_categories_have_a_place_each_and_what_does_not_apply_one_of_its_own(read):
    names = ["adam", "nesterov"]
    samples = [
        {"outer.optimizer": "adam"},
        {"outer.optimizer": "nesterov", "outer.momentum": 0.9},
    ]
    trials = [trial(i, 0.01 * i, sample=sample) for i, sample in enumerate(samples, 1)]
    space = [
        one_key("outer.optimizer", "choice", names),
        one_key("outer.momentum", "uniform", [0.5, 0.9], {"outer.optimizer": ["nesterov"]}),
    ]
    search = read(search_data(trials, space=space))
    optimizer, momentum, _ = rows_of(search)
    assert optimizer.places == pytest.approx([0.015 + 0.97 / 4, 0.015 + 0.97 * 3 / 4])
    assert momentum.not_used
    assert momentum.places[1] == momentum.end < momentum.places[0] < 1
    assert not optimizer.not_used
    assert ">not used</text>" in parallel_chart(search)


def test_a_line_ends_where_a_trial_has_no_objective(read):
    trials = [trial(1, 0.02), trial(2, None), trial(3, 0.01)]
    search = read(search_data(trials, space=SPACE[:2]))
    chart = parallel_chart(search)
    assert rows_of(search)[2].places[1] is None
    lines = dict(re.findall(r'class="trial (\w+)" d="([^"]*)"', chart))
    assert lines["best"].count("L") == 2
    assert lines["none"].count("L") == 1


def test_colours_follow_the_ranking(read):
    search = read(search_data(many_trials(200)))
    classes = [line_class(search, t) for t in search.trials]
    assert classes[0] == "trial best"
    measured = [name for name in classes[1:] if name != "trial none"]
    assert measured == sorted(measured)
    fifths = [measured.count(f"trial q{i}") for i in range(NUM_COLOURS)]
    assert max(fifths) - min(fifths) <= 2


LONG = [f"a-rather-long-name-{i}" for i in range(30)]


@pytest.mark.parametrize("values", [["a"], ["adam", "sgd"], LONG[:3], LONG, list(range(40))])
@pytest.mark.parametrize("conditional", [False, True])
def test_words_beside_an_axis_do_not_overlap_on_a_phone(read, values, conditional):
    trials = [trial(i, 0.001 * i, sample={"k": v}) for i, v in enumerate(values, 1)]
    trials += [trial(99, 0.0, sample={})] if conditional else []
    space = [one_key("k", "choice", values), *SPACE]
    for row in rows_of(read(search_data(trials, space=space))):
        taken = []
        if row.not_used:
            taken.append((0.93 - 8 * 6 / 2 / 350, 1.0))
        for place, text, anchor in row.ticks:
            width = 6.0 * len(text) / 350
            left = place - {"start": 0, "middle": width / 2, "end": width}[anchor]
            taken.append((left, left + width))
        taken.sort()
        assert taken[0][0] >= 0
        assert taken[-1][1] <= 1
        assert all(after[0] >= before[1] for before, after in pairwise(taken)), row.ticks


def test_numbers_on_an_axis_are_told_where_words_have_no_room(read):
    trials = [trial(i, 0.001 * i, sample={"k": v}) for i, v in enumerate(LONG, 1)]
    chart = parallel_chart(read(search_data(trials, space=[one_key("k", "choice", LONG)])))
    assert "30 a-rather-long-name-29" in Page(chart).text
