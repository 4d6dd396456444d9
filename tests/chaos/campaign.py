"""Runs under random faults: every run must end with the bits of an undisturbed one.

    python -m tests.chaos.campaign --seeds 20              # seeds 0 to 19
    python -m tests.chaos.campaign --seeds 1 --first 7     # the schedule of seed 7 again

A seed fixes which faults strike, in which order and after how many outer steps; what they meet is
up to the machine. Each seed trains one run by `metagan train --resume auto` with four workers on a
cluster of two nodes with two cores each, while

* a worker is killed, frozen for good, or stopped for a moment,
* a node is killed and replaced,
* some of the remote calls of the driver and of the nodes fail (see `tests.chaos.calls`),
* the driver is killed, or asked to stop, and started again by the same command.

Then it is asserted that the trained weights have the reference's bits, that the log has every outer
step once with every episode in it, and that neither processes, nor cores, nor shared memory, nor
placement groups are left in use.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from metagan.data.arrow import prepare
from metagan.runs.checkpoint import read_pointer
from tests.chaos.calls import OF_DRIVERS, failing, injected
from tests.chaos.nodes import CPUS_PER_NODE, NUM_NODES, Nodes, hit
from tests.cluster.simulated import own_environment
from tests.helpers import TINY_SETTINGS, bars

STEPS = 30
EPISODES = 24
SETTINGS = (
    *TINY_SETTINGS,
    "device=cpu",
    "inner.steps=6",
    f"outer.steps={STEPS}",
    f"outer.meta_batch_size={EPISODES}",
    "outer.episodes_per_chunk=2",
    "checkpoint.every_steps=4",
)
CLUSTER = (
    f"cluster.num_workers={NUM_NODES * CPUS_PER_NODE}",
    "cluster.heartbeat_timeout_s=5",
    "cluster.chunk_timeout_s=60",
    "cluster.placement_timeout_s=120",
    "cluster.max_worker_restarts=1000",
    "cluster.max_chunk_attempts=100",
)
# Relative frequencies.
FAULTS = {
    "kill worker": 8,
    "freeze worker": 3,
    "stall worker": 4,
    "kill node": 2,
    "kill driver": 2,
    "stop driver": 2,
}
# Between faults: outer steps, and seconds on top.
STEPS_BETWEEN = (1, 3)
PAUSE_S = (0.0, 1.5)
PATIENCE_S = 60.0
SEED_TIMEOUT_S = 900.0


class Broken(Exception):
    """An invariant did not hold."""


class Driver:
    """`metagan train`, started again whenever it ends before its time."""

    def __init__(
        self,
        folder: Path,
        run: Path,
        arguments: Sequence[str],
        calls: random.Random | None = None,
    ) -> None:
        """`calls` decides which remote calls fail, anew for each start; None: none do."""
        self.starts = 0
        self._calls = calls
        self._folder, self._run = folder, run
        self._command = [sys.executable, "-m", "metagan", "train", "--run", str(run), *SETTINGS]
        self._command += [f"data.path={folder / 'bars'}", *arguments]
        self.start()

    def start(self) -> None:
        """Start the driver, which continues from the run's newest checkpoint."""
        self.starts += 1
        # The node that it has joined Ray by may be among the killed ones, and then it ends as well.
        self.lost_a_node = False
        breaks = failing(self._calls, OF_DRIVERS) if self._calls else {}
        with (self._run.parent / f"{self._run.name}.log").open("a") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **breaks}
            )

    @property
    def code(self) -> int | None:
        """The driver's exit code; None while it runs."""
        return self._process.poll()

    def end(self, sent: signal.Signals) -> None:
        """Signal the driver and wait for its end."""
        self._process.send_signal(sent)
        self._process.wait(60)


def weights_of(run: Path, *, steps: int = STEPS) -> str:
    """Hash of everything in the newest checkpoint that training goes on from."""
    name = read_pointer(run / "checkpoints", "LATEST")
    if name != f"step-{steps}":
        raise Broken(f"the newest checkpoint is {name}")
    digest = hashlib.sha256()
    for path in sorted((run / "checkpoints" / name).glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def log_of(run: Path) -> list[dict[str, Any]]:
    """The run's log without times."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.endswith("_s")} for line in lines]


def steps_logged(run: Path) -> int:
    """Outer steps in the run's log so far."""
    file = run / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.is_file() else 0


def train_under_faults(
    nodes: Nodes, folder: Path, run: Path, seed: int, starts: list[int]
) -> Counter[str]:
    """Train one run with the faults of a seed; return those that struck."""
    rng = random.Random(seed)
    already_failed = injected(folder).total()
    nodes.renew(random.Random(f"calls of the nodes, {seed}"))
    # Every other seed has tasks add the gradients up, which then are on the nodes that die.
    reduced = f"cluster.reduce_above_mb={0 if seed % 2 else 'null'}"
    arguments = [f"cluster.address={nodes.address}", *CLUSTER, reduced, "--resume", "auto"]
    # Draws of its own: how often a driver starts must not change which faults come next.
    driver = Driver(folder, run, arguments, random.Random(f"calls of the driver, {seed}"))
    struck: Counter[str] = Counter()

    def end_driver(sent: signal.Signals) -> bool:
        # Before its first checkpoint there would be nothing to go on from, and no end to it.
        if driver.code is not None or not (run / "checkpoints" / "LATEST").exists():
            return False
        driver.end(sent)
        return True

    def kill_node() -> bool:
        nodes.kill_one(rng)
        driver.lost_a_node = True
        return True

    actions: dict[str, Callable[[], bool]] = {
        "kill worker": lambda: hit([signal.SIGKILL], rng),
        "freeze worker": lambda: hit([signal.SIGSTOP], rng),
        "stall worker": lambda: hit(
            [signal.SIGSTOP, signal.SIGCONT], rng, pause_s=rng.uniform(0.2, 2.0)
        ),
        "kill node": kill_node,
        "kill driver": lambda: end_driver(signal.SIGKILL),
        "stop driver": lambda: end_driver(signal.SIGTERM),
    }
    deadline = time.monotonic() + SEED_TIMEOUT_S
    while driver.code != 0:
        if time.monotonic() > deadline:
            driver.end(signal.SIGKILL)
            raise Broken(f"not done in {SEED_TIMEOUT_S:g} s")
        (name,) = rng.choices(list(FAULTS), weights=list(FAULTS.values()))
        wanted = steps_logged(run) + rng.randint(*STEPS_BETWEEN)
        waited = time.monotonic() + PATIENCE_S
        while driver.code is None and steps_logged(run) < wanted and time.monotonic() < waited:
            time.sleep(0.05)
        time.sleep(rng.uniform(*PAUSE_S))
        if driver.code is None and actions[name]():
            struck[name] += 1
        if driver.code not in (None, 0):
            # Once all is done, a process that is asked to stop while it ends has nothing to save.
            done = steps_logged(run) == STEPS and driver.code == -signal.SIGTERM
            expected = done or driver.code in (-signal.SIGKILL, 130)
            if not expected and not driver.lost_a_node:
                raise Broken(f"the driver ended by itself, exit code {driver.code}")
            driver.start()
    starts.append(driver.starts)
    failed = injected(folder)
    struck["fail call"] = failed.total() - already_failed
    return struck


def check(nodes: Nodes, run: Path, reference: tuple[str, list[dict[str, Any]]]) -> None:
    """Check the invariants.

    Raises:
        Broken: If one does not hold.
    """
    weights, log = reference
    if weights_of(run) != weights:
        raise Broken("the weights differ from the reference's")
    found = log_of(run)
    if [line["step"] for line in found] != [line["step"] for line in log]:
        raise Broken(f"steps in the log: {[line['step'] for line in found]}")
    if found != log:
        raise Broken("the log differs from the reference's")
    if leaks := nodes.leaks():
        raise Broken("left in use: " + "; ".join(leaks))


def campaign(first: int, seeds: int, *, json_file: Path | None = None) -> bool:
    """Run all seeds; True if every invariant held in all of them."""
    total: Counter[str] = Counter()
    broken: dict[int, str] = {}
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mg-") as name:  # Socket paths have to be short.
        folder = Path(name)
        isolate(folder)
        prepare(bars(), folder / "bars")
        reference_run = folder / "reference"
        reference = Driver(folder, reference_run, ["--local"])
        while reference.code is None:
            time.sleep(0.1)
        expected = weights_of(reference_run), log_of(reference_run)
        nodes = Nodes()
        for seed in range(first, first + seeds):
            began, starts = time.monotonic(), [0]
            run = folder / f"seed-{seed}"
            struck: Counter[str] = Counter()
            try:
                struck = train_under_faults(nodes, folder, run, seed, starts)
                check(nodes, run, expected)
                verdict = "ok"
            except Broken as error:
                broken[seed] = verdict = str(error)
                log = (folder / f"seed-{seed}.log").read_text(errors="replace")
                print(log[-3000:], file=sys.stderr)
            total += struck
            counts = ", ".join(f"{count} x {name}" for name, count in sorted(struck.items()))
            print(
                f"seed={seed} faults={struck.total()} driver_starts={starts[-1]} "
                f"wall_s={time.monotonic() - began:.0f} verdict={verdict!r} ({counts})",
                flush=True,
            )
        nodes.close()
        calls = injected(folder)
    summary = {
        "seeds": seeds,
        "first": first,
        "faults": total.total(),
        "by_kind": dict(sorted(total.items())),
        "calls": dict(sorted(calls.items())),
        "broken": broken,
        "wall_s": round(time.monotonic() - started),
    }
    print(json.dumps(summary))
    if json_file is not None:
        json_file.write_text(json.dumps(summary, indent=2) + "\n")
    return not broken


def isolate(folder: Path) -> None:
    """Environment of everything below: a Ray of its own, whatever else runs on the machine."""
    own = own_environment(folder)
    os.environ.clear()
    os.environ.update(own)
    # Ray's own processes look for their tools in the folder of this interpreter.
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 if every invariant held."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos.campaign",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=20, help="How many.")
    parser.add_argument("--first", type=int, default=0, help="The first of them.")
    parser.add_argument("--json", type=Path, help="Write the summary here, too.")
    options = parser.parse_args(arguments)
    return 0 if campaign(options.first, options.seeds, json_file=options.json) else 1


if __name__ == "__main__":
    sys.exit(main())
