"""Start of a worker's process: it imports our packages, whatever lies in its folders.

Ray gives workers the folders of the driver's script and the one it was started in, before all
others, and a job's uploaded folder; a `cluster.py` there would be imported in place of ours.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ray import cloudpickle
from ray._private import ray_constants
from ray.job_config import JobConfig

from metagan import own_packages

_HOOK, _HOOK_VARIABLE = "worker_process_setup_hook", "__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR"
#: The variable in which Ray tells a job's own process of the job.
JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"


class _LeftAlone(list[str]):
    """Folders that Ray cannot extend; it would put the driver's before all others in workers."""

    def extend(self, _: Iterable[str], /) -> None:
        """Nothing; `_start_of` adds them behind all others."""


def job_options() -> dict[str, Any]:
    """Arguments of `ray.init` for workers that import our packages under their names."""
    config = JobConfig()
    config._py_driver_sys_path = _LeftAlone()
    options: dict[str, Any] = {"job_config": config}
    if not _job_has_a_hook():
        options["runtime_env"] = {_HOOK: _start_of(own_packages.ROOT, _folders_of_the_driver())}
    return options


def python_path() -> str | None:
    """PYTHONPATH for processes of Ray's own, without the working folder; None without any other.

    An empty entry means that folder, as in `PYTHONPATH=$PYTHONPATH:lib`: Ray would not start beside
    a `random.py`. Workers search the folder, after all others.
    """
    path = os.environ.get("PYTHONPATH", "")
    try:
        here = os.path.realpath(os.curdir)
    except OSError:
        return path or None  # The folder is gone.
    entries = path.split(os.pathsep)
    return os.pathsep.join(e for e in entries if os.path.realpath(e or here) != here) or None


@contextlib.contextmanager
def in_the_drivers_environment() -> Iterator[None]:
    """Let a Ray that is started inside of the block use the Python of this process, as it is.

    Under `uv run`, Ray would pack the working folder for its workers, with all that lies in it; on
    one machine they need no copy.
    """
    constants: Any = ray_constants
    before = getattr(constants, "RAY_ENABLE_UV_RUN_RUNTIME_ENV", False)
    constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = False
    try:
        yield
    finally:
        constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = before


@contextlib.contextmanager
def sent_by_value() -> Iterator[None]:
    """Send the code that workers begin with by value, since no worker can import it yet."""
    module = sys.modules[__name__]
    for each in (module, own_packages):
        cloudpickle.register_pickle_by_value(each)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for each in (module, own_packages):
            cloudpickle.unregister_pickle_by_value(each)  # type: ignore[no-untyped-call]


def _start_of(root: str, folders: list[str]) -> Callable[[], None]:
    """Function that a worker calls before anything else.

    Args:
        root: Where our packages are on the driver's machine, and perhaps on the worker's.
        folders: To search for other modules of the driver's, after all others.
    """
    claim, hide_nothing = own_packages.claim, own_packages.hide_nothing

    def start_with_our_packages() -> None:
        import contextlib
        import sys

        # Whoever needs them will say what is wrong with them; Ray would start worker after worker.
        with contextlib.suppress(Exception):
            claim(root)
        sys.path.extend(folder for folder in folders if folder not in sys.path)
        hide_nothing()

    return start_with_our_packages


def _folders_of_the_driver() -> list[str]:
    """Folders with the driver's own modules, such as those beside a notebook."""
    script = os.path.dirname(os.path.realpath(sys.argv[0]))
    return [*[script] * (script in sys.path), os.path.abspath(os.curdir)]


def _job_has_a_hook() -> bool:
    """True if the Ray job of this process gives its workers something to do first."""
    text = os.environ.get(JOB_CONFIG)
    if not text:
        return False
    runtime_env = json.loads(text).get("runtime_env") or {}
    variables = runtime_env.get("env_vars") or {}
    return _HOOK in runtime_env or _HOOK_VARIABLE in variables
