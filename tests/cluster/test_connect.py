"""A Ray is started or joined with explicit authentication, and nothing of it stays behind."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from cluster.addresses import check_port
from cluster.config import ClusterConfig
from cluster.connect import RaySession, ray_session
from cluster.errors import ClusterError
from cluster.loopback import is_on_loopback_only
from cluster.pool import WorkerPool
from cluster.upload import _IGNORE_GITIGNORE
from cluster.worker_start import (
    _HOOK_VARIABLE,
    JOB_CONFIG,
    in_the_drivers_environment,
    python_path,
)
from tests.cluster.listening import is_loopback
from tests.cluster.ray_for_tests import NUM_CPUS
from tests.helpers import environment_without_ray

REPOSITORY = Path(__file__).resolve().parents[2]


def run_python(
    code: str, *, timeout_s: float = 240, cwd: Path | None = None, **environment: str
) -> str:
    """Output of a script in a process of its own, whose Ray settings are only those given."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={**environment_without_ray(), "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_zero_copy_tensors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ENABLE_ZERO_COPY_TORCH_TENSORS", "1")
    with pytest.raises(ClusterError, match="unset it"), ray_session(ClusterConfig()):
        pass


def test_a_dead_address_is_told_in_one_line_with_the_token_hint(tmp_path: Path) -> None:
    code = """
import time
from cluster.config import ClusterConfig
from cluster.connect import ray_session
from cluster.errors import ClusterError
started = time.monotonic()
try:
    with ray_session(ClusterConfig(address="127.0.0.1:9")):
        pass
except ClusterError as error:
    assert time.monotonic() - started < 120
    assert error.exit_code == 4
    print(error)
"""
    (line,) = run_python(code, HOME=str(tmp_path)).splitlines()
    assert "cannot join Ray at 127.0.0.1:9" in line
    assert "export RAY_AUTH_MODE=token" in line


@contextlib.contextmanager
def listening(answer: bytes | None) -> Iterator[str]:
    """Address of a server that answers with this whatever is sent; None: never."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            # Until it is shut down; whoever asked may have gone by then.
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    held.append(connection)
                    if answer is not None:
                        connection.recv(100)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            # Only then is nothing accepted any more, and all that was can be closed.
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no Ray control service; is it Ray's own port"),
        (None, "timed out"),
    ],
)
def test_an_address_that_something_else_answers_at_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, answer: bytes | None, said: str
) -> None:
    """Ray itself tries for minutes, in which no signal reaches the driver."""
    # On a busy machine an answer takes a while, too.
    monkeypatch.setattr("cluster.addresses._CONNECT_TIMEOUT_S", 0.5 if answer is None else 60.0)
    with listening(answer) as address, pytest.raises(OSError, match=said):
        check_port(address)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/nowhere/token"},
            "RAY_AUTH_TOKEN_PATH /nowhere/token cannot be read",
        ),
        # Ray would take it for "disabled", here and for a Ray of this process's own.
        ({"RAY_AUTH_MODE": "tokne"}, "RAY_AUTH_MODE is 'tokne'; set it to token or disabled"),
    ],
)
def test_authentication_that_cannot_be_meant_is_refused(
    environment: dict[str, str], said: str, tmp_path: Path
) -> None:
    code = """
from cluster.config import ClusterConfig
from cluster.connect import ray_session
from cluster.errors import ClusterError
for address in ("127.0.0.1:9", None):
    try:
        with ray_session(ClusterConfig(address=address)):
            print("joined")
    except ClusterError as error:
        print(error)
"""
    lines = run_python(code, HOME=str(tmp_path), **environment).splitlines()
    assert [line.startswith(said) for line in lines] == [True, True], lines


@pytest.mark.ray
def test_a_private_ray_has_a_token_of_its_own_and_leaves_no_trace(tmp_path: Path) -> None:
    code = """
import os, signal
import ray
from cluster.config import ClusterConfig
from cluster.connect import ray_session
handler = lambda *_: None
signal.signal(signal.SIGTERM, handler)
tokens = []
for _ in range(2):
    with ray_session(ClusterConfig(num_workers=3, cpus_per_worker=0.5)) as session:
        assert session.started_here and os.environ["RAY_AUTH_MODE"] == "token"
        tokens.append(os.environ["RAY_AUTH_TOKEN"])
        assert ray.cluster_resources()["CPU"] == 2
        assert signal.getsignal(signal.SIGTERM) is handler
    assert not ray.is_initialized()
    assert "RAY_AUTH_MODE" not in os.environ and "RAY_AUTH_TOKEN" not in os.environ
assert tokens[0] != tokens[1] and min(map(len, tokens)) == 64
print("done")
"""
    home = tmp_path / "home"
    home.mkdir()
    # Socket paths are limited to about 107 bytes, too few for pytest's own folders.
    with tempfile.TemporaryDirectory(prefix="mg-") as folder:
        printed = run_python(code, HOME=str(home), RAY_TMPDIR=folder)
    assert printed == "done\n"
    assert list(home.iterdir()) == []


@pytest.mark.ray
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's /proc")
def test_no_process_of_a_private_ray_listens_for_other_machines(
    tmp_path: Path,
) -> None:
    code = """
import os, json
import numpy as np
import ray
from cluster.config import ClusterConfig
from cluster.connect import ray_session
from cluster.worker_start import (
    _HOOK_VARIABLE,
    JOB_CONFIG,
    in_the_drivers_environment,
    python_path,
)
from tests.cluster.listening import descendants, listening

@ray.remote(num_cpus=1)
class Doubles:
    def of(self, numbers):
        return numbers * 2

with ray_session(ClusterConfig(num_workers=2)):
    numbers = ray.put(np.ones(10**6))
    workers = [Doubles.remote() for _ in range(2)]
    assert all(each.sum() == 2e6 for each in ray.get([w.of.remote(numbers) for w in workers]))
    pids = [os.getpid(), *descendants(os.getpid())]
    print(json.dumps([[address, pid] for (address, _), pid in listening(pids).items()]))
print(os.environ.get("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"))
"""
    with tempfile.TemporaryDirectory(prefix="mg-") as folder:
        printed = run_python(code, HOME=str(tmp_path), RAY_TMPDIR=folder)
    sockets, left = printed.splitlines()
    found = json.loads(sockets)
    # The driver, Ray's control service and node process, and two workers at least.
    assert len({pid for _, pid in found}) >= 5
    assert [address for address, _ in found if not is_loopback(address)] == []
    assert left == "None"


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.7", False),
        ("::ffff:192.0.2.7", False),
    ],
)
def test_which_addresses_are_loopback(address: str, *, loopback: bool) -> None:
    assert is_loopback(address) == loopback


def test_a_port_that_answers_elsewhere_is_not_on_loopback_only() -> None:
    with socket.create_server(("", 0)) as open_to_all:
        assert not is_on_loopback_only(f"127.0.0.1:{open_to_all.getsockname()[1]}")
    assert not is_on_loopback_only("auto")
    assert not is_on_loopback_only("192.0.2.7:6379")


@pytest.mark.ray
def test_a_private_ray_outlives_a_pause_of_its_node(tmp_path: Path) -> None:
    code = """
import os, signal, subprocess, time
import ray
from cluster.config import ClusterConfig
from cluster.connect import ray_session
with ray_session(ClusterConfig(num_workers=1)):
    raylet = ray._private.worker._global_node.all_processes["raylet"][0].process.pid
    os.kill(raylet, signal.SIGSTOP)
    time.sleep(6)
    os.kill(raylet, signal.SIGCONT)
    time.sleep(2)
    print(ray.get(ray.remote(lambda: "alive").remote(), timeout=240))
"""
    with tempfile.TemporaryDirectory(prefix="mg-") as folder:
        printed = run_python(
            code,
            HOME=str(tmp_path),
            RAY_TMPDIR=folder,
            # Ten times as impatient as Ray is by itself: unless told otherwise, the node would be
            # declared dead within a second.
            RAY_health_check_initial_delay_ms="0",
            RAY_health_check_period_ms="100",
            RAY_health_check_timeout_ms="100",
        )
    assert printed == "alive\n"


@pytest.mark.ray
def test_workers_import_our_packages_from_a_folder_with_others_of_their_names(
    tmp_path: Path,
) -> None:
    code = """
import os
from metagan.own_packages import take_ours
take_ours()
import ray
from cluster.config import ClusterConfig
from cluster.connect import ray_session

@ray.remote(num_cpus=1)
def files():
    import wave
    import cluster.config
    import mine  # The user's own, which nothing else is called.
    import tune.config
    return [module.__file__ for module in (cluster.config, tune.config, wave, mine)]

# As on a node of a cluster that keeps its state elsewhere.
os.environ["RAY_REDIS_ADDRESS"] = "127.0.0.1:9"
with ray_session(ClusterConfig(num_workers=1)):
    print(*ray.get(files.remote(), timeout=240), sep="\\n")
assert os.environ["RAY_REDIS_ADDRESS"] == "127.0.0.1:9"
"""
    for name in ("cluster.py", "tune.py", "wave.py", "random.py", "yaml.py"):
        (tmp_path / name).write_text("raise ImportError(__file__)")
    (tmp_path / "mine.py").touch()
    with tempfile.TemporaryDirectory(prefix="mg-") as folder:
        # As of `export PYTHONPATH=$PYTHONPATH:...`: the empty entry is the working folder.
        path = f":{REPOSITORY}"
        printed = run_python(code, cwd=tmp_path, HOME=folder, RAY_TMPDIR=folder, PYTHONPATH=path)
    ours, tunes, wave, mine = map(Path, printed.splitlines())
    assert ours == REPOSITORY / "cluster" / "config.py"
    assert tunes == REPOSITORY / "tune" / "config.py"
    assert not wave.is_relative_to(tmp_path)
    assert mine == tmp_path / "mine.py"


def test_names_of_rays_own_that_another_release_may_lack_are_not_needed() -> None:
    constants, packer = ray._private.ray_constants, "ray._private.runtime_env.packaging"
    assert ray._private.runtime_env.constants.RAY_JOB_CONFIG_JSON_ENV_VAR == JOB_CONFIG
    assert constants.WORKER_PROCESS_SETUP_HOOK_ENV_VAR == _HOOK_VARIABLE
    assert constants.RAY_RUNTIME_ENV_IGNORE_GITIGNORE == _IGNORE_GITIGNORE
    code = f"""
import importlib, sys
import ray, ray.job_submission
for module, name in (
    ("ray._private.runtime_env.constants", "RAY_JOB_CONFIG_JSON_ENV_VAR"),
    ("ray._private.ray_constants", "WORKER_PROCESS_SETUP_HOOK_ENV_VAR"),
    ("ray._private.ray_constants", "RAY_ENABLE_UV_RUN_RUNTIME_ENV"),
    ("ray._private.services", "find_gcs_addresses"),
    ("{packer}", "GCS_STORAGE_MAX_SIZE"),
):
    delattr(importlib.import_module(module), name)
import cluster.connect, cluster.doctor, cluster.jobs
from cluster.worker_start import in_the_drivers_environment, job_options
with in_the_drivers_environment():
    print(*job_options())
"""
    assert run_python(code) == "job_config runtime_env\n"


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        (None, None),
        ("", None),
        (".", None),
        (":/lib", "/lib"),
        ("/lib:{here}:/more:", "/lib:/more"),
        ("/lib", "/lib"),
    ],
)
def test_processes_of_rays_own_do_not_search_the_working_folder(
    path: str | None, kept: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if path is not None:
        monkeypatch.setenv("PYTHONPATH", path.format(here=tmp_path))
    assert python_path() == kept


@pytest.mark.ray
def test_a_ray_of_this_process_is_used_as_it_is(local_ray: RaySession) -> None:
    with ray_session(ClusterConfig(num_workers=99, address="127.0.0.1:9")) as session:
        assert session == RaySession(local_ray.address, started_here=False)
    assert ray.is_initialized()


@pytest.mark.ray
def test_another_process_joins_by_address_and_lets_go_again(
    local_ray: RaySession, tmp_path: Path
) -> None:
    code = """
import ray
from cluster.config import ClusterConfig
from cluster.connect import ray_session, started_by_this_process
with ray_session(ClusterConfig()) as session:
    print(session.address, session.started_here, started_by_this_process())
    print(ray.cluster_resources()["CPU"])
"""
    printed = run_python(
        code,
        HOME=str(tmp_path),
        RAY_TMPDIR=os.environ["RAY_TMPDIR"],
        RAY_ADDRESS=local_ray.address,
        RAY_AUTH_TOKEN=os.environ["RAY_AUTH_TOKEN"],
    )
    assert printed.split() == [local_ray.address, "False", "False", f"{NUM_CPUS:.1f}"]
    assert ray.cluster_resources()["CPU"] == NUM_CPUS


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "the cluster asks for a token: export RAY_AUTH_MODE=token"),
        ({"RAY_AUTH_MODE": "disabled"}, "the cluster asks for a token: export RAY_AUTH_MODE=token"),
        (
            {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "b" * 64},
            "it refuses your token; with RAY_AUTH_MODE=token, set RAY_AUTH_TOKEN_PATH",
        ),
        ({"RAY_AUTH_TOKEN": "b" * 64}, "it refuses your token; with RAY_AUTH_MODE=token"),
        ({"RAY_AUTH_MODE": "token"}, "RAY_AUTH_MODE"),
    ],
    ids=["nothing", "disabled", "another_token", "another_token_alone", "no_token"],
)
def test_a_cluster_that_does_not_take_the_token_says_so(
    local_ray: RaySession, tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    code = f"""
from cluster.config import ClusterConfig
from cluster.connect import ray_session
from cluster.errors import ClusterError
try:
    with ray_session(ClusterConfig(address="{local_ray.address}")):
        pass
except ClusterError as error:
    print(error)
"""
    # Ray itself tries for 20 seconds.
    (line,) = run_python(code, HOME=str(tmp_path), timeout_s=240, **environment).splitlines()
    assert said in line
    assert "b" * 64 not in line


@pytest.mark.parametrize("died", ["", "ActorDiedError: it cannot be imported"])
def test_too_few_workers_are_told_with_what_those_died_of_that_started(
    died: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is free at that moment: it is not what keeps them away."""
    monkeypatch.setattr("cluster.pool.describe_wait", lambda *_: "only 0 CPU are free")
    pool = WorkerPool.__new__(WorkerPool)
    pool._config, pool._died_at_start, pool._had_enough = ClusterConfig(), died, False
    pool._few_since = pool._few_told = 0.0
    with pytest.raises(ClusterError, match="no worker within") as caught:
        pool._check_quorum(0, now=pool._config.placement_timeout_s + 1)
    assert str(caught.value).endswith(died or "only 0 CPU are free")


def test_a_private_ray_packs_no_folder_under_uv_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ray._private.runtime_env.uv_runtime_env_hook._get_uv_run_cmdline", lambda: ["uv", "run"]
    )
    packed: list[object] = []
    monkeypatch.setattr("ray._private.runtime_env.uv_runtime_env_hook.hook", packed.append)
    modify = ray._private.worker._maybe_modify_runtime_env
    with in_the_drivers_environment():
        assert modify({"env_vars": {}}, False) == {"env_vars": {}}
    assert packed == []
    modify({}, False)
    assert packed == [{}]
