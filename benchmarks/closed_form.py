"""A head solved for in closed form: its price, the faster path, and the time to adapt.

    python -m benchmarks.closed_form            # about three minutes

On one thread, with pairs of random pictures or vectors, ten in a support:

* solve: learning through the solve (`ridge`: forward of support and query, the solve, and the
  backward pass), over a forward and backward pass of the same pairs without it;
* vmap: a chunk of `ridge` with all episodes at once, over one after the other;
* adapt: seconds to solve for the head on ten pairs and to draw 62 others.

Times are CPU seconds of the process; ratios are medians of the ratios within rounds.
"""

import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from metagan.config.learning import AlgorithmConfig, GanConfig, InnerConfig
from metagan.config.settings import RunConfig, TaskConfig
from metagan.core.algorithms import EpisodeInputs, ridge
from metagan.core.batches import all_pairs, draw_batches
from metagan.core.chunk_gradient import episode_gradients
from metagan.core.derivatives import autograd_gradient
from metagan.core.gan import GanPair, build_gan
from metagan.core.params import GanParams, Layout
from metagan.core.rates import with_rates
from metagan.data.form import Form
from metagan.data.tasks import Half
from metagan.evaluate.drawing import answers
from metagan.evaluate.target import adapt_to_target
from metagan.kinds.registry import find_kind

ROUNDS = 9
SHOTS, ASKED, EPISODES = 10, 62, 8
#: Family, width, shape of a sample and of its input.
NETWORKS = (
    ("mlp", 32, (2,), (6,)),
    ("mlp", 128, (2,), (6,)),
    ("unet", 8, (1, 24, 24), (1, 24, 24)),
    ("unet", 16, (1, 24, 24), (1, 24, 24)),
    ("unet", 16, (1, 28, 28), (1, 28, 28)),
    ("unet", 32, (1, 24, 24), (1, 24, 24)),
)


def run_of(family: str, width: int) -> RunConfig:
    kind = {"kind": "vector", "path": "x.npz"} if family == "mlp" else {"source": "styles"}
    gan = GanConfig(family=family, width=width, conditioning=("input", "support"))
    return RunConfig(
        data=kind,
        gan=gan,
        task=TaskConfig(unit="domain", shots=SHOTS, num_query=SHOTS),
        inner=InnerConfig(batch_size=SHOTS),
        algorithm=AlgorithmConfig(name="ridge"),
    )


def form_of(family: str, shape: tuple[int, ...], given: tuple[int, ...]) -> Form:
    if family == "unet":
        return Form("image", shape, given=given)
    names = [f"x{i}" for i in range(shape[0] + given[0])]
    facts = {"columns": names, "center": [0.0] * len(names), "scale": [1.0] * len(names)}
    return Form("vector", shape, facts | {"inputs": names[: given[0]]}, given)


def half(form: Form, count: int, seed: int) -> Half:
    rng = torch.Generator().manual_seed(seed)
    samples = torch.rand(1, count, *form.shape, generator=rng) * 2 - 1
    return Half(samples, torch.rand(1, count, *form.given, generator=rng) * 2 - 1)


def episode(gan: GanPair, form: Form, seed: int) -> EpisodeInputs:
    support, query = half(form, SHOTS, seed), half(form, SHOTS, seed + 1000)
    draws = {"steps": 1, "batch_size": SHOTS, "seed": seed, "num_draws": gan.augment.num_draws}
    batches = [
        draw_batches(each, gan.config, purpose=name, read=support, **draws)
        for each, name in ((support, "support"), (query, "query"))
    ]
    whole = all_pairs(support, gan.config, num_draws=gan.augment.num_draws)
    return EpisodeInputs(*batches, whole=whole)


def plain_pass(gan: GanPair, init: GanParams, inputs: EpisodeInputs) -> None:
    """Forward and backward of the pairs of both halves, with the head as it is."""
    leaves = {name: w.detach().requires_grad_() for name, w in init.generator.items()}
    total = torch.zeros(())
    for batch in (inputs.whole, inputs.query.step(-1)):
        assert batch is not None
        total = total + gan.generator_loss({}, batch, gan.generate_batch(leaves, batch))
    torch.autograd.grad(total, list(leaves.values()))


def ratio(work: Callable[[], object], against: Callable[[], object]) -> float:
    """Median over rounds of the CPU time of one over that of the other."""
    work(), against()
    found = []
    for _ in range(ROUNDS):
        times = []
        for each in (work, against):
            start = time.process_time()
            for _ in range(3):
                each()
            times.append(time.process_time() - start)
        found.append(times[0] / times[1])
    return statistics.median(found)


def row(family: str, width: int, shape: tuple[int, ...], given: tuple[int, ...]) -> str:
    """A line of the table."""
    config, form = run_of(family, width), form_of(family, shape, given)
    gan, params = build_gan(find_kind(form.kind).players, config.gan, form, seed=0)
    inner = config.inner.model_copy(update={"solve": True})
    init = with_rates(params, inner)
    layout = Layout.of(init)
    episodes = [episode(gan, form, seed) for seed in range(EPISODES)]

    def chunk(vectorised: bool) -> None:
        list(episode_gradients(ridge, gan, layout, init, episodes, config, vectorised=vectorised))

    solve = ratio(
        lambda: ridge(gan, init, episodes[0], config, autograd_gradient),
        lambda: plain_pass(gan, init, episodes[0]),
    )
    vmap = ratio(lambda: chunk(True), lambda: chunk(False))
    support, asked = half(form, SHOTS, 5), half(form, ASKED, 6)
    assert asked.inputs is not None
    times = []
    for _ in range(3):
        start = time.process_time()
        target = adapt_to_target(
            gan,
            init,
            support.samples,
            inner=inner,
            task=config.task,
            steps=0,
            seed=0,
            inputs=support.inputs,
        )
        answers(gan, target, asked.inputs[0], seed=0)
        times.append(time.process_time() - start)
    return (
        f"| {family} | {width} | {'x'.join(map(str, shape))} | {layout.size} | {solve:.2f} | "
        f"{vmap:.2f} | {np.median(times):.3f} |"
    )


def main() -> None:
    """Print one row per network."""
    torch.set_num_threads(1)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}")
    print("| family | width | sample | weights | solve | vmap | adapt and draw 62, s |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: |")
    for network in NETWORKS:
        print(row(*network), flush=True)


if __name__ == "__main__":
    main()
