"""The node of a driver of `metagan train` gets its notice; the command is repeated elsewhere."""

import subprocess
import sys
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from metagan.config import to_yaml
from tests.cluster.drained_node import drain
from tests.cluster.simulated import inputs, tell


def main() -> None:
    folder = Path(sys.argv[1]).parent
    config, run = folder / "run.yaml", folder / "run"
    config.write_text(to_yaml(inputs().spec.config))
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes.add_node(num_cpus=2)

    def train(*arguments: str) -> "subprocess.Popen[str]":
        command = f"-m metagan train -c {config} --run {run} --workers 2 --resume auto".split()
        return subprocess.Popen(
            [sys.executable, *command, f"cluster.address={nodes.address}", *arguments],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )

    def steps() -> int:
        file = run / "metrics.jsonl"
        return len(file.read_text().splitlines()) if file.is_file() else 0

    # No checkpoint is due in any of these steps.
    command = train("outer.steps=100000", "checkpoint.every_steps=100000")
    deadline = time.monotonic() + 90
    while steps() < 2:
        assert command.poll() is None, "the command ended early"
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    # Of two nodes on one host a driver joins the head's.
    drain(nodes.address, nodes.head_node.node_id)
    noticed = time.monotonic()
    _, said = command.communicate(timeout=90)
    out = {"exit_code": command.returncode, "said": said, "reached": steps()}
    out["seconds"] = time.monotonic() - noticed
    out["checkpoints"] = [path.name for path in (run / "checkpoints").glob("step-*")]
    # The head is still there to be asked, but its node takes no driver any more.
    total = f"outer.steps={out['reached'] + 2}"
    again = train(total, "checkpoint.every_steps=100000")
    _, said = again.communicate(timeout=90)
    assert again.returncode == 0, said
    tell(out)
    ray.shutdown()
    nodes.shutdown()


if __name__ == "__main__":
    main()
