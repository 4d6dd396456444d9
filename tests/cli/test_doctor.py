import importlib.metadata
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.config import ClusterConfig, JobConfig
from cluster.connect import ZERO_COPY_TENSORS
from cluster.doctor import (
    check_device,
    check_folder,
    check_host,
    check_ray_environment,
    check_shared_memory,
    check_versions,
    diagnose,
    memory_bytes,
)
from cluster.doctor_nodes import _check_node, check_cluster, check_likeness
from cluster.probe import _ahead, host_report, storage_error
from metagan.cli.app import run_cli
from metagan.config.settings import CheckpointConfig
from tests.helpers import environment_without_ray


def by_level(findings):
    return {finding.level for finding in findings}


def test_this_environment_has_the_declared_versions():
    versions = host_report()["versions"]
    findings = list(check_versions(versions))
    assert by_level(findings) == {"ok"}
    assert {"python", "torch", "ray", "numpy", "pyarrow"} <= {f.topic for f in findings}


def test_an_old_and_a_missing_package_are_problems_with_the_command_that_helps():
    found = {
        f.topic: f
        for f in check_versions({"python": "3.11.0", "torch": "1.0", "ray": None, "numpy": "2.1"})
    }
    assert (found["torch"].level, found["ray"].level) == ("problem", "problem")
    assert found["numpy"].level == "ok"
    assert found["torch"].fix.startswith("pip install 'torch>=")
    assert found["ray"].text == "is not installed"


def test_a_checkout_that_is_not_installed_is_worth_a_warning(monkeypatch):
    def requires(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    first, *others = check_versions({"python": "3.11.0", "torch": "1.0", "metagan": None})
    assert {f.level for f in (first, *others)} == {"ok", "warning"}
    (warning,) = [f for f in (first, *others) if f.level == "warning"]
    assert warning.fix == "pip install -e ."


@pytest.mark.parametrize(
    ("environment", "level", "text"),
    [
        ({}, "ok", "makes its own token"),
        ({"RAY_AUTH_MODE": "token"}, "warning", "there is no token"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "x"}, "ok", "token from RAY_AUTH_TOKEN"),
        ({"RAY_AUTH_MODE": "disabled"}, "warning", "runs code"),
        ({"RAY_AUTH_MODE": "tokne"}, "problem", "is tokne, which Ray takes for disabled"),
        ({"RAY_AUTH_TOKEN_PATH": "/no/token"}, "problem", "/no/token: no file"),
    ],
)
def test_rays_authentication_is_judged(tmp_path, environment, level, text):
    [finding] = check_ray_environment(environment, tmp_path)
    assert finding.level == level
    assert text in finding.text


def test_a_token_that_other_users_can_read_is_reported(tmp_path):
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(0o644)
    findings = list(check_ray_environment({"RAY_AUTH_MODE": "token"}, tmp_path))
    assert [f.level for f in findings] == ["ok", "warning"]
    assert findings[1].fix == f"chmod 600 {token}"
    token.chmod(0o600)
    assert by_level(check_ray_environment({"RAY_AUTH_MODE": "token"}, tmp_path)) == {"ok"}
    [unset] = check_ray_environment({}, tmp_path)
    assert unset.fix == "export RAY_AUTH_MODE=token"
    assert "secret" not in "".join(f.text + f.fix for f in findings)


def test_zero_copy_tensors_are_refused(tmp_path):
    first = next(check_ray_environment({ZERO_COPY_TENSORS: "1"}, tmp_path))
    assert first.level == "problem"
    assert first.fix == f"unset {ZERO_COPY_TENSORS}"
    assert by_level(check_ray_environment({ZERO_COPY_TENSORS: "0"}, tmp_path)) == {"ok"}


def test_a_folder_is_checked_without_leaving_a_trace(tmp_path):
    finding = check_folder("run folder", tmp_path / "runs" / "new")
    assert finding.level == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_a_folder_is_a_problem(tmp_path):
    (tmp_path / "runs").write_text("")
    finding = check_folder("run folder", tmp_path / "runs" / "new")
    assert finding.level == "problem"
    assert "is a file" in finding.text


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_a_problem(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert check_folder("run folder", tmp_path / "runs").level == "problem"


def test_missing_shared_memory_is_a_warning(tmp_path):
    finding = check_shared_memory(tmp_path / "shm")
    assert finding.level == "warning"
    assert "--shm-size" in finding.fix


def test_memory_is_the_smaller_of_machine_and_cgroup(tmp_path):
    assert memory_bytes(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:       1000 kB\nMemFree: 1 kB\n")
    assert memory_bytes(tmp_path) == 1_024_000
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert memory_bytes(tmp_path) == 1_024_000
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("500\n")
    assert memory_bytes(tmp_path) == 500


@pytest.mark.parametrize(
    ("settings", "gpus", "levels"),
    [
        ({}, [], {"ok"}),
        ({"device": "cuda"}, [], {"ok", "problem"}),
        ({"cluster": ClusterConfig(gpus_per_worker=1.0)}, [], {"ok", "problem"}),
        ({"cluster": ClusterConfig(gpus_per_worker=1.0)}, ["H200"], {"ok", "warning"}),
        ({"cluster": ClusterConfig(gpus_per_worker=0.5)}, ["H200"], {"ok"}),
    ],
)
def test_gpus_that_the_settings_need_must_be_there(monkeypatch, settings, gpus, levels):
    # Whether this machine has a GPU that torch cannot use is not the question here.
    monkeypatch.setattr("cluster.doctor.Path.exists", lambda _path: False)
    assert by_level(check_device(JobConfig(**settings), gpus)) == levels


def test_more_threads_than_cores_is_a_warning_not_a_problem():
    config = JobConfig(cluster=ClusterConfig(num_workers=10_000))
    [cores] = [f for f in check_host(config) if f.topic == "cores"]
    assert cores.level == "warning"
    assert "cluster.num_workers" in cores.fix


def test_nothing_stops_a_run_with_default_settings_here(tmp_path, monkeypatch):
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", ZERO_COPY_TENSORS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    findings = diagnose(JobConfig(), tmp_path / "run")
    assert "problem" not in by_level(findings)
    assert {"run folder", "data cache"} <= {finding.topic for finding in findings}


@pytest.mark.parametrize(
    ("setting", "variable", "said"),
    [
        (
            None,
            "http://10.0.0.5:8265",
            "RAY_ADDRESS is http://10.0.0.5:8265: that is a dashboard's",
        ),
        (None, "127.0.0.1:9", "127.0.0.1:9 (RAY_ADDRESS) does not answer"),
        ("127.0.0.1:9", "http://10.0.0.5:8265", "127.0.0.1:9 does not answer"),
    ],
)
def test_an_address_that_stops_a_run_is_a_problem_and_its_variable_named(
    setting, variable, said, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", variable)
    config = JobConfig(cluster=ClusterConfig(address=setting))
    [problem] = [f for f in diagnose(config, tmp_path / "run") if f.level == "problem"]
    assert problem.text.startswith(said)
    assert ("unset RAY_ADDRESS" in problem.fix) == (setting is None)


@pytest.mark.parametrize("given", ["cluster.address=h:2", "--cluster.address=auto"])
def test_two_rays_at_once_are_refused(given, capsys):
    code = run_cli(["doctor", "--address", "h:1", given])
    assert code == 2
    assert f"--address h:1 and {given} name a Ray each; give one" in capsys.readouterr().err


def test_a_closed_port_is_seen_at_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    [finding] = check_cluster(ClusterConfig(address=f"127.0.0.1:{port}"), {})
    assert finding.level == "problem"
    assert "does not answer" in finding.text
    assert time.monotonic() - started < 120


def test_a_port_that_is_not_rays_is_given_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        [finding] = check_cluster(ClusterConfig(address=address), {}, timeout_s=1.0)
    assert finding.level == "problem"
    assert "took more than 1 s" in finding.text
    assert "RAY_AUTH_MODE" in finding.fix


HEAD = """
import json, os, sys
import torch
from cluster.config import ClusterConfig
from cluster.connect import ray_session
# A GPU more than torch can ever see here.
os.environ["RAY_OVERRIDE_RESOURCES"] = json.dumps({"GPU": torch.cuda.device_count() + 1})
with ray_session(ClusterConfig(num_workers=2)) as session:
    print(session.address, flush=True)
    sys.stdin.read()
"""


def test_a_clock_is_off_by_what_cannot_be_the_time_that_asking_took():
    assert _ahead(105.0, asked=100.0, answered=103.0) == 2.0
    assert _ahead(98.0, asked=100.0, answered=103.0) == -2.0
    assert _ahead(101.0, asked=100.0, answered=103.0) == 0.0


def test_a_node_with_a_wrong_clock_and_little_shared_memory_is_told():
    report = {"clock_s": -90.0, "shared_memory": 64 << 20, "storage": "Access Denied", "gpus": []}
    entry = {"node": "10.0.0.2", "report": report, "resources": {"CPU": 8.0}}
    clock, memory, storage = _check_node(entry, "s3://b/run")
    assert (clock.level, memory.level, storage.level) == ("warning", "warning", "problem")
    assert "-90 s off" in clock.text
    assert "s3://b/run: Access Denied" in storage.text


@pytest.mark.parametrize(
    ("of_ray", "of_torch", "level"),
    [(0, 0, None), (2, 2, None), (2, 0, "problem"), (8, 7, "problem"), (0, 1, "warning")],
)
def test_gpus_that_ray_and_torch_count_differently_are_told(of_ray, of_torch, level):
    resources = {"CPU": 8.0} | ({"GPU": float(of_ray)} if of_ray else {})
    report = {"clock_s": 0.0, "shared_memory": None, "gpus": ["H100"] * of_torch}
    found = list(_check_node({"node": "n", "report": report, "resources": resources}, None))
    assert [finding.level for finding in found] == ([level] if level else [])
    for finding in found:
        assert f"Ray has {of_ray}" in finding.text
        assert f"torch sees {of_torch}" in finding.text
        assert "--num-gpus" in finding.fix


def of_kind(name, gpus, arithmetic, cores=4):
    report = {"gpus": gpus, "cpu": f"CPU {arithmetic}", "arithmetic": arithmetic}
    return {"node": name, "report": report, "resources": {"CPU": cores, "GPU": len(gpus)}}


@pytest.mark.parametrize(
    ("gpus_per_worker", "kinds", "told"),
    [
        (0, [(["H100"], "one"), ([], "one")], None),
        (0, [([], "one"), ([], "two")], "bits: CPU one on n0; CPU two on n1; weights"),
        (0, [([], "one")] * 5 + [([], "two")], "one on n0, n1, n2 and 2 more; CPU two on n5"),
        (0, [([], "one"), ([], "two", 0)], None),
        (0, [([], "one"), ([], "")], None),
        (1, [(["H100"], "one"), (["H100", "H100"], "two")], None),
        (1, [(["H100"], "one"), ([], "two")], None),
        (1, [(["H100"], "one"), (["A100"], "one")], "H100 on n0; A100 on n1"),
    ],
)
def test_nodes_that_compute_different_bits_are_told(gpus_per_worker, kinds, told):
    nodes = [of_kind(f"n{i}", *kind) for i, kind in enumerate(kinds)]
    nodes.append({"node": "silent", "error": "does not answer"})
    for mixed, level in ((True, "warning"), (False, "problem")):
        config = ClusterConfig(gpus_per_worker=gpus_per_worker, mixed_devices=mixed)
        found = list(check_likeness(config, nodes))
        assert [finding.level for finding in found] == ([level] if told else [])
        assert all(told in f.text and "cluster.worker_labels" in f.fix for f in found)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads Linux's /proc")
@pytest.mark.parametrize("of_the_node", [None, "0,1"])
def test_a_probe_sees_the_gpus_of_its_node_and_not_those_that_ray_leaves_it(of_the_node):
    child = "import os; from cluster.probe import see_the_nodes_gpus as see; see(); "
    child += "print(os.environ.get('CUDA_VISIBLE_DEVICES'))"
    parent = "import os, subprocess, sys; "
    parent += "hidden = {**os.environ, 'CUDA_VISIBLE_DEVICES': ''}; "
    parent += f"subprocess.run([sys.executable, '-c', {child!r}], env=hidden, check=True)"
    environment = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    if of_the_node is not None:
        environment["CUDA_VISIBLE_DEVICES"] = of_the_node
    done = subprocess.run(
        [sys.executable, "-c", parent], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(of_the_node)


def test_a_storage_that_cannot_be_written_is_a_problem_that_names_the_setting(tmp_path):
    (tmp_path / "file").write_text("")
    config = JobConfig(checkpoint=CheckpointConfig(storage=(tmp_path / "file" / "run").as_uri()))
    [finding] = [f for f in diagnose(config, tmp_path / "run") if f.topic == "storage"]
    assert finding.level == "problem"
    assert "checkpoint.storage" in finding.fix
    assert storage_error((tmp_path / "new" / "run").as_uri()) is None
    assert "Unrecognized" in str(storage_error("nonsense://x/y"))


@pytest.mark.ray
def test_every_node_of_a_cluster_is_compared_and_the_workers_counted(tmp_path, monkeypatch):
    own = {
        "HOME": str(tmp_path),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "0" * 64,
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    here = host_report()
    versions, seen = here["versions"], len(here["gpus"])
    with subprocess.Popen(
        [sys.executable, "-c", HEAD],
        env=environment_without_ray() | own,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as head:
        try:
            address = head.stdout.readline().strip()
            store = (tmp_path / "store").as_uri()
            node, gpus, stored, room = check_cluster(
                ClusterConfig(address=address, num_workers=2), versions, storage=store
            )
            other = {**versions, "numpy": "1.0"}
            three = ClusterConfig(address=address, num_workers=3)
            differing, _, short = check_cluster(three, other)
        finally:
            head.stdin.close()
            head.wait(timeout=240)
    assert (node.level, stored.level, room.level) == ("ok", "ok", "ok")
    assert gpus.level == "problem"
    assert f"Ray has {seen + 1} GPUs there, but torch sees {seen}" in gpus.text
    assert stored.text == f"{store} can be written and read"
    assert list((tmp_path / "store").iterdir()) == []
    assert "same versions" in node.text
    assert differing.level == "warning"
    assert f"numpy {versions['numpy']} (here 1.0)" in differing.text
    assert short.level == "warning"
    assert "lower cluster.num_workers to 2" in short.fix
