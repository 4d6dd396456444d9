"""The library's functions from outside: text for paths, checks of what is handed in, defaults."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import metagan
from metagan.config.load import ConfigError
from metagan.config.may_change import OTHER_DATA, read_again
from metagan.config.settings import RunConfig
from metagan.data.dataset import DataError
from metagan.evaluate.target import AdaptedTarget
from metagan.runs.checkpoint import CheckpointError
from metagan.runs.run_folder import RunError
from metagan.workflow.evaluate import build_subject
from metagan.workflow.setup import LoadedRun
from tests.helpers import bars
from tests.workflow.conftest import Quiet, bars_config

BARS = bars()
CLASSES = {"ka": BARS.class_samples(0)[:3], "ki": BARS.class_samples(5)[:2]}


@pytest.fixture(scope="module")
def run(trained: Path) -> LoadedRun:
    return metagan.load_run(str(trained))


def with_settings(run: LoadedRun, **sections: dict[str, Any]) -> LoadedRun:
    values = run.config.model_dump()
    for name, changed in sections.items():
        values[name] = {**values[name], **changed}
    return replace(run, config=RunConfig.model_validate(values))


def weights(target: AdaptedTarget) -> torch.Tensor:
    return torch.cat([w.flatten() for player in target.params.players for w in player.values()])


def test_text_does_for_a_path_at_every_door(tmp_path: Path, bars_path: Path) -> None:
    config = bars_config(bars_path)
    outcome = metagan.train_run(
        config,
        str(tmp_path / "run"),
        open_runner=metagan.local_runner(config),
        reporter=Quiet(),
    )
    assert outcome.run == tmp_path / "run"
    opened = metagan.load_run(str(outcome.run))
    target = metagan.adapt_run(opened, CLASSES, steps=1)
    metagan.save_adapted(str(tmp_path / "adapted"), opened, target, CLASSES, steps=1)
    adapted = metagan.load_adapted(str(tmp_path / "adapted"))
    assert adapted.labels == ("ka", "ki")
    samples = metagan.generate_samples(adapted.gan, adapted.target, per_support=1, seed=0)
    metagan.write_png(str(tmp_path / "out.png"), metagan.grid([[metagan.to_uint8(samples[0])]]))
    assert (tmp_path / "out.png").is_file()
    assert RunConfig(data={"path": tmp_path}).data.path == str(tmp_path)


LONG = "x" * 300


@pytest.mark.parametrize(
    ("door", "error", "named"),
    [
        (
            lambda path, _: metagan.open_dataset(RunConfig(data={"path": path}).data),
            DataError,
            "data.path ",
        ),
        (lambda path, run: metagan.read_support(path, run.form), DataError, "--support "),
        (lambda path, _: metagan.load_run(path), RunError, ""),
        (lambda path, _: metagan.load_adapted(path), CheckpointError, ""),
        (
            lambda path, run: metagan.save_adapted(
                path, run, metagan.adapt_run(run, CLASSES, steps=0), CLASSES
            ),
            RunError,
            "--out ",
        ),
        (
            lambda path, run: metagan.train_run(
                run.config,
                path,
                open_runner=metagan.local_runner(run.config),
                reporter=Quiet(),
            ),
            RunError,
            "cannot make the run folder ",
        ),
    ],
    ids=["open_dataset", "read_support", "load_run", "load_adapted", "save_adapted", "train_run"],
)
def test_a_path_that_cannot_be_looked_at_is_named_with_the_reason_at_every_door(
    run: LoadedRun, door: Any, error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=rf"^{named}{LONG}: .*File name too long"):
        door(LONG, run)


def test_adapting_without_steps_and_seed_takes_those_of_the_run(run: LoadedRun) -> None:
    named = metagan.adapt_run(run, CLASSES, steps=run.config.inner.steps, seed=run.config.seed)
    assert torch.equal(weights(metagan.adapt_run(run, CLASSES)), weights(named))


def test_adapting_without_steps_takes_those_that_evaluation_chose_unless_set_anew(
    trained: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(trained, tmp_path / "run")
    (folder / "evaluation.json").write_text('{"adapt_steps": 0}')
    run = metagan.load_run(folder)
    assert torch.equal(
        metagan.adapt_run(run, CLASSES).params.generator["head.weight"],
        run.init.generator["head.weight"],
    )
    anew = metagan.adapt_run(with_settings(run, inner={"steps": 4}), CLASSES)
    assert torch.equal(weights(anew), weights(metagan.adapt_run(run, CLASSES, steps=4)))


def test_unit_floats_and_pictures_of_pillow_adapt_as_their_bytes_do(run: LoadedRun) -> None:
    expected = weights(metagan.adapt_run(run, CLASSES))
    with pytest.warns(UserWarning, match=r"taken as \[0, 1\] and scaled to 0\.\.255"):
        floats = metagan.adapt_run(run, {k: v / 255 for k, v in CLASSES.items()})
    pictures = {k: [Image.fromarray(p[0]) for p in v] for k, v in CLASSES.items()}
    assert torch.equal(weights(floats), expected)
    assert torch.equal(weights(metagan.adapt_run(run, pictures)), expected)


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ([CLASSES["ka"]], "classes is a list; give a mapping"),
        ({"ka": CLASSES["ka"].transpose(0, 2, 3, 1)}, "use array.transpose"),
        ({"ka": CLASSES["ka"].repeat(3, 1)}, r"expected are \(1, 16, 16\); make grey of it"),
        ({"ka": CLASSES["ka"].repeat(2, 2).repeat(2, 3)}, "resize them to 16 x 16"),
        ({"ka": []}, "has no picture"),
    ],
)
def test_pictures_that_the_run_cannot_take_are_refused_with_the_fix(
    run: LoadedRun, classes: Any, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        metagan.adapt_run(run, classes)


@pytest.mark.parametrize(
    ("support", "said"),
    [
        (np.zeros((1, 2, 1, 16, 16), np.float32), "support is float32; expected a tensor"),
        (torch.zeros(1, 2, 1, 16, 16, dtype=torch.uint8), "support is torch.uint8; expected"),
        (torch.zeros(2, 1, 16, 16), r"shape \(2, 1, 16, 16\); expected \(W, K, 1, 16, 16\)"),
        (torch.zeros(1, 2, 16, 16, 1), r"channels are last: use support.permute\(0, 1, 4, 2, 3\)"),
        (torch.zeros(1, 2, 3, 16, 16), r"expected \(W, K, 1, 16, 16\)"),
        (torch.zeros(1, 0, 1, 16, 16), "shape"),
        (torch.full((1, 2, 1, 16, 16), 255.0), r"from 255 to 255; expected \[-1, 1\]"),
        (torch.full((1, 2, 1, 16, 16), float("nan")), r"from nan to nan; expected \[-1, 1\]"),
    ],
)
def test_a_support_that_is_none_is_refused_with_the_fix(
    run: LoadedRun, support: Any, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        adapt_to(run, support)


def adapt_to(run: LoadedRun, support: Any) -> AdaptedTarget:
    return metagan.adapt_to_target(
        run.gan,
        run.init,
        support,
        inner=run.config.inner,
        task=run.config.task,
        steps=1,
        batch_size=2,
        seed=0,
    )


def test_a_support_of_unit_floats_is_noticed(run: LoadedRun) -> None:
    pictures = torch.from_numpy(CLASSES["ka"] / np.float32(255))[None]
    with pytest.warns(UserWarning, match=r"scale it by 2 \* support - 1") as caught:
        adapt_to(run, pictures)
    assert caught[0].filename == __file__
    adapt_to(run, 2 * pictures - 1)
    # Bright pictures are no mistake.
    adapt_to(run, metagan.to_float(CLASSES["ka"] // 2 + 128)[None])


def test_what_belongs_to_another_door_is_refused_by_name(
    run: LoadedRun, trained: Path, tmp_path: Path
) -> None:
    target = metagan.adapt_run(run, CLASSES, steps=0)
    with pytest.raises(ValueError, match=r"run is PosixPath; give what metagan.load_run"):
        metagan.adapt_run(trained, CLASSES)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"config is dict; make it with metagan.RunConfig"):
        metagan.train_run(
            {},  # type: ignore[arg-type]
            tmp_path / "r",
            open_runner=metagan.local_runner(run.config),
            reporter=Quiet(),
        )
    metagan.save_adapted(tmp_path / "a", run, target, CLASSES)
    adapted: Any = metagan.load_adapted(tmp_path / "a")
    with pytest.raises(ValueError, match="the `target` of what load_adapted returned"):
        metagan.generate_samples(adapted.gan, adapted, per_support=1, seed=0)
    with pytest.raises(ValueError, match="per_support is 0"):
        metagan.generate_samples(run.gan, target, per_support=0, seed=0)
    with pytest.raises(ValueError, match="labels are 1, but the target has 2 classes"):
        metagan.save_adapted(tmp_path / "b", run, target, ["ka"])
    with pytest.raises(ValueError, match="labels are one text, 'ka', but the target has 2 classes"):
        metagan.save_adapted(tmp_path / "b", run, target, "ka")
    for settings in ("my_letters", run.config):
        with pytest.raises(ValueError, match=r"config is (str|RunConfig); give the data settings"):
            metagan.open_dataset(settings)  # type: ignore[arg-type]
    for steps in (-1, 2.5, "2"):
        with pytest.raises(ValueError, match=f"steps is {steps!r}; expected a whole number"):
            metagan.adapt_run(run, CLASSES, steps=steps)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="it looks like a run"):
        metagan.load_adapted(trained)
    with pytest.raises(RunError, match=r"no run here.*it looks like an adapted GAN"):
        metagan.load_run(tmp_path / "a")


# What makes each setting matter to the inner loop, and another value of it.
MATTERS: dict[str, tuple[dict[str, dict[str, Any]], Any]] = {
    "gan.loss": ({}, "hinge"),
    "gan.r1": ({}, 30.0),
    "gan.r2": ({}, 30.0),
    "gan.gradient_penalty": ({"gan": {"loss": "wgan_gp"}}, 50.0),
    "gan.penalty_every": ({"inner": {"steps": 4}}, 2),
    "gan.mode_seeking": ({}, 3.0),
    "gan.reconstruction": ({}, "mse"),
    "gan.reconstruction_weight": ({"gan": {"reconstruction": "l1"}}, 30.0),
    "gan.augment": ({}, ("cutout",)),
    "task.unit": ({}, "domain"),
    "inner.steps": ({}, 4),
    "inner.lr": ({}, 0.1),
    "inner.discriminator_lr_scale": ({}, 3.0),
    "inner.optimizer": ({}, "adam"),
    "inner.discriminator_steps": ({}, 2),
    "inner.generator_steps": ({}, 2),
    "inner.proximal": ({}, 30.0),
    "inner.generator_moves": ({}, "head"),
    "inner.discriminator_moves": ({}, "head"),
}
# The seed is the whole run's; the others are about reading samples and about generating.
NOT_OF_THE_LOOP = {"seed", *OTHER_DATA, "evaluate.best_of"}


def test_the_table_of_what_adapting_reads_is_tried_in_full() -> None:
    assert MATTERS.keys() | NOT_OF_THE_LOOP == read_again(RunConfig, "adapt")


@pytest.mark.parametrize("key", MATTERS)
def test_a_setting_that_adapting_reads_changes_what_is_adapted(run: LoadedRun, key: str) -> None:
    given, value = MATTERS[key]
    section, name = key.split(".")
    before = metagan.adapt_run(with_settings(run, **given), CLASSES)
    changed = {**given, section: {**given.get(section, {}), name: value}}
    after = metagan.adapt_run(with_settings(run, **changed), CLASSES)
    both = [weights(target) for target in (before, after)]
    assert both[0].shape != both[1].shape or not torch.equal(*both)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"gan": {"max_displacement": 0.1}}, "run.config: gan.max_displacement: .*cannot leave"),
        ({"gan": {"spectral_norm": True}}, "run.config: gan.spectral_norm: .*cannot leave"),
        (
            {"inner": {"batch_size": 3}},
            "inner.batch_size: .*batches of adaptation have a fixed size",
        ),
        ({"task": {"shots": 2}}, "task.shots: .*metagan adapt does not read it"),
        ({"evaluate": {"seeds": 9}}, "evaluate.seeds: .*metagan adapt does not read it"),
    ],
)
def test_a_setting_that_adapting_cannot_follow_is_refused(
    run: LoadedRun, sections: Any, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        metagan.adapt_run(with_settings(run, **sections), CLASSES)


def test_weights_that_are_not_there_cannot_be_what_moves(run: LoadedRun) -> None:
    with pytest.raises(ValueError, match=r"inner.generator_moves has 'bodi\.\*'"):
        metagan.adapt_run(with_settings(run, inner={"generator_moves": "bodi.*"}), CLASSES)


def test_evaluating_refuses_what_it_cannot_follow(run: LoadedRun) -> None:
    for sections, said in (
        ({"task": {"shots": 2}}, "task.shots: .*metagan evaluate does not read it.*evaluate.shots"),
        ({"gan": {"num_labels": 9}}, "gan.num_labels: .*cannot leave"),
        ({"data": {"split_by": "class"}}, "data.split_by: .*does not read it"),
    ):
        config = with_settings(run, **sections).config
        with pytest.raises(ConfigError, match=said):
            build_subject(run, config, reporter=Quiet())
