"""Mistakes that `metagan submit` and `metagan job` refuse before they ask a cluster anything."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.job_request import JobState
from cluster.jobs import RayJobs
from metagan.cli.app import run_cli
from tests.doors import open_door

STATE = JobState("run-7", "running", False, None, "", "metagan train", None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("submit", "put a command behind --"),
        ("submit -- tran", "cannot run 'tran' on a cluster; one of: train, tune, evaluate"),
        ("submit -- submit -- train", "cannot run 'submit' on a cluster"),
        ("submit -- metagan train", "leave the program's name out"),
        ("submit train", "put the command to run after --: metagan submit -- train ..."),
        ("submit inner.lr=3 -- train", "'inner.lr=3'; put the command to run after --"),
        ("submit --adress h -- train", "did you mean --address?"),
        ("submit --name a/b -- train", "'a/b' has to begin with a letter or digit"),
        ("submit -- tune tune.num_trials=0", "tune.num_trials"),
        ("submit -- train inner.lr=-1", "inner.lr"),
        ("submit -- train -c missing.yaml", "name a file in it"),
        ("submit -- train -c {folder}/run.yaml", "name a file in it, relative to it"),
        ("submit -- train -c ../run.yaml", "name a file in it, relative to it"),
        ("submit -- train -c pipe", "name a file in it"),
        ("submit -- train data.source=glyphs data.path=/data", "reads no files"),
        ("submit -- tune data.source=glyphs data.path=/data", "reads no files"),
        ("submit -- doctor inner.lr=-1", "inner.lr"),
        ("submit --working-dir {folder}/none -- train", "none is not a folder"),
        ("submit --driver-label role -- train", "'role' is not KEY=VALUE"),
        ("submit --env 1KEY=hidden -- train", "is no name of an environment variable"),
        ("submit --env METAGAN_UNSET -- train", "METAGAN_UNSET is not set here"),
        ("submit -- train --wrokers 3", "did you mean --workers?"),
        ("job", "arguments are required: list|status|logs|stop"),
        ("job status", "required: ID\n(see metagan job status --help)"),
        ("status", "required: ID\n(see metagan job status --help)"),
        ("stop --address h", "required: ID\n(see metagan job stop --help)"),
        ("job list x", "unrecognized argument 'x'"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(line, expected, tmp_path, capsys):
    (tmp_path / "run.yaml").write_text("seed: 1\n")
    os.mkfifo(tmp_path / "pipe")
    words = line.format(folder=tmp_path).split()
    if words[0] == "submit" and "--working-dir" not in words:
        words[1:1] = ["--working-dir", str(tmp_path)]
    assert run_cli(words) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert "hidden" not in told


class Client:
    """Keeps what a cluster would be sent."""

    sent: dict[str, object]

    def submit_job(self, **job):
        self.sent = job


def test_variables_are_sent_with_the_job_and_printed_nowhere(tmp_path, capsys, monkeypatch, caplog):
    caplog.set_level("DEBUG")
    monkeypatch.setenv("FROM_HERE", "secret-1")
    client = Client()
    monkeypatch.setattr("cluster.jobs.JobSubmissionClient", lambda _: client)
    requests = []

    class Kept(RayJobs):
        def submit(self, request):
            requests.append(request)
            return super().submit(request)

    open_door(monkeypatch, "cluster.jobs", RayJobs=Kept)
    submit = ["submit", "--working-dir", str(tmp_path), "--no-follow"]
    options = ["--env", "FROM_HERE", "--env", "GIVEN=secret-2=a b", "--env", "EMPTY="]
    assert run_cli([*submit, *options, "--", "doctor"]) == 0
    runtime_env = client.sent["runtime_env"]
    assert runtime_env["env_vars"] == {
        "FROM_HERE": "secret-1",
        "GIVEN": "secret-2=a b",
        "EMPTY": "",
        "RAY_JOB_STOP_WAIT_TIME_S": "120",
    }
    assert "env_vars" not in {**client.sent, "runtime_env": None}
    captured = capsys.readouterr()
    for text in (
        captured.out,
        captured.err,
        caplog.text,
        repr(requests),
        client.sent["entrypoint"],
    ):
        assert "secret" not in text
    assert "secret" not in str(client.sent["metadata"])

    assert run_cli([*submit, "--", "doctor"]) == 0
    # Ray's three seconds are too few for an outer step and a checkpoint.
    assert client.sent["runtime_env"]["env_vars"] == {"RAY_JOB_STOP_WAIT_TIME_S": "120"}
    longer = ["--env", "RAY_JOB_STOP_WAIT_TIME_S=600", "--", "doctor"]
    assert run_cli([*submit, *longer]) == 0
    assert client.sent["runtime_env"]["env_vars"] == {"RAY_JOB_STOP_WAIT_TIME_S": "600"}


@pytest.mark.parametrize(
    ("run", "warned"), [("runs/x", True), ("~/runs/x", True), ("/shared/x", False), (None, True)]
)
@pytest.mark.parametrize("command", [("train", "--run"), ("tune", "--out")])
def test_a_folder_that_no_other_job_would_find_is_warned_of(
    run, warned, command, tmp_path, capsys, monkeypatch
):
    class Jobs:
        def __init__(self, address):
            self.address = address

        def submit(self, _):
            return "job-1"

    name, option = command
    line = ["submit", "--working-dir", str(tmp_path), "--no-follow", "--", name]
    line += [] if run is None else [option, run]
    open_door(monkeypatch, "cluster.jobs", RayJobs=Jobs)
    assert run_cli(line) == 0
    said = capsys.readouterr()
    assert said.out == "job-1\n"
    assert ("give an absolute path" in said.err) == warned


@pytest.mark.parametrize(("word", "method"), [("status", "state"), ("stop", "stop")])
def test_a_job_is_looked_at_and_stopped_in_fewer_words(word, method, capsys, monkeypatch):
    asked = []

    class Jobs:
        def __init__(self, address):
            self.address = address

        def __getattr__(self, name):
            return lambda job: asked.append((name, job, self.address)) or STATE

    open_door(monkeypatch, "cluster.jobs", RayJobs=Jobs)
    at = "--address http://h:1"
    for line in (f"{word} run-7 {at}", f"{word} {at} run-7", f"job {at} {word} run-7"):
        assert run_cli(line.split()) == 0
        assert asked.pop() == (method, "run-7", "http://h:1")
        assert "run-7: running" in capsys.readouterr().out


class Kept:
    """Jobs that keep what they are asked for."""

    def __init__(self, address, states=()):
        self.address = address or "http://127.0.0.1:8265"
        self.asked_of = address
        self.given = states
        self.requests = []

    def submit(self, request):
        self.requests.append(request)
        return "job-1"

    def states(self):
        return list(self.given)


def submitted(tmp_path, *words, options=()):
    """The request for a command in a folder, and the jobs that were asked."""
    made = []
    line = ["submit", "--working-dir", str(tmp_path), "--no-follow", *options, "--", *words]
    with pytest.MonkeyPatch.context() as patch:
        open_door(patch, "cluster.jobs", RayJobs=lambda at: made.append(Kept(at)) or made[0])
        assert run_cli(line) == 0
    return made[0].requests[0], made[0]


def test_the_settings_that_are_checked_are_those_that_are_sent(tmp_path):
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "run.yaml").write_text("data: {source: auto, path: letters}\n")
    (tmp_path / ".gitignore").write_text("local/\n")
    words = ("train", "-c", "local/run.yaml", "--run", "/shared/mine")
    request, _ = submitted(tmp_path, *words)
    assert request.words == list(words)
    assert request.files == [Path("local/run.yaml")]
    assert request.inputs == {"data.path": Path("letters")}


@pytest.mark.parametrize(
    ("line", "inputs"),
    [
        (
            "evaluate --run runs/a --baseline b=runs/b",
            {"--run": "runs/a", "--baseline b": "runs/b"},
        ),
        ("adapt --run /runs/a --support new --out out", {"--support": "new"}),
        ("generate --adapted adapted --out out", {"--adapted": "adapted"}),
        ("report --search runs/s", {"--search": "runs/s"}),
        ("data inspect letters", {"PATH": "letters"}),
        ("data inspect data.image_size=16", {}),
        ("train --run /a data.source=auto data.path=letters", {"data.path": "letters"}),
        ("train --run /a data.source=auto data.path=~/letters", {}),
        ("train --run /a data.source=auto data.path=/letters", {}),
        ("train --run /a --resume auto", {}),
        ("train --run /a outer.init_from=runs/old", {"outer.init_from": "runs/old"}),
    ],
)
def test_what_a_command_reads_of_the_folder_is_asked_for(line, inputs, tmp_path):
    request, _ = submitted(tmp_path, *line.split())
    assert {name: str(path) for name, path in request.inputs.items()} == inputs


def test_the_option_names_the_cluster_and_without_it_the_environment_may(tmp_path):
    _, jobs = submitted(tmp_path, "doctor", options=("--address", "http://h:1"))
    assert jobs.asked_of == "http://h:1"
    _, jobs = submitted(tmp_path, "doctor")
    assert jobs.asked_of is None


def test_jobs_are_a_table_that_fits_into_the_terminal_and_is_whole_elsewhere(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    long = (
        "/opt/python3.11/bin/python -m metagan train -c configs/omniglot.yaml --run /shared/runs/x"
    )
    states = [
        replace(STATE, job=f"metagan-20261126-09150{n}-1f3a", status=status, command=command)
        for n, (status, command) in enumerate([("running", f"{long} a=1\nb=2"), ("failed", "x")])
    ]
    states[0] = replace(states[0], started="2026-11-26T09:15:07.123000+00:00")

    def table(found):
        jobs = Kept("http://h:1", found)
        open_door(monkeypatch, "cluster.jobs", RayJobs=lambda _: jobs)
        assert run_cli(["job", "list"]) == 0
        return capsys.readouterr().out.splitlines()

    _, first, _ = table(states)
    assert first.endswith("train -c configs/omniglot.yaml --run /shared/runs/x a=1 b=2")
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True)
    header, first, second = table(states)
    assert header.split() == ["job", "status", "started", "(UTC)", "command"]
    assert "2026-11-26 09:15  train -c configs/" in first
    assert first.endswith("...")
    assert max(map(len, (header, first, second))) <= 100
    assert second.split() == [states[1].job, "failed", "-", "x"]
    assert table([]) == ["no jobs of metagan at http://h:1"]
