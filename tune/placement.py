"""Placement of trials: resources of each, labels of its nodes, and how many run at once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ray
from ray import tune as ray_tune

from cluster.config import ClusterConfig, selectors
from cluster.connect import started_by_this_process
from cluster.errors import ClusterError
from cluster.resources import WorkerShape, node_resources
from tune.config import SearchJobConfig

# Of a trial with workers: while they compute the driver waits, and the other way around.
_DRIVER_CPUS = 0.01


@dataclass(frozen=True)
class Placement:
    """The resources that Ray reserves for each trial of a search.

    Attributes:
        bundles: Resources; the first is for the trial's own process, the others for a worker each.
        labels: {key: selector} of each bundle's node.
        at_once: Trials that there is room for.
    """

    bundles: tuple[Mapping[str, float], ...]
    labels: tuple[Mapping[str, str], ...]
    at_once: int

    def to_factory(self) -> ray_tune.PlacementGroupFactory:
        """The placement in Ray Tune's own type."""
        labels = {"bundle_label_selector": [dict(one) for one in self.labels]}
        return ray_tune.PlacementGroupFactory(
            [dict(one) for one in self.bundles],
            strategy="PACK",
            **(labels if any(self.labels) else {}),
        )


def place_trials(config: SearchJobConfig) -> Placement:
    """Choose where trials run, by what Ray has now.

    A placement group knows no second choice. So all trials run on nodes with
    `cluster.fallback_labels` if one has room there and none with `cluster.worker_labels`.

    Raises:
        ClusterError: If not even one trial can ever fit: a Ray that this process started gets no
            other node. A cluster that was joined may grow; see `check_wait`.
    """
    choices = _choices(config)
    rooms = [_room(config, labels) for labels in choices]
    chosen = next((index for index, room in enumerate(rooms) if room), 0)
    most, room = config.tune.max_concurrent, rooms[chosen]
    if started_by_this_process():
        if room < 1:
            raise ClusterError(_shortage(config, choices))
        most = min(room, most or room)
    workers = [selectors(choices[chosen])] * max(1, config.tune.workers_per_trial)
    driver = [selectors(config.tune.driver_labels)] if config.tune.workers_per_trial else []
    # Trials that wait are what an autoscaler goes by.
    return Placement(_bundles(config), (*driver, *workers), most or max(1, room))


def check_wait(config: SearchJobConfig) -> str:
    """Reason why no trial has started within `cluster.placement_timeout_s`.

    Raises:
        ClusterError: If the cluster still has no room for one, whatever else runs there.
    """
    timeout_s = config.cluster.placement_timeout_s
    waited = f"no trial has started within cluster.placement_timeout_s {timeout_s:g} s"
    choices = _choices(config)
    if not any(_room(config, labels) for labels in choices):
        raise ClusterError(f"{waited}: {_shortage(config, choices)}")
    need, there = _total(config), ray.available_resources()  # type: ignore[no-untyped-call]
    free = {name: there.get(name, 0.0) for name in need}
    return f"{waited}: a trial needs {_listed(need)}, and {_listed(free)} are free; waiting"


def _choices(config: SearchJobConfig) -> Sequence[tuple[str, ...]]:
    """Labels of the workers' nodes: the first choice and, if there is one, the second."""
    fallback = config.cluster.fallback_labels
    return [config.cluster.worker_labels, *([fallback] if fallback else [])]


def _bundles(config: SearchJobConfig) -> tuple[Mapping[str, float], ...]:
    shape = WorkerShape.of(config.cluster)
    one = {"CPU": shape.cpus} | ({"GPU": shape.gpus} if shape.gpus else {})
    if not config.tune.workers_per_trial:
        return (one,)
    return ({"CPU": _DRIVER_CPUS}, *[one] * config.tune.workers_per_trial)


def _room(config: SearchJobConfig, labels: tuple[str, ...]) -> int:
    """Number of trials that fit, with their workers, on nodes with these labels."""
    workers, drivers, everything = (
        _nodes(config.cluster, chosen) for chosen in (labels, config.tune.driver_labels, ())
    )
    shape, each = WorkerShape.of(config.cluster), config.tune.workers_per_trial
    room = sum(shape.count_in(node) for node in workers) // max(1, each)
    if each:
        # Drivers may share the workers' nodes, and then some core is not quite a worker's.
        for there, amount in ((drivers, _DRIVER_CPUS), (everything, _total(config)["CPU"])):
            cores = sum(node.get("CPU", 0.0) for node in there)
            room = min(room, math.floor(cores / amount + 1e-6))
    return room


def _nodes(cluster: ClusterConfig, labels: tuple[str, ...]) -> Sequence[Mapping[str, float]]:
    """Resources of the nodes with these labels and no others."""
    only = {"worker_labels": labels, "fallback_labels": ()}
    return node_resources(cluster.model_copy(update=only))


def _total(config: SearchJobConfig) -> Mapping[str, float]:
    """Resources that a trial reserves in all."""
    need: dict[str, float] = {}
    for bundle in _bundles(config):
        for name, amount in bundle.items():
            need[name] = need.get(name, 0.0) + amount
    return need


def _shortage(config: SearchJobConfig, choices: Sequence[tuple[str, ...]]) -> str:
    """Reason why not even one trial fits."""
    labels = config.tune.driver_labels
    if config.tune.workers_per_trial and not _nodes(config.cluster, labels):
        return (
            f"no node for a trial's driver is labelled {', '.join(labels)}; change "
            "tune.driver_labels or add such a node"
        )
    need = _total(config)
    nodes = max((_nodes(config.cluster, labels) for labels in choices), key=len)
    there = {name: sum(node.get(name, 0.0) for node in nodes) for name in need}
    where, fix = "", ""
    if config.cluster.worker_labels:
        where = f" on nodes labelled {' or '.join(', '.join(labels) for labels in choices)}"
        fix = "change cluster.worker_labels, or "
    return (
        f"a trial needs {_listed(need)}, but Ray has {_listed(there)}{where}; {fix}lower "
        "tune.workers_per_trial, cluster.cpus_per_worker or cluster.gpus_per_worker"
    )


def _listed(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{amount:g} {name}" for name, amount in sorted(resources.items()))
