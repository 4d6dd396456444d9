"""The demo, and using what it leaves, as a user would: from the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.config import ClusterConfig
from cluster.connect import RaySession
from cluster.work import RayMap
from metagan.evaluate.evaluation import serial_map
from tests.conftest import REPOSITORY
from tests.helpers import environment_without_ray

# A demo takes a minute, and several beside four busy processes.
pytestmark = [pytest.mark.ray, pytest.mark.timeout(1800)]

GLYPHS = [
    "data.max_classes_per_domain=4",
    "data.drawings_per_class=12",
    "data.image_size=16",
    "gan.width=4",
    "gan.discriminator_width=4",
    "gan.latent_dim=4",
    "warmup.steps=3",
    "outer.steps=4",
    "evaluate.seeds=2",
    "evaluate.validation_seeds=2",
    "evaluate.comparison_seeds=2",
    "evaluate.test_per_class=4",
    "evaluate.classifier_steps=10",
    "evaluate.finetune_steps=10",
    "evaluate.source_steps=10",
    "evaluate.adapt_steps=[0, 2]",
]


def metagan(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    own = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [sys.executable, "-m", "metagan", *words],
        capture_output=True,
        text=True,
        cwd=home,
        env=environment_without_ray() | own,
        timeout=1500,
    )


def double(shared: int, item: int) -> int:
    if item == 7:
        raise ValueError(f"item {item} is bad")
    return shared * item


def test_items_computed_by_ray_tasks_come_back_in_order(local_ray: RaySession) -> None:  # noqa: ARG001
    work = RayMap(ClusterConfig())
    assert list(work(double, 10, [3, 1, 2])) == list(serial_map(double, 10, [3, 1, 2]))
    assert list(work(double, 10, [])) == []
    with pytest.raises(ValueError, match="item 7 is bad"):
        list(work(double, 10, [1, 7]))


STYLES = [
    "data.styles=8",
    "data.image_size=16",
    "gan.width=4",
    "gan.latent_dim=4",
    "outer.steps=4",
    "outer.meta_batch_size=4",
    "evaluate.shots=[10]",
    "evaluate.seeds=2",
    "evaluate.validation_seeds=2",
    "evaluate.source_steps=10",
    "evaluate.adapt_steps=[0, 2]",
]


def test_the_demo_draws_styles_and_leaves_a_run_that_can_be_used(tmp_path: Path) -> None:
    done = metagan("demo", *STYLES, home=tmp_path)
    assert done.returncode == 0, done.stderr
    for said in (
        "4/4 adapting to styles that training never saw",
        "ridge over domains",
        "10 shots: ",
        "adapting to 10 letters and drawing 52 others took ",
        "metagan adapt --run runs/demo --support YOUR_LETTERS/",
    ):
        assert said in done.stdout
    run = tmp_path / "runs" / "demo"
    assert "style 0" in (run / "report.html").read_text()
    result = json.loads((run / "evaluation.json").read_text())
    assert {"run", "closed form", "joint", "scratch"} <= set(result["arms"]["10"]["rmse"])
    index = json.loads((run / "samples" / "adaptation" / "index.json").read_text())
    rows = ["given", "asked", "not adapted", "closed form", "joint", "adapted", "truth"]
    assert index[0]["rows"] == rows

    # A second demo takes the place of the first, but never that of a user's run.
    (run / "demo.txt").unlink()
    refused = metagan("demo", *STYLES, home=tmp_path)
    assert refused.returncode == 2
    assert "did not write" in refused.stderr
    assert (run / "report.html").is_file()


@pytest.mark.slow
def test_the_demo_of_glyphs_measures_what_samples_are_worth(tmp_path: Path) -> None:
    done = metagan("demo", "glyphs", *GLYPHS, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "from scratch" in done.stdout
    assert "metagan adapt --run runs/demo-glyphs" in done.stdout
    run = tmp_path / "runs" / "demo-glyphs"
    report = (run / "report.html").read_text()
    assert "armenian" in report
    assert "data:image/png;base64" in report
    result = json.loads((run / "evaluation.json").read_text())
    assert set(result["downstream"]["1"]) >= {"none", "classical", "generated", "both"}
    assert {row["init"] for row in result["comparison"]} == {"run", "joint", "scratch"}
    quality = result["quality"]
    assert quality["kid"] is None or quality["kid"] == pytest.approx(quality["kid"])
