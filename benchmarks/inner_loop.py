"""Seconds per episode of a chunk, against a plain loop of torch modules and optimizers.

    python -m benchmarks.inner_loop            # every pair and chunk size, about half an hour
    python -m benchmarks.inner_loop --quick    # two small pairs, a minute

Work: first-order Reptile, 5 inner steps of batch 10 on 28 x 28 pictures, default losses
(relativistic, R1 and R2 lazily, mode seeking, translation), on one thread. Three ways do the same
episodes:

* plain: a copy of both modules per episode, `torch.optim.SGD`, generated pictures shared between
  the two players' steps: what a careful user of torch writes by hand;
* loop: `metagan.core.chunk_gradient.chunk_gradient(..., vectorised=False)`;
* vmap: the same with `vectorised=True`, all episodes of the chunk at once.

Times are CPU seconds of the process, and rounds are interleaved, so that other load on the machine
hits all alike; ratios are medians of the ratios within a round. Drawing the episode is part of the
time in all three.
"""

import argparse
import copy
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.memory import peak_mb
from metagan.config.learning import GanConfig, InnerConfig
from metagan.config.settings import RunConfig, TaskConfig
from metagan.core.batches import GanBatch, draw_batches
from metagan.core.chunk_gradient import chunk_gradient, prefers_vmap
from metagan.core.chunks import ChunkKey
from metagan.core.cuda_graphs import Recorder
from metagan.core.gan import GanPair, build_gan
from metagan.core.losses import ADVERSARIAL_LOSSES, mode_seeking
from metagan.core.params import GanParams, Layout
from metagan.data.dataset import ClassRecord, Dataset
from metagan.data.form import Form
from metagan.data.splits import Splits
from metagan.data.tasks import DatasetTasks, meta_batch
from metagan.kinds.image.augment import NUM_AUGMENT_DRAWS, augment
from metagan.kinds.image.build import build_players
from metagan.kinds.image.convert import to_float

CPU = torch.device("cpu")
#: Family and width of both players; the printed table gives the exact numbers of weights.
PAIRS = (
    ("flow", 12),
    ("dcgan", 8),
    ("residual", 8),
    ("flow", 16),
    ("flow", 8),
    ("dcgan", 16),
    ("flow", 60),
    ("dcgan", 48),
)
CHUNKS = (1, 8, 32)
WAYS = ("plain", "loop", "vmap")


@dataclass(frozen=True)
class Setup:
    """One pair of networks on data made of noise."""

    config: RunConfig
    source: DatasetTasks
    gan: GanPair
    params: GanParams
    layout: Layout


def make_setup(family: str, width: int) -> Setup:
    config = RunConfig(
        gan=GanConfig(family=family, width=width, discriminator_width=width),
        task=TaskConfig(unit="domain", ways=5, shots=5, num_query=5),
        inner=InnerConfig(steps=5, batch_size=10, lr=1e-2, optimizer="sgd"),
    )
    rng = np.random.default_rng(0)
    dataset = Dataset.from_classes(
        {
            ClassRecord(f"domain{d}", f"class{c}"): rng.integers(
                0, 256, (10, 1, 28, 28), dtype=np.uint8
            )
            for d in range(4)
            for c in range(5)
        }
    )
    every = tuple(range(dataset.num_classes))
    gan, params = build_gan(build_players, config.gan, Form("image", (1, 28, 28)), seed=0)
    source = DatasetTasks(dataset, Splits(every, (), ()), config.task, to_float)
    return Setup(config, source, gan, params, Layout.of(params))


def chunk_of(setup: Setup, episodes: int, step: int) -> ChunkKey:
    keys = meta_batch(setup.source.tasks("train"), step=step, size=episodes, seed=0)
    return ChunkKey(step, 0, "reptile", tuple(keys))


# --- the plain loop ----------------------------------------------------------------------------


def plain_chunk(setup: Setup, chunk: ChunkKey, device: torch.device = CPU) -> Tensor:
    """The sum of Reptile's displacements over the chunk's episodes, (P,), in the main memory."""
    start = torch.cat([w.flatten() for player in setup.params for w in player.values()]).to(device)
    total = torch.zeros_like(start)
    for key in chunk.episodes:
        episode = setup.source.episode(key)
        batches = draw_batches(
            episode.support,
            setup.config.gan,
            steps=setup.config.inner.steps,
            batch_size=setup.config.inner.batch_size,
            seed=key.seed,
            purpose="support",
            num_draws=NUM_AUGMENT_DRAWS,
        )
        players = []
        for module, weights in zip(
            (setup.gan.generator, setup.gan.discriminator), setup.params[:2], strict=True
        ):
            copied = copy.deepcopy(module)
            copied.load_state_dict(weights)
            players.append(copied.to(device).requires_grad_(True))
        plain_episode(*players, GanBatch(*(part.to(device) for part in batches)), setup.config)
        total += start - torch.cat(
            [w.detach().flatten() for player in players for w in player.parameters()]
        )
    return total.cpu()


def plain_episode(
    generator: nn.Module, discriminator: nn.Module, batches: GanBatch, config: RunConfig
) -> None:
    gan, loss = config.gan, ADVERSARIAL_LOSSES[config.gan.loss]
    g_optimizer = torch.optim.SGD(generator.parameters(), lr=config.inner.lr)
    d_optimizer = torch.optim.SGD(discriminator.parameters(), lr=config.inner.lr)
    steps = len(batches.real)

    def scores(batch: GanBatch, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        draws = torch.cat([batch.augment[:, 0], batch.augment[:, 1]])
        candidates = augment(torch.cat([real, fake]), draws, gan.augment)
        conditions = augment(torch.cat([batch.sample] * 2), draws, gan.augment)
        both = discriminator({"sample": conditions}, candidates)
        return both[: len(real)], both[len(real) :]

    for index in range(steps):
        batch = batches.step(index)
        fake = generator(batch.condition, batch.z[:, 0])
        d_optimizer.zero_grad()
        if index % gan.penalty_every == 0:
            real_in = batch.real.clone().requires_grad_(True)
            fake_in = fake.detach().requires_grad_(True)
            real_scores, fake_scores = scores(batch, real_in, fake_in)
            grads = torch.autograd.grad(
                real_scores.sum() + fake_scores.sum(), (real_in, fake_in), create_graph=True
            )
            penalties = [0.5 * g.square().flatten(1).sum(1).mean() for g in grads]
            scale = min(gan.penalty_every, steps - index)
            d_loss = loss.discriminator(real_scores, fake_scores) + scale * (
                gan.r1 * penalties[0] + gan.r2 * penalties[1]
            )
        else:
            d_loss = loss.discriminator(*scores(batch, batch.real, fake.detach()))
        d_loss.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        discriminator.requires_grad_(False)
        second = generator(batch.condition, batch.z[:, 1])
        g_loss = loss.generator(*scores(batch, batch.real, fake)) + gan.mode_seeking * mode_seeking(
            fake, second, batch.z[:, 0], batch.z[:, 1]
        )
        g_loss.backward()
        g_optimizer.step()
        discriminator.requires_grad_(True)


# --- measuring ---------------------------------------------------------------------------------


def chunk_sum(
    setup: Setup,
    chunk: ChunkKey,
    device: torch.device,
    *,
    vectorised: bool | None = None,
    recorder: Recorder | None = None,
) -> Tensor:
    """Gradient sum of a chunk as a worker computes it, (P,), in the main memory."""
    result = chunk_gradient(
        setup.gan,
        setup.layout,
        setup.layout.flatten(setup.params).numpy(),
        chunk,
        setup.source,
        setup.config,
        device=device,
        vectorised=vectorised,
        recorder=recorder,
    )
    return torch.from_numpy(result.gradient_sum)


def runners(setup: Setup) -> dict[str, Callable[[ChunkKey], Tensor]]:
    return {
        "plain": lambda chunk: plain_chunk(setup, chunk),
        "loop": lambda chunk: chunk_sum(setup, chunk, CPU, vectorised=False),
        "vmap": lambda chunk: chunk_sum(setup, chunk, CPU, vectorised=True),
    }


def measure(setup: Setup, episodes: int, rounds: int) -> dict[str, list[float]]:
    """Seconds per episode by way, one per round."""
    run = runners(setup)
    check_equal_work(setup, run, episodes)
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for index in range(rounds):
        chunk = chunk_of(setup, episodes, step=1 + index)
        # Another way starts each round, so that none always runs on a cache the last one warmed.
        for way in WAYS[index % 3 :] + WAYS[: index % 3]:
            started = time.process_time()
            run[way](chunk)
            times[way].append((time.process_time() - started) / episodes)
    return times


def check_equal_work(
    setup: Setup, run: dict[str, Callable[[ChunkKey], Tensor]], episodes: int
) -> None:
    """All ways must give the same sum; ReLU kinks in float32 allow some percent.

    The tests prove equality in float64.
    """
    chunk = chunk_of(setup, episodes, step=0)
    expected = run["plain"](chunk)
    for way in ("loop", "vmap"):
        error = float((run[way](chunk) - expected).norm() / expected.norm())
        if error > 0.1:
            raise RuntimeError(f"{way} differs from the plain loop by {error:.1%}")


def peak_memory_mb(family: str, width: int, episodes: int, way: str) -> float:
    """Peak resident memory that one chunk adds to a fresh process, MB."""
    arguments = [family, str(width), str(episodes), way]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.inner_loop", "--memory-of", *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def print_added_memory(family: str, width: int, episodes: int, way: str) -> None:
    setup = make_setup(family, width)
    run = runners(setup)[way]
    run(chunk_of(setup, 1, step=0))
    before = peak_mb()
    run(chunk_of(setup, episodes, step=1))
    print(peak_mb() - before)


def table_row(family: str, width: int, episodes: int, rounds: int, *, memory: bool) -> str:
    setup = make_setup(family, width)
    times = measure(setup, episodes, rounds)
    medians = {way: 1000 * statistics.median(times[way]) for way in WAYS}

    def ratio(way: str) -> str:
        ratios = [a / b for a, b in zip(times[way], times["plain"], strict=True)]
        return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}]"

    chosen = "vmap" if prefers_vmap(setup.gan, episodes, CPU) else "loop"
    cells = [
        f"{family} {width}",
        f"{setup.layout.size:,}".replace(",", " "),
        str(episodes),
        *(f"{medians[way]:.1f}" for way in WAYS),
        ratio("loop"),
        ratio("vmap"),
        chosen,
    ]
    if memory:
        cells += [f"{peak_memory_mb(family, width, episodes, way):.0f}" for way in WAYS]
    return "| " + " | ".join(cells) + " |"


def print_table(
    pairs: Sequence[tuple[str, int]], chunks: Sequence[int], rounds: int, *, memory: bool
) -> None:
    print(
        f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}, "
        f"{os.cpu_count()} cores, 1 thread, {rounds} rounds\n"
    )
    heads = ["pair", "weights", "chunk", *(f"{way}, ms/episode" for way in WAYS)]
    heads += ["loop / plain", "vmap / plain", "rule picks"]
    if memory:
        heads += [f"{way}, peak MB" for way in WAYS]
    print("| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
    for family, width in pairs:
        for episodes in chunks:
            print(table_row(family, width, episodes, rounds, memory=memory), flush=True)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inner_loop",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="Small pairs, few rounds: a minute.")
    parser.add_argument("--rounds", type=int, help="Interleaved rounds (default 7, quick 3).")
    parser.add_argument(
        "--pairs", nargs="+", metavar="FAMILY:WIDTH", help="Instead of the table's."
    )
    parser.add_argument("--chunks", nargs="+", type=int, help="Episodes per chunk.")
    parser.add_argument(
        "--memory", action="store_true", help="Peak memory too, in fresh processes."
    )
    parser.add_argument("--memory-of", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    torch.set_num_threads(1)
    if options.memory_of:
        family, width, episodes, way = options.memory_of
        print_added_memory(family, int(width), int(episodes), way)
        return
    pairs = PAIRS[:2] if options.quick else PAIRS
    if options.pairs:
        pairs = tuple((p.split(":")[0], int(p.split(":")[1])) for p in options.pairs)
    chunks = options.chunks or ((1, 8) if options.quick else CHUNKS)
    rounds = options.rounds or (3 if options.quick else 7)
    print_table(pairs, chunks, rounds, memory=options.memory)


if __name__ == "__main__":
    main()
