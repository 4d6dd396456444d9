"""A run that is told inputs, by its commands: a hidden rule, read and solved for from pairs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import metagan
from metagan.cli.app import run_cli
from metagan.data.dataset import DataError
from metagan.evaluate.target import AdaptedTarget
from metagan.runs.checkpoint import read_tensors
from metagan.workflow.setup import LoadedRun

SETTINGS = (
    *("data.kind=vector", "data.inputs=[x]", "gan.conditioning=[input, support]", "gan.width=16"),
    *("task.unit=domain", "task.shots=6", "task.num_query=6", "algorithm.name=ridge"),
    *("inner.batch_size=6", "outer.lr=3e-3", "outer.meta_batch_size=8", "outer.ema=0.9"),
)


def rows_of(domain: int, count: int) -> np.ndarray:
    """x, y = a sin(x + p): amplitude and phase are the domain's, and stand in no column."""
    rng = np.random.default_rng(domain)
    a, p = rng.uniform(0.5, 3), rng.uniform(0, np.pi)
    x = rng.uniform(-3, 3, count)
    return np.stack([x, a * np.sin(x + p)], axis=1)


def write(path: Path, domains: range, count: int = 16) -> Path:
    lines = ["domain,label,x,y"]
    for domain in domains:
        lines += [f"d{domain:02d},wave,{x:.5f},{y:.5f}" for x, y in rows_of(domain, count)]
    path.write_text("\n".join(lines) + "\n")
    return path


def train(table: Path, run: Path, *settings: str) -> int:
    line = ["train", f"data.path={table}", "--run", str(run), "--local"]
    return run_cli([*line, *SETTINGS, f"data.cache_dir={run.parent / 'cache'}", *settings])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("waves") / "waves.csv", range(24))


@pytest.fixture(scope="module")
def run(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert train(table, folder, "outer.steps=60", "checkpoint.every_steps=30") == 0
    return folder


@pytest.fixture(scope="module")
def adapted(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("target")
    write(folder / "pairs.csv", range(90, 91), count=8)
    line = ["adapt", "--run", str(run), "--support", str(folder / "pairs.csv")]
    assert run_cli([*line, "--out", str(folder / "adapted")]) == 0
    return folder / "adapted"


def test_there_is_no_discriminator_in_checkpoints_or_log(run: Path) -> None:
    for file in sorted((run / "checkpoints").glob("step-*/*.safetensors")):
        names = read_tensors(file.parent, file.name)
        assert not any(name.startswith("discriminator") for name in names)
    record = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert "loss_g_query" in record
    assert not any("loss_d" in name or "discriminator" in name for name in record)
    assert list((run / "samples").glob("*.png"))


def test_a_resumed_run_has_the_weights_of_one_that_was_not_stopped(
    table: Path, run: Path, tmp_path: Path
) -> None:
    again = tmp_path / "run"
    assert train(table, again, "outer.steps=30", "checkpoint.every_steps=30") == 0
    assert run_cli(["train", "--run", str(again), "--resume", "--local", "outer.steps=60"]) == 0
    one, other = (
        read_tensors(each / "checkpoints" / "step-60", "init.safetensors") for each in (run, again)
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def adapted_without(opened: LoadedRun, support: torch.Tensor, **given: Any) -> AdaptedTarget:
    """A target that is adapted to by no inner step."""
    return metagan.adapt_to_target(
        opened.gan,
        opened.init,
        support,
        inner=opened.config.inner,
        task=opened.config.task,
        steps=0,
        seed=0,
        **given,
    )


def test_the_rule_of_a_new_domain_is_found_from_a_few_pairs(run: Path) -> None:
    """Eight pairs say more than all that training on the other domains does without them."""
    opened = metagan.load_run(run)
    errors = {True: [], False: []}
    for domain in range(60, 72):
        rows = rows_of(domain, 40).astype(np.float32)
        target = metagan.adapt_run(opened, {"wave": rows[:8]})
        plain = adapted_without(opened, target.support, inputs=target.inputs, solve=False)
        asked = metagan.adapt_run(opened, {"wave": rows}, steps=0)
        for solved, each in ((True, target), (False, plain)):
            drawn = metagan.answers(opened.gan, each, asked.inputs[0], seed=0)
            found = metagan.to_samples(drawn, opened.form)[8:, 0]
            errors[solved].append(float(np.sqrt(np.mean((found - rows[8:, 1]) ** 2))))
    assert np.mean(errors[True]) < 0.6 * np.mean(errors[False])


def test_answers_are_rows_of_the_users_table(adapted: Path, tmp_path: Path) -> None:
    (tmp_path / "ask.csv").write_text("x\n-2\n0\n1.5\n")
    line = ["generate", "--adapted", str(adapted), "--inputs", str(tmp_path / "ask.csv")]
    assert run_cli([*line, "--out", str(tmp_path / "answers")]) == 0
    table = pq.read_table(tmp_path / "answers" / "samples.parquet")
    assert table.column_names[:2] == ["x", "y"]
    np.testing.assert_allclose(table["x"].to_pylist(), [-2, 0, 1.5], atol=1e-5)
    assert run_cli([*line, "--out", str(tmp_path / "again")]) == 0
    assert pq.read_table(tmp_path / "again" / "samples.parquet").equals(table)


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ([], "draws answers to inputs; name a file of inputs by --inputs"),
        (["--inputs", "ask.csv", "--num", "3"], "--num and --inputs exclude each other"),
        (["--inputs", "nowhere.csv"], "nowhere.csv"),
        (["--inputs", "wrong.csv"], "the run learned from 1: x"),
    ],
)
def test_misuse_of_generate_is_told(
    adapted: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    rest: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ask.csv").write_text("x\n1\n")
    (tmp_path / "wrong.csv").write_text("z,q\n1,2\n3,4\n")
    line = ["generate", "--adapted", str(adapted), "--out", str(tmp_path / "out"), *rest]
    code = run_cli(line)
    err = capsys.readouterr().err
    assert code == 2
    assert said in err
    assert not (tmp_path / "out").exists()


def test_inputs_that_are_none_or_of_another_shape_are_refused(run: Path) -> None:
    opened = metagan.load_run(run)
    target = metagan.adapt_run(opened, {"wave": rows_of(7, 6)})
    for inputs, said in ((None, "inputs are NoneType"), (torch.ones(1, 6, 2), r"\(1, 6, 2\)")):
        with pytest.raises(DataError, match=said):
            adapted_without(opened, target.support, inputs=inputs)
    with pytest.raises(DataError, match=r"floats of shape \(4, 1\)"):
        metagan.answers(opened.gan, target, torch.ones(4), seed=0)


@pytest.mark.filterwarnings("ignore")
def test_an_exported_generator_takes_a_tensor_for_every_word(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "g.pt2"
    line = ["export", "--run", str(run), "--format", "torch-export", "--out", str(out)]
    assert run_cli(line) == 0
    program = torch.export.load(out)
    opened = metagan.load_run(run)
    told, support, given = torch.randn(5, 1), torch.randn(1, 4, 1), torch.randn(1, 4, 1)
    z = torch.zeros(5, opened.config.gan.latent_dim)
    condition = {"input": told, "support": support, "support_input": given}
    condition["reads"] = torch.ones(5, 4)
    expected = opened.gan.generate(opened.init.generator, condition, z)
    found = program.module()(told, support, given, z)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_reads_by_attention_adapts_and_is_exported(table: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = ("outer.steps=2", "gan.reader=attention")
    assert train(table, run, *settings) == 0
    opened = metagan.load_run(run)
    target = metagan.adapt_run(opened, {"wave": rows_of(90, 6)})
    asked = torch.linspace(-1, 1, 5)[:, None]
    drawn = metagan.answers(opened.gan, target, asked, seed=0)
    assert drawn.isfinite().all()
    line = ["export", "--run", str(run), "--format", "torch-export", "--out", str(tmp_path / "g")]
    assert run_cli(line) == 0
    program = torch.export.load(tmp_path / "g").module()
    support, given = target.support[0][None], target.inputs[0][None]
    z = torch.zeros(5, opened.config.gan.latent_dim)
    condition = {"input": asked, "support": support, "support_input": given}
    condition["reads"] = torch.ones(5, 6)
    expected = opened.gan.generate(opened.init.generator, condition, z)
    found = program(asked, support, given, z)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_reading_asks_for_a_support(table: Path, tmp_path: Path, capsys) -> None:
    settings = ("gan.conditioning=[input]", "gan.reader=attention")
    assert train(table, tmp_path / "run", *settings) == 2
    assert "so that no support is read; add support" in capsys.readouterr().err


def test_the_page_of_such_a_run_says_what_it_learns_from(run: Path, tmp_path: Path) -> None:
    assert run_cli(["report", "--run", str(run), "--out", str(tmp_path / "page.html")]) == 0
    page = " ".join((tmp_path / "page.html").read_text().split())
    for text in (
        "one domain; 6 support and 6 query pairs",
        "ridge: head solved in closed form; outer adam",
        "conditioning: input, support, width 16,",
        "no discriminator, l1_l2 distance from known answers",
        "the true answers to other inputs, then the answers drawn before and after adaptation",
        "Adapt it to a few pairs",
        "There is no evaluation on unseen domains.",
    ):
        assert text in page


STYLES = (
    *("data.source=styles", "data.styles=8", "data.image_size=16", "gan.family=unet"),
    *("gan.conditioning=[input]", "gan.width=4", "gan.latent_dim=4", "task.unit=domain"),
    *("task.shots=8", "task.num_query=8", "algorithm.name=ridge", "outer.steps=4"),
    *("outer.meta_batch_size=4", "inner.batch_size=8", "checkpoint.every_steps=4"),
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on built-in styles, and some letters of one as a user may have them."""
    folder = tmp_path_factory.mktemp("styles")
    line = ["train", "--run", str(folder / "run"), "--local", *STYLES]
    assert run_cli([*line, f"data.cache_dir={folder / 'cache'}"]) == 0
    run = metagan.load_run(folder / "run")
    data = metagan.open_dataset(run.config.data)
    style = next(name.partition("/")[0] for name in run.splits["test"])
    for index in data.classes_of(style)[:6]:
        label = data.classes[index].label
        # A letter, or its code point where letters differ by case alone.
        name = chr(int(label[2:6], 16)) if index % 2 else label.partition(" ")[0]
        place = folder / "mine" / name
        place.mkdir(parents=True)
        metagan.write_png(place / "0.png", data.class_samples(index)[0])
    return folder


def test_a_font_is_adapted_to_by_letters_and_every_letter_is_drawn(
    drawn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["adapt", "--run", str(drawn / "run"), "--support", str(drawn / "mine")]
    assert run_cli([*line, "--out", str(drawn / "adapted")]) == 0
    said = capsys.readouterr().out
    assert "to 6 pairs: no inner steps, head solved in closed form" in said
    assert f"next: metagan generate --adapted {drawn / 'adapted'} --out" in said
    line = ["generate", "--adapted", str(drawn / "adapted"), "--out", str(drawn / "letters")]
    assert run_cli(line) == 0
    assert "1 picture of each of 62 labels" in capsys.readouterr().out
    assert len([path for path in (drawn / "letters").iterdir() if path.is_dir()]) == 62
    assert (drawn / "letters" / "U+0041 LATIN CAPITAL LETTER A" / "00000.png").is_file()


def test_letters_that_the_reference_lacks_are_told(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("A", "ooh"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        metagan.write_png(
            tmp_path / "mine" / name / "0.png", np.eye(16, dtype=np.uint8)[None] * 255
        )
    line = ["adapt", "--run", str(drawn / "run"), "--support", str(tmp_path / "mine")]
    assert run_cli([*line, "--out", str(tmp_path / "adapted")]) == 2
    err = capsys.readouterr().err
    assert "no input is called like ooh" in err
    assert "such as U+0030 DIGIT ZERO, U+0031 DIGIT ONE" in err
    assert not (tmp_path / "adapted").exists()
