"""A run across hosts whose links are cut: once for a moment, once for good.

    unshare --net --mount --pid --fork --mount-proc --kill-child \\
        python -m tests.chaos.link_cut FOLDER

Four hosts: 1 has Ray's head and the driver, 2 and 3 compute; a node with another token is refused.
During the run host 2's link is down for one second, and host 3's for good; host 4 then takes its
place. The last line printed is JSON about what was seen.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from metagan.runs.checkpoint import read_pointer
from tests.chaos.campaign import log_of, steps_logged, weights_of
from tests.chaos.hosts import Hosts, reference_run, wait_until

CLUSTER = (
    "cluster.num_workers=4",
    "cluster.heartbeat_timeout_s=5",
    "cluster.placement_timeout_s=60",
)


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0 if the run had the bits of an undisturbed one."""
    folder = Path(arguments[0])
    hosts = Hosts(4, folder)
    train = reference_run(hosts, folder)
    reference, run = folder / "reference", folder / "run"
    hosts.start_head()
    for host in (2, 3):
        hosts.join(host, cpus=2)
    there = [f"cluster.address={hosts.control}", *CLUSTER]
    driver = hosts.run(1, [*train, "--run", str(run), *there], "driver.log")
    seen: dict[str, object] = {"exit_code_with_another_token": hosts.join_with("b" * 64, host=4)}
    try:
        wait_until("first steps", lambda: steps_logged(run) >= 2 or driver.poll(), 120)
        seen["workers"] = {host: hosts.workers(host) for host in (2, 3)}
        hosts.cut(2)
        time.sleep(1)
        hosts.mend(2)
        wait_until("after a short cut", lambda: steps_logged(run) >= 5 or driver.poll(), 60)
        hosts.cut(3)
        before = seen["steps_at_the_cut"] = steps_logged(run)
        seen["recovery_s"] = wait_until(
            "after a link was cut", lambda: steps_logged(run) > before + 1 or driver.poll(), 90
        )
        hosts.join(4, cpus=2)
        wait_until("workers on the new host", lambda: hosts.workers(4) or driver.poll(), 90)
        seen["workers_on_the_new_host"] = hosts.workers(4)
        seen["exit_code"] = driver.wait(180)
    except TimeoutError as error:
        seen["error"] = str(error)
    log = (folder / "driver.log").read_text(errors="replace")
    if read_pointer(run / "checkpoints", "LATEST"):
        seen["equal_weights"] = weights_of(run) == weights_of(reference)
        seen["equal_log"] = log_of(run) == log_of(reference)
    if not seen.get("equal_weights"):
        print(log[-4000:], file=sys.stderr)
    print(json.dumps(seen))
    return 0 if seen.get("equal_weights") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
