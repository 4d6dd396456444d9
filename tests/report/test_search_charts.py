import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metagan.report.search_charts import (
    curves_chart,
    history_chart,
    pareto_chart,
    setting_charts,
)
from metagan.report.search_load import load_search
from tests.report.search_files import SPACE, many_trials, one_key, search_data, trial, write_search


def marks(chart) -> dict[str, tuple[str, float, float]]:
    """Sign and place (x, y) of each trial's mark, by the trial's number."""
    found = re.findall(
        r'class="(full|ring|best|cross)" c?x="([\d.]+)" c?y="([\d.]+)"[^>]*>\u00d7?<title>trial '
        r"ab1cd_0*(\d+), ",
        chart.svg,
    )
    return {number: (sign, float(x), float(y)) for sign, x, y, number in found}


def texts(chart) -> list[str]:
    """Words drawn in a chart, without those that a pointer brings up."""
    return re.findall(r"<text[^>]*>([^<]*)", chart.svg)


def lines(chart, colour: str) -> list[list[tuple[float, float]]]:
    """Corners of the lines of a colour, in the units of the chart."""
    found = re.findall(rf'd="([^"]*)" style="[^"]*stroke: var\(--{colour}\)', chart.svg)
    return [
        [(float(x), float(y)) for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", path)]
        for path in found
    ]


def test_trials_lie_at_their_order_and_their_value(read):
    trials = [trial(3, 0.04), trial(1, 0.02), trial(4, 0.01, step=50), trial(2, None)]
    found = marks(history_chart(read(search_data(trials, best=(), given=()))))
    assert {number: sign for number, (sign, _, _) in found.items()} == {
        "3": "best",
        "1": "full",
        "4": "ring",
        "2": "cross",
    }
    x, y = ([found[str(n)][i] for n in (1, 2, 3, 4)] for i in (1, 2))
    assert [after - before for before, after in pairwise(x)] == pytest.approx(
        [x[1] - x[0]] * 3, abs=0.2
    )
    # From 1 to 2 points as far as half the way from 2 to 4; what has no value lies on the axis.
    assert (y[3] - y[0]) == pytest.approx((y[0] - y[2]) / 2, abs=0.2)
    assert y[1] > y[3]


def test_a_mark_tells_its_trial(read):
    trials = [trial(2, 0.04), trial(1, 0.02, step=50)]
    chart = history_chart(read(search_data(trials)))
    assert re.findall("<title>(.*?)</title>", chart.svg.replace("\u00a0", " ")) == [
        "trial ab1cd_00001, rank 2: +2.00 points, step 50, stopped early",
        "trial ab1cd_00002, rank 1: +4.00 points, step 100, trained to the end",
    ]
    assert "trial, in order of start" in texts(chart)


def test_the_best_so_far_never_falls_and_ends_at_the_best(read):
    search = read(search_data(many_trials(60)))
    found = search.best_so_far
    values = [value for _, value in found]
    assert len(values) > 2
    assert values == sorted(values)
    assert values[-1] == search.best_trial.value
    done = sorted((t.order, t.value) for t in search.measured if t.step == 100)
    assert found == [
        (order, value) for i, (order, value) in enumerate(done)
        if all(value > earlier for _, earlier in done[:i])
    ]  # fmt: skip
    [stairs] = lines(history_chart(search), "accent")
    assert [y for _, y in stairs] == sorted((y for _, y in stairs), reverse=True)
    assert [x for x, _ in stairs] == sorted(x for x, _ in stairs)


def test_values_of_trials_that_were_stopped_are_not_the_best_so_far(read):
    trials = [trial(2, 0.02), trial(3, 0.01), trial(1, 0.9, step=25)]
    assert read(search_data(trials)).best_so_far == [(2, 0.02)]


def test_smaller_is_better_in_the_line_of_the_best_so_far(read):
    kid = [trial(n, 0.0, metrics={"kid": value}) for n, value in ((2, 0.1), (1, 0.3), (3, 0.4))]
    search = read(search_data(kid, objective="kid", direction="min"))
    assert search.best_so_far == [(1, 0.3), (2, 0.1)]


def test_means_of_fresh_seeds_are_levels_in_the_history(read):
    search = read(search_data([trial(1, 0.05)], best=(0.04, 0.04), given=(0.01, 0.03)))
    chart = history_chart(search)
    [best], [given] = lines(chart, "second"), lines(chart, "base")
    assert best[0][1] == best[1][1] < given[0][1] == given[1][1]
    assert ("best settings, mean of fresh seeds", "dashed second") in chart.legend


def test_each_trial_has_its_curve_and_the_best_stands_apart(read):
    search = read(search_data([trial(1, 0.04), trial(2, 0.02, step=50)]))
    chart = curves_chart(search)
    [best], [other] = lines(chart, "second"), lines(chart, "base")
    # Measured at 25, 50, 75 and 100, with 1 point more each time; the other one as fast.
    assert [b[0] - a[0] for a, b in pairwise(best)] == pytest.approx(
        [best[1][0] - best[0][0]] * 3, abs=0.2
    )
    assert [a[1] - b[1] for a, b in pairwise(best)] == pytest.approx(
        [best[0][1] - best[1][1]] * 3, abs=0.2
    )
    assert len(other) == 2
    assert marks(chart)["2"] == ("ring", *other[-1])
    assert marks(chart)["1"] == ("best", *best[-1])


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
    assert {t.id for t in search.front} == expected


def test_trials_that_were_stopped_early_are_not_on_the_front(read):
    trials = [trial(1, 0.03, seconds=100.0), trial(2, 0.9, seconds=10.0, step=25)]
    search = read(search_data(trials))
    assert [t.order for t in search.front] == [1]
    assert list(marks(pareto_chart(search))) == ["1"]


def test_the_front_is_drawn_through_its_trials(read):
    trials = [
        trial(1, 0.03, seconds=100.0),
        trial(2, 0.02, seconds=40.0),
        trial(3, 0.01, seconds=60.0),
    ]
    chart = pareto_chart(read(search_data(trials)))
    found, [stairs] = marks(chart), lines(chart, "accent")
    assert [found[n][0] for n in "123"] == ["best", "full", "full"]
    assert stairs[0] == found["2"][1:]
    assert found["1"][1:] in stairs
    # 60 seconds are a third of the way from 40 to 100.
    x = {n: found[n][1] for n in "123"}
    assert (x["3"] - x["2"]) / (x["1"] - x["2"]) == pytest.approx(1 / 3, abs=0.01)
    assert "seconds of one trial" in texts(chart)


def test_each_setting_has_a_chart_with_its_values_from_left_to_right(read):
    samples = [1e-4, 1e-3, 1e-2]
    trials = [trial(i, 0.01 * i, sample={"inner.lr": lr}) for i, lr in enumerate(samples, 1)]
    search = read(search_data(trials, space=[one_key("inner.lr", "loguniform", [1e-4, 1e-2])]))
    [chart] = setting_charts(search)
    x, y = ([marks(chart)[str(n)][i] for n in (1, 2, 3)] for i in (1, 2))
    assert x[2] - x[1] == pytest.approx(x[1] - x[0], abs=0.2)
    assert y[0] - y[1] == pytest.approx(y[1] - y[2], abs=0.2)
    assert "inner.lr, logarithmic" in texts(chart)
    assert {"0.0001", "0.001"} <= set(texts(chart))


def test_values_without_an_order_are_rows_and_trials_without_the_setting_are_left_out(read):
    samples = [
        {"outer.optimizer": "adam"},
        {"outer.optimizer": "nesterov", "outer.momentum": 0.9},
    ]
    trials = [trial(i, 0.01 * i, sample=sample) for i, sample in enumerate(samples, 1)]
    space = [
        one_key("outer.optimizer", "choice", ["adam", "nesterov"]),
        one_key("outer.momentum", "uniform", [0.5, 0.9], {"outer.optimizer": ["nesterov"]}),
    ]
    optimizer, momentum = setting_charts(read(search_data(trials, space=space)))
    assert {"adam", "nesterov"} <= set(texts(optimizer))
    found = marks(optimizer)
    assert found["1"][1] < found["2"][1]  # The objective lies across.
    assert found["1"][2] < found["2"][2]  # The first value is the upper row.
    assert list(marks(momentum)) == ["2"]


def test_trials_without_an_objective_are_on_no_chart_of_settings(read):
    trials = [trial(1, 0.02), trial(2, None), trial(3, 0.01)]
    charts = setting_charts(read(search_data(trials, space=SPACE[:2])))
    assert [sorted(marks(chart)) for chart in charts] == [["1", "3"]] * 2
