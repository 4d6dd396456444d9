"""Times of help and of a mistake in the settings, against Python's own start.

python -m benchmarks.startup
"""

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "metagan --help": ["-m", "metagan", "--help"],
    "metagan train --help": ["-m", "metagan", "train", "--help"],
    "metagan train inner.stepz=3": ["-m", "metagan", "train", "inner.stepz=3"],
}


def seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    base = statistics.median(times["python -c pass"])
    print(f"{'command':30s} {'median s':>9s} {'over python':>12s}   ({rounds} interleaved rounds)")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:30s} {median:9.3f} {median / base:12.1f}")


if __name__ == "__main__":
    main()
