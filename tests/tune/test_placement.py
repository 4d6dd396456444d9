"""Trials reserve what they need, as many at once as fit, on a Ray of this machine."""

from typing import Any

import pytest

from cluster.errors import ClusterError
from metagan.config.load import ConfigError, load_config
from tune.config import SearchJobConfig
from tune.placement import Placement, _bundles, place_trials

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


def placed(*settings: str) -> Placement:
    return place_trials(load_config(SearchJobConfig, None, settings).config)


def test_a_trial_of_its_own_process_reserves_what_a_worker_would() -> None:
    found = placed("cluster.cpus_per_worker=2")
    assert found.bundles == ({"CPU": 2.0},)
    assert found.at_once == 3


def test_a_trial_reserves_its_workers_and_a_place_for_its_driver() -> None:
    found = placed("cluster.cpus_per_worker=1.25", "tune.workers_per_trial=2")
    assert found.bundles == ({"CPU": 0.01}, {"CPU": 1.25}, {"CPU": 1.25})
    assert found.at_once == 2
    # Without the driver's share of a core, three would fit.
    assert placed("cluster.cpus_per_worker=1", "tune.workers_per_trial=2").at_once == 2
    assert placed("tune.workers_per_trial=2", "tune.max_concurrent=1").at_once == 1


def test_workers_reserve_a_part_of_a_gpu() -> None:
    shape = ["cluster.cpus_per_worker=2", "cluster.gpus_per_worker=0.5", "tune.workers_per_trial=2"]
    config = load_config(SearchJobConfig, None, shape).config
    assert _bundles(config) == ({"CPU": 0.01}, {"CPU": 2.0, "GPU": 0.5}, {"CPU": 2.0, "GPU": 0.5})


def test_labels_go_with_the_bundles_of_drivers_and_workers() -> None:
    assert "bundle_label_selector" not in placed().to_factory()._kwargs
    # This machine's node has no label at all.
    found = placed("cluster.worker_labels=[market=!spot]", "tune.workers_per_trial=2")
    assert found.labels == ({}, {"market": "!spot"}, {"market": "!spot"})
    assert found.to_factory()._kwargs == {"bundle_label_selector": list(found.labels)}
    fallback = placed("cluster.worker_labels=[market=spot]", "cluster.fallback_labels=[a=!b]")
    assert fallback.labels == ({"a": "!b"},)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["tune.workers_per_trial=99"],
            "a trial needs 99.01 CPU, but Ray has 6 CPU; lower tune.workers_per_trial",
        ),
        (
            ["cluster.gpus_per_worker=1", "device=auto"],
            "a trial needs 1 CPU, 1 GPU, but Ray has 6 CPU, 0 GPU;",
        ),
        (
            ["cluster.worker_labels=[market=spot]", "cluster.fallback_labels=[market=other]"],
            "Ray has 0 CPU on nodes labelled market=spot or market=other; change "
            "cluster.worker_labels, or lower",
        ),
        (
            ["tune.workers_per_trial=1", "tune.driver_labels=[role=driver]"],
            "no node for a trial's driver is labelled role=driver; change tune.driver_labels",
        ),
    ],
)
def test_what_can_never_fit_is_refused_with_the_numbers(settings: Any, message: str) -> None:
    with pytest.raises(ClusterError) as caught:
        placed(*settings)
    assert message in str(caught.value)


def test_labels_of_drivers_need_drivers_apart_from_workers() -> None:
    with pytest.raises(ConfigError, match=r"tune\.workers_per_trial is 0, so that trials compute"):
        load_config(SearchJobConfig, None, ["tune.driver_labels=[role=driver]"])
