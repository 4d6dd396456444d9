"""Workers compute later steps with `outer.staleness`, and the bits are those of one process."""

import numpy as np
import pytest
import ray

from cluster.runner import RayRunner
from metagan.core.aggregate import aggregate
from metagan.core.params import Vector
from metagan.workflow.setup import TrainSetup
from metagan.workflow.worker import LocalRunner
from tests.cluster.faults import Fault, Script
from tests.cluster.runs import (
    chunks_of,
    start_vector,
    trained,
)

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray", "no_faults")]


def test_workers_begin_with_a_later_step_while_a_slow_one_is_waited_for(
    run: TrainSetup, two_workers: RayRunner, local_gradient: Vector, script: Script
) -> None:
    # It answers when every chunk of the later step is accepted, and would time out before.
    script.write({(0, 0): Fault("last")})
    vector, first, second = start_vector(run), chunks_of(run), chunks_of(run, step=1)
    with script.accepting(len(second)):
        results, _ = two_workers.run(vector, first, [(vector, second)])
    later, stats = two_workers.run(vector, second)
    outer = run.spec.config.outer
    assert np.array_equal(aggregate(first, results, outer, run.layout).gradient, local_gradient)
    assert sorted(result.report.index for result in later) == [chunk.index for chunk in second]
    assert stats.events == ()
    assert stats.wait_s == 0


@pytest.mark.parametrize("staleness", [0, 1])
def test_parameters_are_sent_once_for_every_outer_step(
    run: TrainSetup, two_workers: RayRunner, monkeypatch: pytest.MonkeyPatch, staleness: int
) -> None:
    sent: list[int] = []
    put = ray.put

    def counted(value: Vector) -> object:
        sent.append(value.nbytes)
        return put(value)

    two_workers.wait_until_ready()
    monkeypatch.setattr(ray, "put", counted)
    _, stats = trained(run, two_workers, staleness=staleness)
    assert sent == [start_vector(run).nbytes] * len(stats)


def test_training_with_a_delay_has_the_bits_of_one_process_and_survives_a_kill(
    run: TrainSetup, two_workers: RayRunner, local_runner: LocalRunner, script: Script
) -> None:
    expected = {
        staleness: trained(run, local_runner, staleness=staleness)[0] for staleness in (0, 2)
    }
    assert not np.array_equal(expected[0], expected[2])
    script.write({(1, 0): Fault("kill"), (2, 1): Fault("kill_after")})
    vector, stats = trained(run, two_workers, staleness=2)
    assert np.array_equal(vector, expected[2])
    assert sum(e["kind"] == "restart" for record in stats for e in record.events) == 2
