"""The loss of a worker is told with what it said last, and with the likely cause."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from ray.exceptions import ActorDiedError, OutOfMemoryError, RaySystemError

from cluster.errors import ClusterError
from cluster.last_words import explain, explain_loss, last_words
from cluster.opening import open_ray_runner
from metagan.version import tool_version
from metagan.workflow.setup import TrainSetup
from tests.cluster.faults import Fault, Kind, Script, faulty_worker
from tests.cluster.runs import chunks_of, settings, start_vector

HINT = "perhaps out of memory (see dmesg): lower outer.episodes_per_chunk"


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize(
    ("kind", "words", "hinted"),
    [
        ("scream", "last on its stderr: the last straw | is heavy", True),
        ("crash", "last on its stderr: Fatal Python error: Segmentation fault | ", False),
    ],
)
def test_what_a_dead_worker_said_last_is_in_the_log_and_in_the_error(
    run: TrainSetup, tmp_path: Path, kind: Kind, words: str, *, hinted: bool
) -> None:
    script = Script(tmp_path)
    script.write({(0, 0): Fault(kind, times=99)})
    events: list[Mapping[str, object]] = []
    config = settings(1, max_worker_restarts=0)
    with open_ray_runner(run.spec, config, worker_class=faulty_worker(script)) as runner:
        with pytest.raises(
            ClusterError, match=r"more than cluster.max_worker_restarts 0"
        ) as caught:
            runner.run(start_vector(run), chunks_of(run))
        events.extend(runner._telemetry.drain([]).events)
    [restart] = [event for event in events if event["kind"] == "restart"]
    for text in (str(caught.value), str(restart["reason"])):
        assert words in text
        assert (HINT in text) == hinted
        assert "\n" not in text
        assert len(text) < 1800


def test_the_last_lines_of_a_log_are_few_and_short(tmp_path: Path) -> None:
    log = tmp_path / "worker.err"
    marks = ":job_id:01000000\n:actor_name:Worker\n"
    assert last_words(log) == ""
    log.write_text(marks)
    assert last_words(log) == ""
    log.write_text(marks + "\n".join(f"line {n}" for n in range(9)) + "\n\n")
    assert last_words(log) == "line 4 | line 5 | line 6 | line 7 | line 8"
    log.write_bytes(b"\xff" * 100_000 + b" the end")
    assert last_words(log).endswith("� the end")
    assert len(last_words(log)) == 1000
    log.write_text("before\nFatal Python error: Aborted\n\nStack:\n" + "frame\n" * 20)
    assert last_words(log) == "Fatal Python error: Aborted | Stack: | frame | frame | frame"


def test_memory_is_named_where_ray_says_so_and_not_where_a_node_has_gone() -> None:
    assert "; out of memory: lower outer" in explain_loss(OutOfMemoryError("low on memory"))
    gone = ActorDiedError()
    assert explain_loss(gone) == explain(gone)
    other = RaySystemError("the link is down")
    assert explain_loss(other) == explain(other)


# What Ray 2.60 says, shortened.
IMPORT_FAILED = """The actor died because of an error raised in its creation task, ray::Episode
RuntimeError: The actor with name EpisodeWorker failed to import on the worker. This may be because
needed library dependencies are not installed in the worker environment:

ray::EpisodeWorker.__init__() (pid=17569, ip=192.0.2.2, actor_id=ff84089eebe9)
                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^
{fact}"""


class Told(ActorDiedError):
    def __init__(self, fact: str) -> None:
        super().__init__()
        self.text = IMPORT_FAILED.format(fact=fact)

    def __str__(self) -> str:
        return self.text


@pytest.mark.parametrize(
    ("fact", "name"),
    [
        (
            "ModuleNotFoundError: No module named 'cluster.worker'; 'cluster' is not a package",
            "cluster",
        ),
        ("ModuleNotFoundError: No module named 'metagan'", "metagan"),
        (
            "ImportError: cannot import name 'Runner' from 'tune.trial' (/data/tune/trial.py)",
            "tune",
        ),
        (
            "AttributeError: Can't get attribute 'X' on <module 'metagan.core.wire' from '/x.py'>",
            "metagan",
        ),
    ],
)
def test_a_worker_that_finds_another_package_under_a_name_of_ours_says_so(
    fact: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = explain_loss(Told(fact))
    assert told.startswith(f"Told: {fact}; ")
    assert f"a file or folder called {name} may hide metagan's own there" in told
    assert f"install metagan {tool_version()} on every node" in told
    (tmp_path / f"{name}.py").touch()
    told = explain_loss(Told(fact))
    assert f"it imports {tmp_path / name}.py in place of metagan's own {name}: rename that" in told


def test_other_imports_that_fail_in_a_worker_are_told_as_they_are() -> None:
    fact = "ModuleNotFoundError: No module named 'torch'"
    assert explain_loss(Told(fact)) == f"Told: {fact}"
