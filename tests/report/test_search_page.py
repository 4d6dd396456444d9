import html
import json
import math
import re
import shlex
from argparse import Namespace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from metagan.cli import tune as tune_command
from metagan.cli.app import build_parser, run_cli
from metagan.config.load import load_config
from metagan.report.search_load import load_search
from metagan.report.search_view import fresh_command
from metagan.report.search_words import headline, outcome_of
from metagan.runs.run_folder import RunError
from metagan.workflow.report import write_search_report
from tests.doors import open_door
from tests.report.pages import HOSTILE, Page, check_opens_offline
from tests.report.search_files import SPACE, many_trials, one_key, search_data, trial, write_search
from tune.config import SearchJobConfig


def page_of(folder) -> Page:
    return Page(write_search_report(folder, folder / "report.html").read_text("utf-8"))


@pytest.fixture(scope="module")
def complete(tmp_path_factory) -> Page:
    return page_of(write_search(tmp_path_factory.mktemp("complete") / "omniglot"))


# --- the page ---------------------------------------------------------------------------------


def test_a_page_has_every_section_in_order(complete):
    assert re.findall(r"<h2>(.*?)</h2>", complete.source) == [
        "Best against given, with fresh seeds",
        "What the best settings change",
        "What was searched",
        "How the search went",
        "Settings and objective",
        "Importance of each setting",
        "Objective against time",
        "All trials",
        "Settings that were given",
        "Commands",
    ]


def test_a_page_opens_offline_and_names_no_address(complete):
    check_opens_offline(complete)
    assert "http" not in complete.source.replace("http-equiv", "")


def test_a_page_can_be_read_aloud_and_walked_through(complete):
    assert complete.source.count("<table") == complete.source.count("<caption>")
    names = [attributes["id"] for _, attributes in complete.elements if "id" in attributes]
    assert len(names) == len(set(names))
    pictures = [svg for svg in complete.all("svg") if svg.get("role") == "img"]
    assert len(pictures) == 8
    for picture, title in zip(pictures, re.findall("<figcaption><b>(.*?)</b>", complete.source),
                              strict=True):  # fmt: skip
        assert picture["aria-label"].startswith(f"{title}. ")
        assert len(picture["aria-label"]) > len(title) + 20
    levels = [int(tag[1]) for tag, _ in complete.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(link["href"][1:] in names for link in complete.all("a"))


def test_the_same_search_gives_the_same_bytes(tmp_path):
    folder = write_search(tmp_path / "search")
    first = write_search_report(folder, tmp_path / "a.html").read_bytes()
    assert write_search_report(folder, tmp_path / "b.html").read_bytes() == first


def test_the_numbers_of_the_search_are_on_the_page(complete):
    for text in (
        "24 trials (7 trained to the end, 15 stopped early, 2 failed)",
        "trials 1 h 27 min; fresh seeds 20 min 10 s",
        "asha; of 3 trials at a step one continues; none is stopped before outer step 25",
        "where outer.optimizer is nesterov",
        "0.0001 to 0.003, logarithmic",
        "failed: DivergedError: no meta-gradient was finite",
        "0.001627",  # The best inner.lr, and what it is of the given one.
        "\u00d7 5.42",
        "1001 +1.90 +3.40 +1.50",
    ):
        assert text in complete.text


# --- the result -------------------------------------------------------------------------------


def test_the_interval_is_the_paired_one(read):
    outcome = outcome_of(read(search_data()))
    differences = np.array([0.010, 0.015, 0.011])
    half = stats.t.ppf(0.975, 2) * differences.std(ddof=1) / math.sqrt(3)
    assert outcome.change == pytest.approx(0.012)
    assert outcome.difference.low == pytest.approx(0.012 - half)
    assert outcome.difference.high == pytest.approx(0.012 + half)


@pytest.mark.parametrize(
    ("best", "given", "said"),
    [
        ((0.021, 0.034, 0.027), (0.011, 0.019, 0.016), "are better than those given"),
        ((0.02, 0.05), (0.01, 0.02), "are not measurably better than those given"),
        ((0.02, 0.01), (0.01, 0.03), "are not better than those given"),
        ((0.01, 0.02), (0.01, 0.02), "are not better than those given"),
        ((0.01, 0.02, 0.03), (0.05, 0.061, 0.07), "are worse than those given"),
        ((0.03,), (0.02,), "is not known yet: trained with one fresh seed each"),
        ((0.02,), (0.03,), "are not better than those given: trained with one fresh seed each"),
        ((None, 0.03), (0.02, None), "with every fresh seed one of the two trainings failed"),
        ((), (), "no fresh seeds were trained (tune.confirm_seeds is 0)"),
    ],
)
def test_the_headline_is_what_fresh_seeds_say(read, best, given, said):
    assert said in headline(read(search_data(best=best, given=given)))


@pytest.mark.parametrize(("best", "verdict"), [(0.05, "better"), (0.07, "worse")])
def test_a_distance_is_better_when_it_is_smaller(read, best, verdict):
    changes = {"objective": "kid", "direction": "min"}
    pairs = {"best": (best, best + 0.001), "given": (0.06, 0.0615)}
    search = read(search_data(**pairs, **changes))
    assert outcome_of(search).verdict == verdict
    assert "smaller is better" in headline(search)


def test_a_seed_of_which_one_training_failed_counts_for_neither(read):
    search = read(search_data(best=(0.02, None, 0.04), given=(0.01, 0.5, 0.02)))
    outcome = outcome_of(search)
    assert (outcome.num_pairs, outcome.num_lost) == (2, 1)
    assert outcome.given == pytest.approx(0.015)
    assert "With 1 further seed one of the two trainings failed" in page_of(search.path).text


def test_the_maximum_of_the_search_is_not_in_the_headline(tmp_path):
    trials = [trial(1, 0.7777), trial(2, 0.01)]
    page = page_of(write_search(tmp_path / "search", search_data(trials)))
    header = page.source[: page.source.index("</header>")]
    assert "77.77" not in header
    assert "a noisy value, chosen from 2 trials" in page.text


def test_a_comparison_that_is_missing_is_told_with_its_command(tmp_path):
    data = search_data(confirmation={})
    page = page_of(write_search(tmp_path / "search", data))
    assert "have not been trained with fresh seeds yet" in page.text
    assert f"metagan tune -c FILE --out {tmp_path}/search --resume" in page.text


# --- what is unusual --------------------------------------------------------------------------


def broken(value: object) -> dict:
    """A trial whose measurements are no numbers."""
    found = trial(9, 0.01)
    for at in (found, *found["curve"]):
        at["metrics"] = {"gain": value}
        at["seconds"] = value
    return found


UNUSUAL = {
    "one trial": search_data([trial(1, 0.02)], best=(0.01,), given=(0.02,)),
    "all equal": search_data([trial(i, 0.02) for i in range(1, 9)], best=(0, 0), given=(0, 0)),
    "all failed": search_data([trial(i, None) for i in range(1, 5)], best=(), given=()),
    "no trial": search_data([], best=(), given=()),
    "no setting": search_data([trial(1, 0.02, sample={})], space=[]),
    "one setting": search_data([trial(i, 0.01 * i) for i in (1, 2)], space=SPACE[:1]),
    "not numbers": search_data([trial(1, 0.02), broken(None), broken("x"), broken(1e300)]),
    "only no numbers": search_data([broken(None)]),
    "all stopped": search_data([trial(i, 0.01 * i, step=25) for i in (2, 1)]),
    "wild": search_data([trial(1, 1e29), trial(2, 1e-29), trial(3, -1e29), trial(4, 0.0)]),
    "no time": search_data([trial(i, 0.02, seconds=0.0) for i in (1, 2, 3)]),
    "unknown objective": search_data(
        [trial(1, 0.02, metrics={"speed": 3.25})], objective="speed", best=(3.0, 2), given=(1, 2)
    ),
    "long": search_data(
        [trial(1, 0.02, id="i" * 300, sample={"k" * 300: "v" * 300}, error="e" * 3000)],
        space=[one_key("k" * 300, "choice", ["v" * 300])],
    ),
    "two hundred": search_data(many_trials(200)),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_search_has_its_page(tmp_path, name):
    page = page_of(write_search(tmp_path / "search", UNUSUAL[name]))
    check_opens_offline(page)
    assert not re.search(r"\b(nan|inf|None)\b", page.text)
    for _, attributes in page.elements:
        for key in ("d", "x", "x1", "x2", "y", "y1", "y2", "cx", "cy", "width", "height"):
            assert not re.search(r"nan|inf|e\+", attributes.get(key) or "")
    assert len(page.source) < 600_000


def test_numbers_without_room_for_their_digits_are_powers_of_ten(tmp_path):
    page = page_of(write_search(tmp_path / "search", UNUSUAL["wild"]))
    assert "+1.00e31" in page.text
    assert not re.search(r"\d,\d{3},\d{3}", page.text)


def test_of_two_hundred_trials_every_one_is_in_a_table_and_most_are_folded(tmp_path):
    page = page_of(write_search(tmp_path / "search", UNUSUAL["two hundred"]))
    table = page.source[page.source.index('id="trials"') :]
    for number in range(1, 201):
        assert f"ab1cd_{number:05d}</code>" in table
    assert "The other 160 trials" in page.text


def test_when_all_failed_nothing_is_recommended_and_the_reasons_are_there(tmp_path):
    page = page_of(write_search(tmp_path / "search", UNUSUAL["all failed"]))
    assert "All 4 trials failed: no settings can be recommended." in page.text
    assert page.text.count("DivergedError: no meta-gradient was finite") == 4
    assert "best.yaml" not in page.text


def test_a_trial_that_was_started_again_says_how_often_and_why(tmp_path):
    reasons = ("its node was lost", "ActorDiedError: killed")
    retries = [{"step": 25, "reason": reason} for reason in reasons]
    trials = [trial(1, 0.02, retries=retries), trial(2, 0.01)]
    page = page_of(write_search(tmp_path / "search", search_data() | {"trials": trials}))
    assert "done (started again 2 times: ActorDiedError: killed)" in page.text.replace(
        "\u00a0", " "
    )
    assert page.text.count("started again") == 1


def poisoned(value):
    if isinstance(value, dict):
        return {HOSTILE + key if "." in key else key: poisoned(v) for key, v in value.items()}
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


def test_hostile_names_stay_text(tmp_path):
    data = poisoned(search_data())
    data |= {"objective": HOSTILE, "direction": "max"}
    for one in data["trials"]:
        one["metrics"] = {HOSTILE: 0.5}
    folder = tmp_path / "a <script>alert(1)<script> & folder"
    folder.mkdir()
    (folder / "search.json").write_text(json.dumps(data))
    page = page_of(folder)
    check_opens_offline(page)
    assert "<script src='https://example.org/x.js'>alert(1)</script>" in page.text
    assert "\u202e" not in page.source
    assert "\x00" not in page.source


@pytest.mark.parametrize("value", [3, "text", [1], {"a": 1}, None, True, [{}], [[1], None]])
def test_parts_of_any_other_kind_give_a_page_or_an_error_that_names_the_file(tmp_path, value):
    whole = search_data(many_trials(6))
    inner = {key: {**whole["trials"][0], key: value} for key in whole["trials"][0]}
    changed = [{**whole, key: value} for key in whole]
    changed += [{**whole, "trials": [one, *whole["trials"][1:]]} for one in inner.values()]
    changed += [{**whole, "space": [{**SPACE[0], key: value}, *SPACE[1:]]} for key in SPACE[0]]
    assert [data for data in changed if not _has_page_or_error(tmp_path / "search", data)] == []


def _has_page_or_error(folder, data) -> bool:
    write_search(folder, data)
    try:
        return bool(page_of(folder).text.strip())
    except RunError as error:
        return str(folder / "search.json") in str(error)


# --- commands ---------------------------------------------------------------------------------


def test_commands_on_the_page_are_ones_that_there_are(tmp_path):
    folder = write_search(tmp_path / "a search")
    text = Page(write_search_report(folder, folder / "report.html").read_text()).source
    found = [html.unescape(line) for line in re.findall(r"<pre><code>(metagan .*?)<", text)]
    words = [shlex.split(line)[1:] for line in found]
    commands = ["train", "evaluate", "tune", "tune", "evaluate", "report"]
    assert [line[0] for line in words] == commands
    assert words[4][2] == str(folder / "trials" / load_search(folder).trials[0].id)
    assert words[0][:3] == ["train", "-c", str(folder / "best.yaml")]
    assert words[0][4] == words[1][2] == str(tmp_path / "a search-best")
    for line in words:
        build_parser().parse_args(line)


@pytest.mark.parametrize("which", ["best", "given"])
def test_more_fresh_seeds_are_a_search_over_nothing_else(read, which):
    search = read(search_data())
    words = shlex.split(fresh_command(search, which))
    assert words[:4] == ["metagan", "tune", "-c", str(search.path / f"{which}.yaml")]
    config = load_config(SearchJobConfig, None, words[6:]).config
    # Those of the comparison were 1000 to 1002.
    assert config.tune.space == {"seed": {"grid": [1003, 1004, 1005]}}
    assert (config.tune.num_trials, config.tune.confirm_seeds) == (1, 0)
    assert (config.tune.scheduler, config.tune.objective) == ("none", "gain")
    assert config.tune.repetitions == 2


def test_targets_stay_those_of_the_search_where_the_seed_was_searched(read):
    trials = [trial(1, 0.02, sample={"seed": 7})]
    space = [{**one_key("seed", "choice", [3, 7]), "given": 4}]
    search = read(search_data(trials, space=space))
    assert fresh_command(search, "best").endswith(" seed=4")
    assert " seed=" not in fresh_command(search, "given")


def run_here(capsys, *arguments):
    code = run_cli([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command_writes_into_the_folder_or_where_it_was_told(tmp_path, capsys):
    folder = write_search(tmp_path / "search")
    code, out, _ = run_here(capsys, "report", "--search", folder)
    assert (code, f"wrote {folder / 'report.html'}" in out) == (0, True)
    code, _, _ = run_here(capsys, "report", "--search", folder, "--out", tmp_path / "x" / "y.html")
    assert code == 0
    assert (tmp_path / "x" / "y.html").read_bytes() == (folder / "report.html").read_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, r"no search here \(no search.json\); make one with metagan tune --out"),
        ("{", r"search\.json is damaged: it is not valid JSON \(line 1\); write it again"),
        ("[1]", "search.json is damaged: it does not hold an object"),
        ('{"trials": []}', "objective is not a name"),
        ('{"objective": "gain", "trials": 3}', "trials is not a list"),
        ('{"objective": "gain", "trials": [3]}', "trials has an entry that is not an object"),
        ('{"objective": "kid", "trials": [], "schema_version": 99}', "has schema_version 99, but"),
        ("[" * 100_000, "search.json is damaged"),
        ("\udcff", "search.json is damaged"),
    ],
)
def test_a_folder_without_a_search_or_with_a_damaged_one_is_an_error(tmp_path, capsys, text, said):
    if text is not None:
        (tmp_path / "search.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    code, out, err = run_here(capsys, "report", "--search", tmp_path)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert re.search(said, err)
    assert str(tmp_path) in err
    assert not (tmp_path / "report.html").exists()


def test_a_search_that_is_not_finished_is_told_how_to_go_on(tmp_path, capsys):
    (tmp_path / "tune").mkdir()
    code, _, err = run_here(capsys, "report", "--search", tmp_path)
    assert code == 2
    assert f"continue it with metagan tune -c FILE --out {tmp_path} --resume" in err


def test_a_run_and_a_search_are_not_for_one_page(tmp_path, capsys):
    code, _, err = run_here(capsys, "report", "--search", tmp_path, "--run", tmp_path)
    assert code == 2
    assert "not allowed with argument" in err
    code, _, err = run_here(capsys, "report")
    assert code == 2
    assert "one of the arguments --run --search is required" in err


def test_a_search_ends_with_its_page(tmp_path, monkeypatch):
    lines: list[str] = []

    def search(_config, out, **_options):
        write_search(out)
        return json.loads((out / "search.json").read_text())

    console = SimpleNamespace(print=lines.append, table=lambda *_, **__: None)
    open_door(monkeypatch, "tune.search", search=search)
    args = Namespace(
        smoke=True, overrides=[], trials=None, config=None, out=tmp_path / "out", resume=False
    )
    assert tune_command.run(args, console) == 0
    assert "are better than those given" in (tmp_path / "out" / "report.html").read_text("utf-8")
    assert any(f"wrote {tmp_path / 'out' / 'report.html'}" in line for line in lines)
