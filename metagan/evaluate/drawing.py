"""Generated samples of an adapted target: more of its classes, or answers to inputs.

Shapes: W classes, K support samples of each, R generated samples per support sample.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from metagan.core.batches import Condition
from metagan.core.gan import GanPair
from metagan.core.params import Params
from metagan.evaluate.target import AdaptedTarget, check_inputs, check_number, kind_of_gan
from metagan.seeding import generator

# Support samples that a candidate is compared with; more cost time and hardly change the ranking.
SCORED_AGAINST = 3


@torch.no_grad()
def generate_samples(
    gan: GanPair,
    target: AdaptedTarget,
    *,
    per_support: int,
    seed: int,
    best_of: int = 1,
    batch_size: int = 256,
) -> Tensor:
    """Generated samples of every class.

    With `best_of` above 1, each sample is the one of as many that the discriminator scores highest,
    its score averaged over the class's support. It was trained to tell samples of a class
    from generated ones, so it knows what the generator gets wrong. Selection by the discriminator
    is from Azadi et al. 2019, arXiv:1810.06758; theirs rejects by a density ratio, which needs a
    calibrated score, ours only ranks.

    Args:
        gan: The pair.
        target: What `adapt_to_target` returned.
        per_support: R, generated samples per support sample.
        seed: Names the latents.
        best_of: Samples drawn for each one returned; 1 returns what is drawn.
        batch_size: Samples generated at once.

    Returns:
        (W, K * R, *sample_shape) as networks see samples, on the support's device. With
        conditioning on samples, the R samples of each support sample stand together.

    Raises:
        ValueError: If a number is below 1 or not whole, or `target` is something else.
    """
    numbers = {"best_of": best_of, "per_support": per_support, "batch_size": batch_size}
    for name, value in numbers.items():
        check_number(name, value, least=1)
    if not isinstance(target, AdaptedTarget):
        raise ValueError(
            f"target is {type(target).__name__}; give what adapt_run or adapt_to_target returned, "
            "or the `target` of what load_adapted returned"
        )
    ways, shots = target.support.shape[:2]
    drawn = per_support * best_of
    rng = generator(seed, "generate")
    within = kind_of_gan(gan)[0].within
    latent = (ways, shots * drawn, gan.config.latent_dim)
    z = torch.from_numpy(rng.standard_normal(latent, dtype=np.float32)).to(target.support.device)
    if gan.config.has_one_answer:
        z = torch.zeros_like(z)
    kept = []
    for way in range(ways):
        players = target.of_class(way)
        conditions = _conditions(gan, target, way)
        every = _rows(conditions, torch.arange(shots).repeat_interleave(drawn))
        samples = torch.cat(
            [
                within(gan.generate(players.generator, condition, latents))
                for condition, latents in zip(
                    _parts(every, batch_size, len(z[way])),
                    torch.split(z[way], batch_size),
                    strict=True,
                )
            ]
        )
        if best_of > 1:
            scores = _mean_scores(gan, players.discriminator, conditions, samples, batch_size)
            best = scores.reshape(-1, best_of).argmax(1)
            first = torch.arange(len(best), device=best.device) * best_of
            samples = samples[first + best]
        kept.append(samples)
    return torch.stack(kept)


@torch.no_grad()
def answers(
    gan: GanPair, target: AdaptedTarget, inputs: Tensor, *, seed: int, batch_size: int = 256
) -> Tensor:
    """Draw answers to inputs of the target's domain, one sample each.

    Args:
        gan: The pair, conditioned on an input.
        target: What `adapt_to_target` returned; one set of weights serves all.
        inputs: (N, *given_shape).
        seed: Names the latents, where they have a meaning.
        batch_size: Samples drawn at once.

    Returns:
        (N, *sample_shape) as networks see samples.

    Raises:
        DataError: If `inputs` are no such inputs.
    """
    check_inputs(inputs, gan, (len(inputs),))
    rng = generator(seed, "answers")
    z = torch.from_numpy(
        rng.standard_normal((len(inputs), gan.config.latent_dim), dtype=np.float32)
    ).to(inputs.device)
    if gan.config.has_one_answer:
        z = torch.zeros_like(z)
    told = {"input": inputs, **read_whole(gan, target, 0, len(inputs))}
    within = kind_of_gan(gan)[0].within
    weights = target.of_class(0).generator
    return torch.cat(
        [
            within(gan.generate(weights, condition, latents))
            for condition, latents in zip(
                _parts(told, batch_size, len(inputs)), torch.split(z, batch_size), strict=True
            )
        ]
    )


def _conditions(gan: GanPair, target: AdaptedTarget, way: int) -> Condition:
    """Conditions of both players for each of a class's support, K rows."""
    told, own = gan.config.conditioning, target.support[way]
    found: Condition = {}
    if "label" in told:
        found["label"] = own.new_full((len(own), 1), way % gan.config.num_labels)
    if "sample" in told:
        found["sample"] = own
    if "input" in told and target.inputs is not None:
        found["input"] = target.inputs[way]
    return {**found, **read_whole(gan, target, way, len(own))}


def read_whole(gan: GanPair, target: AdaptedTarget, way: int, count: int) -> Condition:
    """The support of a class's set, read whole by `count` samples, where the GAN reads one."""
    if "support" not in gan.config.conditioning:
        return {}
    samples, inputs = target.read_by(way)
    support = samples.flatten(0, 1)[None]
    found = {"support": support, "reads": support.new_ones((count, support.shape[1]))}
    if inputs is not None:
        found["support_input"] = inputs.flatten(0, 1)[None]
    return found


# Read by all rows alike.
_SHARED = ("support", "support_input")


def _rows(condition: Condition, rows: Tensor) -> Condition:
    """Conditions of some samples of a batch, or of some of them several times."""
    return {
        word: told if word in _SHARED else told[rows.to(told.device)]
        for word, told in condition.items()
    }


def _parts(condition: Condition, size: int, count: int) -> Iterator[Condition]:
    """Conditions of a batch of `count` samples, in parts of at most `size` samples."""
    for start in range(0, count, size):
        yield _rows(condition, torch.arange(start, min(start + size, count)))


def _mean_scores(
    gan: GanPair, critic: Params, conditions: Condition, samples: Tensor, batch_size: int
) -> Tensor:
    """(N,) scores of samples, averaged over some of the K rows of what they continue."""
    # Without samples to compare with, all conditions are the same.
    shots = conditions["sample"].shape[0] if "sample" in conditions else 1
    picks = torch.linspace(0, shots - 1, min(shots, SCORED_AGAINST)).round().long()
    total = samples.new_zeros(len(samples))
    for pick in picks:
        parts = [
            gan.score(critic, _rows(conditions, pick.expand(len(part))), part)
            for part in torch.split(samples, batch_size)
        ]
        total += torch.cat(parts)
    return total / len(picks)
