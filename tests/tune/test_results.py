"""Results of trials are written so that the page about a search can read them."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from metagan.files import finite_or_null, write_json
from metagan.metrics.front import front_of
from metagan.report.search_load import load_search
from tune.config import SearchJobConfig
from tune.lineage import Segment, extended, from_text, to_text
from tune.results import (
    Findings,
    Trial,
    best_of,
    changes_of,
    curve_of,
    rank,
    search_document,
    trials_of,
)
from tune.space import parse_space

MakeResult = Callable[[str, list[dict[str, float]]], SimpleNamespace]
CONFIG = SearchJobConfig.model_validate(
    {
        "tune": {
            "objective": "kid",
            "space": {
                "inner.lr": {"loguniform": [1e-4, 1e-2]},
                "outer.momentum": {
                    "uniform": [0.5, 0.9],
                    "when": {"outer.optimizer": ["nesterov"]},
                },
            },
        }
    }
)


def row(step: float, kid: float, seconds: float) -> dict[str, float]:
    return {"outer_step": step, "kid": kid, "time_total_s": seconds, "done": False}


def test_a_curve_has_a_measurement_for_each_step() -> None:
    curve = curve_of([row(25, 0.4, 10.0), row(50, 0.3, 18.0)])
    assert [(m.step, m.metrics, m.seconds) for m in curve] == [
        (25, {"kid": 0.4}, 10.0),
        (50, {"kid": 0.3}, 18.0),
    ]


def test_the_clock_of_a_trial_that_was_started_again_goes_on() -> None:
    rows = [row(25, 0.4, 10.0), row(50, 0.3, 18.0), row(50, 0.31, 4.0), row(75, 0.2, 12.0)]
    curve = curve_of(rows)
    assert [(m.step, m.seconds) for m in curve] == [(25, 10.0), (50, 22.0), (75, 30.0)]
    # Of a step that was measured twice the later measurement counts.
    assert curve[1].metrics == {"kid": 0.31}


@pytest.fixture
def result(tmp_path: Path) -> MakeResult:
    def make(name: str, rows: list[dict[str, float]]) -> SimpleNamespace:
        """Tune's result of a trial; it has no sample and no metrics without a report."""
        sample = {"inner.lr": 1e-3, "outer.momentum": 0.9}
        folder = tmp_path / f"{name}__1_inner.lr=0.0010"
        folder.mkdir()
        (folder / "params.json").write_text(json.dumps(sample))
        return SimpleNamespace(
            metrics={"trial_id": name, **rows[-1]} if rows else {},
            metrics_dataframe=SimpleNamespace(to_dict=lambda _: rows) if rows else None,
            config=sample if rows else None,
            error=None if rows else ValueError("Traceback\nnot finite\n"),
            path=str(folder),
        )

    return make


def test_trials_are_in_order_of_start_whatever_order_tune_has(result: MakeResult) -> None:
    early = {**row(25, 0.4, 50.0), "timestamp": 1060.0}
    late = {**row(25, 0.3, 10.0), "timestamp": 1055.0}
    numbered = [result("ab_00010", [early]), result("ab_00002", [late]), result("ab_00003", [])]
    assert [t.id for t in trials_of(numbered, (), CONFIG)] == ["ab_00002", "ab_00003", "ab_00010"]
    unnumbered = [result("f00", []), result("0ff", [late]), result("e11", [early])]
    found = trials_of(unnumbered, (), CONFIG)
    assert [(t.id, t.order) for t in found] == [("e11", 1), ("0ff", 2), ("f00", 3)]
    assert (found[2].status, found[2].error, found[2].seconds) == ("failed", "not finite", None)


def test_of_a_trial_that_reported_nothing_the_sample_is_known_if_it_started(
    result: MakeResult,
) -> None:
    parameters = parse_space(CONFIG.tune.space, CONFIG)
    lost = result("lost", [])
    (trial,) = trials_of([lost], parameters, CONFIG)
    assert trial.sample == {"inner.lr": 1e-3}
    (Path(lost.path) / "params.json").unlink()
    (trial,) = trials_of([lost], parameters, CONFIG)
    assert (trial.sample, trial.status) == ({}, "failed")


def test_a_row_without_a_step_is_no_measurement() -> None:
    assert curve_of([{"time_total_s": 3.0}, row(math.nan, math.nan, 5.0)]) == ()


def trial(name: str, status: str, step: int, kid: float | None) -> Trial:
    return Trial(name, {"inner.lr": 1e-3}, status, step, {} if kid is None else {"kid": kid})


def test_a_trial_that_failed_after_a_measurement_ranks_behind_those_that_did_not() -> None:
    trials = [
        trial("never measured", "failed", 0, None),
        trial("failed late", "failed", 75, 0.01),
        trial("stopped", "stopped", 25, 0.4),
    ]
    ranked = rank(trials, CONFIG)
    assert [t.id for t in ranked] == ["stopped", "failed late", "never measured"]
    assert best_of(ranked, CONFIG) is ranked[0]


@pytest.mark.parametrize("kid", [None, math.nan])
def test_without_a_measurement_there_is_no_best(kid: float | None) -> None:
    assert best_of([trial("one", "failed", 0, kid)], CONFIG) is None
    assert best_of([], CONFIG) is None


def test_what_is_written_is_what_the_page_reads(tmp_path: Path) -> None:
    curve = curve_of([row(25, 0.4, 10.0), row(50, 0.3, 18.5)])
    sample = {"inner.lr": 2e-3}
    best = Trial("ab_1", sample, "done", 50, {"kid": 0.3}, order=2, curve=curve)
    failed = Trial("ab_0", {"inner.lr": 9e-3}, "failed", 0, {}, "not finite", order=1)
    findings = Findings(
        [best, failed],
        {"best": [0.3, math.nan], "given": [0.5, 0.4]},
        [1000, 1001],
        {"trials": 30.0, "confirm": 20.0},
        False,
    )
    parameters = parse_space(CONFIG.tune.space, CONFIG)
    document = search_document(CONFIG, parameters, findings)
    write_json(tmp_path / "search.json", finite_or_null(document))
    found = load_search(tmp_path)
    assert (found.objective, found.sign, found.schema_version) == ("kid", -1, 1)
    assert found.best == sample
    first, second = found.trials
    assert (first.id, first.order, first.seconds, first.value) == ("ab_1", 2, 18.5, 0.3)
    assert [(p.step, p.metrics, p.seconds) for p in first.curve] == [
        (25, {"kid": 0.4}, 10.0),
        (50, {"kid": 0.3}, 18.5),
    ]
    assert (second.status, second.error, second.seconds) == ("failed", "not finite", None)
    lr, momentum = found.space
    assert (lr.key, lr.ends, lr.is_log, lr.given) == ("inner.lr", (1e-4, 1e-2), True, 3e-4)
    assert momentum.when == {"outer.optimizer": ("nesterov",)}
    assert [(p.seed, p.best, p.given) for p in found.pairs] == [(1000, 0.3, 0.5), (1001, None, 0.4)]
    assert found.given["outer.steps"] == CONFIG.outer.steps
    assert found.settings["scheduler"] == "asha"
    assert not [key for key in found.given if key.startswith("tune.")]


def test_trials_with_fewer_outer_steps_of_their_own_are_done_and_compared() -> None:
    config = SearchJobConfig.model_validate({"outer": {"steps": 100}, "tune": {"objective": "kid"}})
    short = Trial("short", {"outer.steps": 50}, "done", 50, {"kid": 0.1})
    long = Trial("long", {"outer.steps": 100}, "done", 100, {"kid": 0.2})
    stopped = Trial("stopped", {"outer.steps": 100}, "stopped", 75, {"kid": 0.0})
    assert [t.id for t in rank([stopped, long, short], config)] == ["short", "long", "stopped"]


def test_changes_are_told_from_the_lineages_that_a_trial_reported() -> None:
    first, other = Segment(0, "a", {"inner.lr": 1.0}), Segment(0, "b", {"inner.lr": 2.0})
    taken = Segment(50, "a", {"inner.lr": 2.4})
    again = Segment(75, "a", {"inner.lr": 2.0})
    assert changes_of([[first], [first]]) == ()
    reported = [[first], [first], [other, taken], [other, taken], [other, again]]
    assert [(c.step, c.donor, c.sample["inner.lr"]) for c in changes_of(reported)] == [
        (50, "b", 2.4),
        (75, "b", 2.0),
    ]
    assert from_text(to_text([other, taken])) == (other, taken)


def test_settings_that_trained_nothing_are_no_part_of_a_lineage() -> None:
    first = extended((), "a", {"inner.lr": 1.0}, 0)
    assert extended(first, "a", {"inner.lr": 1.0}, 25) == first
    second = extended(first, "b", {"inner.lr": 2.0}, 25)
    assert [s.step for s in second] == [0, 25]
    assert extended(second, "c", {"inner.lr": 3.0}, 25) == (
        Segment(0, "a", {"inner.lr": 1.0}),
        Segment(25, "c", {"inner.lr": 3.0}),
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_a_front_has_equal_ones_and_nothing_that_is_beaten(sign: int) -> None:
    values = [sign * value for value in (3.0, 1.0, 2.0, 1.0, 0.5)]
    assert front_of(values, [9.0, 2.0, 4.0, 2.0, 1.5], sign=sign) == [4, 1, 3, 2, 0]
    assert front_of(values, [1.0, 2.0, 4.0, 2.0, 1.5], sign=sign) == [0]
