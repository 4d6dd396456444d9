"""A run on a cluster without nodes to compute on: Ray's autoscaler starts two, and ends them after.

    unshare --net --mount --pid --fork --mount-proc --kill-child \\
        python -m tests.chaos.autoscaler FOLDER

The autoscaler (v2) is the real one; its nodes are processes on this machine (Ray's fake multi-node
provider) instead of machines of a cloud. The last line printed is JSON about what was seen.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import ray

from metagan.data.arrow import prepare
from tests.chaos.campaign import SETTINGS, log_of, steps_logged, weights_of
from tests.chaos.hosts import wait_until
from tests.cluster.simulated import own_environment
from tests.helpers import bars
from tests.tune import on_nodes

STEPS = 8
ADDRESS = "127.0.0.1:6379"
HEAD_ID = "f" * 55 + "1"
# As the fake provider calls it.
HEAD_TYPE = "ray.head.default"
CLUSTER = (
    f"cluster.address={ADDRESS}",
    "cluster.num_workers=2",
    # Nodes have to start before workers can.
    "cluster.placement_timeout_s=180",
)
SEARCH = (
    *on_nodes.SETTINGS,
    "cluster.gpus_per_worker=0",
    "tune.workers_per_trial=0",
    # As many as the cluster is to grow to.
    "tune.max_concurrent=2",
    "tune.space={inner.lr: {grid: [0.01, 0.003]}}",
    "outer.steps=10",
)
# All of Ray's defaults are spelled out: the provider is none of those that Ray fills them in for.
CONFIG: Mapping[str, object] = {
    "cluster_name": "metagan",
    "max_workers": 2,
    "upscaling_speed": 10.0,
    "idle_timeout_minutes": 0.1,
    "provider": {
        "type": "external",
        "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
        "head_node_id": HEAD_ID,
        "launch_multiple": True,
    },
    "auth": {},
    "docker": {},
    "head_node_type": HEAD_TYPE,
    "available_node_types": {
        HEAD_TYPE: {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "task": {
            "resources": {"CPU": 1, "object_store_memory": 100_000_000},
            "node_config": {},
            "min_workers": 0,
            "max_workers": 2,
        },
    },
    "file_mounts": {},
    "cluster_synced_files": [],
    "file_mounts_sync_continuously": False,
    "rsync_exclude": [],
    "rsync_filter": [],
    "initialization_commands": [],
    "setup_commands": [],
    "head_setup_commands": [],
    "worker_setup_commands": [],
    "head_start_ray_commands": [],
    "worker_start_ray_commands": [],
}
_HEAD = {
    "RAY_FAKE_CLUSTER": "1",
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    "RAY_enable_autoscaler_v2": "1",
    "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
    "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
    "RAY_NODE_TYPE_NAME": HEAD_TYPE,
}


def start_head(folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Ray's head without cores, and the autoscaler on it."""
    config = folder / "autoscaling.json"
    config.write_text(json.dumps(CONFIG))
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"]
    command += ["--node-ip-address=127.0.0.1", "--port=6379", "--num-cpus=0"]
    command += ["--object-store-memory=100000000", "--disable-usage-stats"]
    command += ["--include-dashboard=false", f"--autoscaling-config={config}"]
    log = folder / "head.log"
    with log.open("wb") as output:
        head = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**environment, **_HEAD}
        )
    wait_until("Ray's head", lambda: b"Ray runtime started" in log.read_bytes(), 120)
    return head


def num_nodes() -> int:
    """Nodes that workers can run on."""
    return sum(node["Alive"] and bool(node["Resources"].get("CPU")) for node in ray.nodes())


def search(folder: Path, environment: Mapping[str, str]) -> Mapping[str, object]:
    """Search with two trials, for which there is no node yet either."""
    given = [*SEARCH, f"cluster.address={ADDRESS}", f"data.path={folder / 'bars'}"]
    command = [sys.executable, "-m", "metagan", "tune", "--out", str(folder / "search"), *given]
    with (folder / "search.log").open("wb") as log:
        driver = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    most = 0
    while driver.poll() is None:
        most = max(most, num_nodes())
        time.sleep(0.2)
    if driver.returncode:
        print((folder / "search.log").read_text(errors="replace")[-3000:], file=sys.stderr)
    return {"search_exit_code": driver.returncode, "nodes_while_searching": most}


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0 if the run had the bits of an undisturbed one."""
    folder = Path(arguments[0])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    environment = own_environment(folder)
    prepare(bars(), folder / "bars")
    train = [sys.executable, "-m", "metagan", "train", *SETTINGS, f"outer.steps={STEPS}"]
    train += [f"data.path={folder / 'bars'}"]
    reference, run = folder / "reference", folder / "run"
    subprocess.run([*train, "--run", str(reference), "--local"], env=environment, check=True)
    start_head(folder, environment)
    os.environ |= environment
    ray.init(address=ADDRESS, logging_level="ERROR", log_to_driver=False)
    seen: dict[str, object] = {"nodes_before": num_nodes()}
    with (folder / "driver.log").open("wb") as log:
        driver = subprocess.Popen(
            [*train, "--run", str(run), *CLUSTER],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    try:
        up = wait_until("two nodes", lambda: num_nodes() == 2 or driver.poll(), 120)
        seen["up_s"] = round(up, 1)
        wait_until("steps", lambda: steps_logged(run) > 2 or driver.poll(), 120)
        time.sleep(1)
        seen["nodes_while_training"] = num_nodes()
        seen["exit_code"] = driver.wait(180)
        seen["equal_weights"] = weights_of(run, steps=STEPS) == weights_of(reference, steps=STEPS)
        seen["equal_log"] = log_of(run) == log_of(reference)
        seen["down_s"] = round(wait_until("no node", lambda: num_nodes() == 0, 120), 1)
        seen |= search(folder, environment)
    except TimeoutError as error:
        seen["error"] = str(error)
    if not seen.get("equal_log") or "error" in seen:
        for name in ("driver.log", "head.log"):
            print((folder / name).read_text(errors="replace")[-3000:], file=sys.stderr)
        for file in folder.glob("ray/session_*/logs/monitor.*"):
            print(file, file.read_text(errors="replace")[-3000:], file=sys.stderr)
    print(json.dumps(seen))
    return 0 if seen.get("equal_weights") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
