"""A derivative that a network lacks is found at the start, with its place and what to set."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

import metagan.workflow.worker
from metagan.config.algorithms import ALGORITHMS
from metagan.config.learning import AlgorithmConfig
from metagan.config.settings import RunConfig
from metagan.core.batches import Condition
from metagan.core.derivative_check import check_derivatives
from metagan.core.gan import GanPair
from metagan.core.outer_loop import EpisodeRunner, WorkerSpec
from metagan.core.params import GanParams, module_params
from metagan.data.form import Form
from metagan.workflow.train import train_run
from metagan.workflow.worker import build_run_gan
from tests.helpers import tiny_config
from tests.reference.cases import ARCHITECTURES, form_of, gan_settings, goes_with, kind_of
from tests.workflow.conftest import Quiet, bars_config

SHAPE = (1, 16, 16)


class Attention(nn.Module):
    """Torch's fused attention on a CPU has a derivative, and that one has none."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as x, (B, F)."""
        parts = self.mix(x.unflatten(1, (1, -1, 4)))
        return functional.scaled_dot_product_attention(parts, parts, parts).flatten(1)


class Generator(nn.Module):
    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), middle)
        self.head = nn.Linear(8, 256)

    def forward(self, condition: Condition, z: Tensor) -> Tensor:  # noqa: ARG002
        return torch.tanh(self.head(self.body(z))).unflatten(1, SHAPE)


class Discriminator(nn.Module):
    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(256, 8), middle)
        self.head = nn.Linear(8, 1)

    def forward(self, condition: Condition, candidate: Tensor) -> Tensor:  # noqa: ARG002
        return self.head(self.body(candidate.flatten(1))).squeeze(1)


def own_pair(config: RunConfig, player: str) -> tuple[GanPair, GanParams]:
    """Networks of one's own, with attention in one of them."""
    generator = Generator(Attention() if player == "generator" else nn.Tanh())
    discriminator = Discriminator(Attention() if player == "discriminator" else nn.Tanh())
    init = GanParams(module_params(generator), module_params(discriminator))
    return GanPair(generator, discriminator, config.gan), init


def run_of(algorithm: str, r1: float) -> RunConfig:
    return tiny_config(
        # So wide that a CPU takes one episode after the other.
        gan=gan_settings("dcgan", "sample", width=64, r1=r1, r2=0.0, augment=[]),
        algorithm=AlgorithmConfig(name=algorithm),
    )


FEWER = "use algorithm.name fomaml or reptile, which take fewer"
NO_PENALTY = "set gan.r1, gan.r2 and gan.gradient_penalty to 0"


@pytest.mark.parametrize(
    ("algorithm", "player", "r1", "advice"),
    [
        ("maml", "generator", 1.0, FEWER),
        ("imaml", "generator", 0.0, FEWER),
        ("maml", "discriminator", 0.0, FEWER),
        ("meta_sgd", "discriminator", 1.0, f"{FEWER}, and {NO_PENALTY}"),
        ("reptile", "discriminator", 1.0, NO_PENALTY),
        ("joint", "discriminator", 1.0, NO_PENALTY),
    ],
)
def test_a_missing_derivative_is_refused_with_its_place_and_what_works(
    algorithm, player, r1, advice
):
    config = run_of(algorithm, r1)
    gan, init = own_pair(config, player)
    with pytest.raises(ValueError, match="scaled_dot_product") as refused:
        check_derivatives(gan, init, config, Form("image", SHAPE))
    said = str(refused.value)
    start = f"algorithm.name {algorithm} cannot differentiate {player}.body.1 as often as it has to"
    assert said.startswith(start)
    assert said.endswith(f"; {advice}")


@pytest.mark.parametrize(
    ("algorithm", "player", "r1"),
    [("fomaml", "generator", 1.0), ("reptile", "discriminator", 0.0), ("joint", "generator", 1.0)],
)
def test_a_derivative_that_nobody_takes_may_be_missing(algorithm, player, r1):
    config = run_of(algorithm, r1)
    gan, init = own_pair(config, player)
    check_derivatives(gan, init, config, Form("image", SHAPE))


@pytest.mark.parametrize(
    ("family", "conditioning", "algorithm"),
    [
        (*network, row)
        for network, row in itertools.product(ARCHITECTURES, ALGORITHMS)
        if goes_with(row, *network)
    ],
)
def test_every_network_of_this_package_passes(family, conditioning, algorithm):
    changes = {"outer": {"steps": 1}} if algorithm == "average" else {}
    config = tiny_config(
        kind_of(family),
        gan=gan_settings(family, conditioning),
        task={"unit": "class" if conditioning == "none" else "domain"},
        algorithm=AlgorithmConfig(name=algorithm),
        **changes,
    )
    form = form_of(family, conditioning=config.gan.conditioning)
    gan, _, init = build_run_gan(config, form)
    before = torch.get_rng_state()
    check_derivatives(gan, init, config, form)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_is_refused_before_workers_are_asked_for(
    tmp_path: Path, bars_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def no_workers(_: WorkerSpec) -> Iterator[EpisodeRunner]:
        pytest.fail("workers were asked for")
        yield

    config = bars_config(
        bars_path,
        algorithm=AlgorithmConfig(name="maml"),
        gan=gan_settings("dcgan", "sample", width=64, augment=[]),
    )
    monkeypatch.setattr(
        metagan.workflow.worker, "build_gan", lambda *_, **__: own_pair(config, "generator")
    )
    with pytest.raises(ValueError, match=r"generator\.body\.1 .*use algorithm.name fomaml"):
        train_run(config, tmp_path / "run", open_runner=no_workers, reporter=Quiet())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("algorithm", ["fomaml", "maml", "ridge", "joint"])
@pytest.mark.parametrize("family", ["unet", "mlp"])
def test_networks_that_read_by_attention_pass(family, algorithm):
    config = tiny_config(
        kind_of(family),
        gan=gan_settings(family, "input+support", reader="attention"),
        task={"unit": "domain"},
        algorithm=AlgorithmConfig(name=algorithm),
    )
    form = form_of(family, conditioning=config.gan.conditioning)
    gan, _, init = build_run_gan(config, form)
    assert any("attention" in name for name in init.generator)
    check_derivatives(gan, init, config, form)
