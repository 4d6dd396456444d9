"""iMAML on whole tiny GANs against plain modules and a dense solve; every weight, every loss."""

import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from metagan.config.learning import AlgorithmConfig, InnerConfig
from metagan.core.algorithms import imaml
from metagan.core.batches import Condition, EpisodeInputs, GanBatch
from metagan.core.derivatives import autograd_gradient
from metagan.core.gan import GanPair
from metagan.core.layers import one_hot
from metagan.core.params import GanParams, module_params
from metagan.kinds.image.augment import NUM_AUGMENT_DRAWS
from metagan.kinds.image.build import AUGMENT
from tests.helpers import tiny_config
from tests.reference import gan_oracle
from tests.reference.batch import batch_of
from tests.reference.implicit_oracle import implicit_gradient

SIDE, LATENT, LABELS, HIDDEN, BATCH = 2, 2, 2, 3, 2
#: Of numbers that a condition brings along.
CONDITION = {"none": 0, "label": LABELS, "sample": SIDE**2}


#: Translation's derivative is cut at the border on purpose, so differences would not agree.
VARIED = {"mode_seeking": 0.02, "augment": ["cutout", "color"]}


class TinyPlayer(nn.Module):
    """Two dense layers without kinks, a body and a head."""

    def __init__(self, inputs: int, outputs: int, *, labels: bool) -> None:
        super().__init__()
        self.body = nn.Linear(inputs, HIDDEN)
        self.head = nn.Linear(HIDDEN, outputs)
        self.labels = labels

    def dense(self, condition: Condition, x: Tensor) -> Tensor:
        told = [
            part.repeat(len(x) // len(part), *[1] * (part.ndim - 1)) for part in condition.values()
        ]
        if self.labels:
            told = [one_hot(told[0], LABELS, like=x)]
        told = [part.flatten(1) for part in told]
        return self.head(functional.softplus(self.body(torch.cat([*told, x], 1))))


class TinyGenerator(TinyPlayer):
    def forward(self, condition: Condition, z: Tensor) -> Tensor:
        return torch.tanh(self.dense(condition, z)).unflatten(1, (1, SIDE, SIDE))


class TinyDiscriminator(TinyPlayer):
    def forward(self, condition: Condition, candidate: Tensor) -> Tensor:
        return self.dense(condition, candidate.flatten(1)).squeeze(1)


def one_batch(conditioning: str, seed: int) -> GanBatch:
    rng = torch.Generator().manual_seed(seed)

    def pictures() -> Tensor:
        return 0.5 * torch.randn(BATCH, 1, SIDE, SIDE, generator=rng, dtype=torch.float64)

    real, other = pictures(), pictures()
    told = {
        "none": {},
        "label": {"label": torch.arange(BATCH, dtype=torch.float64)[:, None] % LABELS},
        "sample": {"sample": other},
    }[conditioning]
    return batch_of(
        real,
        z=torch.randn(BATCH, 2, LATENT, generator=rng, dtype=torch.float64),
        augment=torch.rand(BATCH, 2, NUM_AUGMENT_DRAWS, generator=rng, dtype=torch.float64),
        between=torch.rand(BATCH, generator=rng, dtype=torch.float64),
        **told,
    )


@pytest.mark.parametrize(
    ("loss", "conditioning", "critic", "g_moves", "d_moves", "more"),
    [
        ("relativistic", "sample", "query", "all", "all", {}),
        ("relativistic", "sample", "query", "all", "all", VARIED),
        ("relativistic_average", "none", "support", "all", "all", VARIED),
        ("hinge", "label", "query", "head", "all", {}),
        ("nonsaturating", "sample", "support", "body", "head", {}),
        ("least_squares", "none", "query", "all", "head", {}),
        ("wgan_gp", "label", "support", "head", "body", VARIED),
    ],
)
def test_imaml_is_the_dense_solution_on_plain_modules(
    loss, conditioning, critic, g_moves, d_moves, more
):
    steps, proximal = 80, 4.0
    extra = CONDITION[conditioning]
    labels = conditioning == "label"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = TinyGenerator(LATENT + extra, SIDE**2, labels=labels).double()
        discriminator = TinyDiscriminator(SIDE**2 + extra, 1, labels=labels).double()
    init = GanParams(module_params(generator), module_params(discriminator))
    config = tiny_config(
        gan={
            "conditioning": conditioning,
            "family": "dcgan",
            "loss": loss,
            "r1": 0.1,
            "r2": 0.2,
            "gradient_penalty": 0.3,
            "penalty_every": 1,
            "mode_seeking": 0.0,
            "augment": [],
            **more,
        },
        task={"unit": "class" if conditioning == "none" else "domain", "ways": 2},
        inner=InnerConfig(
            steps=steps,
            batch_size=BATCH,
            lr=0.15,
            optimizer="sgd",
            proximal=proximal,
            generator_moves=g_moves,
            discriminator_moves=d_moves,
        ),
        algorithm=AlgorithmConfig(name="imaml", generator_critic=critic, cg_steps=40),
    )
    gan = GanPair(generator, discriminator, config.gan, augment=AUGMENT)
    support, query = one_batch(conditioning, 1), one_batch(conditioning, 2)
    # The same batch in every inner step, so that there is something to come to rest on.
    inputs = EpisodeInputs(
        *(GanBatch(*(t.expand(steps, *t.shape) for t in half)) for half in (support, query))
    )
    players, twin = gan_oracle.adapt(
        gan_oracle.load_players(gan, init), inputs.support, config.gan, config.inner, inputs.query
    )
    expected, unrest = implicit_gradient(
        players,
        twin if critic == "query" else None,
        init,
        support,
        query,
        config.gan,
        config.inner,
    )
    assert unrest < 1e-12
    found, metrics = imaml(gan, init, inputs, config, autograd_gradient)
    assert float(metrics["cg_residual_g"]) < 1e-12
    assert float(metrics["cg_residual_d"]) < 1e-12
    for one, other in zip(found[:2], expected[:2], strict=True):
        assert list(one) == list(other)
        size = max(float(weight.abs().max()) for weight in other.values())
        error = max(float((one[name] - other[name]).abs().max()) for name in one)
        assert size > 1e-2
        assert error <= 2e-9 * size
