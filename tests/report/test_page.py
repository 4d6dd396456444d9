import json
import re
from argparse import Namespace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

import metagan.report
from metagan.cli import report
from metagan.runs.run_folder import RunError
from metagan.workflow.report import write_report
from tests.report.pages import HOSTILE, Page, check_opens_offline
from tests.report.run_files import write_adaptation, write_lines, write_run


def page_of(run) -> Page:
    return Page(write_report(run, run / "report.html").read_text("utf-8"))


@pytest.fixture(scope="module")
def complete(tmp_path_factory) -> Page:
    return page_of(write_run(tmp_path_factory.mktemp("complete") / "glyphs"))


@pytest.fixture(scope="module")
def half(tmp_path_factory) -> Page:
    path = write_run(tmp_path_factory.mktemp("half") / "glyphs", num_steps=50, evaluated=False)
    return page_of(path)


def test_a_complete_run_has_every_section_in_order(complete):
    titles = re.findall(r"<h2>(.*?)</h2>", complete.source)
    assert titles == [
        "What was run",
        "Adaptation to unseen domains",
        "Accuracy on unseen domains",
        "Comparison of initializations",
        "What the gate chose, and why",
        "Quality of generated samples",
        "Training",
        "Time",
        "Failures and restarts",
        "Notes on the data",
        "Settings",
        "How to repeat it",
    ]
    assert "What is missing" not in complete.text


def test_the_result_comes_first(complete):
    assert "raise the from-scratch classifier from 61.2 % to 66.0 %" in complete.text[:400]


def test_the_numbers_of_the_evaluation_are_on_the_page(complete):
    for text in (
        "66.0 [64.2, 67.8]",  # Both, from scratch, at 5 shots.
        "0.0123 \u00b1 0.0008",  # KID.
        "+4.1 \u00b1 0.9",  # The gate's reason.
        "Untrained (scratch) 20 57.0 [55.0, 59.0] +9.0 [+8.6, +9.4] 0.1111 \u00b1 0.0008",
        "the kernel distance (KID) is 0.0123 \u00b1 0.0008 (0 is perfect) and 0.4 % of the",
        "12 weights in the generator and 5 weights in the discriminator",
        "120 of 120; 1,919 episodes",
        "On average 1.5 workers were computing.",
        "ab" * 32,
        "loss is not finite",
        "characters left out: 720 look like another one",
    ):
        assert text in complete.text


def test_pages_open_offline_without_scripts(complete, half):
    check_opens_offline(complete)
    check_opens_offline(half)
    policy = [meta["content"] for meta in complete.all("meta") if "http-equiv" in meta]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_no_number_on_a_page_is_undefined(complete, half):
    for page in (complete, half):
        assert not re.search(r"\b(nan|inf|None|null)\b", page.text.replace("null ", ""))
        for _, attributes in page.elements:
            for name in ("d", "x", "x1", "x2", "y", "y1", "y2", "cx", "cy", "style", "viewbox"):
                assert not re.search(r"nan|inf", attributes.get(name) or "")


def test_pages_can_be_read_aloud_and_walked_through(complete):
    assert all(image["alt"] for image in complete.all("img"))
    assert complete.source.count("<table") == complete.source.count("<caption>")
    assert all(cell.get("scope") in ("row", "col") for cell in complete.all("th"))
    charts = [svg for svg in complete.all("svg") if svg.get("role") == "img"]
    assert len(charts) >= 6
    assert all(svg["aria-label"] for svg in charts)
    levels = [int(tag[1]) for tag, _ in complete.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    names = [attributes["id"] for _, attributes in complete.elements if "id" in attributes]
    assert len(names) == len(set(names))
    assert {link["href"] for link in complete.all("a")} == {f"#{name}" for name in names}
    boxes = [div for div in complete.all("div") if div.get("class") == "scroll"]
    assert all(box["tabindex"] == "0" and box["role"] == "region" for box in boxes)
    assert dict(complete.elements)["html"]["lang"] == "en"


def test_each_unseen_domain_is_shown_given_before_and_after(complete):
    alts = [image["alt"] for image in complete.all("img")]
    for domain in ("armenian", "hebrew", "lao"):
        assert f"{domain}: real samples given, one class per row" in alts
        assert f"{domain}: samples generated before adaptation, one class per row" in alts
        after = f"{domain}: samples generated after adaptation, 20\u00a0inner steps"
        assert f"{after}, one class per row" in alts
    # Fewer columns given than generated: on a phone they stand in one scale.
    shares = [float(share) for share in re.findall(r"--share:([0-9.]+)%", complete.source)]
    assert shares[:9] == [62.5, 100.0, 100.0] * 3


def test_a_half_finished_run_says_what_is_missing_and_how_to_make_it(half):
    assert "Report of an unfinished run: 50 of 120 outer steps" in half.text
    assert "Not evaluated yet" in half.text
    assert "Training stopped after 50 of 120 outer steps." in half.text
    assert re.search(r"metagan train -c \S+/glyphs/config.yaml --run \S+ --resume", half.text)
    assert re.search(r"metagan evaluate --run \S+/glyphs", half.text)
    assert "Accuracy on unseen domains" not in half.text


def test_a_run_with_nothing_but_settings_has_a_report(tmp_path):
    path = write_run(tmp_path / "run", num_steps=40, evaluated=False)
    for name in ("command.txt", "environment.json", "splits.json", "data.json", "metrics.jsonl",
                 "failures.jsonl"):  # fmt: skip
        (path / name).unlink()
    for file in (path / "samples").iterdir():
        file.unlink()
    page = page_of(path)
    check_opens_offline(page)
    assert "No outer step has been logged." in page.text
    assert "splits.json is missing" in page.text
    (path / "config.yaml").write_text("\tnot yaml: [")
    assert "config.yaml is not a readable file of settings" in page_of(path).text


def test_a_closed_gate_says_why(tmp_path):
    page = page_of(write_run(tmp_path / "run", closed=True))
    assert "so the do-no-harm gate left them out" in page.text
    # Validation gains of -1, 2 and 0 points.
    assert "left out: gain within its standard error" in page.text
    assert "+0.3 \u00b1 0.9" in page.text
    assert ">used</td>" not in page.source


def test_hostile_names_stay_text(tmp_path):
    path = write_run(tmp_path / "run")
    write_adaptation(path, (HOSTILE,))
    for name in ("splits.json", "data.json", "environment.json"):
        value = json.loads((path / name).read_text())
        (path / name).write_text(json.dumps(_poison(value)))
    value = json.loads((path / "evaluation.json").read_text())
    value["target"] = HOSTILE
    value["comparison"][-1]["init"] = HOSTILE
    (path / "evaluation.json").write_text(json.dumps(value))
    (path / "evaluation-other.json").write_text(json.dumps(value))
    (path / "command.txt").write_bytes(b"metagan \xff train <script>alert(1)</script>")
    failure = {"step": 1, "kind": HOSTILE, "task": HOSTILE, "reason": HOSTILE}
    write_lines(path / "failures.jsonl", [failure])
    steps = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    write_lines(path / "metrics.jsonl", [{**s, "algorithm": HOSTILE, HOSTILE: 1.0} for s in steps])
    page = page_of(path)
    check_opens_offline(page)
    head, _, body = page.source.partition("</head>")
    assert head.count("<title>") == head.count("</title>") == 1
    assert "<title></title>" not in body
    assert "<script src='https://example.org/x.js'>alert(1)</script>" in page.text
    assert "\u202e" not in page.source
    assert "\x00" not in page.source


def _poison(value):
    if isinstance(value, dict):
        return {key: _poison(item) for key, item in value.items()}
    if isinstance(value, list):
        return [*map(_poison, value), HOSTILE]
    return HOSTILE if isinstance(value, str) else value


def test_numbers_that_are_none_or_not_finite_become_dashes(tmp_path):
    path = write_run(tmp_path / "run")
    steps = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    for number, step in enumerate(steps):
        step["loss_g_first"] = (None, float("nan"), float("inf"), 1e300, "x")[number % 5]
        step["wall_s"] = None if number % 2 else step["wall_s"]
    write_lines(path / "metrics.jsonl", steps)
    value = json.loads((path / "evaluation.json").read_text())
    value["quality"] |= {"kid": None, "fid": float("nan"), "coverage": "high"}
    for row in value["comparison"]:
        row |= {"kid": None, "accuracy": None}
    value["downstream"]["5"]["none"] = None
    value["validation"][0]["gains"] = [None, float("nan")]
    value["choices"][0]["validation_gain"] = None
    (path / "evaluation.json").write_text(json.dumps(value))
    page = page_of(path)
    assert not re.search(r"\b(nan|inf|None)\b", page.text)
    row = page.text[page.text.index("KID ", page.text.index("Measures")) :]
    assert row.startswith("KID \u2013 lower")


@pytest.mark.parametrize("value", [3, "text", [1], {"a": 1}, None])
def test_an_evaluation_with_parts_of_any_other_kind_still_has_a_report(tmp_path, value):
    path = write_run(tmp_path / "run", num_steps=4, domains=(), shots=(5,))
    whole = json.loads((path / "evaluation.json").read_text())
    for key in whole:
        (path / "evaluation.json").write_text(json.dumps({**whole, key: value}))
        assert page_of(path).text.strip()


def test_results_on_another_target_have_a_section_and_a_command(tmp_path):
    path = write_run(tmp_path / "run")
    value = json.loads((path / "evaluation.json").read_text())
    value["target"] = "my letters/a b"
    (path / "evaluation-letters.json").write_text(json.dumps(value))
    page = page_of(path)
    assert "Other target: my letters/a b" in page.text
    assert f"--data 'my letters/a b' --baseline joint=DIR --out {path}/evaluation-letters.json" in (
        page.text
    )


def test_what_another_target_said_of_the_choices_is_told(tmp_path):
    path = write_run(tmp_path / "run")
    assert "own samples said" not in page_of(path).text
    value = json.loads((path / "evaluation.json").read_text())
    row = {"shots": 5, "classifier": "pretrained", "arm": "both", "asked": 7, "kept": 2}
    value |= {"target": "far", "own_checks": [row]}
    (path / "evaluation-far.json").write_text(json.dumps(value))
    page = page_of(path)
    assert "What the target's own samples said" in page.text
    assert "2 of 7" in page.text


def test_the_evaluation_is_repeated_with_its_own_settings_and_baselines(tmp_path):
    path = write_run(tmp_path / "a run", shots=(2, 5))
    (path / "joint").mkdir()
    (path / "joint" / "config.yaml").write_text("seed: 0\n")
    text = page_of(path).text
    # The run asks for 10 seeds, too; only the shots differ from its settings.
    expected = f"metagan evaluate --run '{path}' --baseline 'joint={path}/joint'"
    assert f"{expected} 'evaluate.shots=[2, 5]'" in text
    assert "evaluate.seeds=" not in text


def test_an_evaluation_of_an_earlier_step_is_marked_as_such(tmp_path):
    path = write_run(tmp_path / "run")
    value = json.loads((path / "evaluation.json").read_text())
    (path / "evaluation.json").write_text(json.dumps({**value, "run_step": 80}))
    assert "The evaluation is of outer step 80; the log has reached step 120." in page_of(path).text


def test_settings_that_are_not_the_default_stand_apart(complete):
    table = complete.source.partition("<b>Settings that differ from their default.</b>")[2]
    rows = re.findall("<tr>(.*?)</tr>", table.partition("</table>")[0], re.DOTALL)[1:]
    keys = [re.search(r"<code>(.*?)</code>", row)[1] for row in rows]
    assert keys == ["warmup.steps", "outer.steps", "outer.lr", "evaluate.seeds"]
    assert "inner.optimizer" in complete.text


def test_the_same_run_gives_the_same_bytes(tmp_path):
    path = write_run(tmp_path / "run")
    first = write_report(path, path / "a.html").read_bytes()
    assert write_report(path, path / "b.html").read_bytes() == first


def test_large_runs_stay_below_three_megabytes(tmp_path):
    domains = tuple(f"domain{i}" for i in range(8))
    path = write_run(tmp_path / "run", evaluated=True)
    write_adaptation(path, domains, size=32, channels=3, noisy=True)
    lines = (path / "metrics.jsonl").read_text().splitlines()
    steps = [{**json.loads(lines[i % 120]), "step": i} for i in range(1, 8001)]
    write_lines(path / "metrics.jsonl", steps)
    reasons = [{"step": i, "kind": "retry", "reason": f"{i} " + "x" * 5000} for i in range(500)]
    write_lines(path / "failures.jsonl", reasons)
    splits = {"train": [f"source{i}/{'y' * 90}" for i in range(5000)], "test": [], "validation": []}
    (path / "splits.json").write_text(json.dumps(splits))
    data = {"notes": ["z" * 3000] * 5000, "left_out": ["w" * 300] * 5000, "sha256": "0" * 64}
    (path / "data.json").write_text(json.dumps(data))
    page = write_report(path, path / "report.html")
    assert 1_000_000 < page.stat().st_size < 3_000_000
    assert Page(page.read_text("utf-8")).source.count("<img") >= 3 * len(domains)


def test_pictures_that_cannot_be_read_are_told(tmp_path):
    path = write_run(tmp_path / "run")
    (path / "samples" / "adaptation" / "01-after.png").write_bytes(b"no picture")
    (path / "samples" / "adaptation" / "02-given.png").unlink()
    text = page_of(path).text
    assert "2 more pictures in" in text
    assert "The pictures of lao are gone." in text


def test_the_command_writes_where_it_was_told_and_says_so(tmp_path):
    path = write_run(tmp_path / "run", num_steps=4, planned=120, evaluated=False)
    lines: list[str] = []
    console = SimpleNamespace(print=lines.append)
    out = tmp_path / "new" / "page.html"
    assert report.run(Namespace(run=path, search=None, out=out), console) == 0
    assert out.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert str(out) in lines[0]
    assert "opens offline" in lines[0]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    path = write_run(tmp_path / "run", num_steps=4, planned=120, evaluated=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"--out .*cannot be written"):
        write_report(path, tmp_path / "file" / "page.html")
    with pytest.raises(RunError, match=r"--out .*cannot be written"):
        write_report(path, path / "samples")


def test_text_is_readable_on_its_ground_in_light_and_in_dark():
    style = (Path(metagan.report.__file__).parent / "templates" / "style.css").read_text()
    schemes = [dict(re.findall(r"--([\w-]+): #(\w{6})", block))
               for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)]  # fmt: skip
    assert len(schemes) == 2
    for colours in schemes:
        for ground in ("paper", "panel"):
            for ink in ("ink", "muted", "accent", "second", "base", "bad"):
                assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        assert _contrast(colours["mark-ink"], colours["mark"]) >= 4.5


def _contrast(first: str, second: str) -> float:
    """WCAG 2.1 contrast ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
