"""The repository keeps its shape: tests mirror sources, configurations load, imports point down."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import metagan
from cluster.config import JobConfig
from metagan.cli.demo import DEMOS
from metagan.config.load import load_config
from tests.conftest import REPOSITORY
from tune.config import SearchJobConfig
from tune.space import parse_space

PACKAGES = ("metagan", "cluster", "tune")
# Test folders that are about more than one package.
OWN_KIND = {"reference", "system", "repo", "gpu", "chaos"}
CONFIGS = sorted(REPOSITORY.glob("configs/*.yaml"))


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((REPOSITORY / package).rglob("*.py"))


def tracked_text() -> list[Path]:
    """Files that are or will be committed, without binary ones."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    suffixes = {".py", ".md", ".yaml", ".toml", ".txt", ".json", ".cfg", ""}
    paths = [REPOSITORY / name for name in listed.stdout.splitlines()]
    return [path for path in paths if path.is_file() and path.suffix in suffixes]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_configuration_loads(path: Path) -> None:
    provenance = load_config(SearchJobConfig, path).provenance
    assert any(origin.startswith(str(path)) for origin in provenance.values())


def test_a_search_loads_its_space() -> None:
    config = load_config(SearchJobConfig, REPOSITORY / "configs" / "omniglot-search.yaml").config
    assert len(parse_space(config.tune.space, config)) == len(config.tune.space) > 0


def test_only_the_search_knows_ray_tune() -> None:
    for path in sources():
        if "tune" not in path.relative_to(REPOSITORY).parts[:1]:
            assert "ray.tune" not in path.read_text()
            assert "import tune" not in path.read_text()


@pytest.mark.parametrize("name", DEMOS)
def test_a_demo_and_the_published_configuration_are_one(name: str) -> None:
    # A link, so that the wheel has the file: it knows no folder beside the packages.
    shipped = REPOSITORY / "metagan" / "workflow" / f"{name}.yaml"
    assert (REPOSITORY / "configs" / f"{name}.yaml").samefile(shipped)


def test_every_public_name_is_where_callers_and_type_checkers_look() -> None:
    tree = ast.parse((REPOSITORY / "metagan" / "__init__.py").read_text())
    checked = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert checked == metagan._HOME
    assert all(getattr(metagan, name).__name__ == name for name in metagan.__all__)


def test_every_folder_of_tests_mirrors_a_folder_of_sources() -> None:
    folders = [p for p in (REPOSITORY / "tests").iterdir() if p.is_dir() and any(p.glob("*.py"))]
    known = {"cluster", "tune"} | {p.name for p in (REPOSITORY / "metagan").iterdir() if p.is_dir()}
    assert {folder.name for folder in folders} - known - OWN_KIND == set()


def test_every_folder_of_tests_is_a_package() -> None:
    # Without it a folder called like a package of ours would hide that package.
    folders = {path.parent for path in (REPOSITORY / "tests").rglob("*.py")}
    assert [str(f) for f in sorted(folders) if not (f / "__init__.py").is_file()] == []


def mirrored(folder: Path) -> Path:
    """The folder of tests about a folder of sources: that of `metagan/core` is `core`."""
    return folder.relative_to("metagan") if folder.parts[0] == "metagan" else folder


def test_every_folder_of_sources_is_tested() -> None:
    folders = {
        path.parent.relative_to(REPOSITORY)
        for path in sources()
        if path.parent.parent != REPOSITORY and path.name != "__init__.py"
    }
    untested = [
        str(folder)
        for folder in sorted(folders)
        if not any((REPOSITORY / "tests" / mirrored(folder)).glob("test_*.py"))
    ]
    assert untested == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(REPOSITORY))
        for path in sources()
        if path.read_text(encoding="utf-8").strip()
        and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
    assert silent == []


def test_only_the_command_line_imports_the_cluster_and_the_search() -> None:
    def importing(names: str) -> set[str]:
        pattern = re.compile(rf"^\s*(?:from|import) (?:{names})\b", re.MULTILINE)
        return {
            path.relative_to(REPOSITORY / "metagan").parts[0]
            for path in (REPOSITORY / "metagan").rglob("*.py")
            if pattern.search(path.read_text(encoding="utf-8"))
        }

    assert importing("cluster|tune") == {"cli"}
    assert importing("ray") == set()


def test_no_source_is_longer_than_a_reader_can_hold() -> None:
    lengths = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in sources()}
    assert {str(p.relative_to(REPOSITORY)): n for p, n in lengths.items() if n > 420} == {}


def test_no_file_leaves_work_undone() -> None:
    marks = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|raise NotImplemented" + r"Error)\b")
    found = [str(p.relative_to(REPOSITORY)) for p in sources() if marks.search(p.read_text())]
    assert found == []


def test_no_file_names_a_folder_of_the_machine_that_it_was_written_on() -> None:
    # In two halves, so that this file does not name them itself.
    names = [f"/{first}/{second}" for first, second in (("work", "main"), ("work", "shared"))]
    found = [
        str(path.relative_to(REPOSITORY))
        for path in tracked_text()
        if any(name in path.read_text(encoding="utf-8", errors="replace") for name in names)
    ]
    assert found == []


def test_the_settings_that_editors_read_are_valid_json() -> None:
    from metagan.config.load import json_schema

    schema = json_schema(JobConfig)
    assert json.loads(json.dumps(schema, allow_nan=False))["$defs"].keys() >= {"ClusterConfig"}


def test_an_editable_install_is_found_from_the_folder_that_holds_the_checkout(
    tmp_path: Path,
) -> None:
    pytest.importorskip("setuptools", minversion="77")
    checkout = tmp_path / "metagan"
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, checkout / package, ignore=lambda *_: ["__pycache__"])
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, checkout)

    def python(folder: Path, code: str) -> str:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            cwd=folder,
            env=kept,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    build = "from setuptools.build_meta import build_editable; print(build_editable('..'))"
    with zipfile.ZipFile(tmp_path / python(checkout, build)) as wheel:
        [path_file] = [name for name in wheel.namelist() if name.endswith(".pth")]
        wheel.extract(path_file, tmp_path / "site")
    # This environment has an editable install of its own.
    use = (
        f"import site, sys; sys.path = [p for p in sys.path if p != {str(REPOSITORY)!r}]; "
        f"site.addsitedir({str(tmp_path / 'site')!r}); import metagan, cluster, tune; "
        "metagan.RunConfig(); print(metagan.__file__)"
    )
    assert python(tmp_path, use) == str(checkout / "metagan" / "__init__.py")


def test_what_is_pinned_satisfies_what_is_declared() -> None:
    import tomllib

    from packaging.requirements import Requirement

    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    pins = {}
    for line in (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines():
        line = line.partition("#")[0].strip()
        if line:
            pin = Requirement(line)
            [only] = pin.specifier
            pins[pin.name.lower().replace("_", "-")] = only.version
    for text in declared["project"]["dependencies"]:
        requirement = Requirement(text)
        pinned = pins.get(requirement.name.lower().replace("_", "-"))
        assert pinned is not None, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(pinned, prereleases=True), text


def test_no_command_for_the_user_has_a_path_without_quotes() -> None:
    """`command_line` quotes them; a name with a space in it is two words to a shell."""
    bare = re.compile(r"(?:metagan|program\}) [a-z]+ [^\n]*(?:-c |--[a-z-]+ |[a-z]=)\{")
    folders = [REPOSITORY / "metagan" / name for name in ("cli", "workflow")]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    assert [str(path) for path in files if bare.search(path.read_text(encoding="utf-8"))] == []


def test_only_what_tells_the_time_of_day_reads_the_wall_clock() -> None:
    # Elsewhere seconds are differences, and a clock that is set back would make them negative.
    may = {
        "cluster/jobs.py",  # Names jobs by the time of day.
        "cluster/probe.py",  # Compares the clocks of machines.
        "metagan/clock.py",
        "metagan/workflow/scalars.py",  # What TensorBoard's events have.
        "tune/lineage.py",  # Compares with the times of files.
    }
    asks = re.compile(r"\btime\.time(_ns)?\(|\bdatetime\.(now|utcnow|today)\(")
    found = {
        str(path.relative_to(REPOSITORY)) for path in sources() if asks.search(path.read_text())
    }
    assert found == may


def test_no_ray_task_is_cancelled() -> None:
    """A task that ends at that moment makes Ray 2.60 abort the driver, without a message."""
    sources = (REPOSITORY / "cluster").rglob("*.py")
    calls = [path.name for path in sources if re.search(r"ray\.cancel\(", path.read_text())]
    assert calls == []
