"""The node of a driver of `metagan train` gets its notice; the command is repeated elsewhere."""

import time

import ray
from ray.cluster_utils import Cluster

from tests.cluster.commands import Training
from tests.cluster.drained_node import drain
from tests.cluster.simulated import tell


def main() -> None:
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes.add_node(num_cpus=2)
    training = Training(nodes.address)
    resume = ("--resume", "auto")
    # No checkpoint is due in any of these steps.
    command = training.start(*resume, "outer.steps=100000", "checkpoint.every_steps=100000")
    training.wait_for_steps(2, command)
    # Of two nodes on one host a driver joins the head's.
    drain(nodes.address, nodes.head_node.node_id)
    noticed = time.monotonic()
    _, said = command.communicate(timeout=240)
    out = {"exit_code": command.returncode, "said": said, "reached": training.steps()}
    out["seconds"] = time.monotonic() - noticed
    out["checkpoints"] = [path.name for path in (training.run / "checkpoints").glob("step-*")]
    # The head is still there to be asked, but its node takes no driver any more.
    total = f"outer.steps={out['reached'] + 2}"
    again = training.start(*resume, total, "checkpoint.every_steps=100000")
    _, said = again.communicate(timeout=240)
    assert again.returncode == 0, said
    tell(out)
    ray.shutdown()
    nodes.shutdown()


if __name__ == "__main__":
    main()
