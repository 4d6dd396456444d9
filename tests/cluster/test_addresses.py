"""A command runs on the Ray that was asked for, and whatever variable decides is named."""

import http.server
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray
from ray._private import services

from cluster.addresses import Named, host_and_port, jobs_address, ray_to_join
from cluster.authentication import token_problem
from cluster.config import ClusterConfig, JobConfig
from cluster.connect import _explain_failed_join, ray_session
from cluster.doctor_nodes import check_cluster
from cluster.errors import ClusterError
from cluster.jobs import RayJobs, _explain
from metagan.config.load import load_config
from tests.cluster.test_connect import listening

DASHBOARD, OWN = "http://10.0.0.5:8265", "10.0.0.5:6379"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)


# --- the Ray of a run -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "variable", "joined"),
    [
        (None, None, None),
        (None, "", None),
        (None, "local", None),
        (None, "auto", Named("auto", "RAY_ADDRESS")),
        (None, OWN, Named(OWN, "RAY_ADDRESS")),
        (None, "[fd00::1]:6379", Named("[fd00::1]:6379", "RAY_ADDRESS")),
        # What is given explicitly wins, whatever the variable is.
        (OWN, "10.9.9.9:6379", Named(OWN, "cluster.address")),
        (OWN, DASHBOARD, Named(OWN, "cluster.address")),
        ("auto", OWN, Named("auto", "cluster.address")),
    ],
)
def test_the_setting_wins_over_the_variable(
    setting: str | None, variable: str | None, joined: Named | None
) -> None:
    environment = {} if variable is None else {"RAY_ADDRESS": variable}
    assert ray_to_join(setting, environment) == joined


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (DASHBOARD, "that is a dashboard's address, where jobs are submitted"),
        ("https://ray.example.org", "that is a dashboard's address"),
        ("ray://10.0.0.5:10001", "Ray Client (ray://) sends every parameter through one"),
        # Ray would import a module of that name and let it connect.
        ("metagan://10.0.0.5", "that is no address of a Ray"),
        ("10.0.0.5", "that is no address of a Ray"),
        ("head:99999", "a port is at most 65535"),
        (" auto", "that is no address of a Ray (it begins or ends with a blank)"),
        ("10.0.0.5:6379 ", "that is no address of a Ray (it begins or ends with a blank)"),
        ("AUTO", "that is no address of a Ray"),
        ("10.0.0.5:6379/", "that is no address of a Ray"),
    ],
)
def test_a_variable_that_names_no_ray_is_refused_by_its_name(
    address: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ClusterError) as caught, ray_session(ClusterConfig()):
        pass
    assert str(caught.value).startswith(f"RAY_ADDRESS is {address}: {said}")
    assert "unset RAY_ADDRESS" in str(caught.value)
    with pytest.raises(ValueError, match=r"cluster\.address") as refused:
        load_config(JobConfig, None, [f"cluster.address={address!r}"])
    assert said in str(refused.value)


def test_a_variable_that_names_a_dead_ray_is_named_and_the_setting_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(ClusterError) as caught, ray_session(ClusterConfig()):
        pass
    assert "cannot join Ray at 127.0.0.1:9 (RAY_ADDRESS): " in str(caught.value)
    assert "unset RAY_ADDRESS to start a Ray on this machine" in str(caught.value)
    with pytest.raises(ClusterError) as caught, ray_session(ClusterConfig(address="127.0.0.1:8")):
        pass
    assert "cannot join Ray at 127.0.0.1:8: " in str(caught.value)
    assert "RAY_ADDRESS" not in str(caught.value)
    [finding] = check_cluster(ClusterConfig(address="127.0.0.1:9"), {}, named_by="RAY_ADDRESS")
    assert "127.0.0.1:9 (RAY_ADDRESS) does not answer" in finding.text
    assert "unset RAY_ADDRESS" in finding.fix


@pytest.mark.parametrize(
    ("running", "last_started", "variable", "chosen"),
    [
        ({OWN}, None, None, OWN),
        # The variable names another machine's Ray, and auto is one of this machine.
        ({OWN}, None, "10.9.9.9:6379", OWN),
        ({OWN, "10.0.0.5:7000"}, "10.0.0.5:7000", None, "10.0.0.5:7000"),
        # The one of this process's job, which has the variable.
        ({OWN, "10.0.0.5:7000"}, "10.0.0.5:7000", OWN, OWN),
        ({OWN, "10.0.0.5:7000"}, "10.0.0.5:1", None, "several Rays run on this machine"),
        (set(), "10.0.0.5:1", None, "no Ray runs on this machine"),
        # What a run has started for itself alone is nobody else's, unless `ray start` did.
        ({"127.0.0.1:7000"}, None, None, "no Ray runs on this machine"),
        ({OWN, "127.0.0.1:7000"}, None, None, OWN),
        ({"127.0.0.1:7000"}, "127.0.0.1:7000", None, "127.0.0.1:7000"),
    ],
)
def test_auto_is_a_ray_of_this_machine_and_no_other(
    running: set[str],
    last_started: str | None,
    variable: str | None,
    chosen: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def find() -> set[str]:
        return running

    find.cache_clear = lambda: None  # type: ignore[attr-defined]
    monkeypatch.setattr(services, "find_gcs_addresses", find)
    monkeypatch.setattr(services, "find_bootstrap_address", lambda _: last_started)
    if variable is not None:
        monkeypatch.setenv("RAY_ADDRESS", variable)
    if " " not in chosen:
        assert host_and_port("auto") == chosen
        return
    with pytest.raises(ConnectionError, match=chosen):
        host_and_port("auto")


def test_versions_that_differ_are_both_told_with_what_to_install() -> None:
    mismatch = (
        "Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.10.1\n"
        "This process on 10.0.0.9 was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
    )
    told = _explain_failed_join(Named(OWN, "RAY_ADDRESS"), RuntimeError(mismatch))
    for part in ("2.9.0", "2.60.0", "3.10.1", "3.11.7", "ray[default,tune]==2.9.0", "RAY_ADDRESS"):
        assert part in told
    same_ray = mismatch.replace("2.9.0", "2.60.0")
    told = _explain_failed_join(Named(OWN, "cluster.address"), RuntimeError(same_ray))
    assert "its Python is 3.10.1, this process has 3.11.7" in told
    assert "pip install" not in told
    assert "\n" not in told


def test_of_an_error_of_several_lines_the_heading_and_the_facts_are_told() -> None:
    error = RuntimeError("Failed to look up actors.\nSome advice.\n  The GCS is at 10.0.0.5:1\n")
    told = _explain_failed_join(Named(OWN, "cluster.address"), error)
    assert "Failed to look up actors: The GCS is at 10.0.0.5:1;" in told


def test_other_variables_that_ray_follows_are_named_where_joining_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_RUNTIME_ENV_HOOK", "my.hook")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    told = _explain_failed_join(Named(OWN, "cluster.address"), RuntimeError("no"))
    assert "(Ray follows these variables of your environment: RAY_RUNTIME_ENV_HOOK" in told
    assert "my.hook" not in told
    assert "secret" not in told


def test_ray_client_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray._private.client_mode_hook.is_client_mode_enabled_by_default", True)
    with pytest.raises(ClusterError, match="RAY_CLIENT_MODE is 1"), ray_session(ClusterConfig()):
        pass


def test_a_pipe_in_place_of_a_token_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "token"
    os.mkfifo(pipe)
    assert (
        token_problem({"RAY_AUTH_TOKEN_PATH": str(pipe)})
        == f"RAY_AUTH_TOKEN_PATH {pipe} is no file"
    )
    assert token_problem({"RAY_AUTH_TOKEN_PATH": str(pipe), "RAY_AUTH_TOKEN": "t"}) is None


# --- where jobs are submitted ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "environment", "expected"),
    [
        (None, {}, Named("http://127.0.0.1:8265", "--address")),
        ("h:8265", {}, Named("http://h:8265", "--address")),
        ("https://h/ray/", {}, Named("https://h/ray", "--address")),
        ("http://h:8265/#/jobs", {}, Named("http://h:8265", "--address")),
        ("[::1]:8265", {}, Named("http://[::1]:8265", "--address")),
        (None, {"RAY_ADDRESS": DASHBOARD}, Named(DASHBOARD, "RAY_ADDRESS")),
        (
            None,
            {"RAY_API_SERVER_ADDRESS": "h:1", "RAY_ADDRESS": DASHBOARD},
            Named("http://h:1", "RAY_API_SERVER_ADDRESS"),
        ),
        # Ray's client would take the variables, whatever it is given.
        (
            DASHBOARD,
            {"RAY_API_SERVER_ADDRESS": "http://h:1", "RAY_ADDRESS": "http://h:2"},
            Named(DASHBOARD, "--address"),
        ),
    ],
)
def test_the_option_wins_over_the_variables(
    option: str | None, environment: dict[str, str], expected: Named
) -> None:
    assert jobs_address(option, environment) == expected


@pytest.mark.parametrize(
    ("option", "environment", "by"),
    [
        ("auto", {}, "--address"),
        ("ray://h:10001", {}, "--address"),
        ("http://h:82655", {}, "--address"),
        # As of --address "$UNSET".
        ("", {"RAY_ADDRESS": DASHBOARD}, "--address"),
        ("h:port", {}, "--address"),
        # Ray would import the module.
        ("cluster://h", {}, "--address"),
        (None, {"RAY_API_SERVER_ADDRESS": "ray://h:10001"}, "RAY_API_SERVER_ADDRESS"),
        # A Ray was asked for of which nobody has said where its dashboard is.
        (None, {"RAY_ADDRESS": OWN}, "RAY_ADDRESS"),
        (None, {"RAY_ADDRESS": "auto"}, "RAY_ADDRESS"),
    ],
)
def test_what_is_no_dashboards_address_is_refused_by_who_named_it(
    option: str | None, environment: dict[str, str], by: str
) -> None:
    with pytest.raises(ClusterError, match=f"^{by} is .* no address of a Ray dashboard") as caught:
        jobs_address(option, environment)
    assert "give --address http://HOST:8265" in str(caught.value)


def test_a_password_in_an_address_is_used_and_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    monkeypatch.setattr("cluster.jobs.JobSubmissionClient", used.append)
    url = "http://me:secret@h:8265"
    jobs = RayJobs(url)
    assert used == [url]
    assert jobs.address == "http://***@h:8265"
    told = [str(Named(url, "RAY_ADDRESS"))]
    for address in (f"{url}5", "ray://me:secret@h:10001"):
        with pytest.raises(ClusterError) as caught:
            jobs_address(address, {})
        told.append(str(caught.value))
        with pytest.raises(ClusterError) as caught:
            ray_to_join(None, {"RAY_ADDRESS": address})
        told.append(str(caught.value))
    for text in told:
        assert "secret" not in text
        assert "***@h:" in text


Answer = Callable[[str], tuple[int, object]]


@contextmanager
def dashboard(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """A server in place of a dashboard, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, value = answer(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(value if isinstance(value, bytes) else json.dumps(value).encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def ours(version: str) -> Answer:
    said = {"version": "4", "ray_version": version, "ray_commit": "x", "session_name": "s"}
    return lambda path: (200, said if path == "/api/version" else [])


@pytest.mark.parametrize("variable", ["RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"])
def test_jobs_are_asked_for_where_the_option_says_and_nowhere_else(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        dashboard(ours(ray.__version__)) as (there, asked),
        dashboard(ours("1.0")) as (other, not_asked),
    ):
        monkeypatch.setenv(variable, other)
        assert RayJobs(there).states() == []
        assert "/api/jobs/" in asked
        assert not_asked == []
        # Without the option the variable decides; what goes wrong there names it.
        with pytest.raises(ClusterError, match=variable) as caught:
            RayJobs(None)
        assert not_asked == ["/api/version"]
    assert f"its Ray is 1.0, this machine's is {ray.__version__}" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "value", "said"),
    [
        (200, b"<html>welcome", "is no Ray dashboard"),
        (200, {"name": "something else"}, "is no Ray dashboard"),
        (404, b"nothing here", "Version check returned 404"),
        (403, b"go away", "asks for a token"),
    ],
)
def test_another_program_that_answers_is_told(status: int, value: object, said: str) -> None:
    with dashboard(lambda _: (status, value)) as (there, _), pytest.raises(ClusterError) as caught:
        RayJobs(there)
    assert there in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.jobs._ANSWER_S", 0.2)
    with listening(None) as there, pytest.raises(ClusterError) as caught:
        RayJobs(there)
    assert f"what listens at http://{there} does not answer" in str(caught.value)


def test_what_speaks_no_http_is_told() -> None:
    # As Ray's control service begins its answer.
    with (
        listening(b"\0\0\6\4\0\0\0\0\0\r\n") as there,
        pytest.raises(ClusterError) as caught,
    ):
        RayJobs(there)
    assert f"what answers at http://{there} is no Ray dashboard; is it Ray's own" in str(
        caught.value
    )


def test_rays_own_port_is_told_from_the_dashboards() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ClusterError, match="nothing answers at"):
        RayJobs(f"127.0.0.1:{port}")
    told = _explain("http://h:6379", None, ConnectionError("refused"))
    assert "6379 is Ray's own port; the dashboard's is 8265" in told


def test_a_proxy_that_was_asked_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:secret@proxy:3128")
    monkeypatch.setenv("no_proxy", "near")
    told = _explain("http://far:8265", None, ConnectionError("refused"))
    assert "through the proxy that http_proxy or HTTP_PROXY names: put far into no_proxy" in told
    assert "secret" not in told
    assert "proxy" not in _explain("http://near:8265", None, ConnectionError("refused"))
