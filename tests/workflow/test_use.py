"""A trained run is adapted to a user's pictures, generated from, and exported."""

import io
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from metagan.cli.app import run_cli
from metagan.config.load import ConfigError
from metagan.config.settings import RunConfig
from metagan.data.dataset import DataError
from metagan.data.form import Form
from metagan.kinds.image.reading.record import Reading
from metagan.runs.checkpoint import CheckpointError
from metagan.runs.run_folder import RunError
from metagan.workflow.adapt import adapt_run, load_adapted, read_support, save_adapted
from metagan.workflow.export import export_onnx, export_safetensors, export_torch
from metagan.workflow.generate import draw_samples, write_samples
from metagan.workflow.setup import load_run
from tests.helpers import bars
from tests.workflow.conftest import bars_config, run_training

DATA = Form("image", (1, 16, 16))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes with three and two pictures, and a file that is no picture."""
    data = bars()
    for label, index, count in (("ka", 0, 3), ("ki", 5, 2)):
        folder = tmp_path / "mine" / label
        folder.mkdir(parents=True)
        for number in range(count):
            Image.fromarray(data.class_samples(index)[number][0]).save(folder / f"{number}.png")
    (tmp_path / "mine" / "ka" / "broken.png").write_bytes(b"not a picture")
    return tmp_path / "mine"


def test_support_is_read_by_class_and_bad_files_are_listed(pictures: Path) -> None:
    classes, unread = read_support(pictures, DATA)
    assert {label: array.shape for label, array in classes.items()} == {
        "ka": (3, 1, 16, 16),
        "ki": (2, 1, 16, 16),
    }
    assert len(unread) == 1
    assert "broken.png" in unread[0]


def test_an_empty_folder_of_the_support_is_listed(pictures: Path) -> None:
    (pictures / "ku").mkdir()
    classes, unread = read_support(pictures, DATA)
    assert set(classes) == {"ka", "ki"}
    assert "left out: ku: an empty folder" in unread


def test_a_folder_of_pictures_is_one_class(pictures: Path) -> None:
    classes, _ = read_support(pictures / "ki", DATA)
    assert list(classes) == ["ki"]


def test_support_without_pictures_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no readable pictures"):
        read_support(tmp_path, DATA)
    with pytest.raises(DataError, match="no such file or folder"):
        read_support(tmp_path / "none", DATA)


def test_a_run_of_a_cluster_opens_without_the_clusters_settings(
    tmp_path: Path, trained: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    with (run / "config.yaml").open("a") as file:
        file.write("cluster:\n  num_workers: 3\n")
    with pytest.raises(ConfigError, match="cluster: unknown key"):
        load_run(run, RunConfig)
    assert load_run(run).config == load_run(trained, RunConfig).config


def test_support_that_leaves_open_what_a_class_is_is_refused(pictures: Path) -> None:
    picture = (pictures / "ka" / "0.png").read_bytes()
    (pictures / "loose.png").write_bytes(picture)
    with pytest.raises(DataError, match="both in the folder and in sub-folders"):
        read_support(pictures, DATA)
    (pictures / "loose.png").unlink()
    (pictures / "more" / "ka").mkdir(parents=True)
    (pictures / "more" / "ka" / "9.png").write_bytes(picture)
    with pytest.raises(DataError, match="ka and more/ka are both called ka"):
        read_support(pictures, DATA)


def test_what_adapt_did_not_write_is_not_generated_from(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not the result of metagan adapt"):
        load_adapted(tmp_path)
    manifest = {"schema_version": 1, "what": "adapted GAN", "files": {}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="or not all of it"):
        load_adapted(tmp_path)


def test_adapt_on_the_command_line_follows_its_settings(
    tmp_path: Path, pictures: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def weights(name: str, *arguments: str) -> torch.Tensor:
        out = tmp_path / name
        line = ["adapt", "--run", str(trained), "--support", str(pictures), "--out", str(out)]
        assert run_cli([*line, *arguments]) == 0
        return load_adapted(out).target.params.generator["head.weight"]

    still = load_run(trained, RunConfig).init.generator["head.weight"]
    assert torch.equal(weights("at none", "--steps", "0"), still)
    following = shlex.split(capsys.readouterr().out.rpartition("next: ")[2])
    assert following[:4] == ["metagan", "generate", "--adapted", str(tmp_path / "at none")]
    assert following[-2:] == ["--out", str(tmp_path / "at none-samples")]
    slow, fast = weights("slow", "inner.lr=1e-3"), weights("fast", "inner.lr=1e-1")
    assert 10 * (slow - still).abs().mean() < (fast - still).abs().mean()


def dark_on_white(pictures: Path) -> None:
    """Turn a user's pictures over."""
    for file in pictures.rglob("[0-9].png"):
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)


@pytest.mark.parametrize(("invert", "warned"), [("false", True), ("true", False)])
def test_dark_ink_for_a_run_of_bright_ink_is_noticed(
    tmp_path: Path,
    pictures: Path,
    trained: Path,
    capsys: pytest.CaptureFixture[str],
    invert: str,
    warned: bool,
) -> None:
    dark_on_white(pictures)
    line = [
        "adapt",
        "--run",
        str(trained),
        "--support",
        str(pictures),
        "--out",
        str(tmp_path / "o"),
    ]
    assert run_cli([*line, "--steps", "0", f"data.invert={invert}"]) == 0
    assert ("add data.invert=true" in capsys.readouterr().err) == warned


@pytest.fixture(scope="module")
def inverted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on prepared data whose dark ink was turned bright when it was prepared."""
    folder = tmp_path_factory.mktemp("inverted")
    data = bars()
    for index, record in enumerate(data.classes):
        for number, sample in enumerate(data.class_samples(index)):
            file = folder / "dark" / record.domain / record.label / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(255 - sample[0]).save(file)
    prepared = ["data", "prepare", str(folder / "dark"), str(folder / "prepared")]
    shape = ["data.image_size=16", "data.channels=1"]
    assert run_cli([*prepared, *shape, "data.invert=true"]) == 0
    config = bars_config(folder / "prepared")
    run_training(config, folder / "run")
    return folder


def test_pictures_are_read_as_the_runs_own_were_and_given_back_as_they_came(
    tmp_path: Path, inverted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = load_run(inverted / "run", RunConfig)
    assert run.form.facts["inverted"]
    domain = next(path for path in sorted((inverted / "dark").iterdir()))
    line = ["adapt", "--run", str(inverted / "run"), "--support", str(domain), "--steps", "0"]
    assert run_cli([*line, "--out", str(tmp_path / "a")]) == 0
    said = capsys.readouterr()
    assert "swapped back in what is generated" in said.out
    assert "data.invert" not in said.err
    adapted = load_adapted(tmp_path / "a")
    assert float(adapted.target.support.median()) < -0.5  # bright ink on dark, as it was learned
    drawn = draw_samples(adapted, num=3, seed=0)
    assert np.median(drawn) > 127  # dark ink on white, as it was given
    preview = np.asarray(Image.open(tmp_path / "a" / "preview.png"))
    assert np.median(preview) > 127
    # Read back by the settings of the run's own pictures, samples are what the network drew.
    write_samples(tmp_path / "s", adapted, drawn, seed=0)
    label = adapted.labels[0]
    again, _ = read_support(tmp_path / "s" / label, run.form)
    assert np.array_equal(again[label][0], 255 - drawn[0, 0])


def test_what_is_recorded_of_arrays_is_what_was_done_to_them(
    tmp_path: Path, inverted: Path
) -> None:
    run = load_run(inverted / "run", RunConfig)
    read, _ = read_support(next(iter(sorted((inverted / "dark").iterdir()))), run.form)
    bright = {label: np.array(array) for label, array in read.items()}
    targets = {"read": adapt_run(run, read, steps=0), "given": adapt_run(run, bright, steps=0)}
    for name, target in targets.items():
        save_adapted(tmp_path / name, run, target, read)
    medians = {
        name: np.median(draw_samples(load_adapted(tmp_path / name), num=2, seed=0))
        for name in targets
    }
    assert load_adapted(tmp_path / "read").form.facts["inverted"]
    assert not load_adapted(tmp_path / "given").form.facts["inverted"]
    assert medians["read"] == 255 - medians["given"] > 127  # Like the pictures that were given.
    dark = {label: 255 - array for label, array in bright.items()}
    with pytest.warns(UserWarning, match=r"mostly bright.* the other way round, give 255 - array"):
        adapt_run(run, dark, steps=0)


def test_the_polarity_of_a_support_can_be_said_and_a_mistake_is_noticed(
    tmp_path: Path, inverted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    domain = next(path for path in sorted((inverted / "dark").iterdir()))
    line = ["adapt", "--run", str(inverted / "run"), "--support", str(domain), "--steps", "0"]
    assert run_cli([*line, "--out", str(tmp_path / "a"), "data.invert=false"]) == 0
    said = capsys.readouterr()
    assert "mostly bright" in said.err
    assert "add data.invert=true" in said.err
    assert not load_adapted(tmp_path / "a").form.facts["inverted"]


def test_the_run_and_nothing_else_says_how_bright_a_support_should_be(pictures: Path) -> None:
    for file in pictures.glob("k?/[0-9].png"):
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    bright, dark = (Reading(16, 1, median=median).form() for median in (255, 0))
    _, notes = read_support(pictures, bright)
    assert [note.partition(":")[0] for note in notes] == ["left out"]
    _, notes = read_support(pictures, dark)
    assert [note.partition(":")[0] for note in notes] == ["polarity", "left out"]
    assert "add data.invert=true" in notes[0]


def test_previews_and_pictures_of_adaptation_look_like_the_runs_own_files(inverted: Path) -> None:
    sheets = sorted((inverted / "run" / "samples").glob("*.png"))
    assert sheets
    assert np.median(np.asarray(Image.open(sheets[-1]))) > 127


def test_one_picture_is_a_support(pictures: Path) -> None:
    classes, notes = read_support(pictures / "ki" / "0.png", DATA)
    assert {label: array.shape for label, array in classes.items()} == {"0": (1, 1, 16, 16)}
    assert notes == []


def test_a_blank_support_is_refused_and_deep_pictures_are_scaled_as_the_runs_were(
    tmp_path: Path,
) -> None:
    Image.fromarray(np.full((16, 16), 30, np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"--support .*a\.png.*is blank"):
        read_support(tmp_path / "a.png", DATA)
    values = (np.arange(256).reshape(16, 16) * 4).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "b.png")
    (pixels,) = read_support(tmp_path / "b.png", DATA)[0].values()
    assert pixels.max() == 254
    twelve = Reading(16, 1, whites={"integers": 4095.0}).form()
    (pixels,) = read_support(tmp_path / "b.png", twelve)[0].values()
    assert pixels.max() == round(1020 / 4095 * 255)


def test_the_white_of_a_support_can_be_said_whatever_the_run_was_trained_on(
    tmp_path: Path, trained: Path
) -> None:
    values = (np.arange(256).reshape(16, 16) * 4).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    line = ["adapt", "--run", str(trained), "--support", str(tmp_path / "deep.png"), "--steps", "0"]
    assert run_cli([*line, "--out", str(tmp_path / "a"), "data.white=4095"]) == 0
    brightest = float(load_adapted(tmp_path / "a").target.support.max())
    assert abs(brightest - (2 * 1020 / 4095 - 1)) < 0.01


def test_adapt_then_generate_writes_pictures_a_grid_and_a_table(
    tmp_path: Path, pictures: Path, trained: Path
) -> None:
    run = load_run(trained, RunConfig)
    classes, _ = read_support(pictures, DATA)
    target = adapt_run(run, classes, steps=2, seed=0)
    save_adapted(tmp_path / "adapted", run, target, list(classes), steps=2, seed=0)
    adapted = load_adapted(tmp_path / "adapted")
    drawn = draw_samples(adapted, num=7, seed=1)
    assert drawn.shape == (2, 7, 1, 16, 16)
    write_samples(tmp_path / "samples", adapted, drawn, seed=1)
    assert len(list((tmp_path / "samples" / "ka").glob("*.png"))) == 7
    assert (tmp_path / "samples" / "grid.png").is_file()
    table = parquet.read_table(tmp_path / "samples" / "samples.parquet")
    assert table.num_rows == 14
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"]["names"] == ["ka", "ki"]
    first = Image.open(io.BytesIO(table["image"][0]["bytes"].as_py()))
    np.testing.assert_array_equal(np.asarray(first), drawn[0, 0, 0])
    copied = shutil.copytree(tmp_path / "samples" / "ka", tmp_path / "data" / "ka")
    _, notes = read_support(copied, DATA)
    assert notes == ["generated: 7 pictures were made by metagan generate, they are no real data"]
    with pytest.raises(RunError, match="exists already"):
        write_samples(tmp_path / "samples", adapted, drawn, seed=1)
    assert np.array_equal(draw_samples(adapted, num=7, seed=1), drawn)


def test_generate_selects_as_the_run_evaluates_unless_told_otherwise(
    tmp_path: Path, pictures: Path, trained: Path
) -> None:
    adapted = str(tmp_path / "adapted")
    line = ["adapt", "--run", str(trained), "--support", str(pictures), "--out", adapted]
    assert run_cli([*line, "--steps", "0", "evaluate.best_of=3"]) == 0
    for name, options in {"usual": [], "three": ["3"], "one": ["1"]}.items():
        line = ["generate", "--adapted", adapted, "--num", "6", "--out", str(tmp_path / name)]
        chosen = [f"--best-of={value}" for value in options]
        assert run_cli([*line, *chosen]) == 0
    files = {
        name: [file.read_bytes() for file in sorted((tmp_path / name / "ka").glob("*.png"))]
        for name in ("usual", "three", "one")
    }
    assert files["usual"] == files["three"] != files["one"]


def test_an_adapted_folder_with_a_flipped_byte_is_refused(
    tmp_path: Path, pictures: Path, trained: Path
) -> None:
    run = load_run(trained, RunConfig)
    classes, _ = read_support(pictures, DATA)
    target = adapt_run(run, classes, steps=1, seed=0)
    save_adapted(tmp_path / "a", run, target, list(classes), steps=1, seed=0)
    file = tmp_path / "a" / "adapted.safetensors"
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="damaged"):
        load_adapted(tmp_path / "a")
    with pytest.raises(CheckpointError):
        load_adapted(trained)


def test_a_flipped_byte_in_the_best_checkpoint_costs_a_move_and_not_the_run(
    tmp_path: Path, bars_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outer = {"steps": 2, "meta_batch_size": 4, "episodes_per_chunk": 2}
    config = bars_config(bars_path, outer=outer, checkpoint={"every_steps": 1})
    run = tmp_path / "run"
    run_training(config, run)
    file = run / "checkpoints" / "step-2" / "ema.safetensors"
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(bytes(data))

    line = ["export", "--run", str(run), "--format", "safetensors"]
    assert run_cli(line) == 2
    said = capsys.readouterr().err
    assert f"{file}: {len(data)} bytes, sha256" in said
    assert f"newest intact checkpoint is step-1: to use it, move {file.parent} away" in said
    file.parent.rename(tmp_path / "moved")
    assert run_cli(line) == 0
    assert load_run(run).step == 1


def test_a_pointer_that_leads_out_of_the_run_is_not_followed(tmp_path: Path, trained: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    shutil.copytree(run / "checkpoints" / "step-3", tmp_path / "outside" / "step-3")
    (run / "checkpoints" / "step-3").rename(run / "checkpoints" / "other")
    (run / "checkpoints" / "BEST").write_text("../../outside/step-3\n")
    with pytest.raises(RunError, match="no checkpoint yet"):
        load_run(run)


def test_exported_weights_name_their_settings(tmp_path: Path, trained: Path) -> None:
    run = load_run(trained, RunConfig)
    (tmp_path / "x.safetensors").write_bytes(export_safetensors(run))
    with safe_open(tmp_path / "x.safetensors", "pt") as file:
        assert json.loads(file.metadata()["gan"])["family"] == "flow"
        key = "generator.head.weight"
        assert torch.equal(file.get_tensor(key), run.init.generator["head.weight"])


def reference(trained: Path) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    run = load_run(trained, RunConfig)
    condition, z = torch.randn(5, 1, 16, 16).clamp(-1, 1), torch.randn(5, 4)
    return condition, z, run.gan.generate(run.init.generator, {"sample": condition}, z)


@pytest.mark.filterwarnings("ignore")
def test_the_exported_program_generates_the_same(trained: Path) -> None:
    condition, z, expected = reference(trained)
    program = torch.export.load(io.BytesIO(export_torch(load_run(trained, RunConfig))))
    torch.testing.assert_close(program.module()(condition, z), expected, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_the_onnx_graph_generates_the_same(trained: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    condition, z, expected = reference(trained)
    session = runtime.InferenceSession(export_onnx(load_run(trained, RunConfig)))
    found = session.run(None, {"sample": condition.numpy(), "z": z.numpy()})[0]
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-4)


def test_the_white_of_other_data_can_be_said_whatever_the_run_was_trained_on(
    tmp_path: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, deep = bars(2), tmp_path / "deep"
    for index, record in enumerate(data.classes):
        for number, sample in enumerate(data.class_samples(index)[:5]):
            file = deep / record.domain / record.label / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(sample[0].astype(np.uint16) * 4).save(file)
    line = ["evaluate", "--run", str(trained), "--data", str(deep), "--shots", "500"]
    # Too few samples, but the pictures have been read.
    assert run_cli([*line, "data.white=1020"]) == 2
    assert "lower evaluate.shots" in capsys.readouterr().err
    assert run_cli([*line, "data.white=1000"]) == 2
    assert "holds the value 1020, above data.white 1000" in capsys.readouterr().err
