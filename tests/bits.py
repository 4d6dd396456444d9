"""The tests that compare bits, all in one process, in random order, round after round.

What a test leaves in a process may change what later ones compute: a number of threads, a thread
that goes on, a library that was loaded meanwhile. One run of the suite tries one order;
this tries many, on a machine that is kept busy, and ends at the first failure with the seed of the
round. `--first SEED --rounds 1` repeats that round's order, but not what rounds before it left:
where that does not fail, begin with the first seed again.
"""

import argparse
import copy
import inspect
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

#: Where numbers are computed without Ray.
_FOLDERS = ("", "core", "data", "evaluate", "kinds", "metrics", "runs", "workflow")
_COMPARES = re.compile(
    r"bit_equal|bits\b|torch\.equal|array_equal|assert_equal_runs|_hash\b|sha256"
)
# Until this process is no more, however that ends.
_BUSY = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"


class Rounds:
    """A pytest plugin: of the collected tests those that compare bits, many times over."""

    def __init__(self, seeds: Sequence[int], most: int | None) -> None:
        """`most` tests in a round, drawn from all of them; None: all."""
        self._seeds, self._most = seeds, most
        self._rounds: list[tuple[int, int]] = []
        self._done = 0

    # After pytest's own, which puts tests with common fixtures together.
    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        found = sorted(filter(compares_bits, items), key=lambda item: item.nodeid)
        items.clear()
        for seed in self._seeds:
            size = min(len(found), self._most or len(found))
            items += map(_again, random.Random(seed).sample(found, size))
            self._rounds.append((seed, len(items)))
        print(f"{len(found)} tests compare bits; {len(items)} runs of them")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            print(f"\nround {self._rounds[0][0]}: {report.nodeid} failed", flush=True)

    def pytest_runtest_logfinish(self) -> None:
        self._done += 1
        seed, end = self._rounds[0]
        if self._done == end:
            print(f"\nround {seed} done", flush=True)
            del self._rounds[0]


def _again(item: pytest.Item) -> pytest.Item:
    """The test once more: pytest does not set the same object up twice in a row."""
    again = copy.copy(item)
    assert isinstance(again, pytest.Function)
    again._initrequest()
    return again


def compares_bits(item: pytest.Item) -> bool:
    """True if the test's own source compares bits."""
    return isinstance(item, pytest.Function) and bool(
        _COMPARES.search(inspect.getsource(inspect.unwrap(item.function)))
    )


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many processes beside this one that never rest."""
    started = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bits", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="how many orders to try")
    parser.add_argument("--first", type=int, default=0, help="seed of the first of them")
    parser.add_argument("--tests", type=int, help="in a round, drawn from all; all if not given")
    parser.add_argument("--busy", type=int, default=4, help="processes that keep the machine busy")
    parser.add_argument("pytest", nargs="*", help="what else pytest is told, after --")
    options = parser.parse_args()
    here = Path(__file__).parent
    files = [
        str(file)
        for name in _FOLDERS
        for file in sorted(
            (here / name).rglob("test_*.py") if name else (here / name).glob("test_*.py")
        )
    ]
    seeds = range(options.first, options.first + options.rounds)
    with busy_processes(options.busy):
        return pytest.main(
            [
                *("-q", "--exitfirst", "-m", "not slow and not gpu and not chaos and not ray"),
                # Thousands of runs leave nothing but the one that failed.
                *("-p", "no:cacheprovider", "-o", "tmp_path_retention_policy=failed"),
                *options.pytest,
                *files,
            ],
            plugins=[Rounds(seeds, options.tests)],
        )


if __name__ == "__main__":
    sys.exit(main())
