"""A traced computation gives the bits of the computation, and is replayed only then."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from metagan.algorithms import ALGORITHMS
from metagan.chunk_gradient import chunk_gradient
from metagan.chunks import ChunkKey, ChunkResult
from metagan.settings import AlgorithmConfig, InnerConfig
from metagan.traced import Tracer
from tests.reference.cases import ARCHITECTURES, episode_keys, run_setup

CPU = torch.device("cpu")
FIRST_ORDER = [name for name, row in ALGORITHMS.items() if not row.second_order]


def compute(
    setup: tuple, algorithm: str, step: int, tracer: Tracer | None, *, vectorised: bool
) -> ChunkResult:
    """Another initialization at every step, so that a replay works on numbers of its own."""
    config, source, gan, params, layout = setup
    vector = layout.flatten(params).numpy()
    vector = vector + np.float32(0.01) * np.random.default_rng(step).standard_normal(
        vector.shape, dtype=np.float32
    )
    chunk = ChunkKey(step, 0, algorithm, episode_keys(source, 3, step=step))
    return chunk_gradient(
        gan,
        layout,
        vector,
        chunk,
        source,
        config,
        device=CPU,
        vectorised=vectorised,
        replayer=tracer,
    )


CASES = [
    (architecture, row, vectorised)
    for architecture in range(len(ARCHITECTURES))
    for row in range(len(FIRST_ORDER))
    for vectorised in (False, True)
]
#: Every row and every network by one of both paths.
SPREAD = [(i, i % len(FIRST_ORDER), i % 2 == 1) for i in range(len(ARCHITECTURES))]


@pytest.mark.parametrize(
    ("architecture", "row", "vectorised"),
    [case if case in SPREAD else pytest.param(*case, marks=pytest.mark.slow) for case in CASES],
)
def test_replayed_chunks_have_the_bits_of_computed_ones(architecture, row, vectorised):
    algorithm = FIRST_ORDER[row]
    setup = run_setup(
        *ARCHITECTURES[architecture],
        gan={"penalty_every": 2, "augment": ["translation", "cutout", "color"]},
        inner=InnerConfig(steps=1, batch_size=2, optimizer="adam"),
        algorithm=AlgorithmConfig(name=algorithm),
        **({"outer": {"steps": 1}} if algorithm == "average" else {}),
    )
    tracer = Tracer(uses_before=1)
    for step in range(3):
        fresh, replayed = (
            compute(setup, algorithm, step, which, vectorised=vectorised)
            for which in (None, tracer)
        )
        np.testing.assert_array_equal(fresh.gradient_sum, replayed.gradient_sum)
        assert fresh.gradient_sum.any()
        assert fresh.report.metric_sums == replayed.report.metric_sums
    # Pooled chunks are of two kinds: penalties are due at every second step.
    assert len(tracer) == (2 if algorithm == "joint" else 1)


def test_a_query_loss_that_narrows_is_computed_and_then_traced():
    inner = InnerConfig(steps=1, batch_size=2, optimizer="sgd")
    algorithm = AlgorithmConfig(name="fomaml", multi_step=2)
    setup = run_setup("dcgan", inner=inner, algorithm=algorithm)
    tracer = Tracer(uses_before=1)
    for step, traces in enumerate((0, 0, 1, 1)):
        fresh, replayed = (
            compute(setup, "fomaml", step, which, vectorised=False) for which in (None, tracer)
        )
        np.testing.assert_array_equal(fresh.gradient_sum, replayed.gradient_sum)
        assert len(tracer) == traces


def test_second_order_work_and_other_devices_are_left_alone():
    setup = run_setup("dcgan", second_order=True, algorithm=AlgorithmConfig(name="maml"))
    tracer = Tracer(uses_before=1)
    compute(setup, "maml", 0, tracer, vectorised=True)
    assert len(tracer) == 0
    assert not tracer.serves(torch.device("cuda"), second_order=False)


#: Chunks of several algorithms and steps, as a worker gets them: in any order, some again.
JOBS = [("reptile", 0), ("joint", 0), ("reptile", 1), ("joint", 2)]


class Doubling:
    """Doubles; counts how often it is really called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, inputs: Sequence[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        self.calls += 1
        return 2 * inputs[0], {"sum": inputs[0].sum()}


def test_a_computation_is_traced_once_it_was_done_often():
    tracer, function = Tracer(uses_before=3), Doubling()
    for value in range(6):
        x = torch.tensor([float(value)])
        doubled, metrics = tracer.run("name", function, [x], CPU)
        assert torch.equal(doubled, 2 * x)
        assert torch.equal(metrics["sum"], x.sum())
        # Three times, and once more to be traced.
        assert function.calls == min(value + 1, 2) + 2 * (value >= 2)
    # Other shapes are another computation.
    tracer.run("name", function, [torch.ones(2)], CPU)
    assert function.calls == 5
    assert len(tracer) == 1


def test_a_trace_that_gives_other_bits_is_not_kept():
    class Restless(Doubling):
        def __call__(self, inputs):
            doubled, metrics = super().__call__(inputs)
            return doubled + self.calls, metrics

    tracer, function = Tracer(uses_before=1), Restless()
    for value in (3.0, 4.0):
        before = function.calls
        doubled, _ = tracer.run("name", function, [torch.tensor([value])], CPU)
        assert float(doubled) == 2 * value + before + 1
    assert len(tracer) == 0


def test_what_looks_at_numbers_is_never_replayed():
    """A trace would do at all numbers what was right at those it was made with."""

    def bent(inputs):
        (x,) = inputs
        return (2 * x if x.sum() > 0 else x), {}

    tracer = Tracer(uses_before=1)
    for value in (3.0, -3.0, 3.0):
        result, _ = tracer.run("name", bent, [torch.tensor([value])], CPU)
        assert float(result) == (6.0 if value > 0 else value)
    assert len(tracer) == 0


def test_another_order_in_memory_is_another_computation():
    tracer, numbers = Tracer(uses_before=1), torch.arange(6.0).reshape(2, 3)
    for inputs in (numbers, numbers.T.contiguous().T, numbers):
        flat, _ = tracer.run("name", lambda xs: (xs[0].reshape(-1), {}), [inputs], CPU)
        assert flat.tolist() == list(range(6))
    assert len(tracer) == 2


@pytest.mark.parametrize("vectorised", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_workers_result_does_not_depend_on_how_much_it_has_done(vectorised):
    """Whether it computes, traces or replays a chunk, alone or between others of its run."""
    setup = run_setup("dcgan", inner=InnerConfig(steps=1, batch_size=2, optimizer="adam"))
    alone = [
        compute(setup, name, step, None, vectorised=vectorised).report.gradient_hash
        for name, step in JOBS
    ]
    for uses_before in (1, 5):
        tracer = Tracer(uses_before=uses_before)
        order = np.random.default_rng(uses_before).permutation(np.repeat(np.arange(len(JOBS)), 3))
        for job in order.tolist():
            name, step = JOBS[job]
            found = compute(setup, name, step, tracer, vectorised=vectorised)
            assert found.report.gradient_hash == alone[job], (job, uses_before)
        assert len(tracer) > 0


def test_the_least_recently_used_traces_are_dropped():
    tracer, function = Tracer(uses_before=1), Doubling()
    for name in range(10):
        tracer.run(name, function, [torch.ones(1)], CPU)
    assert len(tracer) == 6
    calls = function.calls
    tracer.run(9, function, [torch.ones(1)], CPU)
    assert function.calls == calls
    tracer.run(0, function, [torch.ones(1)], CPU)
    assert function.calls == calls + 2
