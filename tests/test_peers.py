"""The comparison with other libraries: its plain loop is what metagan computes, and errors show."""

import json
from functools import partial

import pytest
import torch

from benchmarks.peer_ours import Metagan, PlainLoop, TorchFunc
from benchmarks.peer_parity import compare, mean_of_means_error, orders_differ, uneven_chunks
from benchmarks.peer_work import Size, make_work
from benchmarks.peers import main

SMALL = Size(width=4, tasks=5, steps=2, shots=3, side=16)
OURS = {
    "torch.func": TorchFunc,
    "metagan loop": partial(Metagan, vectorised=False),
    "metagan vmap": partial(Metagan, vectorised=True),
}


@pytest.fixture(scope="module")
def work():
    return make_work(SMALL, torch.float64)


def test_chunks_are_uneven_and_cover_every_task_once():
    chunks = uneven_chunks(8, 3)
    assert [chunk.stop - chunk.start for chunk in chunks] == [3, 3, 2]
    assert [i for chunk in chunks for i in range(8)[chunk]] == list(range(8))


def test_metagan_equals_the_plain_loop_in_uneven_chunks_in_both_orders(work):
    found = compare(OURS, work, num_chunks=3)
    assert {(parity.contender, parity.order) for parity in found} == {
        (name, order) for name in OURS for order in ("first", "second")
    }
    assert max(parity.relative for parity in found) <= 1e-12
    assert all(parity.ok for parity in found)


def test_the_comparison_could_see_an_error(work):
    assert orders_differ(work) > 1e-2
    assert mean_of_means_error(work, num_chunks=3) > 1e-3


def test_the_exit_status_is_zero_only_if_all_agree(tmp_path, capsys):
    path = tmp_path / "peers.json"
    arguments = ["--parity-only", "--json", str(path)]
    right = {"metagan loop": OURS["metagan loop"]}
    assert main(arguments, makers=right, parity_size=SMALL) == 0
    wrong_too = {**right, "unrolled": partial(PlainLoop, aliased=False)}
    assert main(arguments, makers=wrong_too, parity_size=SMALL) == 1
    assert "| unrolled | second |" in capsys.readouterr().out
    # Only the second order goes through the inner loop, so only it is wrong.
    parity = json.loads(path.read_text())["parity"]
    wrong = {(row["contender"], row["order"]) for row in parity if not row["ok"]}
    assert wrong == {("unrolled", "second")}


def test_a_contender_that_gives_nan_is_no_equal():
    class Lost(PlainLoop):
        def sum_over(self, tasks, *, second_order):
            return super().sum_over(tasks, second_order=second_order) * torch.nan

    assert main(["--parity-only"], makers={"lost": Lost}, parity_size=SMALL) == 1
