"""The command `metagan train` loses a node, then the last one, is repeated on a new one, and loses
the cluster's head.
"""

import subprocess
import sys
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from metagan.config import to_yaml
from tests.cluster.simulated import HEALTH, inputs, tell


def main() -> None:
    folder = Path(sys.argv[1]).parent
    config, run = folder / "run.yaml", folder / "run"
    config.write_text(to_yaml(inputs().spec.config))
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": HEALTH})
    first, second = nodes.add_node(num_cpus=1), nodes.add_node(num_cpus=1)

    def train(*arguments: str) -> "subprocess.Popen[str]":
        address = f"cluster.address={nodes.address}"
        command = f"-m metagan train -c {config} --run {run} --workers 2".split()
        return subprocess.Popen(
            [sys.executable, *command, address, "cluster.quorum_timeout_s=4", *arguments],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )

    def steps() -> int:
        file = run / "metrics.jsonl"
        return len(file.read_text().splitlines()) if file.is_file() else 0

    def wait_for_steps(count: int) -> None:
        deadline = time.monotonic() + 90
        while steps() < count:
            assert command.poll() is None, "the command ended early"
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.05)

    # No checkpoint is due in any of these steps.
    endless = ("outer.steps=100000", "checkpoint.every_steps=100000")
    command = train(*endless)
    wait_for_steps(2)
    nodes.remove_node(first, allow_graceful=False)
    on_two = steps()
    wait_for_steps(on_two + 3)
    nodes.remove_node(second, allow_graceful=False)
    _, said = command.communicate(timeout=90)
    out = {"exit_code": command.returncode, "said": said, "reached": steps()}
    out["checkpoints"] = [path.name for path in (run / "checkpoints").glob("step-*")]
    nodes.add_node(num_cpus=2)
    again = train("--resume", f"outer.steps={out['reached'] + 2}", "checkpoint.every_steps=100000")
    _, said = again.communicate(timeout=90)
    assert again.returncode == 0, said
    command = train("--resume", *endless)
    wait_for_steps(out["reached"] + 4)
    (control,) = nodes.head_node.all_processes["gcs_server"]
    control.process.kill()
    _, said = command.communicate(timeout=90)
    headless = {"exit_code": command.returncode, "said": said, "reached": steps()}
    headless["kept"] = (run / "checkpoints" / f"step-{steps()}" / "manifest.json").is_file()
    tell({**out, "lost_on_two": on_two, "headless": headless})
    ray.shutdown()
    nodes.shutdown()


if __name__ == "__main__":
    main()
