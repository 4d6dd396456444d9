"""Other runs to start from and to compare with: what is taken from them, and what is refused."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from metagan.config.settings import RunConfig
from metagan.data.cache import open_dataset
from metagan.data.dataset import DataError
from metagan.runs.checkpoint import CheckpointError
from metagan.runs.run_folder import RunError
from metagan.workflow.evaluate import Target, build_subject
from metagan.workflow.setup import load_run, prepare
from metagan.workflow.train import new_learner
from tests.reference.cases import assert_close, largest_difference
from tests.workflow.conftest import Quiet, bars_config, run_training

FEW = {"shots": (1,), "test_per_class": 2, "source_steps": 2}
OUTER = {"steps": 1, "meta_batch_size": 2, "episodes_per_chunk": 2}
INNER = {"optimizer": "adam", "steps": 2, "batch_size": 4}


def test_an_algorithm_that_learns_rates_can_start_from_one_that_does_not(
    trained: Path, bars_path: Path
) -> None:
    config = bars_config(
        bars_path, algorithm={"name": "meta_sgd"}, outer={**OUTER, "init_from": str(trained)}
    )
    setup = prepare(config)
    learner = new_learner(config, setup)
    start = setup.layout.unflatten(torch.from_numpy(learner.vector))
    other = load_run(trained).init
    assert not other.rates
    for player in range(2):
        for name, weight in other[player].items():
            assert torch.equal(start[player][name], weight)
    assert start.rates
    assert all(not rate.any() for rate in start.rates.values())


def test_a_start_with_other_networks_is_refused(trained: Path, bars_path: Path) -> None:
    config = bars_config(
        bars_path,
        gan={"width": 8, "discriminator_width": 4, "latent_dim": 4},
        outer={**OUTER, "init_from": str(trained)},
    )
    with pytest.raises(CheckpointError, match=r"outer\.init_from .*its networks differ"):
        new_learner(config, prepare(config))


@pytest.mark.parametrize(
    ("gan", "said"),
    [
        ({"max_displacement": 0.2}, r"gan\.max_displacement is 0\.2, there 0\.35"),
        ({"spectral_norm": True}, r"gan\.spectral_norm is true, there false"),
        ({"num_labels": 9}, None),
        ({"mode_seeking": 0.5}, None),
    ],
)
def test_weights_of_equal_shape_under_other_settings_are_other_networks(
    trained: Path, bars_path: Path, gan: dict[str, Any], said: str | None
) -> None:
    small = {"width": 4, "discriminator_width": 4, "latent_dim": 4}
    config = bars_config(bars_path, gan={**small, **gan}, outer={**OUTER, "init_from": trained})
    setup = prepare(config)
    if said is None:
        new_learner(config, setup)
    else:
        with pytest.raises(CheckpointError, match=said):
            new_learner(config, setup)


def test_a_start_that_was_trained_on_held_out_classes_is_refused(
    trained: Path, bars_path: Path
) -> None:
    data = {"source": "arrow", "path": str(bars_path), "image_size": 16}
    learnt = load_run(trained).splits["train"][0].partition("/")[0]
    config = bars_config(bars_path, outer={**OUTER, "init_from": str(trained)})
    config = config.model_copy(update={"data": type(config.data)(**data, test_domains=(learnt,))})
    with pytest.raises(RunError, match=rf"trained on '{learnt}.* that this run holds out"):
        new_learner(config, prepare(config))


def test_a_baseline_is_adapted_by_its_own_inner_loop(
    trained: Path, bars_path: Path, tmp_path: Path
) -> None:
    heads = bars_config(bars_path, algorithm={"name": "anil"}, outer=OUTER)
    run_training(heads, tmp_path / "anil")
    # Its source classifier is kept in its folder, which other tests share.
    run = load_run(shutil.copytree(trained, tmp_path / "run"), RunConfig)
    config = run.config.model_copy(
        update={"evaluate": type(run.config.evaluate).model_validate(FEW, strict=False)}
    )
    subject = build_subject(run, config, reporter=Quiet(), baselines={"anil": tmp_path / "anil"})
    assert subject.inner_of("anil").generator_moves == "head"
    assert subject.inner_of("run").generator_moves == "all"
    task = subject.draw("test", 0, 1)
    before, after = (
        subject.generate(task, init="anil", adapt_steps=steps, per_real=2) for steps in (0, 3)
    )
    assert not torch.equal(before, after)


def test_a_baseline_is_adapted_with_the_rates_it_learned(
    trained: Path, bars_path: Path, tmp_path: Path
) -> None:
    config = bars_config(
        bars_path,
        algorithm={"name": "meta_sgd"},
        inner=INNER,
        outer={**OUTER, "optimizer": "adam", "lr": 1e-3},
    )
    run_training(config, tmp_path / "meta_sgd")
    run = load_run(shutil.copytree(trained, tmp_path / "run"), RunConfig)
    chosen = run.config.model_copy(
        update={"evaluate": type(run.config.evaluate).model_validate(FEW, strict=False)}
    )
    subject = build_subject(
        run, chosen, reporter=Quiet(), baselines={"other": tmp_path / "meta_sgd"}
    )
    own = load_run(tmp_path / "meta_sgd", RunConfig).init
    assert own.rates
    assert_close(subject.inits["other"], own, 0)


def test_a_start_brings_rates_where_both_runs_learn_them(bars_path: Path, tmp_path: Path) -> None:
    def config(**outer: object) -> RunConfig:
        return bars_config(
            bars_path,
            algorithm={"name": "maml"},
            inner={**INNER, "learn_rates": "tensor"},
            outer={**OUTER, "optimizer": "adam", "lr": 1e-3, **outer},
        )

    run_training(config(), tmp_path / "first")
    first = load_run(tmp_path / "first", RunConfig).init
    again = config(init_from=str(tmp_path / "first"))
    setup = prepare(again)
    start = setup.layout.unflatten(torch.from_numpy(new_learner(again, setup).vector))
    assert_close(start.players, first.players, 0)
    assert max(float(rate.abs().max()) for rate in first.rates.values()) > 0
    assert largest_difference(first.rates, start.rates) == 0
    other = bars_config(bars_path, outer={**OUTER, "init_from": str(tmp_path / "first")})
    setup = prepare(other)
    start = setup.layout.unflatten(torch.from_numpy(new_learner(other, setup).vector))
    assert_close(start, first.players, 0)


def test_the_data_of_the_run_itself_are_no_other_target(trained: Path) -> None:
    run = load_run(trained, RunConfig)
    data = open_dataset(run.config.data)
    target = Target(data, tuple(range(data.num_classes)), "bars", "arrow")
    with pytest.raises(DataError, match="--data bars is what the run was trained on"):
        build_subject(run, run.config, reporter=Quiet(), target=target)
