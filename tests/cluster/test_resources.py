"""Missing resources are named in numbers, with a fix."""

import pytest

from cluster.config import ClusterConfig
from cluster.resources import WorkerShape, allows, describe_shortage, placement

CPU_NODE = {"CPU": 4.0, "memory": 1e9}
GPU_NODE = {"CPU": 8.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("shape", "node", "count"),
    [
        (WorkerShape(1, 0), CPU_NODE, 4),
        (WorkerShape(1.5, 0), CPU_NODE, 2),
        (WorkerShape(0.1, 0), {"CPU": 1.0}, 10),
        (WorkerShape(1, 1), CPU_NODE, 0),
        (WorkerShape(1, 1), GPU_NODE, 2),
        (WorkerShape(1, 0.25), GPU_NODE, 8),
        (WorkerShape(8, 1), GPU_NODE, 1),
    ],
)
def test_how_many_workers_a_node_holds(
    shape: WorkerShape, node: dict[str, float], count: int
) -> None:
    assert shape.count_in(node) == count


@pytest.mark.parametrize(
    ("num_workers", "gpus", "nodes", "fix"),
    [
        (6, 0.0, [CPU_NODE], "lower cluster.num_workers to 4"),
        (1, 1.0, [CPU_NODE], "set cluster.gpus_per_worker 0"),
        (3, 1.0, [CPU_NODE, GPU_NODE], "lower cluster.num_workers to 2"),
        (1, 4.0, [GPU_NODE], "lower cluster.cpus_per_worker or cluster.gpus_per_worker"),
        (1, 0.0, [], "add nodes"),
    ],
)
def test_a_shortage_is_told_with_its_fix(
    num_workers: int, gpus: float, nodes: list[dict[str, float]], fix: str
) -> None:
    text = describe_shortage(ClusterConfig(num_workers=num_workers, gpus_per_worker=gpus), nodes)
    assert text is not None
    assert f"cluster.num_workers is {num_workers}" in text
    assert fix in text


def test_a_cluster_with_room_on_several_nodes_has_no_shortage() -> None:
    assert describe_shortage(ClusterConfig(num_workers=12), [CPU_NODE, GPU_NODE]) is None
    # Four cores and three are room for two workers of three cores, not for the sum of seven.
    pair = ClusterConfig(num_workers=3, cpus_per_worker=3)
    assert describe_shortage(pair, [CPU_NODE, CPU_NODE]) is not None


SPOT = {"metagan.io/role": "task", "metagan.io/market": "spot"}


@pytest.mark.parametrize(
    ("worker", "fallback", "labels", "allowed"),
    [
        ((), (), {}, True),
        (("metagan.io/role=task",), (), SPOT, True),
        (("metagan.io/role=task",), (), {}, False),
        (("metagan.io/role=task", "metagan.io/market=on-demand"), (), SPOT, False),
        (("metagan.io/market=on-demand",), ("metagan.io/market=spot",), SPOT, True),
        (("metagan.io/market=in(on-demand,spot)",), (), SPOT, True),
        (("metagan.io/market=!in(on-demand, spot)",), (), SPOT, False),
        (("metagan.io/market=!spot",), (), SPOT, False),
        (("metagan.io/market=!spot",), (), {}, True),
    ],
)
def test_on_which_nodes_workers_may_run(
    worker: tuple[str, ...], fallback: tuple[str, ...], labels: dict[str, str], allowed: bool
) -> None:
    config = ClusterConfig(worker_labels=worker, fallback_labels=fallback)
    assert allows(config, labels) == allowed


def test_labels_become_options_of_actors() -> None:
    assert placement(ClusterConfig()) == {}
    config = ClusterConfig(worker_labels=("a=b", "c=in(d,e)"), fallback_labels=("a=f",))
    assert placement(config) == {
        "label_selector": {"a": "b", "c": "in(d,e)"},
        "fallback_strategy": [{"label_selector": {"a": "f"}}],
    }


@pytest.mark.parametrize("label", ["spot", "=spot", "a=", "a b=c", "a=in()", "a=in(b", "a==b"])
def test_what_is_no_label_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match=r"expected KEY=SELECTOR"):
        ClusterConfig(worker_labels=(label,))


def test_a_shortage_names_the_labels_that_were_asked_for() -> None:
    config = ClusterConfig(worker_labels=("metagan.io/role=task",))
    text = describe_shortage(config, [])
    assert text is not None
    assert "(nodes labelled metagan.io/role=task: none); change cluster.worker_labels" in text
