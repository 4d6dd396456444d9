"""What `metagan submit` and `metagan job` refuse before they ask a cluster anything."""

from dataclasses import replace

import pytest

from cluster.jobs import RayJobs
from metagan.cli.app import run_cli
from metagan.jobs import JobState
from tests.cli.test_app import make_test_context

STATE = JobState("run-7", "running", False, None, "", "metagan train", None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("submit", "put a command behind --"),
        ("submit -- tran", "cannot run 'tran' on a cluster; one of: train, tune, evaluate"),
        ("submit -- submit -- train", "cannot run 'submit' on a cluster"),
        ("submit -- metagan train", "leave the program's name out"),
        ("submit train", "stands behind --: metagan submit -- train ..."),
        ("submit inner.lr=3 -- train", "'inner.lr=3'; the command to run stands behind --"),
        ("submit --adress h -- train", "did you mean --address?"),
        ("submit --name a/b -- train", "'a/b' has to begin with a letter or digit"),
        ("submit -- tune tune.num_trials=0", "tune.num_trials"),
        ("submit -- train inner.lr=-1", "inner.lr"),
        ("submit -- train -c missing.yaml", "name a file in it"),
        ("submit -- train -c {folder}/run.yaml", "name a file in it, relative to it"),
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
    words = line.format(folder=tmp_path).split()
    if words[0] == "submit" and "--working-dir" not in words:
        words[1:1] = ["--working-dir", str(tmp_path)]
    assert run_cli(words, make_test_context) == 2
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

    def context(console):
        return replace(make_test_context(console), jobs=Kept)

    submit = ["submit", "--working-dir", str(tmp_path), "--no-follow"]
    options = ["--env", "FROM_HERE", "--env", "GIVEN=secret-2=a b", "--env", "EMPTY="]
    assert run_cli([*submit, *options, "--", "doctor"], context) == 0
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

    assert (
        run_cli(["submit", "--working-dir", str(tmp_path), "--no-follow", "--", "doctor"], context)
        == 0
    )
    # Ray's three seconds are too few for an outer step and a checkpoint.
    assert client.sent["runtime_env"]["env_vars"] == {"RAY_JOB_STOP_WAIT_TIME_S": "120"}
    longer = ["--env", "RAY_JOB_STOP_WAIT_TIME_S=600", "--", "doctor"]
    assert run_cli([*submit, *longer], context) == 0
    assert client.sent["runtime_env"]["env_vars"] == {"RAY_JOB_STOP_WAIT_TIME_S": "600"}


@pytest.mark.parametrize(
    ("run", "warned"), [("runs/x", True), ("~/runs/x", True), ("/shared/x", False), (None, True)]
)
@pytest.mark.parametrize("command", [("train", "--run"), ("tune", "--out")])
def test_a_folder_that_no_other_job_would_find_is_warned_of(run, warned, command, tmp_path, capsys):
    class Jobs:
        def __init__(self, address):
            self.address = address

        def submit(self, _):
            return "job-1"

    name, option = command
    line = ["submit", "--working-dir", str(tmp_path), "--no-follow", "--", name]
    line += [] if run is None else [option, run]
    assert run_cli(line, lambda console: replace(make_test_context(console), jobs=Jobs)) == 0
    said = capsys.readouterr()
    assert said.out == "job-1\n"
    assert ("give an absolute path" in said.err) == warned


@pytest.mark.parametrize(("word", "method"), [("status", "state"), ("stop", "stop")])
def test_a_job_is_looked_at_and_stopped_in_fewer_words(word, method, capsys):
    asked = []

    class Jobs:
        def __init__(self, address):
            self.address = address

        def __getattr__(self, name):
            return lambda job: asked.append((name, job, self.address)) or STATE

    def context(console):
        return replace(make_test_context(console), jobs=Jobs)

    at = "--address http://h:1"
    for line in (f"{word} run-7 {at}", f"{word} {at} run-7", f"job {at} {word} run-7"):
        assert run_cli(line.split(), context) == 0
        assert asked.pop() == (method, "run-7", "http://h:1")
        assert "run-7: running" in capsys.readouterr().out
