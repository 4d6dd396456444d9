"""A few outer steps of every adapting row in float64, as they were when they were last looked at.

A change of these numbers is a change of results for the same settings and seed: it belongs under
*Changed numerics* in the changelog, and the file is written again by
`python -m tests.core.test_golden`.
"""

import json

import pytest
import torch

from metagan.config.algorithms import ALGORITHMS
from metagan.config.learning import AlgorithmConfig, InnerConfig
from metagan.core.algorithms import ESTIMATORS
from metagan.core.chunk_gradient import episode_gradients
from tests.conftest import REPOSITORY
from tests.reference.cases import (
    episode_inputs,
    episode_keys,
    little_learned,
    perturbed,
    run_setup,
    stacked,
)

FILE = REPOSITORY / "tests" / "reference" / "golden.json"
ROWS = [name for name, row in ALGORITHMS.items() if row.adapts and not row.every_task]
STEPS = 3
LR = 0.05


def curve(name: str) -> list[dict[str, float]]:
    """Losses and the meta-gradient's norm at every outer step of a plain descent."""
    network = ("mlp", "input+support") if ALGORITHMS[name].solves else ("dcgan", "sample")
    config, source, gan, params, layout = run_setup(
        *network,
        second_order=ALGORITHMS[name].second_order,
        inner=InnerConfig(steps=2, batch_size=3, lr=0.02, optimizer="sgd"),
        algorithm=AlgorithmConfig(name=name, cg_steps=2),
    )
    init = perturbed(params)
    if ALGORITHMS[name].solves:
        init = little_learned(init)
    vector = layout.flatten(init)
    points = []
    for step in range(STEPS):
        inputs = episode_inputs(source, config, episode_keys(source, 2, step=step))
        gradients, losses = stacked(
            episode_gradients(
                ESTIMATORS[name],
                gan,
                layout,
                layout.unflatten(vector),
                inputs,
                config,
                vectorised=False,
            )
        )
        vector = vector - LR * gradients.mean(0)
        point = {key: float(values.mean()) for key, values in losses.items()}
        points.append(point | {"grad_norm": float(gradients.mean(0).norm())})
    return points


@pytest.mark.parametrize("name", ROWS)
def test_the_numbers_of_a_row_have_not_drifted(name: str) -> None:
    golden = json.loads(FILE.read_text(encoding="utf-8"))
    for found, expected in zip(curve(name), golden[name], strict=True):
        # Processors differ in the last bits, and two steps carry them on.
        assert found == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_every_adapting_row_has_numbers() -> None:
    assert sorted(json.loads(FILE.read_text(encoding="utf-8"))) == sorted(ROWS)


if __name__ == "__main__":
    torch.set_num_threads(1)
    text = json.dumps({name: curve(name) for name in ROWS}, indent=1)
    FILE.write_text(text + "\n", encoding="utf-8")
