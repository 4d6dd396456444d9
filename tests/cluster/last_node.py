"""The command `metagan train` loses a node, then the last one, is repeated on a new one, and loses
the cluster's head.
"""

import ray
from ray.cluster_utils import Cluster

from tests.cluster.commands import Training
from tests.cluster.simulated import HEALTH, tell


def main() -> None:
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": HEALTH})
    first, second = nodes.add_node(num_cpus=1), nodes.add_node(num_cpus=1)
    training = Training(nodes.address)
    steps, quorum = training.steps, "cluster.quorum_timeout_s=4"
    # No checkpoint is due in any of these steps.
    endless = ("outer.steps=100000", "checkpoint.every_steps=100000")
    command = training.start(quorum, *endless)
    training.wait_for_steps(2, command)
    nodes.remove_node(first, allow_graceful=False)
    on_two = steps()
    training.wait_for_steps(on_two + 3, command)
    nodes.remove_node(second, allow_graceful=False)
    _, said = command.communicate(timeout=240)
    out = {"exit_code": command.returncode, "said": said, "reached": steps()}
    out["checkpoints"] = [path.name for path in (training.run / "checkpoints").glob("step-*")]
    nodes.add_node(num_cpus=2)
    again = training.start(
        quorum, "--resume", f"outer.steps={out['reached'] + 2}", "checkpoint.every_steps=100000"
    )
    _, said = again.communicate(timeout=240)
    assert again.returncode == 0, said
    command = training.start(quorum, "--resume", *endless)
    training.wait_for_steps(out["reached"] + 4, command)
    (control,) = nodes.head_node.all_processes["gcs_server"]
    control.process.kill()
    _, said = command.communicate(timeout=240)
    headless = {"exit_code": command.returncode, "said": said, "reached": steps()}
    headless["kept"] = (
        training.run / "checkpoints" / f"step-{steps()}" / "manifest.json"
    ).is_file()
    tell({**out, "lost_on_two": on_two, "headless": headless})
    ray.shutdown()
    nodes.shutdown()


if __name__ == "__main__":
    main()
