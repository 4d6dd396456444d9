"""Every chunk of a step is counted exactly once."""

import numpy as np
import pytest

from cluster.errors import ClusterError
from cluster.ledger import Ledger
from metagan.core.chunks import ChunkKey, ChunkReport
from metagan.core.params import Vector, vector_hash
from metagan.data.tasks import EpisodeKey

GRADIENT = np.arange(4, dtype=np.float32)
HASH = vector_hash(GRADIENT)


def chunk(index: int, step: int = 7) -> ChunkKey:
    return ChunkKey(step, index, "reptile", (EpisodeKey("task", 100 + index),))


def report(key: ChunkKey, *, params: str = "p", gradient: Vector = GRADIENT) -> ChunkReport:
    return ChunkReport(key.step, key.index, 1, {}, (), 0.1, vector_hash(gradient), params)


def ledger(num_chunks: int = 3, *, max_attempts: int = 2) -> Ledger:
    chunks = [chunk(index) for index in range(num_chunks)]
    return Ledger(chunks, num_weights=len(GRADIENT), params_hash="p", max_attempts=max_attempts)


def test_a_step_is_complete_when_each_chunk_has_one_result_in_any_order() -> None:
    account = ledger()
    taken = [account.take(0), account.take(1), account.take(0)]
    assert [key.index for key in taken] == [0, 1, 2]
    assert account.num_queued == 0
    for key in reversed(taken):
        assert not account.complete
        assert account.admit(report(key), GRADIENT, arrived_hash=HASH) == "accepted"
    assert account.complete
    assert [result.report.index for result in account.results] == [2, 1, 0]


def test_a_second_result_for_a_chunk_is_dropped() -> None:
    account = ledger()
    account.take(0)
    assert account.admit(report(chunk(0)), GRADIENT, arrived_hash=HASH) == "accepted"
    assert account.admit(report(chunk(0)), GRADIENT, arrived_hash=HASH) == "duplicate"
    assert len(account.results) == 1


@pytest.mark.parametrize(
    ("late", "params"), [(chunk(0, step=6), "p"), (chunk(0), "q"), (chunk(9), "p")]
)
def test_a_result_of_another_step_or_of_other_parameters_is_dropped(
    late: ChunkKey, params: str
) -> None:
    account = ledger()
    assert account.admit(report(late, params=params), GRADIENT, arrived_hash=HASH) == "stale"
    assert account.results == []


def test_a_gradient_that_is_not_its_reports_is_dropped() -> None:
    account = ledger()
    altered = GRADIENT + 1
    found = vector_hash(altered)
    assert account.admit(report(chunk(0)), altered, arrived_hash=found) == "corrupt"
    assert account.results == []


@pytest.mark.parametrize(
    "wrong",
    [GRADIENT[:0], GRADIENT[:1], GRADIENT[:3], np.append(GRADIENT, GRADIENT), GRADIENT[None]],
)
def test_a_gradient_of_wrong_size_is_dropped_whatever_its_hash(wrong: Vector) -> None:
    account = ledger(1)
    key = account.take(0)
    said, found = report(key, gradient=wrong), vector_hash(wrong)
    assert account.admit(said, wrong, arrived_hash=found) == "corrupt"
    assert not account.complete
    # One that is in the sum of another chunk's group does not come by itself.
    assert account.admit(report(key), None, arrived_hash=HASH) == "accepted"
    assert [len(result.gradient_sum) for result in account.results] == [0]


def test_a_late_result_for_a_chunk_that_waits_again_is_taken_and_the_chunk_not_repeated() -> None:
    account = ledger(1)
    key = account.take(0)
    account.put_back(key, worker=0, reason="timeout")
    assert account.admit(report(key), GRADIENT, arrived_hash=HASH) == "accepted"
    assert account.num_queued == 0
    assert account.complete
    assert account.put_back(key, worker=1, reason="lost") is None
    assert account.num_queued == 0


def test_a_failed_chunk_goes_first_and_to_another_worker_while_there_is_one() -> None:
    account = ledger(3)
    key = account.take(0)
    assert account.put_back(key, worker=0, reason="lost") == 1
    assert account.take(0) == chunk(1)
    assert account.take(1) == key
    account.put_back(chunk(1), worker=0, reason="lost")
    assert account.take(1) == chunk(1)
    assert account.take(1) == chunk(2)
    account.put_back(chunk(2), worker=1, reason="lost")
    assert not account.may_take(1, alone=False)
    assert account.may_take(0, alone=False)
    assert account.may_take(1, alone=True)
    assert account.take(1) == chunk(2)


def test_attempts_are_bounded_and_a_chunk_that_never_started_costs_none() -> None:
    account = ledger(1, max_attempts=2)
    for _ in range(5):
        assert account.put_back(account.take(0), worker=0, reason=None) == 0
    assert account.put_back(account.take(0), worker=0, reason="lost") == 1
    with pytest.raises(ClusterError, match=r"chunk 0 of outer step 7 failed 2 times.*last: again"):
        account.put_back(account.take(0), worker=0, reason="again")


def test_two_chunks_with_one_key_are_refused() -> None:
    with pytest.raises(ValueError, match="same"):
        Ledger([chunk(0), chunk(0)], num_weights=4, params_hash="p", max_attempts=1)
