"""A run across hosts of which one has a bad link all the time.

    unshare --net --mount --pid --fork --mount-proc --kill-child \\
        python -m tests.chaos.slow_link FOLDER QDISC...

Three hosts: 1 has Ray's head and the driver, 2 and 3 compute. From the first outer steps on, what
leaves host 2 or comes to it goes through a queueing discipline of `tc`, or through a program that
does the same (`tests.chaos.bad_link`). The last line printed is JSON about what was seen.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.campaign import log_of, steps_logged, weights_of
from tests.chaos.hosts import Hosts, reference_run, wait_until

CLUSTER = ("cluster.num_workers=2", "cluster.placement_timeout_s=60")


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0 if the run had the bits of an undisturbed one."""
    folder, qdisc = Path(arguments[0]), arguments[1:]
    hosts = Hosts(3, folder)
    train = reference_run(hosts, folder)
    reference, run = folder / "reference", folder / "run"
    hosts.start_head()
    for host in (2, 3):
        hosts.join(host, cpus=1)
    there = [f"cluster.address={hosts.control}", *CLUSTER]
    driver = hosts.run(1, [*train, "--run", str(run), *there], "driver.log")
    seen: dict[str, object] = {}
    try:
        wait_until("first steps", lambda: steps_logged(run) >= 2 or driver.poll(), 120)
        wait_until("both hosts compute", lambda: hosts.workers(2) and hosts.workers(3), 60)
        hosts.disturb(2, qdisc)
        seen["steps_before"] = steps_logged(run)
        seen["exit_code"] = driver.wait(180)
        seen["link"] = hosts.statistics(2)
    except TimeoutError as error:
        seen["error"] = str(error)
    if seen.get("exit_code") == 0:
        seen["equal_weights"] = weights_of(run) == weights_of(reference)
        seen["equal_log"] = log_of(run) == log_of(reference)
    if not seen.get("equal_weights"):
        print((folder / "driver.log").read_text(errors="replace")[-4000:], file=sys.stderr)
    print(json.dumps(seen))
    return 0 if seen.get("equal_weights") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
