"""Workers of different kinds: refused where they cannot compute together, told where they can."""

import os
import platform
from pathlib import Path

import pytest
import torch

from cluster.errors import ClusterError
from cluster.likeness import Likeness
from cluster.opening import open_ray_runner
from cluster.telemetry import Telemetry
from cluster.worker import EpisodeWorker, WorkerFailure, WorkerReady
from metagan.version import UNKNOWN
from metagan.workflow.setup import TrainSetup
from tests.cluster.runs import chunks_of, kinds, settings, start_vector


def ready(
    arithmetic: str, *, device: str = "cpu", torch_version: str = "", version: str = UNKNOWN
) -> WorkerReady:
    installed = torch_version or torch.__version__
    name = f"a {arithmetic}"
    return WorkerReady(1, "host", "", device, installed, name, arithmetic, version)


def test_other_bits_are_told_once_for_each_kind() -> None:
    telemetry = Telemetry()
    likeness = Likeness(telemetry, mixed_devices=True)
    for index, kind in enumerate(["one", "one", "two", "two", "three", "one"]):
        likeness.check(f"worker {index}", ready(kind))
    assert telemetry.arithmetic == "one"
    two, three = telemetry.take_events()
    assert (two["kind"], three["kind"]) == ("bits", "bits")
    assert "worker 2 (a two) differs in the last bits of its results from worker 0 (a one)" in str(
        two["reason"]
    )
    assert "worker 4 (a three)" in str(three["reason"])


def test_where_bits_must_not_differ_other_ones_end_the_run() -> None:
    likeness = Likeness(Telemetry(), mixed_devices=False)
    likeness.check("worker 0", ready("one"))
    likeness.check("worker 1", ready("one"))
    with pytest.raises(ClusterError, match=r"worker 2 .*mixed_devices is false; set .*_labels"):
        likeness.check("worker 2", ready("two"))


def test_another_version_and_another_kind_of_device_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    likeness = Likeness(Telemetry(), mixed_devices=True)
    with pytest.raises(ClusterError, match=r"has torch 1\.0, the driver"):
        likeness.check("worker 0", ready("one", torch_version="1.0"))
    monkeypatch.setattr("cluster.likeness.tool_version", lambda: "2.0")
    with pytest.raises(ClusterError, match=r"has metagan 1\.0, the driver 2\.0; install one"):
        likeness.check("worker 0", ready("one", version="1.0"))
    likeness.check("worker 0", ready("one"))
    with pytest.raises(ClusterError, match="worker 1 computes on cuda, others on cpu"):
        likeness.check("worker 1", ready("two", device="cuda"))


def first_with_fewer_instructions(mark: Path) -> type[EpisodeWorker]:
    """A worker class whose first process computes as on an older CPU."""

    class Older(EpisodeWorker):
        def load(self) -> WorkerReady | WorkerFailure:
            try:
                mark.touch(exist_ok=False)
            except FileExistsError:
                return super().load()
            os.environ["ONEDNN_MAX_CPU_ISA"] = "SSE41"
            return super().load()

    return Older


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="oneDNN has other names there")
@pytest.mark.parametrize("mixed", [True, False])
def test_a_worker_with_other_bits_is_found_out(
    run: TrainSetup, tmp_path: Path, mixed: bool
) -> None:
    worker_class = first_with_fewer_instructions(tmp_path / "older")
    config = settings(2, mixed_devices=mixed)
    with open_ray_runner(run.spec, config, worker_class=worker_class) as runner:
        if not mixed:
            with pytest.raises(
                ClusterError, match="differs in the last bits of its results from worker"
            ):
                runner.wait_until_ready()
            return
        runner.wait_until_ready()
        _, stats = runner.run(start_vector(run), chunks_of(run))
    assert kinds(stats.events) == ["bits"]
    assert stats.arithmetic
