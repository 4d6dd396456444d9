"""Evaluating runs that are told inputs, by the command: every rival beside them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import metagan
from metagan.cli.app import run_cli
from metagan.devices import pinned_threads
from metagan.report import answers, headline
from metagan.workflow.adapt import how_to_adapt
from tests.workflow.conftest import compute_here
from tests.workflow.test_pairs import STYLES, rows_of, train, write

QUICK = ("evaluate.seeds=2", "evaluate.validation_seeds=2", "evaluate.adapt_steps=[0, 2]")


pytestmark = pytest.mark.usefixtures("items_here")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that reads and solves, beside one that was trained jointly on the same waves."""
    folder = tmp_path_factory.mktemp("waves")
    table = write(folder / "waves.csv", range(24))
    assert train(table, folder / "run", "outer.steps=60") == 0
    joint = ("algorithm.name=joint", "gan.conditioning=[input]", "outer.steps=20")
    assert train(table, folder / "joint", *joint) == 0
    return folder


def evaluated(run: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and what the command wrote into the run folder."""
    code = run_cli(["evaluate", "--run", str(run), *words, *QUICK])
    file = run / "evaluation.json"
    return code, json.loads(file.read_text()) if file.is_file() else {}


@pytest.fixture(scope="module")
def run(trained: Path) -> Path:
    """The run, evaluated with the joint one beside it."""
    with pytest.MonkeyPatch.context() as patch, pinned_threads(1):  # Far faster with tiny tensors.
        compute_here(patch)
        code, _ = evaluated(
            trained / "run", "--shots", "3,6", "--baseline", f"joint={trained / 'joint'}",
            "evaluate.adapt_lr=[0.001, 0.01]",
        )  # fmt: skip
    assert code == 0
    return trained / "run"


def test_every_rival_is_an_arm_with_an_interval_and_a_paired_difference(run: Path) -> None:
    found = json.loads((run / "evaluation.json").read_text())
    assert found["yardstick"] == "predict"
    assert list(found["arms"]) == ["3", "6"]
    arms = found["arms"]["6"]["rmse"]
    networks = {"run", "run not adapted", "joint", "joint not adapted", "scratch"}
    assert set(arms) == networks | {"mean", "nearest pair", "linear"}
    for name, arm in arms.items():
        assert arm["low"] <= arm["mean"] <= arm["high"]
        assert arm["seeds"] == len(found["domains"])
        if name != "run":
            less = found["differences"]["6"]["rmse"][f"run - {name}"]
            assert less["mean"] == pytest.approx(arms["run"]["mean"] - arm["mean"])
    values = found["values"]["6"]["rmse"]["run"]
    assert set(values) == set(found["domains"])
    assert sum(values.values()) / len(values) == pytest.approx(arms["run"]["mean"])


def test_a_hidden_rule_is_predicted_better_than_without_a_generator(run: Path) -> None:
    found = json.loads((run / "evaluation.json").read_text())
    arms = found["arms"]["6"]["rmse"]
    assert arms["run"]["mean"] < min(arms[name]["mean"] for name in found["plain_arms"])
    assert found["gate"]["verdict"] == "use"
    assert found["verdict"].startswith("6 shots: use it: rmse ")
    assert "--baseline" not in found["verdict"]


def test_rates_steps_and_solving_are_chosen_on_validation_for_each_arm(run: Path) -> None:
    rows = json.loads((run / "evaluation.json").read_text())["choices"]
    tried = {"none", "2 steps at 0.001", "2 steps at 0.01"}
    tried |= {"solved", "2 steps at 0.001 + solved", "2 steps at 0.01 + solved"}
    for row in rows:
        if "steps" in row:
            assert row["chosen"] in tried
        if row["arm"].endswith("not adapted"):
            assert (row["chosen"], row["steps"], row["solve"]) == ("none", 0, False)
    assert {row["shots"] for row in rows} == {3, 6}


def test_adapting_uses_what_was_chosen_and_says_so(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = json.loads((run / "evaluation.json").read_text())["adaptation"]
    opened = metagan.load_run(run)
    for shots, number in ((1, "3"), (5, "6"), (50, "6")):
        assert vars(how_to_adapt(opened, shots=shots)) == chosen[number]
    write(tmp_path / "pairs.csv", range(90, 91), count=6)
    line = ["adapt", "--run", str(run), "--support", str(tmp_path / "pairs.csv")]
    assert run_cli([*line, "--out", str(tmp_path / "a")]) == 0
    assert how_to_adapt(opened, shots=6).words in capsys.readouterr().out
    assert how_to_adapt(opened, shots=6, steps=1).steps == 1
    # Python's door leads to the same.
    target = metagan.adapt_run(opened, {"wave": rows_of(90, 6)})
    kept = metagan.load_adapted(tmp_path / "a").target
    for name, weight in target.params.generator.items():
        assert (weight - kept.params.generator[name]).abs().max() < 1e-4


def test_results_are_kept_and_a_new_rival_costs_only_itself(
    trained: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    settings = ("--shots", "3,6", "evaluate.adapt_lr=[0.001, 0.01]")
    baselines = ("--baseline", f"joint={trained / 'joint'}")
    before = len(list((copy / "evaluation_items").iterdir()))
    assert evaluated(copy, *settings, *baselines)[0] == 0
    assert "are kept from before" in capsys.readouterr().out
    assert len(list((copy / "evaluation_items").iterdir())) == before
    more = (*baselines, "--baseline", f"other={trained / 'joint'}")
    assert evaluated(copy, *settings, *more)[0] == 0
    # The same run by another name is the same but for the name.
    arms = json.loads((copy / "evaluation.json").read_text())["arms"]["3"]["rmse"]
    assert arms["other"] == arms["joint"]


def test_the_page_shows_arms_verdict_and_pictures(run: Path, tmp_path: Path) -> None:
    assert run_cli(["report", "--run", str(run), "--out", str(tmp_path / "page.html")]) == 0
    page = " ".join((tmp_path / "page.html").read_text().split())
    verdict = json.loads((run / "evaluation.json").read_text())["verdict"]
    for text in (
        verdict,
        "Answers on unseen domains",
        "Joint pre-training, not adapted",
        "nearest pair",
        "Nearest pair: the answer to the nearest input that is shown.",
        "Best arm without a generator",
        "what is given, what is asked",
        "--baseline joint=",
    ):
        assert text in page, text


def test_other_domains_can_be_measured(trained: Path, run: Path) -> None:
    other = write(trained / "others.csv", range(50, 54))
    assert (
        run_cli(["evaluate", "--run", str(run), "--data", str(other), "--shots", "3", *QUICK]) == 0
    )
    found = json.loads((run / "evaluation-others.json").read_text())
    assert found["domains"] == ["d50", "d51", "d52", "d53"]
    assert "not compared with other training" in found["verdict"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--shots", "16"), "too few for 16 shots (evaluate.shots)"),
        (("--baseline", "run=RUN"), "the name run is taken"),
        (("task.shots=3",), "evaluate.shots is the number"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    given = [word.replace("RUN", str(run)) for word in words]
    code, _ = evaluated(run, *given)
    assert code == 2
    assert said in capsys.readouterr().err


def test_a_rival_that_learned_from_held_out_domains_is_refused(
    trained: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = trained / "waves.csv"
    settings = ("seed=5", "algorithm.name=joint", "gan.conditioning=[input]", "outer.steps=2")
    assert train(table, tmp_path / "seen", *settings) == 0
    code, _ = evaluated(run, "--baseline", f"seen={tmp_path / 'seen'}")
    assert code == 2
    err = capsys.readouterr().err
    # Scales are fitted on other training domains, too.
    assert "was trained on" in err


def test_styles_are_measured_against_their_library(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    line = ["train", "--run", str(folder), "--local", *STYLES]
    assert run_cli([*line, f"data.cache_dir={tmp_path / 'cache'}"]) == 0
    code, found = evaluated(folder, "--shots", "4", "evaluate.source_steps=5")
    assert code == 0
    arms = found["arms"]["4"]
    assert set(arms) == {"rmse", "ssim", "perceptual"}
    plain = {"copy", "nearest domain", "mean of domains", "ridge over domains"}
    assert set(found["plain_arms"]) == plain
    assert set(arms["ssim"]) == plain | {"run", "run not adapted", "scratch"}
    assert 0 <= arms["perceptual"]["run"]["mean"] <= 2
    # Barely trained, so that the training styles' own letters are better.
    assert found["gate"]["verdict"] == "do not use"
    assert "do not use it: on validation it was not better than" in capsys.readouterr().out
    assert list((folder / "samples" / "adaptation").glob("*.png"))


def test_a_reader_of_a_styles_letters_learns_from_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    line = ["train", "--run", str(folder), "--local", *STYLES]
    assert run_cli([*line, f"data.cache_dir={tmp_path / 'cache'}"]) == 0
    reads = ("evaluate.classify=true", "evaluate.finetune_steps=5")
    words = ("--shots", "4", "evaluate.source_steps=5")
    code, found = evaluated(folder, *words, *reads)
    assert code == 0
    reading = found["reading"]["4"]
    plain = {"copy", "nearest domain", "mean of domains", "ridge over domains"}
    without = {"training domains", "shown", "truth"}
    assert set(reading["accuracy"]) == plain | without | {"run", "scratch"}
    assert set(reading["gain"]) == set(reading["accuracy"]) - {"training domains"}
    base = reading["accuracy"]["training domains"]["mean"]
    for arm, gain in reading["gain"].items():
        assert gain["mean"] == pytest.approx(reading["accuracy"][arm]["mean"] - base)
        assert 0 <= reading["accuracy"][arm]["mean"] <= 1
    out = capsys.readouterr().out
    assert "a reader that learns from" in out
    assert run_cli(["report", "--run", str(folder)]) == 0
    page = (folder / "report.html").read_text()
    assert "Readers of the labels, 4 shots" in page
    assert {row[0] for row in answers.readers(found, "4")} >= {"This run", "truth"}
    # Kept as all results are: measured and read of two styles, twice, with three items each.
    evaluated(folder, *words, *reads)
    assert capsys.readouterr().out.count("12 of 12 results are kept from before") == 2
    code, found = evaluated(folder, *words)
    assert found["reading"] is None


def test_a_reader_needs_labels(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["evaluate", "--run", str(trained / "run"), "--out", str(tmp_path / "E.json")]
    assert run_cli([*run, "evaluate.classify=true"]) == 2
    assert "inputs have no labels that domains share" in capsys.readouterr().err


def test_a_damaged_evaluation_still_has_words(run: Path) -> None:
    whole = json.loads((run / "evaluation.json").read_text())
    odd: list[Any] = [None, 3, "text", [], {}, [None], {"6": None}, {"6": {"rmse": None}}]
    for key in (*answers_keys(whole), "leak", "baselines"):
        for value in [*odd, {"6": {"rmse": {"run": 1}}}]:
            data = {**whole, key: value}
            for shots in answers.shots_of(data):
                answers.columns(data, shots)
                answers.arms(data, shots)
                answers.about(data, shots)
            answers.choices(data)
            answers.gates(data)
            assert headline.headline(data)
            headline.more_results(data)


def answers_keys(whole: dict[str, Any]) -> list[str]:
    return [key for key in whole if key not in ("yardstick", "schema_version")]


@pytest.mark.parametrize("odd", [None, 3, [], {"accuracy": 1}, {"accuracy": {"a": None}}])
def test_damaged_readers_still_have_a_page(odd: object) -> None:
    assert answers.readers({"reading": {"4": odd}}, "4") == []
