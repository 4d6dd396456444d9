"""The baseline `average`: the mean of models fine-tuned on every source task."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from metagan.algorithms import inner_settings, outer_settings
from metagan.chunk_gradient import chunk_gradient, episode_draws
from metagan.chunks import ChunkKey, ChunkResult
from metagan.inner_loop import adapt
from metagan.outer_loop import MetaLearner
from metagan.params import Layout, Vector
from metagan.settings import AlgorithmConfig, OuterConfig, RunConfig, TaskConfig, WarmupConfig
from metagan.tasks import DatasetTasks, make_splits
from metagan.train import RunnerStats, StepRecord, Upcoming, build_run_gan, meta_train, plan_step
from tests.helpers import bars, tiny_config

CPU = torch.device("cpu")


def make_source(config: RunConfig) -> DatasetTasks:
    dataset = bars(num_domains=7)
    return DatasetTasks(dataset, make_splits(dataset, config.data, seed=0), config.task)


@pytest.mark.parametrize("warmup", [0, 2])
@pytest.mark.parametrize("unit", ["domain", "class"])
def test_the_initialization_becomes_the_mean_of_the_adapted_weights(unit, warmup):
    config = tiny_config(
        algorithm=AlgorithmConfig(name="average"),
        task=TaskConfig(unit=unit, shots=3, num_query=3),
        # None of these may matter to the one step of the baseline.
        outer=OuterConfig(
            steps=warmup + 1,
            meta_batch_size=2,
            episodes_per_chunk=2,
            optimizer="adam",
            lr=0.01,
            max_norm=1e-3,
            anneal="linear",
            ema=0.99,
        ),
        warmup=WarmupConfig(steps=warmup),
    )
    source = make_source(config)
    gan, params = build_run_gan(config, (1, 16, 16))[::2]
    layout = Layout.of(params)
    learner = MetaLearner(layout.flatten(params), outer_settings(config), config.warmup)
    seen: list[Vector] = []
    records: list[StepRecord] = []

    class Runner:
        num_workers = 1

        def run(
            self, vector: Vector, chunks: Sequence[ChunkKey], upcoming: Sequence[Upcoming] = ()
        ) -> tuple[list[ChunkResult], RunnerStats]:
            assert not upcoming
            seen.append(vector)
            results = [
                chunk_gradient(gan, layout, vector, chunk, source, config, device=CPU)
                for chunk in chunks
            ]
            return results, RunnerStats()

    def on_step(_: MetaLearner, record: StepRecord) -> bool:
        records.append(record)
        return False

    meta_train(learner, source, Runner(), config, layout, on_step=on_step)
    tasks = source.tasks("train")
    assert records[-1].update.num_planned == len(tasks) > 2
    assert (records[-1].algorithm, learner.step) == ("average", warmup + 1)
    start = layout.unflatten(torch.tensor(seen[-1]))
    fine_tuned = []
    for chunk in plan_step(config, tasks, source.task_weights("train"), warmup):
        for key in chunk.episodes:
            inputs = episode_draws(source.episode(key), config, chunk)
            after = adapt(gan, start, inputs.support, inner_settings(config)).params
            fine_tuned.append(layout.flatten(after))
    mean = torch.stack(fine_tuned).mean(0).numpy()
    assert np.abs(mean - seen[-1]).max() > 1e-3
    np.testing.assert_allclose(learner.vector, mean, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(learner.averaged, learner.vector)


def test_every_training_task_is_taken_once():
    config = tiny_config(
        algorithm=AlgorithmConfig(name="average"), outer=OuterConfig(steps=1, episodes_per_chunk=3)
    )
    source = make_source(config)
    tasks = source.tasks("train")
    chunks = plan_step(config, tasks, source.task_weights("train"), 0)
    keys = [key for chunk in chunks for key in chunk.episodes]
    assert [key.task for key in keys] == list(tasks)
    assert len({key.seed for key in keys}) == len(keys)
