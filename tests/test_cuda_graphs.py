"""Recordings of chunks' work, on graphs that compute on the CPU: which are made, kept and replayed.

What a GPU makes of them is in tests/gpu.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from metagan.config.learning import AlgorithmConfig, InnerConfig
from metagan.core import cuda_graphs
from metagan.core.chunk_gradient import chunk_gradient
from metagan.core.chunks import ChunkKey, ChunkResult
from metagan.core.cuda_graphs import Outputs, Recorder
from tests.reference.cases import episode_keys, run_setup

CPU = torch.device("cpu")


class ComputingGraph:
    """Replays by computing again, into the same outputs."""

    def __init__(
        self, function: Callable[[Sequence[Tensor]], Outputs], inputs: Sequence[Tensor]
    ) -> None:
        self._function = function
        # In their order in memory, which a name tells apart.
        self.inputs = tuple(torch.empty_like(tensor.detach()).copy_(tensor) for tensor in inputs)
        value, metrics = function(self.inputs)
        self.outputs = value.detach(), {name: m.detach() for name, m in metrics.items()}
        self.graph = self

    def replay(self) -> None:
        value, metrics = self._function(self.inputs)
        self.outputs[0].copy_(value.detach())
        for name, metric in metrics.items():
            self.outputs[1][name].copy_(metric.detach())


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[ComputingGraph]:
    """All recordings that are made, in order."""
    made: list[ComputingGraph] = []

    def record(
        function: Callable[[Sequence[Tensor]], Outputs],
        inputs: Sequence[Tensor],
        device: torch.device,
    ) -> ComputingGraph:
        assert device == CPU
        made.append(ComputingGraph(function, inputs))
        return made[-1]

    monkeypatch.setattr(cuda_graphs, "_record", record)
    return made


def doubled(inputs: Sequence[Tensor]) -> Outputs:
    return 2 * inputs[0], {"sum": inputs[0].sum()}


def test_a_computation_is_recorded_once_and_replayed_on_other_numbers(recorded):
    recorder = Recorder()
    for value in (1.0, 2.0, 3.0):
        x = torch.tensor([value])
        twice, metrics = recorder.run("name", doubled, [x], CPU)
        assert torch.equal(twice, 2 * x)
        assert torch.equal(metrics["sum"], x.sum())
    assert len(recorded) == 1
    # Other shapes are another computation.
    recorder.run("name", doubled, [torch.ones(2)], CPU)
    assert len(recorded) == len(recorder) == 2


def test_another_order_in_memory_is_another_computation(recorded):
    recorder, numbers = Recorder(), torch.arange(6.0).reshape(2, 3)
    for inputs in (numbers, numbers.T.contiguous().T, numbers):
        flat, _ = recorder.run("name", lambda xs: (xs[0].reshape(-1), {}), [inputs], CPU)
        assert flat.tolist() == list(range(6))
    assert len(recorded) == 2


def test_the_least_recently_used_recordings_are_dropped(recorded):
    recorder, x = Recorder(), torch.ones(1)
    for name in (*range(6), 0, 6):
        recorder.run(name, doubled, [x], CPU)
    assert len(recorder) == 6
    assert len(recorded) == 7
    recorder.run(0, doubled, [x], CPU)
    assert len(recorded) == 7
    recorder.run(1, doubled, [x], CPU)
    assert len(recorded) == 8


def compute(setup: tuple, algorithm: str, step: int, recorder: Recorder | None) -> ChunkResult:
    """Another initialization at every step, so that a replay works on numbers of its own."""
    config, source, gan, params, layout = setup
    vector = layout.flatten(params).numpy()
    vector = vector + np.float32(0.01) * np.random.default_rng(step).standard_normal(
        vector.shape, dtype=np.float32
    )
    chunk = ChunkKey(step, 0, algorithm, episode_keys(source, 3, step=step))
    return chunk_gradient(gan, layout, vector, chunk, source, config, device=CPU, recorder=recorder)


@pytest.mark.parametrize(
    ("algorithm", "options", "recordings"),
    [
        ("reptile", {}, [1, 1, 1, 1]),
        # Penalties are due at every second step.
        ("joint", {}, [1, 2, 2, 2]),
        # While the query loss narrows, every step has constants of its own.
        ("fomaml", {"multi_step": 2}, [0, 0, 1, 1]),
    ],
)
def test_a_chunk_is_replayed_where_it_does_the_same_and_has_the_same_bits(
    recorded, algorithm, options, recordings
):
    setup = run_setup(
        "dcgan",
        gan={"penalty_every": 2},
        inner=InnerConfig(steps=1, batch_size=2, optimizer="adam"),
        algorithm=AlgorithmConfig(name=algorithm, **options),
    )
    recorder = Recorder()
    for step, expected in enumerate(recordings):
        fresh, replayed = (compute(setup, algorithm, step, which) for which in (None, recorder))
        np.testing.assert_array_equal(fresh.gradient_sum, replayed.gradient_sum)
        assert fresh.gradient_sum.any()
        assert fresh.report.metric_sums == replayed.report.metric_sums
        assert len(recorder) == len(recorded) == expected
