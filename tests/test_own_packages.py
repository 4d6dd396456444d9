"""Files of a user's that have the names of our packages, or of others, hide none of them."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from metagan.own_packages import ROOT, module_command

REPOSITORY = Path(__file__).resolve().parent.parent
# What a user may have beside the data: Python finds it first with `python -m`.
FILES = ("cluster.py", "tune.py", "cluster/__init__.py", "tune/__init__.py")
SCRIPT = "import sys; from metagan.__main__ import main; sys.exit(main())"


def run(command, folder, **environment):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, *command] if command[0] != sys.executable else command,
        cwd=folder,
        env={**kept, "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "metagan").mkdir()  # The name of a clone, without being a package.
    return tmp_path


def put(folder, name):
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"raise ImportError('{name} was imported')\n")


@pytest.mark.parametrize("start", [("-m", "metagan"), ("-c", SCRIPT)], ids=["module", "script"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_with_the_name_of_a_package_of_ours_is_not_imported(folder, name, start):
    put(folder, name)
    done = run((*start, "config", "show"), folder)
    assert done.returncode == 0, done.stderr
    assert "num_workers: 2" in done.stdout


@pytest.mark.parametrize(
    "name", ["random.py", "yaml.py", "pydantic/__init__.py", "queue.py", "typing.py", "signal.py"]
)
def test_a_file_with_the_name_of_a_module_that_we_use_is_not_imported(folder, name):
    put(folder, name)
    done = run(("-m", "metagan", "config", "show"), folder)
    assert done.returncode == 0, done.stderr


def test_neither_is_one_in_a_folder_that_the_user_has_put_first(folder):
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    put(elsewhere, "cluster.py")
    path = os.pathsep.join([str(elsewhere), str(REPOSITORY)])
    done = run(("-m", "metagan", "config", "show"), folder, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr


def test_a_package_that_is_in_use_already_is_named_in_one_line(folder):
    (folder / "cluster.py").write_text("NODES = 3\n")
    done = run(("-c", f"import cluster; {SCRIPT}"), folder)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert f"{folder / 'cluster.py'} was imported as 'cluster'" in line
    assert "rename it" in line


def test_an_archive_runs_what_it_holds(folder):
    """As of `python -m zipapp`."""
    archive = folder / "metagan.pyz"
    with zipfile.ZipFile(archive, "w") as holder:
        for name in ("metagan", "cluster", "tune"):
            for file in (REPOSITORY / name).rglob("*.py"):
                holder.write(file, file.relative_to(REPOSITORY))
        holder.writestr("__main__.py", SCRIPT)
    put(folder, "cluster.py")
    done = run((str(archive), "config", "show"), folder)
    assert done.returncode == 0, done.stderr
    assert "num_workers: 2" in done.stdout


def test_a_process_that_we_start_runs_our_module(folder):
    put(folder, "cluster.py")
    # Any module that runs what it is given.
    command = module_command("timeit", "-n1", "-r1", "import cluster; print(cluster.__file__)")
    done = run(command, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == os.path.join(ROOT, "cluster", "__init__.py")


def test_what_a_worker_does_first_imports_our_packages_wherever_it_is(folder):
    """Sent as code: a worker could not import it under its name."""
    put(folder, "cluster.py")
    put(folder, "metagan/__init__.py")
    put(folder, "wave.py")
    from ray import cloudpickle

    from cluster.worker_start import _start_of, sent_by_value

    for root in (ROOT, "/nowhere"):  # The second: installed elsewhere than on the driver.
        with sent_by_value():
            sent = cloudpickle.dumps(_start_of(root, [str(folder)]))
        (folder / "sent").write_bytes(sent)
        code = f"""
import pickle, sys
sys.path.insert(0, {str(folder)!r})
pickle.load(open('sent', 'rb'))()
# So does Ray, later.
sys.path.insert(0, {str(folder)!r})
import cluster.config, metagan.config.settings, tune.config
print(cluster.__file__)
"""
        done = run(("-c", code), folder)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == os.path.join(ROOT, "cluster", "__init__.py")
