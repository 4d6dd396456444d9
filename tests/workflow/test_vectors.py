"""A run on vectors by its commands: train, adapt, generate, evaluate, report, export, resume."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import metagan
from metagan.cli.app import run_cli
from metagan.data.form import Form
from metagan.runs.checkpoint import read_tensors
from tests.helpers import clouds, write_table

SMALL = (
    *("gan.width=8", "gan.discriminator_width=8", "gan.latent_dim=4", "task.shots=3"),
    *("task.num_query=3", "inner.batch_size=4", "inner.steps=2", "outer.meta_batch_size=4"),
)
MEASURED = (
    *("evaluate.source_steps=20", "evaluate.classifier_steps=10", "evaluate.finetune_steps=5"),
    *("evaluate.seeds=2", "evaluate.validation_seeds=2", "evaluate.comparison_seeds=2"),
    *("evaluate.shots=[3]", "evaluate.test_per_class=3", "evaluate.quality_samples=50"),
    *("evaluate.adapt_steps=[0, 2]", "evaluate.generated_per_real=[4]", "evaluate.mix=[0.5]"),
)


def train(table: Path, run: Path, *settings: str) -> int:
    line = ["train", "data.kind=vector", f"data.path={table}", "--run", str(run), "--local"]
    return run_cli([*line, *SMALL, f"data.cache_dir={run.parent / 'cache'}", *settings])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("clouds") / "clouds.csv", clouds())


@pytest.fixture(scope="module")
def run(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert train(table, folder, "outer.steps=4", "checkpoint.every_steps=2") == 0
    return folder


def test_scales_lie_in_the_run_folder_and_are_those_of_training_classes(run: Path) -> None:
    form = Form.of_json(json.loads((run / "data.json").read_text())["form"])
    assert (form.kind, form.shape) == ("vector", (5,))
    splits = json.loads((run / "splits.json").read_text())
    data = clouds()
    learned = [i for i, record in enumerate(data.classes) if record.name in splits["train"]]
    rows = np.concatenate([data.class_samples(i) for i in learned]).astype(np.float64)
    # Text has seven digits of a float32.
    assert form.facts["center"] == pytest.approx(np.median(rows, axis=0), rel=1e-5)
    spread = np.subtract(*np.percentile(rows, [75, 25], axis=0)) / 1.349
    assert form.facts["scale"] == pytest.approx(spread, rel=1e-3)
    assert metagan.load_run(run).form == form


def test_a_resumed_run_has_the_weights_of_one_that_was_not_stopped(
    table: Path, run: Path, tmp_path: Path
) -> None:
    again = tmp_path / "run"
    assert train(table, again, "outer.steps=2", "checkpoint.every_steps=2") == 0
    assert run_cli(["train", "--run", str(again), "--resume", "--local", "outer.steps=4"]) == 0
    for name in ("init.safetensors", "ema.safetensors"):
        one, other = (read_tensors(each / "checkpoints" / "step-4", name) for each in (run, again))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_adapt_and_generate_give_rows_in_the_units_of_the_table(
    table: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = table.read_text().splitlines()
    own = [lines[0], *(line for line in lines if line.startswith("domain3,"))]
    support = tmp_path / "own.csv"
    # Without its domain, and with the columns in another order.
    cells = [line.split(",")[1:] for line in own]
    support.write_text("".join(",".join([row[0], *row[:0:-1]]) + "\n" for row in cells))
    out = str(tmp_path / "adapted")
    assert run_cli(["adapt", "--run", str(run), "--support", str(support), "--out", out]) == 0
    line = ["generate", "--adapted", out, "--num", "30", "--out", str(tmp_path / "drawn")]
    assert run_cli(line) == 0
    assert "wrote 30 vectors of each of 4 classes" in capsys.readouterr().out
    found = pq.read_table(tmp_path / "drawn" / "samples.parquet")
    assert found.column_names == ["c0", "c1", "c2", "c3", "c4", "label"]
    arrays = np.load(tmp_path / "drawn" / "samples.npz")
    assert arrays["x"].shape == (120, 5)
    np.testing.assert_array_equal(arrays["x"][:, 2], found["c2"].to_numpy())
    data = clouds()
    real = np.concatenate([data.class_samples(i) for i in data.classes_of("domain3")])
    spread = np.median(np.abs(real), axis=0)
    assert np.all(np.median(np.abs(arrays["x"]), axis=0) < 10 * spread)
    assert np.all(np.median(np.abs(arrays["x"]), axis=0) > spread / 10)
    # Its own output is no data.
    line = ["adapt", "--run", str(run), "--support", str(tmp_path / "drawn" / "samples.npz")]
    assert run_cli([*line, "--out", str(tmp_path / "b"), "--steps", "0"]) == 0
    said = capsys.readouterr()
    assert "generated" in said.out + said.err


@pytest.mark.usefixtures("items_here")
def test_evaluate_report_and_export(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(["evaluate", "--run", str(run), *MEASURED]) == 0
    result = json.loads((run / "evaluation.json").read_text())
    assert result["downstream"]["3"]["none"]["seeds"] == 2
    assert len(list((run / "samples" / "adaptation").glob("*-after.png"))) == 1
    assert run_cli(["report", "--run", str(run)]) == 0
    assert (run / "report.html").stat().st_size > 10_000
    capsys.readouterr()
    for name in ("safetensors", "torch-export"):
        out = tmp_path / name
        assert run_cli(["export", "--run", str(run), "--format", name, "--out", str(out)]) == 0
        assert "(value - center) / scale" in capsys.readouterr().out
    extra = {"form.json": ""}
    program = torch.export.load(tmp_path / "torch-export", extra_files=extra)
    assert Form.of_json(json.loads(extra["form.json"])) == metagan.load_run(run).form
    assert program.module()(torch.zeros(3, 5), torch.zeros(3, 4)).shape == (3, 5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("c3", "c9"), "c3"),
        (lambda text: text.replace(",", ";").replace(".", ","), "decimal"),
        (lambda text: text.splitlines()[0] + "\n", "no rows"),
    ],
    ids=["another column", "decimal commas", "no rows"],
)
def test_a_support_that_is_not_like_the_runs_table_is_refused_with_what_is_wrong(
    table: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change, said: str
) -> None:
    support = tmp_path / "own.csv"
    support.write_text(change(table.read_text()))
    line = ["adapt", "--run", str(run), "--support", str(support), "--out", str(tmp_path / "a")]
    assert run_cli(line) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "own.csv" in told
    assert not (tmp_path / "a").exists()


def test_rows_of_numbers_without_their_kind_are_told_how_they_are_read(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = clouds()
    np.savez(tmp_path / "a.npz", x=data.samples, y=np.zeros(len(data.samples), int))
    pq.write_table(pa.table({"label": ["a"], "mass": [1.5]}), tmp_path / "a.parquet")
    for file in (table, tmp_path / "a.npz", tmp_path / "a.parquet"):
        line = ["train", f"data.path={file}", "--run", str(tmp_path / "run"), "--local"]
        assert run_cli(line) == 2
        assert "add data.kind=vector" in capsys.readouterr().err


def test_a_support_in_other_units_is_warned_of_and_adapted_to(
    table: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = table.read_text().splitlines()
    cells = [line.split(",")[1:] for line in lines if line.startswith("domain3,")]
    rows = [[row[0], *row[1:5], f"{float(row[5]) + 1e9:g}"] for row in cells]
    support = tmp_path / "own.csv"
    head = lines[0].removeprefix("domain,")
    support.write_text("".join(f"{','.join(row)}\n" for row in [head.split(","), *rows]))
    line = ["adapt", "--run", str(run), "--support", str(support), "--out", str(tmp_path / "a")]
    assert run_cli(line) == 0
    said = capsys.readouterr().err
    assert "metagan: warning: units: 1 of 5 columns lies more than 10 scales away" in said
    assert "UserWarning" not in said
