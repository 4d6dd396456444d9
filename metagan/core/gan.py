"""The GAN as a pair of pure functions of weights: each player's loss on a batch.

Shapes: B samples in a batch, Z latent dimension.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from metagan.config.learning import GanConfig
from metagan.core.batches import Condition, GanBatch
from metagan.core.losses import (
    ADVERSARIAL_LOSSES,
    RECONSTRUCTIONS,
    gradient_penalty,
    mode_seeking,
    unit_gradient_penalty,
)
from metagan.core.params import GanParams, Params, module_params
from metagan.core.spectral import spectrally_normalized
from metagan.data.form import Form


def _weighted(weight: float, loss: Tensor) -> Tensor:
    return loss if weight == 1 else weight * loss


def _as_it_is(samples: Tensor, draws: Tensor, kinds: Sequence[str]) -> Tensor:  # noqa: ARG001
    return samples


@dataclass(frozen=True)
class Augment:
    """Differentiable augmentation inside the discriminator, of one kind of sample.

    Attributes:
        num_draws: A, uniform draws that it takes for each sample.
        apply: (samples (B, ...), draws (B, A) in [0, 1), names of `gan.augment`) -> samples.
    """

    num_draws: int = 0
    apply: Callable[[Tensor, Tensor, Sequence[str]], Tensor] = _as_it_is


@dataclass(frozen=True)
class Players:
    """The networks and augmentation of a kind of sample, made for its samples' shape.

    Attributes:
        generator: (condition, z) -> samples; z may have L latents for each condition.
        discriminator: (condition, candidates) -> scores (B,); None where there is none.
        augment: What the discriminator's samples may be put through.
        is_light: Whether on one CPU thread calls cost more than arithmetic, as measured.
        unknown: (condition) -> (B, 1, *positions), 1 where an answer is not told with the input,
            else 0; None: nowhere.
    """

    generator: nn.Module
    discriminator: nn.Module | None
    augment: Augment = Augment()
    is_light: bool = False
    unknown: Callable[[Condition], Tensor] | None = None


class MakePlayers(Protocol):
    """Function of a kind of sample that makes its `Players`."""

    def __call__(self, config: GanConfig, form: Form, *, seed: int, second_order: bool) -> Players:
        """Players with untrained weights that depend on the seed alone.

        With `second_order` all of their operations have a second derivative.
        """


@dataclass(frozen=True)
class GanPair:
    """The GAN's specification: modules whose own weights are never used.

    Attributes:
        generator: See `Players`.
        discriminator: See `Players`.
        config: Losses and their weights.
        form: Of the samples that the modules are made for, where that is known.
        augment: See `Players`.
        is_light: See `Players`.
        unknown: See `Players`.
    """

    generator: nn.Module
    discriminator: nn.Module | None
    config: GanConfig
    form: Form | None = None
    augment: Augment = Augment()
    is_light: bool = False
    unknown: Callable[[Condition], Tensor] | None = None

    @property
    def modules(self) -> list[nn.Module]:
        """The networks that there are."""
        return [m for m in (self.generator, self.discriminator) if m is not None]

    def to(self, device: torch.device) -> "GanPair":
        """This pair, with what its modules hold beside weights on a device.

        Elsewhere it computes the same, but moves that at every call.
        """
        for module in self.modules:
            module.to(device)
        return self

    def generate(self, params: Params, condition: Condition, z: Tensor) -> Tensor:
        """Samples (B, *sample_shape) from conditions of B samples and z (B, Z).

        With z (L * B, Z) there are L samples of each condition, (L * B, *sample_shape): the
        conditions in order, L times. They are encoded once.
        """
        return torch.func.functional_call(self.generator, params, (condition, z))

    def features(self, params: Params, condition: Condition, z: Tensor) -> Tensor:
        """The inputs of the generator's head, (B, M, *positions), for conditions and z (B, Z)."""
        body = {name[5:]: weight for name, weight in params.items() if name.startswith("body.")}
        return torch.func.functional_call(
            self.generator.get_submodule("body"), body, (condition, z)
        )

    def generate_batch(self, params: Params, batch: GanBatch) -> Tensor:
        """All samples that the losses of a step are about, in one pass.

        Returns:
            (B, *sample_shape) from the first latents, unless nothing is said of them; behind them,
            where the mode-seeking term is on, as many from the second ones; behind those, where
            reconstruction is on, as many from latents of zero.
        """
        latents = [] if self.config.has_one_answer else [batch.z[:, 0]]
        if self.config.mode_seeking > 0:
            latents.append(batch.z[:, 1])
        if self.config.reconstruction != "none":
            latents.append(torch.zeros_like(batch.z[:, 0]))
        return self.generate(params, batch.condition, torch.cat(latents))

    def score(self, params: Params, condition: Condition, candidates: Tensor) -> Tensor:
        """Scores (B,) of candidates (B, *sample_shape), higher means more real."""
        return self._score(self._in_use(params), condition, candidates)

    def _in_use(self, params: Params) -> Params:
        """The discriminator's weights as they are applied; made once for all scores of a loss."""
        return spectrally_normalized(params) if self.config.spectral_norm else params

    def _score(self, in_use: Params, condition: Condition, candidates: Tensor) -> Tensor:
        if self.discriminator is None:
            raise ValueError("gan.adversarial_weight is 0: there is no discriminator to score by")
        return torch.func.functional_call(self.discriminator, in_use, (condition, candidates))

    def discriminator_loss(
        self, params: Params, batch: GanBatch, generated: Tensor, *, penalty_scale: float = 0.0
    ) -> Tensor:
        """The discriminator's loss.

        Args:
            params: The discriminator's weights.
            batch: One step's inputs.
            generated: What `generate_batch` made of it.
            penalty_scale: 0 leaves R1, R2 and WGAN-GP's penalty out; k applies them k times their
                weight, for penalties that are applied at every k-th step only.
        """
        params = self._in_use(params)
        generated = generated[: len(batch.real)]
        real, fake = self._scores(params, batch, generated)
        loss = ADVERSARIAL_LOSSES[self.config.loss].discriminator(real, fake)
        if penalty_scale > 0:
            for weight, penalty in self._penalties(params, batch, generated):
                if weight > 0:
                    loss = loss + penalty_scale * weight * penalty()
        return loss

    def generator_loss(self, params: Params, batch: GanBatch, generated: Tensor) -> Tensor:
        """The generator's loss with its further terms, as a function of its samples.

        Args:
            params: The discriminator's weights; none where there is none.
            batch: One step's inputs.
            generated: What `generate_batch` made of it.
        """
        config = self.config
        parts = torch.split(generated, len(batch.real))
        terms = []
        if config.has_adversary:
            terms.append(
                _weighted(config.adversarial_weight, self._fooled(params, batch, parts[0]))
            )
        if config.mode_seeking > 0:
            spread = mode_seeking(parts[0], parts[1], batch.z[:, 0], batch.z[:, 1])
            terms.append(config.mode_seeking * spread)
        if config.reconstruction != "none":
            answer = batch.real if "input" in config.conditioning else batch.sample
            distance = RECONSTRUCTIONS[config.reconstruction](parts[-1] - answer)
            terms.append(config.reconstruction_weight * distance)
        value, *others = terms
        for term in others:
            value = value + term
        return value

    def _fooled(self, params: Params, batch: GanBatch, generated: Tensor) -> Tensor:
        """The generator's adversarial loss."""
        params = self._in_use(params)
        loss = ADVERSARIAL_LOSSES[self.config.loss]
        if loss.needs_real:
            real, fake = self._scores(params, batch, generated)
        else:
            real = fake = self._score_augmented(params, batch, generated, 1)
        return loss.generator(real, fake)

    def _scores(self, params: Params, batch: GanBatch, generated: Tensor) -> tuple[Tensor, Tensor]:
        # One pass over both halves: half the calls, and the discriminator has no batch statistics.
        conditioned = {word: torch.cat([told, told]) for word, told in batch.condition.items()}
        candidates = torch.cat([batch.real, generated])
        draws = torch.cat([batch.augment[:, 0], batch.augment[:, 1]])
        scores = self._score_with(params, conditioned, candidates, draws)
        return scores[: len(generated)], scores[len(generated) :]

    def _score_augmented(
        self, params: Params, batch: GanBatch, samples: Tensor, which: int
    ) -> Tensor:
        return self._score_with(params, batch.condition, samples, batch.augment[:, which])

    def _score_with(
        self, params: Params, condition: Condition, candidates: Tensor, draws: Tensor
    ) -> Tensor:
        if self.config.augment:
            candidates = self.augment.apply(candidates, draws, self.config.augment)
            if "sample" in condition:
                # The same draws for both of a pair: how they differ is what D judges.
                changed = self.augment.apply(condition["sample"], draws, self.config.augment)
                condition = {**condition, "sample": changed}
        return self._score(params, condition, candidates)

    def _penalties(
        self, params: Params, batch: GanBatch, generated: Tensor
    ) -> list[tuple[float, Callable[[], Tensor]]]:
        """(weight, how to compute it) of each gradient penalty."""

        def score(which: int) -> Callable[[Tensor], Tensor]:
            return lambda samples: self._score_augmented(params, batch, samples, which)

        penalties: list[tuple[float, Callable[[], Tensor]]] = [
            (self.config.r1, lambda: gradient_penalty(score(0), batch.real)),
            (self.config.r2, lambda: gradient_penalty(score(1), generated)),
        ]
        if ADVERSARIAL_LOSSES[self.config.loss].interpolates:
            share = batch.between.reshape(-1, *[1] * (generated.ndim - 1))
            between = share * batch.real + (1 - share) * generated
            penalties.append(
                (self.config.gradient_penalty, lambda: unit_gradient_penalty(score(0), between))
            )
        return penalties


def build_gan(
    make_players: MakePlayers,
    config: GanConfig,
    form: Form,
    *,
    seed: int,
    second_order: bool = False,
) -> tuple[GanPair, GanParams]:
    """The pair for samples of this form, and its untrained weights from a named seed.

    With `second_order` every operation has a second derivative; those that are faster without one
    are replaced.
    """
    made = make_players(config, form, seed=seed, second_order=second_order)
    judge = made.discriminator
    params = GanParams(module_params(made.generator), {} if judge is None else module_params(judge))
    pair = GanPair(
        made.generator,
        made.discriminator,
        config,
        form,
        made.augment,
        made.is_light,
        made.unknown,
    )
    for module in pair.modules:
        module.requires_grad_(False)
    return pair, params
