import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metagan.report.drawing import NUM_RANKS
from metagan.report.parallel import NOT_USED, coordinates, line_look, parallel_chart
from metagan.report.search_charts import curves_chart, history_chart, pareto_chart
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


def test_the_front_is_drawn_through_its_trials(read):
    trials = [
        trial(1, 0.03, seconds=100.0),
        trial(2, 0.02, seconds=40.0),
        trial(3, 0.01, seconds=60.0),
    ]
    chart = pareto_chart(read(search_data(trials)))
    found, [stairs] = marks(chart), lines(chart, "accent")
    assert [found[n][0] for n in "123"] == ["best", "full", "ring"]
    assert stairs[0] == found["2"][1:]
    assert found["1"][1:] in stairs
    # 60 seconds are a third of the way from 40 to 100.
    x = {n: found[n][1] for n in "123"}
    assert (x["3"] - x["2"]) / (x["1"] - x["2"]) == pytest.approx(1 / 3, abs=0.01)
    assert "seconds of one trial" in texts(chart)


def test_parallel_axes_are_logarithmic_where_the_space_is(read):
    samples = [1e-4, 1e-3, 1e-2]
    trials = [trial(i, 0.01 * i, sample={"inner.lr": lr}) for i, lr in enumerate(samples, 1)]
    search = read(search_data(trials, space=[one_key("inner.lr", "loguniform", [1e-4, 1e-2])]))
    lr, objective = coordinates(search)
    assert lr.places == pytest.approx([0.0, 0.5, 1.0])
    assert lr.name == "inner.lr (log)"
    assert [text for _, text, _ in lr.ticks] == ["0.0001", "0.001", "0.01"]
    assert objective.places == pytest.approx([0.0, 0.5, 1.0])


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
    optimizer, momentum, _ = coordinates(search)
    assert optimizer.places == pytest.approx([1 / 4, 3 / 4])
    assert momentum.not_used
    assert momentum.places[1] == momentum.end < momentum.places[0] < 1
    assert not optimizer.not_used
    assert "not used" in texts(parallel_chart(search))


def test_a_line_ends_where_a_trial_has_no_objective(read):
    trials = [trial(1, 0.02), trial(2, None), trial(3, 0.01)]
    search = read(search_data(trials, space=SPACE[:2]))
    chart = parallel_chart(search)
    assert coordinates(search)[2].places[1] is None
    assert [len(line) for line in lines(chart, "second")] == [3]
    assert [len(line) for line in lines(chart, "bad")] == [2]


def test_colours_follow_the_ranking(read):
    search = read(search_data(many_trials(200)))
    colours = [line_look(search, t)[0] for t in search.trials]
    assert colours[0] == "second"
    measured = [name for name in colours[1:] if name != "bad"]
    assert measured == sorted(measured)
    fifths = [measured.count(f"q{i}") for i in range(NUM_RANKS)]
    assert max(fifths) - min(fifths) <= 2


LONG = [f"a-rather-long-name-{i}" for i in range(30)]


@pytest.mark.parametrize("values", [["a"], ["adam", "sgd"], LONG[:3], LONG, list(range(40))])
@pytest.mark.parametrize("conditional", [False, True])
def test_words_beside_an_axis_do_not_overlap_on_a_phone(read, values, conditional):
    trials = [trial(i, 0.001 * i, sample={"k": v}) for i, v in enumerate(values, 1)]
    trials += [trial(99, 0.0, sample={})] if conditional else []
    space = [one_key("k", "choice", values), *SPACE]
    for row in coordinates(read(search_data(trials, space=space))):
        taken = []
        if row.not_used:
            taken.append((NOT_USED - 8 * 6.5 / 2 / 364, 1.0))
        for place, text, anchor in row.ticks:
            width = 6.5 * len(text) / 364
            left = place - {"left": 0, "center": width / 2, "right": width}[anchor]
            taken.append((left, left + width))
        taken.sort()
        # Beside the axes there is a margin of 8 units.
        assert taken[0][0] >= -8 / 364
        assert taken[-1][1] <= 1 + 8 / 364
        assert all(after[0] >= before[1] for before, after in pairwise(taken)), row.ticks


def test_numbers_on_an_axis_are_told_where_words_have_no_room(read):
    trials = [trial(i, 0.001 * i, sample={"k": v}) for i, v in enumerate(LONG, 1)]
    chart = parallel_chart(read(search_data(trials, space=[one_key("k", "choice", LONG)])))
    [note] = chart.notes
    assert "30 a-rather-long-name-29" in note
