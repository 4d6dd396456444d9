"""The published cluster files are valid, safe by default, and say what this version needs."""

import json
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from cluster.config import JobConfig
from metagan.cli.app import build_parser
from metagan.config.load import load_config
from tests.conftest import REPOSITORY

EXAMPLES = REPOSITORY / "examples" / "clusters"
LAUNCHER = (REPOSITORY / "ray_config.yaml", EXAMPLES / "gcp.yaml", EXAMPLES / "on_premises.yaml")
KUBERAY = (EXAMPLES / "kuberay_cluster.yaml", EXAMPLES / "kuberay_job.yaml")
SCHEMA = json.loads((Path(__file__).parent / "kuberay_schema.json").read_text())
FILES = [*LAUNCHER, *KUBERAY]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", LAUNCHER, ids=name_of)
def test_rays_launcher_takes_the_file(path: Path) -> None:
    prepared = prepare_config(read(path))
    validate_config(prepared)
    assert prepared["cluster_name"] == "metagan"


@pytest.mark.parametrize("path", LAUNCHER, ids=name_of)
def test_rays_launcher_would_refuse_a_misspelt_one(path: Path) -> None:
    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        validate_config(prepare_config({**read(path), "max_worker": 3}))


GROUP = ("workerGroupSpecs", 0)
CONTAINER = (*GROUP, "template", "spec", "containers", 0)


@pytest.mark.parametrize("path", KUBERAY, ids=name_of)
def test_a_manifest_has_only_fields_that_the_operator_knows(path: Path) -> None:
    jsonschema.validate(read(path), SCHEMA)


@pytest.mark.parametrize("path", KUBERAY, ids=name_of)
@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        ((), "rayversion", "2.60.0"),
        (("autoscalerOptions",), "upscalingMode", "Fast"),
        (("authOptions",), "mode", "none"),
        (("headGroupSpec",), "rayStartParam", {}),
        (("headGroupSpec", "resources"), "CPU", 0),
        (("headGroupSpec", "template"), "spec", {}),
        (GROUP, "maxReplica", 3),
        (GROUP, "minReplicas", "1"),
        (GROUP, "minReplicas", -1),
        ((*GROUP, "labels"), "metagan.io/role", 1),
        ((*GROUP, "template", "spec"), "nodeSelectors", {}),
        ((*GROUP, "template", "spec"), "tolerations", [{"key": "k", "operator": "Any"}]),
        (CONTAINER, "volumeMount", []),
        (CONTAINER, "env", [{"name": "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "value": 1}]),
        ((*CONTAINER, "resources"), "limits", {"memory": "16GiB"}),
    ],
)
def test_a_mistake_in_a_manifest_is_refused(
    path: Path, place: tuple[str | int, ...], key: str, value: object
) -> None:
    """A misspelt name, a value of another type, or one that is not among those there are."""
    manifest = read(path)
    spec = manifest["spec"]
    at = spec.get("rayClusterSpec", spec)
    for step in place:
        at = at[step]
    at[key] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(manifest, SCHEMA)


@pytest.mark.parametrize(
    ("key", "value"),
    [("submissionMode", "K8sJob"), ("backOffLimit", 3), ("activeDeadlineSeconds", 0)],
)
def test_a_mistake_in_a_job_is_refused(key: str, value: object) -> None:
    manifest = read(EXAMPLES / "kuberay_job.yaml")
    manifest["spec"][key] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(manifest, SCHEMA)


@pytest.mark.parametrize("path", LAUNCHER, ids=name_of)
def test_every_node_authenticates_and_the_dashboard_listens_on_loopback(path: Path) -> None:
    config = read(path)
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        start = config[commands][-1]
        assert "RAY_AUTH_MODE=token" in start
        assert "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=1" in start
    head = config["head_start_ray_commands"][-1]
    assert "--dashboard-host=127.0.0.1" in head
    assert "--num-cpus=0" in head
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in head
    assert any(target.endswith("/.ray/auth_token") for target in config["file_mounts"])


@pytest.mark.parametrize("path", LAUNCHER[:2], ids=name_of)
def test_the_head_computes_nothing_and_spot_nodes_are_preferred(path: Path) -> None:
    types = read(path)["available_node_types"]
    assert types["head"]["resources"]["CPU"] == 0
    assert types["task_gpu_spot"]["priority"] > types["task_gpu_on_demand"]["priority"]
    assert types["driver"]["labels"]["metagan.io/market"] == "on-demand"
    assert types["task_gpu_spot"]["min_workers"] == 0
    assert read(path)["max_workers"] >= sum(t.get("max_workers", 0) for t in types.values())


@pytest.mark.parametrize("path", KUBERAY, ids=name_of)
def test_manifests_authenticate_and_name_the_ray_that_is_pinned(path: Path) -> None:
    spec = read(path)["spec"]
    spec = spec.get("rayClusterSpec", spec)
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["headGroupSpec"]["resources"] == {"CPU": "0"}
    pinned = re.search(r"(?m)^ray==(\S+)$", (REPOSITORY / "constraints.txt").read_text())
    assert pinned is not None
    assert spec["rayVersion"] == pinned[1] == version("ray")
    assert f"rayproject/ray:{pinned[1]}" in path.read_text()


def groups_of(path: Path) -> dict[str, Any]:
    """The node groups of a manifest by name, the head's among them."""
    spec = read(path)["spec"]
    spec = spec.get("rayClusterSpec", spec)
    return {
        "head": spec["headGroupSpec"],
        **{group["groupName"]: group for group in spec["workerGroupSpecs"]},
    }


@pytest.mark.parametrize("path", KUBERAY, ids=name_of)
def test_every_container_hides_gpus_that_were_not_reserved(path: Path) -> None:
    for name, group in groups_of(path).items():
        for container in group["template"]["spec"]["containers"]:
            variables = {each["name"]: each["value"] for each in container["env"]}
            assert variables["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] == "1", name


@pytest.mark.parametrize("path", KUBERAY, ids=name_of)
def test_manifests_prefer_spot_nodes_for_tasks_and_use_none_for_the_rest(path: Path) -> None:
    groups = groups_of(path)
    markets = {
        name: group["template"]["spec"]["nodeSelector"]["metagan.io/market"]
        for name, group in groups.items()
    }
    assert [name for name, market in markets.items() if market == "spot"] == ["task-gpu-spot"]
    spot, on_demand = groups["task-gpu-spot"], groups["task-gpu-on-demand"]
    assert spot["priority"] > on_demand["priority"]
    assert spot["minReplicas"] == on_demand["minReplicas"] == 0
    [one], [other] = (group["template"]["spec"]["containers"] for group in (spot, on_demand))
    assert one["resources"] == other["resources"]
    assert one["resources"]["limits"]["nvidia.com/gpu"] == 1
    # The same names as on the launcher's clusters, so that settings fit both.
    types = read(REPOSITORY / "ray_config.yaml")["available_node_types"]
    assert spot["labels"] == types["task_gpu_spot"]["labels"]
    assert on_demand["labels"] == types["task_gpu_on_demand"]["labels"]
    assert groups["driver"]["labels"] == types["driver"]["labels"]


def test_the_command_of_a_ray_job_runs_where_no_spot_market_takes_it_away() -> None:
    path = EXAMPLES / "kuberay_job.yaml"
    spec = read(path)["spec"]
    wanted = json.loads(spec["entrypointResources"])
    offering = [
        name
        for name, group in groups_of(path).items()
        if all(float(group.get("resources", {}).get(key, 0)) >= wanted[key] for key in wanted)
    ]
    assert offering == ["driver"]
    driver = groups_of(path)["driver"]
    assert driver["minReplicas"] >= 1
    [container] = driver["template"]["spec"]["containers"]
    assert driver["resources"]["CPU"] == container["resources"]["limits"]["cpu"]
    assert float(driver["resources"]["CPU"]) >= spec["entrypointNumCpus"]


def commands() -> list[tuple[str, list[str]]]:
    """(file, words) of every `metagan train` in the files and in the documentation of clusters."""
    found = []
    for path in (*FILES, REPOSITORY / "docs" / "cluster.md"):
        text = re.sub(r"\\\n#?\s*", "", path.read_text())
        text = text if path.suffix == ".md" or path in LAUNCHER else read(path)["spec"]
        if isinstance(text, dict):
            text = str(text.get("entrypoint", ""))
        for match in re.finditer(r"(?:metagan|submit .*--) train ([^\n`]*)", text):
            words = match[1].split("#")[0].split()
            found.append((path.name, [word for word in words if "..." not in word]))
    return found


@pytest.mark.parametrize(("file", "words"), commands(), ids=lambda value: str(value)[:40])
def test_the_commands_in_the_files_parse(file: str, words: list[str]) -> None:
    args, extras = build_parser().parse_known_args(
        ["train", *(w for w in words if w not in ("--resume", "auto"))]
    )
    settings = [*args.settings, *extras] if hasattr(args, "settings") else extras
    overrides = [word.removeprefix("--") for word in settings if "=" in word]
    config = load_config(JobConfig, None, [o for o in overrides if "path" not in o]).config
    assert config.outer.steps > 0, file


def test_the_slurm_script_is_one_that_bash_reads() -> None:
    script = EXAMPLES / "slurm.sh"
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    text = script.read_text()
    assert "RAY_AUTH_MODE=token" in text
    assert "ray symmetric-run" in text
