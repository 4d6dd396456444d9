"""`metagan submit` and `metagan job` against a real Ray with its dashboard and its token."""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from metagan.cli.app import run_cli
from metagan.cli.console import Console
from metagan.data.arrow import prepare as prepare_arrow
from tests.helpers import TINY_SETTINGS, bars, files_with

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    # A thread of Ray's that an earlier test has left with a token that is gone.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

TINY = [
    *TINY_SETTINGS,
    "device=cpu",
    "inner.steps=2",
    "outer.meta_batch_size=4",
    "outer.episodes_per_chunk=2",
    "cluster.cpus_per_worker=0.5",
]
DRIVERS = "metagan.io/role=driver"
Submitted = Callable[..., tuple[int, str]]


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """Environment of a Ray of these tests' own, and of commands that talk to it."""
    folder = tempfile.mkdtemp(prefix="mg-")  # Socket paths have to be short.
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    yield {
        **kept,
        "HOME": folder,
        "RAY_TMPDIR": folder,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "AWS_SECRET_ACCESS_KEY": f"canary{secrets.token_hex(12)}",
    }
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def address(environment: dict[str, str]) -> Iterator[str]:
    """The dashboard of a running head node."""
    port, dashboard, agent, grpc = free_ports(4)
    command = f"start --head --block --port={port} --num-cpus=4 --disable-usage-stats"
    command += f" --dashboard-host=127.0.0.1 --dashboard-port={dashboard} --labels {DRIVERS}"
    command += f" --dashboard-agent-listen-port={agent} --dashboard-agent-grpc-port={grpc}"
    head = subprocess.Popen(
        [str(Path(sys.executable).with_name("ray")), *command.split()],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{dashboard}"
    finally:
        head.send_signal(signal.SIGTERM)
        try:
            head.wait(120)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(head.pid, signal.SIGKILL)


@pytest.fixture
def metagan(
    address: str,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Submitted:
    """Runs a command line in this process; returns exit code and output."""
    for name in ("HOME", "RAY_TMPDIR", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, environment[name])

    def call(command: str, *words: object, at: str = address) -> tuple[int, str]:
        own = [str(word) for word in (*command.split(), *words)]
        split = own.index("--") if "--" in own else len(own)
        line = [*own[:split], "--address", at, *own[split:]]
        code = run_cli(line)
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    # A dashboard answers before its agent is there to start jobs.
    deadline = time.monotonic() + 240
    while call("job list")[0] != 0 or not _agent_is_up(address, environment):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return call


def _agent_is_up(address: str, environment: dict[str, str]) -> bool:
    request = urllib.request.Request(
        f"{address}/nodes?view=summary",
        headers={"Authorization": f"Bearer {environment['RAY_AUTH_TOKEN']}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            nodes = json.loads(answer.read())["data"]["summary"]
    except (OSError, ValueError, KeyError):  # Not all of it is up.
        return False
    return bool(nodes) and all("cpu" in node for node in nodes)


def submitted(output: str) -> str:
    """Id of the job that the output names."""
    (job,) = re.findall(r"^submitted (\S+) to ", output, re.MULTILINE)
    return job


def test_a_training_run_is_submitted_followed_and_looked_at(
    metagan: Submitted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = prepare_arrow(bars(), tmp_path / "bars")
    work = tmp_path / "work"
    work.mkdir()
    (work / "tiny.yaml").write_text("outer: {steps: 2}\n")
    # The settings are sent all the same, and files with names of ours hide nothing.
    (work / ".gitignore").write_text("*.yaml\n")
    for name in ("cluster.py", "tune.py"):
        (work / name).write_text("raise ImportError(__file__)\n")
    submit = f"submit --python {sys.executable} --working-dir {work} --name tiny --driver-cpus 0.5"
    train = ["--", "train", "-c", "tiny.yaml", *TINY, f"data.path={data}"]
    run = tmp_path / "run"
    code, output = metagan(submit, *train, "--run", run, "--resume", "auto")
    assert code == 0, output
    assert "done: 2 outer steps" in output
    assert [record for record in caplog.records if record.name.startswith("ray.")] == []
    assert (run / "checkpoints" / "step-2").is_dir()
    job = submitted(output)
    assert job.startswith("tiny-")
    assert (
        f"{job}: succeeded, exit code 0; {sys.executable} -m metagan train"
        in metagan(f"job status {job}")[1]
    )
    assert "done: 2 outer steps" in metagan(f"job logs {job}")[1]
    # The same command again goes on, under an id of its own.
    code, output = metagan(submit, *train, "outer.steps=3", "--run", run, "--resume", "auto")
    assert code == 0, output
    assert "resuming at outer step 2" in output
    assert submitted(output) != job
    assert metagan("job list")[1].count("succeeded") == 2

    code, output = metagan(
        f"{submit} --no-follow", *train, "outer.steps=100000", "--run", tmp_path / "long"
    )
    assert code == 0
    long = output.strip()
    deadline = time.monotonic() + 240
    while not (tmp_path / "long" / "metrics.jsonl").is_file():
        assert time.monotonic() < deadline, metagan(f"job logs {long}")[1]
        time.sleep(0.2)
    assert metagan(f"job stop {long}")[0] == 0
    while "stopped" not in (output := metagan(f"job status {long}")[1]):
        assert time.monotonic() < deadline, output
        time.sleep(0.2)
    assert (tmp_path / "long" / "checkpoints" / "LATEST").is_file()


def test_a_search_is_submitted_and_its_trials_run_on_the_cluster(
    metagan: Submitted, tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    submit = f"submit --python {sys.executable} --working-dir {tmp_path / 'work'} -- tune --smoke"
    out = tmp_path / "search"
    code, output = metagan(f"{submit} --trials 2 --out {out} tune.confirm_seeds=0 device=cpu")
    assert code == 0, output
    assert f"next: metagan train -c {out}" in output
    assert (out / "report.html").is_file()


def test_the_exit_code_of_a_failed_command_is_passed_on(metagan: Submitted, tmp_path: Path) -> None:
    # A variable that its process has: errors then come with their traceback.
    submit = f"submit --python {sys.executable} --working-dir {tmp_path} --env METAGAN_DEBUG=1"
    code, output = metagan(f"{submit} -- report --run {tmp_path}")
    assert code == 2, output
    # Once in its output; Ray's message has the end of that again.
    assert output.count("Traceback") == 1
    assert "no config.yaml" in output or "is not a run" in output


def test_neither_the_files_of_a_job_nor_its_output_have_what_the_cluster_keeps_secret(
    metagan: Submitted, environment: dict[str, str], tmp_path: Path
) -> None:
    data = prepare_arrow(bars(), tmp_path / "bars")
    (tmp_path / "work").mkdir()
    submit = f"submit --python {sys.executable} --working-dir {tmp_path / 'work'} -- train".split()
    copied = f"checkpoint.storage={(tmp_path / 'copy').as_uri()}"
    settings = (*TINY, "outer.steps=2", f"data.path={data}", copied)
    # Without its data the second one ends with an error.
    missing = f"data.path={tmp_path / 'missing'}"
    said = ""
    for more, expected in (((), 0), ((missing,), 2)):
        code, output = metagan("", *submit, *settings, *more, "--run", tmp_path / f"run{expected}")
        assert code == expected, output
        said += output
    words = [environment[name] for name in ("RAY_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY")]
    session = Path(environment["RAY_TMPDIR"])
    assert list(session.rglob("job-driver-*.log"))  # There is something to look through.
    assert files_with(words, session, tmp_path) == []
    assert [word for word in words if word in said] == []


def test_who_has_another_token_or_address_or_job_is_told_so(
    metagan: Submitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in ("job status nothing", "job logs nothing", "job logs nothing --follow"):
        code, output = metagan(command)
        assert (code, "has no job 'nothing'" in output) == (4, True), output
    [nowhere] = free_ports(1)
    code, output = metagan("job list", at=f"127.0.0.1:{nowhere}")
    assert (code, "nothing answers at http://127.0.0.1" in output) == (4, True), output
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    code, output = metagan("job list")
    assert (code, "RAY_AUTH_MODE=token" in output) == (4, True), output


@pytest.mark.usefixtures("metagan")
def test_rays_own_command_submits_a_run_as_well(
    address: str, environment: dict[str, str], tmp_path: Path
) -> None:
    data = prepare_arrow(bars(), tmp_path / "bars")
    work = tmp_path / "work"
    work.mkdir()
    (work / "tiny.yaml").write_text("outer: {steps: 2}\n")
    submit = [str(Path(sys.executable).with_name("ray")), "job", "submit", "--address", address]
    train = [sys.executable, "-m", "metagan", "train", "-c", "tiny.yaml", *TINY]
    done = subprocess.run(
        [*submit, "--working-dir", str(work), "--", *train, f"data.path={data}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "done: 2 outer steps" in done.stdout


def test_a_driver_runs_only_where_its_label_is_and_what_it_waits_for_is_told(
    metagan: Submitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    look = ["--", "data", "inspect", prepare_arrow(bars(size=28), tmp_path / "bars")]
    submit = f"submit --python {sys.executable} --working-dir {tmp_path / 'work'} --driver-label"
    code, output = metagan(f"{submit} {DRIVERS}", *look)
    assert code == 0, output
    monkeypatch.setattr("cluster.jobs._PATIENCE_S", 5.0)
    told: list[str] = []

    def warn(_: Console, text: str) -> None:
        told.append(text)
        if len(told) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Console, "warn", warn)
    code, output = metagan(f"{submit} metagan.io/role=nothing", *look)
    assert code == 130, output
    job = submitted(output)
    waits = "it waits for a node with 1 free core and the label metagan.io/role=nothing, or for"
    assert all(f"{job} has not started: {waits}" in text for text in told)
    for action in ("status", "stop"):
        output = metagan(f"job {action} {job}")[1]
        assert f"{job}: pending" in output
        assert waits in output
