"""Small GANs in float64 with an episode's batches: what the parity tests run on."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, get_args

import numpy as np
import torch

from metagan.config.algorithms import ALGORITHMS
from metagan.config.kinds import KIND_WORDS
from metagan.config.learning import AdversarialLossName
from metagan.config.settings import RunConfig
from metagan.core.algorithms import ESTIMATORS, inner_settings
from metagan.core.batches import EpisodeInputs, GanBatch, draw_batches
from metagan.core.chunk_gradient import episode_draws, episode_gradients
from metagan.core.chunks import ChunkKey
from metagan.core.gan import GanPair, build_gan
from metagan.core.params import GanParams, Layout, map_params
from metagan.core.rates import with_rates
from metagan.data.form import Form
from metagan.data.splits import make_splits
from metagan.data.tasks import DatasetTasks, EpisodeKey, meta_batch
from metagan.kinds.registry import find_kind
from tests.helpers import bars, clouds, tiny_config

#: Every generator family, and every conditioning, several words with a plus between them; not every
#: pair of them.
PICTURES = (
    ("flow", "sample"),
    ("dcgan", "sample"),
    ("dcgan", "none"),
    ("residual", "sample"),
    ("residual", "label"),
    ("unet", "input+support"),
)
VECTORS = (("mlp", "sample"), ("mlp", "none"), ("mlp", "label"), ("mlp", "input+support"))
ARCHITECTURES = (*PICTURES, *VECTORS)
SHAPES: dict[str, tuple[int, ...]] = {"image": (1, 16, 16), "vector": (5,)}
LOSSES = get_args(AdversarialLossName)
#: Of an algorithm that reads both halves.
QUERY_TOO = ChunkKey(0, 0, "fomaml", ())


def goes_with(algorithm: str, family: str, conditioning: str) -> bool:
    """True if a row can learn such a network: one that solves for heads needs pairs."""
    solvable = family in KIND_WORDS[kind_of(family)].solvable and "input" in conditioning
    return solvable or not ALGORITHMS[algorithm].solves


class Case(NamedTuple):
    config: RunConfig
    gan: GanPair
    init: GanParams
    support: GanBatch
    query: GanBatch


def dimmed(half: GanBatch) -> GanBatch:
    """A batch with samples away from the clamp, where all is smooth; labels stay as they are."""
    return half._replace(real=0.5 * half.real, sample=0.5 * half.sample)


def gan_settings(family: str, conditioning: str, **changes: object) -> dict[str, object]:
    """The `gan` section of a tiny run; every term of the losses counts."""
    pairs = {"adversarial_weight": 0.7, "mode_seeking": 0.02, "reconstruction_weight": 0.5}
    return {
        **(pairs if "input" in conditioning else {}),
        "family": family,
        "conditioning": () if conditioning == "none" else conditioning.split("+"),
        "width": 4,
        "discriminator_width": 4,
        "latent_dim": 4,
        **changes,
    }


def kind_of(family: str) -> str:
    """The kind of sample that a family generates."""
    return next(kind for kind, words in KIND_WORDS.items() if family in words.families)


def every_augment(family: str) -> list[str]:
    """Every augmentation inside of the discriminator that goes with a family."""
    return list(KIND_WORDS[kind_of(family)].augment)


def form_of(
    family: str, shape: tuple[int, ...] | None = None, conditioning: Sequence[str] = ()
) -> Form:
    """A form of samples that a family generates; its conversion changes nothing."""
    kind = kind_of(family)
    shape = SHAPES[kind] if shape is None else shape
    given = shape if "input" in conditioning else ()
    if kind == "image":
        return Form(kind, shape, given=given)
    names = [f"c{number}" for number in range(shape[0])]
    facts = {"columns": names, "center": [0.0] * len(names), "scale": [1.0] * len(names)}
    return Form(kind, shape, facts, given)


def build(
    config: RunConfig, shape: tuple[int, ...] | None = None, **options: Any
) -> tuple[GanPair, GanParams]:
    """The pair of a run's settings, and its untrained weights; see `build_gan` for the options."""
    form = form_of(config.gan.family, shape, config.gan.conditioning)
    return build_gan(find_kind(form.kind).players, config.gan, form, **options)


def make_source(config: RunConfig, shape: tuple[int, ...] | None = None) -> DatasetTasks:
    """Small data of the run's kind and this shape; in colour each channel has its own brightness.

    Vectors are scaled, by all of them: there is nothing to be leaked to.
    """
    kind = config.data.kind
    shape = SHAPES[kind] if shape is None else shape
    if kind == "image":
        dataset = bars(size=shape[1])
        if shape[0] == 3:
            grey = dataset.samples
            colours = np.concatenate([grey, grey // 2, 255 - grey], axis=1)
            dataset = replace(dataset, samples=colours)
        form = Form(kind, shape)
    else:
        dataset = clouds(columns=shape[0])
        form = find_kind(kind).fit(dataset, range(dataset.num_classes), config.data)
    splits = make_splits(dataset, config.data, seed=config.seed)
    return DatasetTasks(
        dataset,
        splits,
        config.task,
        lambda samples: find_kind(kind).to_tensor(samples, form),
        flipped if "input" in config.gan.conditioning else None,
    )


def flipped(
    classes: np.ndarray, places: np.ndarray, samples: torch.Tensor, seed: int
) -> torch.Tensor:
    """Inputs of pairs: each sample the other way round."""
    assert len(classes) == len(places) == len(samples)
    assert seed is not None
    return samples.flip(-1)


def perturbed(params: GanParams, *, scale: float = 0.1, seed: int = 0) -> GanParams:
    """Weights in float64, moved off special values (0, 1) that could hide an error."""
    rng = torch.Generator().manual_seed(seed)
    return GanParams(
        *(
            map_params(
                lambda w: (
                    w.double() + scale * torch.randn(w.shape, generator=rng, dtype=torch.float64)
                ),
                player,
            )
            for player in params
        )
    )


def little_learned(init: GanParams) -> GanParams:
    """Weights whose learned rates and strength have moved a fiftieth as far as `perturbed` moves.

    Else a rate is ten times its start, and a strength almost nothing.
    """
    return init._replace(rates=map_params(lambda rate: rate / 50, init.rates))


def both_ways(
    algorithm: str,
    gan: GanPair,
    layout: Layout,
    init: GanParams,
    inputs: Sequence[EpisodeInputs],
    config: RunConfig,
) -> list[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Gradients and metrics of episodes by vmap, and one episode after the other."""
    return [
        stacked(
            episode_gradients(
                ESTIMATORS[algorithm], gan, layout, init, inputs, config, vectorised=vectorised
            )
        )
        for vectorised in (True, False)
    ]


def make_case(
    family: str,
    conditioning: str,
    *,
    gan: dict[str, object] | None = None,
    seed: int = 0,
    second_order: bool = False,
    **sections: object,
) -> Case:
    """A pair, its weights and one episode's batches, everything in float64."""
    unit = "class" if conditioning == "none" else "domain"
    config = tiny_config(
        kind_of(family),
        gan=gan_settings(family, conditioning, **(gan or {})),
        task={"unit": unit, "shots": 3, "num_query": 3, "ways": 3},
        **sections,
    )
    source = make_source(config)
    episode = source.episode(EpisodeKey(source.tasks("train")[0], seed))
    pair, params = build(config, seed=seed, second_order=second_order)
    halves = [
        draw_batches(
            half,
            config.gan,
            steps=config.inner.steps * config.inner.batches_per_step,
            batch_size=config.inner.batch_size,
            seed=seed,
            purpose=purpose,
            num_draws=pair.augment.num_draws,
            read=episode.support,
            includes_read=purpose == "support",
        )
        for half, purpose in ((episode.support, "support"), (episode.query, "query"))
    ]
    support, query = (GanBatch(*(tensor.double() for tensor in half)) for half in halves)
    return Case(config, pair, perturbed(params), support, query)


def run_setup(
    family: str = "flow",
    conditioning: str = "sample",
    *,
    second_order: bool = False,
    shots: int = 3,
    shape: tuple[int, ...] | None = None,
    gan: dict[str, object] | None = None,
    **sections: object,
) -> tuple[RunConfig, DatasetTasks, GanPair, GanParams, Layout]:
    """A run's settings, episodes, networks, initialization in float32 and its layout."""
    unit = "class" if conditioning == "none" else "domain"
    config = tiny_config(
        kind_of(family),
        **{
            "gan": gan_settings(family, conditioning, **(gan or {})),
            "task": {"unit": unit, "shots": shots, "num_query": 3, "ways": 2},
            **sections,
        },
    )
    pair, params = build(config, shape, seed=0, second_order=second_order)
    params = with_rates(params, inner_settings(config))
    return config, make_source(config, shape), pair, params, Layout.of(params)


def episode_keys(source: DatasetTasks, count: int, *, step: int = 0) -> tuple[EpisodeKey, ...]:
    return tuple(meta_batch(source.tasks("train"), step=step, size=count, seed=0))


def episode_inputs(
    source: DatasetTasks, config: RunConfig, keys: Sequence[EpisodeKey]
) -> list[EpisodeInputs]:
    """Both halves of episodes, every draw made, in float64."""
    num_draws = build(config, source.dataset.sample_shape, seed=0)[0].augment.num_draws
    drawn = [
        episode_draws(source.episode(key), config, QUERY_TOO, num_draws=num_draws) for key in keys
    ]
    return [
        EpisodeInputs.of_batches([GanBatch(*(t.double() for t in part)) for part in i.batches], 0)
        for i in drawn
    ]


def stacked(
    estimates: Iterator[tuple[torch.Tensor, dict[str, torch.Tensor]]],
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Gradients (E, P) and metrics (E,)."""
    gradients, losses = zip(*estimates, strict=True)
    return torch.stack(gradients), {n: torch.stack([one[n] for one in losses]) for n in losses[0]}


def largest_difference(first: dict, second: dict) -> float:
    """Largest absolute difference over all weights, if any; fails if names differ."""
    assert list(first) == list(second)
    return max((float((first[name] - second[name]).abs().max()) for name in first), default=0.0)


def assert_close(found: GanParams, expected: GanParams, tolerance: float) -> None:
    """No weight of either player differs by more than `tolerance`."""
    for one, other in zip(found, expected, strict=True):
        assert largest_difference(one, other) <= tolerance
