"""The inner loop and the losses on plain modules: copies, `.backward()`, weights changed by hand.

Nothing here calls `functional_call`, `torch.func` or anything of `metagan` but its plain data
types and constants, so an error there cannot hide here.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from metagan.config.learning import GanConfig, InnerConfig
from metagan.core import rates
from metagan.core.batches import Condition, GanBatch
from metagan.core.gan import GanPair
from metagan.core.params import GanParams, Params


@dataclass
class Players:
    """Modules that own their weights, unlike those of a `GanPair`."""

    generator: nn.Module
    discriminator: nn.Module


def load_generator(gan: GanPair, params: GanParams) -> nn.Module:
    """A copy of the pair's generator that holds these weights, in their dtype."""
    copied = copy.deepcopy(gan.generator).to(next(iter(params.generator.values())).dtype)
    copied.load_state_dict(params.generator)
    return copied.requires_grad_(True)


def load_players(gan: GanPair, params: GanParams) -> Players:
    """Copies of the pair's modules that hold these weights, in their dtype."""
    modules = []
    for module, weights in zip((gan.generator, gan.discriminator), params[:2], strict=True):
        copied = copy.deepcopy(module).to(next(iter(weights.values())).dtype)
        copied.load_state_dict(weights)
        modules.append(copied.requires_grad_(True))
    return Players(*modules)


def weights_of(module: nn.Module) -> Params:
    return {name: weight.detach().clone() for name, weight in module.named_parameters()}


def grads_of(module: nn.Module) -> Params:
    return {
        name: torch.zeros_like(weight) if weight.grad is None else weight.grad.clone()
        for name, weight in module.named_parameters()
    }


class PlainOptimizer:
    """SGD, or Adam with beta1 = 0 and epsilon inside the root, one weight at a time."""

    def __init__(
        self, module: nn.Module, inner: InnerConfig, lr: float, player: str, rates: Params
    ) -> None:
        """`rates` has what is learned about them, by the player's name and a weight's."""
        self.module, self.inner, self.lr, self.player = module, inner, lr, player
        self.rates = rates
        self.count = 0
        self.inner_step = 0
        self.start = weights_of(module)
        self.second = [torch.zeros_like(weight) for weight in module.parameters()]

    def step(self) -> None:
        self.count += 1
        with torch.no_grad():
            for (name, weight), second in zip(
                self.module.named_parameters(), self.second, strict=True
            ):
                grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
                if weight.requires_grad and self.inner.proximal:
                    grad = grad + self.inner.proximal * (weight - self.start[name])
                lr = self.lr * (1 + rates.RATES_GAIN * self.rate(name))
                if self.inner.optimizer == "sgd":
                    weight -= lr * grad
                    continue
                second *= 0.99
                second += 0.01 * grad**2
                corrected = second / (1 - 0.99**self.count)
                weight -= lr * grad / torch.sqrt(corrected + 1e-4**2)

    def rate(self, name: str) -> Tensor | float:
        """Learned rate of a weight in the current step, 0 if none is learned."""
        name = f"{self.player}.{name}"
        if name not in self.rates:
            return 0.0
        if self.inner.learn_rates == "tensor_and_step":
            return self.rates[name][min(self.inner_step, len(self.rates[name]) - 1)]
        return self.rates[name]


def adapt(
    players: Players,
    batches: GanBatch,
    config: GanConfig,
    inner: InnerConfig,
    critic_batches: GanBatch | None = None,
    rates: Params | None = None,
    after_step: Callable[[Players, nn.Module], None] = lambda *_: None,
) -> tuple[Players, nn.Module]:
    """Both players adapted in place, and the twin discriminator (meaningful if batches given).

    `rates` are the learned ones, if any; `after_step` sees players and twin after every inner step.
    """
    _freeze(players.generator, inner.generator_moves)
    _freeze(players.discriminator, inner.discriminator_moves)
    critic = copy.deepcopy(players.discriminator)
    d_lr = inner.lr * inner.discriminator_lr_scale
    optimizers = [
        PlainOptimizer(players.discriminator, inner, d_lr, "discriminator", rates or {}),
        PlainOptimizer(critic, inner, d_lr, "discriminator", rates or {}),
        PlainOptimizer(players.generator, inner, inner.lr, "generator", rates or {}),
    ]
    k, m = inner.discriminator_steps, inner.generator_steps
    per_step = k + m - 1
    steps = len(batches.real) // per_step
    d_updates = 0
    for index in range(steps):
        for optimizer in optimizers:
            optimizer.inner_step = index
        for position in range(per_step):
            place = index * per_step + position
            batch = GanBatch(*(tensor[place] for tensor in batches))
            if position < k:
                scale = 0.0
                if d_updates % config.penalty_every == 0:
                    scale = float(
                        len(range(d_updates, min(d_updates + config.penalty_every, steps * k)))
                    )
                d_updates += 1
                _zero(players.generator, players.discriminator, critic)
                discriminator_loss(
                    players.generator, players.discriminator, batch, config, scale
                ).backward()
                if critic_batches is not None:
                    other = GanBatch(*(tensor[place] for tensor in critic_batches))
                    discriminator_loss(players.generator, critic, other, config, scale).backward()
                optimizers[0].step()
                if critic_batches is not None:
                    optimizers[1].step()
            if position >= k - 1:
                _zero(players.generator, players.discriminator, critic)
                generator_loss(players.generator, players.discriminator, batch, config).backward()
                optimizers[2].step()
        after_step(players, critic)
    return players, critic


def _freeze(module: nn.Module, moves: str) -> None:
    """Leave only the body or the head to be moved, or weights whose names start as a pattern."""
    for name, weight in module.named_parameters():
        start = {"all": "", "body": "body.", "head": "head."}.get(moves, moves.rstrip("*"))
        weight.requires_grad_(name.startswith(start))


def query_losses(
    gan: GanPair,
    init: GanParams,
    support: GanBatch,
    query: GanBatch,
    config: GanConfig,
    inner: InnerConfig,
    *,
    twin: bool,
    step_weights: Sequence[float] = (),
) -> tuple[float, float]:
    """(G's, D's) query loss: what MAML descends, as a function of `init`.

    It is the loss after adaptation, or the sum of those after every step by `step_weights`.
    """
    last = GanBatch(*(tensor[-1] for tensor in query))
    seen: list[tuple[float, float]] = []

    def measure(players: Players, critic: nn.Module) -> None:
        d_loss = discriminator_loss(players.generator, players.discriminator, last, config, 1.0)
        scorer = critic if twin else players.discriminator
        g_loss = generator_loss(players.generator, scorer, last, config)
        seen.append((g_loss.item(), d_loss.item()))

    players = load_players(gan, init)
    adapt(players, support, config, inner, query, rates=init.rates, after_step=measure)
    weights = step_weights or [0.0] * (len(seen) - 1) + [1.0]
    g_loss, d_loss = (
        sum(w * losses[i] for w, losses in zip(weights, seen, strict=True)) for i in (0, 1)
    )
    return g_loss, d_loss


def discriminator_loss(
    generator: nn.Module,
    discriminator: nn.Module,
    batch: GanBatch,
    config: GanConfig,
    penalty_scale: float,
) -> Tensor:
    """Adversarial loss plus `penalty_scale` times R1 and R2."""
    with torch.no_grad():
        fake = generator(batch.condition, batch.z[:, 0])
    real_scores = scores(discriminator, batch, batch.real, 0, config)
    fake_scores = scores(discriminator, batch, fake, 1, config)
    loss = _d_adversarial(config.loss, real_scores, fake_scores)
    if penalty_scale:
        loss = loss + penalty_scale * (
            config.r1 * penalty(discriminator, batch, batch.real, 0, config)
            + config.r2 * penalty(discriminator, batch, fake, 1, config)
        )
        if config.loss == "wgan_gp":
            loss = loss + penalty_scale * config.gradient_penalty * between_penalty(
                discriminator, batch, fake, config
            )
    return loss


def generator_loss(
    generator: nn.Module, discriminator: nn.Module, batch: GanBatch, config: GanConfig
) -> Tensor:
    """Adversarial loss plus the mode-seeking term and the reconstruction at a latent of zero."""
    first = generator(batch.condition, batch.z[:, 0])
    loss = torch.zeros((), dtype=first.dtype)
    if config.adversarial_weight:
        real_scores = scores(discriminator, batch, batch.real, 0, config)
        fake_scores = scores(discriminator, batch, first, 1, config)
        adversarial = _g_adversarial(config.loss, real_scores, fake_scores)
        loss = loss + config.adversarial_weight * adversarial
    if config.mode_seeking:
        second = generator(batch.condition, batch.z[:, 1])
        terms = []
        for i in range(len(first)):
            latents = (batch.z[i, 0] - batch.z[i, 1]).abs().mean()
            terms.append(1 / ((first[i] - second[i]).abs().mean() / latents + 0.02))
        loss = loss + config.mode_seeking * sum(terms) / len(terms)
    if config.reconstruction != "none":
        again = generator(batch.condition, torch.zeros_like(batch.z[:, 0]))
        answer = batch.real if "input" in batch.condition else batch.sample
        numbers = zip(again.flatten(), answer.flatten(), strict=True)
        distances = [_distance(config.reconstruction, a, b) for a, b in numbers]
        loss = loss + config.reconstruction_weight * sum(distances) / len(distances)
    return loss


def _distance(name: str, drawn: Tensor, answer: Tensor) -> Tensor:
    """Of one number of a sample."""
    far = (drawn - answer).abs()
    return {"l1": far, "mse": far**2, "l1_l2": far + 2 * far**2}[name]


def penalty(
    discriminator: nn.Module, batch: GanBatch, samples: Tensor, which: int, config: GanConfig
) -> Tensor:
    """Half the squared gradient norm of each sample's own score, averaged over samples."""
    total = torch.zeros((), dtype=samples.dtype)
    for i in range(len(samples)):
        x = samples[i : i + 1].detach().clone().requires_grad_(True)
        single = one_of(batch, i)
        score = scores(discriminator, single, x, which, config).sum()
        (gradient,) = torch.autograd.grad(score, x, create_graph=True)
        total = total + 0.5 * (gradient**2).sum()
    return total / len(samples)


def between_penalty(
    discriminator: nn.Module, batch: GanBatch, fake: Tensor, config: GanConfig
) -> Tensor:
    """WGAN-GP's, one sample at a time."""
    total = torch.zeros((), dtype=fake.dtype)
    for i in range(len(fake)):
        t = batch.between[i]
        x = (t * batch.real[i] + (1 - t) * fake[i])[None].detach().requires_grad_(True)
        single = one_of(batch, i)
        score = scores(discriminator, single, x, 0, config).sum()
        (gradient,) = torch.autograd.grad(score, x, create_graph=True)
        total = total + (torch.sqrt((gradient**2).sum() + 1e-12) - 1) ** 2
    return total / len(fake)


def scores(
    discriminator: nn.Module, batch: GanBatch, samples: Tensor, which: int, config: GanConfig
) -> Tensor:
    """D's scores, one sample at a time."""
    rows = []
    for i in range(len(samples)):
        candidate = augment_one(samples[i], batch.augment[i, which], config.augment)
        condition = one_of(batch, i).condition
        if "sample" in condition:
            sample = augment_one(batch.sample[i], batch.augment[i, which], config.augment)
            condition["sample"] = sample[None]
        if config.spectral_norm:
            rows.append(spectral_score(discriminator, condition, candidate[None])[0])
        else:
            rows.append(discriminator(condition, candidate[None])[0])
    return torch.stack(rows)


def one_of(batch: GanBatch, i: int) -> GanBatch:
    """One sample of a batch; what is read stays whole."""
    shared = {name: getattr(batch, name) for name in ("support", "support_input")}
    return GanBatch(*(tensor[i : i + 1] for tensor in batch))._replace(**shared)


def spectral_score(discriminator: nn.Module, condition: Condition, candidate: Tensor) -> Tensor:
    """The discriminator layer by layer, each weight over its largest singular value."""
    normal, body = _normal, discriminator.body
    told = [condition[word] for word in ("sample", "input") if word in condition]
    x = torch.cat([*told, candidate], 1)
    if candidate.ndim == 2:
        for layer in (body.enter, body.inner):
            x = functional.leaky_relu(x @ normal(layer).T + layer.bias, 0.2)
    else:
        for layer in (body.down1, body.down2, body.down3):
            x = functional.conv2d(x, normal(layer), layer.bias, layer.stride, layer.padding)
            x = functional.leaky_relu(x, 0.2)
    x, head = x.flatten(1), discriminator.head
    if isinstance(head, nn.Linear):
        return x @ normal(head)[0] + head.bias
    score = x @ normal(head.score)[0] + head.score.bias
    if "label" in condition:
        score = score + x @ normal(head.labels)[int(condition["label"].item())]
    if "support" in condition:
        code = spectral_code(body.reader, condition)
        score = score + x @ (normal(head.code) @ code + head.code.bias)
    return score


def spectral_code(reader: nn.Module, condition: Condition) -> Tensor:
    """The code of one sample's support, member by member, every weight normalised."""
    codes = []
    for index, sample in enumerate(condition["support"][0]):
        if not condition["reads"][0, index]:
            continue
        parts = [sample]
        if "support_input" in condition:
            parts.append(condition["support_input"][0, index])
        x = torch.cat(parts)
        if x.ndim == 1:
            x = functional.leaky_relu(_normal(reader.enter) @ x + reader.enter.bias, 0.2)
            codes.append(_normal(reader.inner) @ x + reader.inner.bias)
            continue
        for layer in (reader.down1, reader.down2, reader.down3):
            x = functional.conv2d(x, _normal(layer), layer.bias, layer.stride, layer.padding)
            x = functional.leaky_relu(x, 0.2)
        codes.append(x.mean((1, 2)))
    return sum(codes) / len(codes)


def _normal(layer: nn.Module) -> Tensor:
    """A layer's weight over its largest singular value."""
    return layer.weight / torch.linalg.svdvals(layer.weight.reshape(len(layer.weight), -1))[0]


def augment_one(image: Tensor, draws: Tensor, kinds: tuple[str, ...]) -> Tensor:
    """Colour, translation and cutout of one image (C, H, W), by slicing; noise on a vector (D,)."""
    if image.ndim == 1:
        deviation = 0.1 if "noise" in kinds else 0.0
        return torch.stack([x + deviation * 12**0.5 * (u - 0.5) for x, u in zip(image, draws)])  # noqa: B905
    channels, height, width = image.shape
    if "color" in kinds:
        image = image + (draws[4] - 0.5)
        grey = sum(image[c] for c in range(channels)) / channels
        image = torch.stack([grey + 2 * draws[5] * (image[c] - grey) for c in range(channels)])
        image = image.mean() + (0.5 + draws[6]) * (image - image.mean())
    if "translation" in kinds:
        dx = int(draws[0] * (2 * max(1, width // 8) + 1)) - max(1, width // 8)
        dy = int(draws[1] * (2 * max(1, height // 8) + 1)) - max(1, height // 8)
        moved = image[:, :1, :1].detach().expand(channels, height, width).clone()
        moved[:, max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = image[
            :, max(-dy, 0) : height - max(dy, 0), max(-dx, 0) : width - max(dx, 0)
        ]
        image = moved
    if "cutout" in kinds:
        row, column = int(draws[3] * (height + 1)), int(draws[2] * (width + 1))
        mask = torch.ones(height, width, dtype=image.dtype)
        for y in range(height):
            for x in range(width):
                if abs(y - row) < height / 4 and abs(x - column) < width / 4:
                    mask[y, x] = 0
        image = image * mask
    return image


def _softplus(x: Tensor) -> Tensor:
    return torch.log1p(torch.exp(x))


def _d_adversarial(name: str, real: Tensor, fake: Tensor) -> Tensor:
    if name == "relativistic_average":
        terms = [
            _softplus(fake.mean() - r) + _softplus(f - real.mean())
            for r, f in zip(real, fake, strict=True)
        ]
    else:
        term = {
            "relativistic": lambda r, f: _softplus(f - r),
            "hinge": lambda r, f: functional.relu(1 - r) + functional.relu(1 + f),
            "nonsaturating": lambda r, f: -torch.log(torch.sigmoid(r) * (1 - torch.sigmoid(f))),
            "minimax": lambda r, f: -torch.log(torch.sigmoid(r)) - torch.log(torch.sigmoid(-f)),
            "least_squares": lambda r, f: ((r - 1) ** 2 + f**2) / 2,
            "wgan_gp": lambda r, f: f - r,
        }[name]
        terms = [term(r, f) for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).mean()


def _g_adversarial(name: str, real: Tensor, fake: Tensor) -> Tensor:
    if name == "relativistic_average":
        return _d_adversarial(name, fake, real)
    term = {
        "relativistic": lambda r, f: _softplus(r - f),
        "hinge": lambda _, f: -f,
        "nonsaturating": lambda _, f: -torch.log(torch.sigmoid(f)),
        "minimax": lambda _, f: torch.log(1 - torch.sigmoid(f)),
        "least_squares": lambda _, f: (f - 1) ** 2 / 2,
        "wgan_gp": lambda _, f: -f,
    }[name]
    return torch.stack([term(r, f) for r, f in zip(real, fake, strict=True)]).mean()


def _zero(*modules: nn.Module) -> None:
    for module in modules:
        for weight in module.parameters():
            weight.grad = None
