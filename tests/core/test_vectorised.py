"""A chunk under vmap against its episodes one by one: every row x loss x conditioning, in float64.

The two paths take derivatives in different ways too: `torch.func` under vmap, autograd on fresh
leaves one by one.
"""

import itertools

import pytest

from metagan.config.algorithms import ALGORITHMS
from metagan.config.learning import AlgorithmConfig, InnerConfig
from tests.reference.cases import (
    ARCHITECTURES,
    LOSSES,
    PICTURES,
    VECTORS,
    both_ways,
    episode_inputs,
    episode_keys,
    every_augment,
    goes_with,
    little_learned,
    perturbed,
    run_setup,
)

TOLERANCE = 1e-10
ROWS = list(ALGORITHMS)
GRID = [
    case
    for case in itertools.product(range(len(ROWS)), range(len(LOSSES)), range(len(ARCHITECTURES)))
    if goes_with(ROWS[case[0]], *ARCHITECTURES[case[2]])
]
#: Of each kind of sample every row with every loss, and each of either with every architecture.
SPANNING = [
    (row, loss, architecture)
    for row, loss, architecture in GRID
    if (
        (row + loss - architecture) % len(PICTURES) == 0
        if architecture < len(PICTURES)
        else (row + loss - architecture + len(PICTURES)) % len(VECTORS) == 0
    )
]
#: What is learned about inner steps by each row that learns any.
RATES = {"maml": "tensor_and_step", "anil": "tensor", "meta_sgd": "none"}


def by_name(case: tuple[int, int, int]) -> tuple[str, str, str, str]:
    row, loss, architecture = case
    return ROWS[row], LOSSES[loss], *ARCHITECTURES[architecture]


def assert_paths_agree(algorithm: str, loss: str, family: str, conditioning: str) -> None:
    """Penalties at the first of two inner steps, everything learned that the row can learn."""
    row = ALGORITHMS[algorithm]
    adam = algorithm == "reptile" or row.through_inner_loop
    config, source, gan, params, layout = run_setup(
        family,
        conditioning,
        second_order=row.second_order,
        gan={
            "loss": loss,
            "r1": 0.1,
            "r2": 0.1,
            "gradient_penalty": 0.1,
            "penalty_every": 2,
            "augment": every_augment(family),
            "reconstruction": "l1"
            if {"sample", "input"} & set(conditioning.split("+"))
            else "none",
            "reconstruction_weight": 0.5,
        },
        inner=InnerConfig(
            steps=2,
            batch_size=2,
            lr=2e-3 if adam else 0.02,
            optimizer="adam" if adam else "sgd",
            learn_rates=RATES.get(algorithm, "none"),
        ),
        algorithm=AlgorithmConfig(
            name=algorithm,
            multi_step=2 if row.query_at_every_step else 0,
            cg_steps=1,
        ),
        **({"outer": {"steps": 1}} if row.every_task else {}),
    )
    assert bool(params.rates) == (row.through_inner_loop or row.solves)
    init = little_learned(perturbed(params))
    inputs = episode_inputs(source, config, episode_keys(source, 2))
    together, one_by_one = both_ways(algorithm, gan, layout, init, inputs, config)
    assert together[0].shape == one_by_one[0].shape == (2, layout.size)
    assert float((together[0] - one_by_one[0]).abs().max()) <= TOLERANCE
    # Every part has something to agree about, and the two episodes differ.
    for part in layout.parts().values():
        assert float(one_by_one[0][:, part].abs().max()) > 1e-5
    assert float((one_by_one[0][0] - one_by_one[0][1]).abs().max()) > 1e-5
    assert together[1].keys() == one_by_one[1].keys()
    for name, values in one_by_one[1].items():
        assert float((together[1][name] - values).abs().max()) <= TOLERANCE, name


@pytest.mark.parametrize("case", SPANNING, ids=lambda case: "-".join(by_name(case)))
def test_a_vectorised_chunk_equals_its_episodes_one_by_one(case):
    assert_paths_agree(*by_name(case))


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [case for case in GRID if case not in SPANNING],
    ids=lambda case: "-".join(by_name(case)),
)
def test_a_vectorised_chunk_equals_its_episodes_for_the_rest_of_the_grid(case):
    assert_paths_agree(*by_name(case))
