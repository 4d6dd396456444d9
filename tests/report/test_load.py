import json

import pytest

from metagan.report.load import load_run_files
from metagan.runs.run_folder import RunError
from tests.report.run_files import write_lines, write_run


def test_a_complete_run_is_read_whole(tmp_path):
    run = load_run_files(write_run(tmp_path / "run"))
    assert run.name == "run"
    assert run.damaged == ()
    assert run.steps_done == run.steps_planned == 120
    assert run.finished
    assert run.settings["outer.lr"] == 3e-4
    assert run.num_weights == {"generator": 12, "discriminator": 5}
    assert [step for step, _ in run.previews] == [40, 80, 120]
    assert [picture.domain for picture in run.adaptation] == ["armenian", "hebrew", "lao"]
    assert len(run.failures) == 3


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"no run here.*metagan train --run"):
        load_run_files(tmp_path)


def test_settings_of_another_version_are_read_all_the_same(tmp_path):
    path = write_run(tmp_path / "run")
    with (path / "config.yaml").open("a") as stream:
        stream.write("novelty:\n  strength: 3\n")
    assert load_run_files(path).settings["novelty.strength"] == 3


def test_damaged_files_are_named_and_the_rest_is_read(tmp_path):
    path = write_run(tmp_path / "run")
    (path / "evaluation.json").write_text('{"downstream": ')
    (path / "data.json").write_bytes(b"\xff\xfe")
    (path / "splits.json").write_text("[1, 2]")
    (path / "samples" / "adaptation" / "index.json").write_text("[" * 100_000)
    run = load_run_files(path)
    assert run.evaluation is None
    assert len(run.steps) == 120
    assert sorted(line.partition(" ")[0] for line in run.damaged) == [
        "data.json", "evaluation.json", "samples/adaptation/index.json", "splits.json",
    ]  # fmt: skip


def test_half_a_last_line_is_no_damage_but_several_are(tmp_path):
    path = write_run(tmp_path / "run", num_steps=3, planned=120)
    with (path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 4, "loss_')
    assert load_run_files(path).damaged == ()
    (path / "metrics.jsonl").write_text('{"step": 1}\n3\nnull\n')
    run = load_run_files(path)
    assert run.steps_done == 1
    assert run.damaged == ("metrics.jsonl has 2 lines that cannot be read; they are left out",)


@pytest.mark.parametrize("name", ["../../secret.png", "/etc/passwd", "a/b.png", "", 3])
def test_the_index_of_pictures_names_no_file_outside_of_its_folder(tmp_path, name):
    path = write_run(tmp_path / "run")
    index = path / "samples" / "adaptation" / "index.json"
    files = {"given": "a.png", "before": name, "after": "b.png"}
    index.write_text(json.dumps([{"domain": "x", "files": files}, {"domain": "x", "file": name}]))
    run = load_run_files(path)
    assert run.adaptation == ()
    assert len(run.damaged) == 2


def test_results_on_other_targets_are_found_by_name(tmp_path):
    path = write_run(tmp_path / "run")
    (path / "evaluation-letters.json").write_text((path / "evaluation.json").read_text())
    write_lines(path / "evaluation-empty.json", [{}])
    run = load_run_files(path)
    assert [other.file for other in run.others] == ["evaluation-letters.json"]
