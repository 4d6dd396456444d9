"""Each row of the table of algorithms against plain modules, and the sums of a chunk."""

import itertools
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metagan.algorithms import (
    ALGORITHMS,
    EpisodeInputs,
    _inputs,
    _per_episode,
    check_moves,
    chunk_gradient,
    fomaml,
    inner_settings,
    joint,
    maml,
    prefers_vmap,
    reptile,
)
from metagan.chunks import ChunkKey, ChunkResult
from metagan.derivatives import autograd_gradient, functional_gradient
from metagan.gan import GanPair, build_gan
from metagan.inner_loop import adapt
from metagan.params import GanParams, Layout, map_params, vector_sha256
from metagan.settings import (
    AlgorithmConfig,
    GanConfig,
    GeneratorFamily,
    InnerConfig,
    RunConfig,
    WarmupConfig,
)
from metagan.tasks import DatasetTasks, Episode, EpisodeKey, meta_batch
from tests.helpers import tiny_config
from tests.reference import gan_oracle
from tests.reference.cases import (
    ARCHITECTURES,
    LOSSES,
    Case,
    gan_settings,
    largest_difference,
    make_case,
    make_source,
    perturbed,
)

CPU = torch.device("cpu")
GRADIENTS = pytest.mark.parametrize("gradient", [functional_gradient, autograd_gradient])


def inputs_of(case: Case) -> EpisodeInputs:
    return EpisodeInputs(case.support, case.query)


def assert_close(found: GanParams, expected: GanParams, tolerance: float) -> None:
    for one, other in zip(found, expected, strict=True):
        assert largest_difference(one, other) <= tolerance


@GRADIENTS
def test_one_inner_step_of_reptile_is_the_scaled_inner_gradient(gradient):
    inner = InnerConfig(steps=1, batch_size=4, lr=0.03, discriminator_lr_scale=0.5, optimizer="sgd")
    case = make_case("flow", "sample", inner=inner)
    displacement, _ = reptile(case.gan, case.init, inputs_of(case), case.config, gradient)
    players = gan_oracle.load_players(case.gan, case.init)
    batch = case.support.step(0)
    gan_oracle.discriminator_loss(
        players.generator, players.discriminator, batch, case.config.gan, 1.0
    ).backward()
    d_grad = gan_oracle.grads_of(players.discriminator)
    with torch.no_grad():
        for name, weight in players.discriminator.named_parameters():
            weight -= 0.03 * 0.5 * d_grad[name]
    gan_oracle.generator_loss(
        players.generator, players.discriminator, batch, case.config.gan
    ).backward()
    expected = GanParams(
        map_params(lambda g: 0.03 * g, gan_oracle.grads_of(players.generator)),
        map_params(lambda g: 0.03 * 0.5 * g, d_grad),
    )
    assert_close(displacement, expected, 1e-12)


@GRADIENTS
def test_reptile_is_the_displacement_of_the_adapted_weights(gradient):
    case = make_case(
        "dcgan", "sample", inner=InnerConfig(steps=3, batch_size=3, lr=1e-2, optimizer="sgd")
    )
    displacement, _ = reptile(case.gan, case.init, inputs_of(case), case.config, gradient)
    adapted = adapt(case.gan, case.init, case.support, case.config.inner).params
    for moved, before, after in zip(displacement, case.init, adapted, strict=True):
        restored = map_params(torch.sub, before, moved)
        assert largest_difference(restored, after) <= 1e-13


def test_reptile_does_not_read_the_query_half():
    case = make_case("dcgan", "sample")
    spoiled = type(case.query)(*(torch.full_like(tensor, torch.nan) for tensor in case.query))
    first, _ = reptile(case.gan, case.init, inputs_of(case), case.config, functional_gradient)
    second, _ = reptile(
        case.gan,
        case.init,
        EpisodeInputs(case.support, spoiled),
        case.config,
        functional_gradient,
    )
    assert_close(first, second, 0.0)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("critic", ["query", "support"])
@pytest.mark.parametrize(("family", "conditioning"), [ARCHITECTURES[0], ARCHITECTURES[2]])
def test_fomaml_is_the_query_gradient_of_modules_that_hold_the_adapted_weights(
    family, conditioning, critic, loss
):
    case = make_case(
        family,
        conditioning,
        gan={"loss": loss},
        inner=InnerConfig(steps=3, batch_size=3, lr=0.05, optimizer="sgd"),
        algorithm=AlgorithmConfig(name="fomaml", generator_critic=critic),
    )
    players, twin = gan_oracle.adapt(
        gan_oracle.load_players(case.gan, case.init),
        case.support,
        case.config.gan,
        case.config.inner,
        case.query,
    )
    query = case.query.step(-1)
    gan_oracle._zero(players.generator, players.discriminator, twin)
    d_loss = gan_oracle.discriminator_loss(
        players.generator, players.discriminator, query, case.config.gan, 1.0
    )
    d_loss.backward()
    d_grad = gan_oracle.grads_of(players.discriminator)
    scorer = twin if critic == "query" else players.discriminator
    g_loss = gan_oracle.generator_loss(players.generator, scorer, query, case.config.gan)
    g_loss.backward()
    expected = GanParams(gan_oracle.grads_of(players.generator), d_grad)
    for gradient in (functional_gradient, autograd_gradient):
        found, losses = fomaml(case.gan, case.init, inputs_of(case), case.config, gradient)
        assert_close(found, expected, 1e-11)
        assert losses["loss_d_query"].item() == pytest.approx(d_loss.item(), rel=1e-11)
        assert losses["loss_g_query"].item() == pytest.approx(g_loss.item(), rel=1e-11)


def test_the_query_and_the_support_critic_give_different_generator_gradients():
    case = make_case(
        "dcgan", "sample", inner=InnerConfig(steps=3, batch_size=3, lr=0.05, optimizer="sgd")
    )
    grads = {}
    for critic in ("query", "support"):
        algorithm = AlgorithmConfig(name="fomaml", generator_critic=critic)
        config = case.config.model_copy(update={"algorithm": algorithm})
        grads[critic], _ = fomaml(case.gan, case.init, inputs_of(case), config, autograd_gradient)
    assert largest_difference(grads["query"].discriminator, grads["support"].discriminator) == 0
    assert largest_difference(grads["query"].generator, grads["support"].generator) > 1e-6


@GRADIENTS
def test_fomaml_with_a_vanishing_inner_rate_is_the_gradient_at_the_initialization(gradient):
    case = make_case(
        "residual", "sample", inner=InnerConfig(steps=2, batch_size=3, lr=1e-300, optimizer="sgd")
    )
    found, _ = fomaml(case.gan, case.init, inputs_of(case), case.config, gradient)
    players = gan_oracle.load_players(case.gan, case.init)
    query = case.query.step(-1)
    gan_oracle.discriminator_loss(
        players.generator, players.discriminator, query, case.config.gan, 1.0
    ).backward()
    d_grad = gan_oracle.grads_of(players.discriminator)
    gan_oracle.generator_loss(
        players.generator, players.discriminator, query, case.config.gan
    ).backward()
    assert_close(found, GanParams(gan_oracle.grads_of(players.generator), d_grad), 1e-12)


def nudged(init: GanParams, player: int, name: str, along: torch.Tensor) -> GanParams:
    moved = [dict(weights) for weights in init]
    moved[player][name] = moved[player][name] + along
    return GanParams(*moved)


@pytest.mark.parametrize(
    ("algorithm", "family", "conditioning", "critic", "optimizer", "lr"),
    [
        ("maml", "flow", "sample", "query", "sgd", 0.02),
        ("maml", "flow", "sample", "support", "sgd", 0.02),
        ("maml", "dcgan", "none", "query", "adam", 2e-3),
        ("maml", "residual", "sample", "support", "adam", 2e-3),
        ("anil", "flow", "sample", "query", "sgd", 0.02),
        ("anil", "dcgan", "none", "support", "adam", 2e-3),
    ],
)
def test_second_order_rows_are_the_derivative_of_the_query_losses_of_plain_modules(
    monkeypatch, algorithm, family, conditioning, critic, optimizer, lr
):
    """Central differences of the oracle's losses, along a random direction of every tensor.

    Where a slope jumps, an inner gradient does, and the losses are not continuous. So everything
    is smooth here: the activations, samples away from the clamp, no absolute values. Derivatives
    through the padding of a translated picture are cut on purpose, so nothing is translated.
    """
    monkeypatch.setattr(
        torch.nn.functional,
        "leaky_relu",
        lambda x, slope: slope * x + (1 - slope) * torch.nn.functional.softplus(4 * x) / 4,
    )
    case = make_case(
        family,
        conditioning,
        second_order=True,
        gan={"penalty_every": 2, "r1": 0.1, "r2": 0.1, "mode_seeking": 0.0, "augment": []},
        inner=InnerConfig(steps=3, batch_size=3, lr=lr, optimizer=optimizer),
        algorithm=AlgorithmConfig(name=algorithm, generator_critic=critic),
    )
    support, query = (
        half._replace(real=0.5 * half.real, condition=0.5 * half.condition)
        for half in (case.support, case.query)
    )
    case = case._replace(support=support, query=query)
    found, losses = maml(case.gan, case.init, inputs_of(case), case.config, autograd_gradient)

    def oracle(init: GanParams) -> tuple[float, float]:
        return gan_oracle.query_losses(
            case.gan,
            init,
            case.support,
            case.query,
            case.config.gan,
            inner_settings(case.config),
            twin=critic == "query",
        )

    g_loss, d_loss = oracle(case.init)
    assert losses["loss_g_query"].item() == pytest.approx(g_loss, rel=1e-11)
    assert losses["loss_d_query"].item() == pytest.approx(d_loss, rel=1e-11)
    rng = torch.Generator().manual_seed(1)
    for player in range(2):
        scale = max(float(g.abs().max()) for g in found[player].values())
        for name, weight in case.init[player].items():
            along = torch.randn(weight.shape, generator=rng, dtype=weight.dtype)
            along = along / along.norm()
            step = 1e-6
            up, down = (
                oracle(nudged(case.init, player, name, sign * step * along))[player]
                for sign in (1, -1)
            )
            exact = float((found[player][name] * along).sum())
            assert (up - down) / (2 * step) == pytest.approx(exact, rel=1e-6, abs=1e-7 * scale), (
                name
            )


def test_anil_adapts_the_heads_and_learns_everything():
    inner = InnerConfig(steps=3, batch_size=3, lr=0.05, optimizer="sgd")
    case = make_case("dcgan", "sample", inner=inner, algorithm=AlgorithmConfig(name="anil"))
    after = adapt(case.gan, case.init, case.support, inner_settings(case.config)).params
    found, _ = maml(case.gan, case.init, inputs_of(case), case.config, autograd_gradient)
    for player in range(2):
        for name, weight in case.init[player].items():
            in_body = name.startswith("body.")
            assert torch.equal(after[player][name], weight) or not in_body, name
            # Some biases have no effect: in front of a norm, or the same for both of a pair.
            if name.endswith(".weight"):
                assert torch.equal(after[player][name], weight) == in_body, name
                assert found[player][name].abs().max() > 1e-9, name


def test_the_settings_decide_what_anil_moves_where_they_say_something():
    case = make_case("dcgan", "sample", algorithm=AlgorithmConfig(name="anil"))
    inner = case.config.inner.model_copy(update={"discriminator_moves": "none"})
    config = case.config.model_copy(update={"inner": inner})
    chosen = inner_settings(config)
    assert (chosen.generator_moves, chosen.discriminator_moves) == ("head", "none")
    plain = case.config.model_copy(update={"algorithm": AlgorithmConfig(name="maml")})
    assert inner_settings(plain) == plain.inner


def test_a_pattern_that_no_weight_has_is_refused_with_those_there_are():
    case = make_case("dcgan", "sample")
    check_moves(InnerConfig(generator_moves="body.*", discriminator_moves="none"), case.init)
    with pytest.raises(ValueError, match=r"inner\.generator_moves is 'bdy\.\*'.*body\.project"):
        check_moves(InnerConfig(generator_moves="bdy.*"), case.init)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("family", "conditioning"), ARCHITECTURES)
def test_both_ways_through_the_inner_loop_agree(family, conditioning, loss):
    case = make_case(
        family,
        conditioning,
        second_order=True,
        gan={"loss": loss},
        inner=InnerConfig(steps=2, batch_size=3, lr=0.02, optimizer="sgd"),
    )
    one, other = (
        maml(case.gan, case.init, inputs_of(case), case.config, gradient)
        for gradient in (functional_gradient, autograd_gradient)
    )
    assert_close(one[0], other[0], 1e-10)
    assert one[1].keys() == other[1].keys()
    for name, value in one[1].items():
        assert not other[1][name].requires_grad
        assert float(value) == pytest.approx(float(other[1][name]), rel=1e-11)
    first_order, _ = fomaml(case.gan, case.init, inputs_of(case), case.config, autograd_gradient)
    assert largest_difference(first_order.generator, one[0].generator) > 1e-4


def test_maml_moves_along_the_same_inner_steps_as_first_order_maml():
    """A total inner derivative would adapt to other weights, and so to other query losses."""
    case = make_case(
        "dcgan", "sample", inner=InnerConfig(steps=3, batch_size=3, lr=0.05, optimizer="sgd")
    )
    inputs = inputs_of(case)
    _, expected = fomaml(case.gan, case.init, inputs, case.config, autograd_gradient)
    for gradient in (functional_gradient, autograd_gradient):
        _, losses = maml(case.gan, case.init, inputs, case.config, gradient)
        for name, value in expected.items():
            assert float(losses[name]) == pytest.approx(float(value), rel=1e-12), name


@GRADIENTS
def test_maml_with_a_vanishing_inner_rate_is_first_order_maml(gradient):
    case = make_case(
        "residual", "sample", inner=InnerConfig(steps=2, batch_size=3, lr=1e-300, optimizer="sgd")
    )
    found, _ = maml(case.gan, case.init, inputs_of(case), case.config, gradient)
    expected, _ = fomaml(case.gan, case.init, inputs_of(case), case.config, gradient)
    assert_close(found, expected, 1e-13)


@pytest.mark.parametrize(("outer_step", "scale"), [(0, 4.0), (1, 0.0), (3, 0.0), (8, 4.0)])
def test_joint_is_the_pooled_gradient_with_lazy_penalties(outer_step, scale):
    case = make_case("flow", "sample", gan={"penalty_every": 4})
    inputs = EpisodeInputs(case.support, case.query, outer_step)
    found, _ = joint(case.gan, case.init, inputs, case.config, autograd_gradient)
    players = gan_oracle.load_players(case.gan, case.init)
    batch = case.support.step(0)
    gan_oracle.discriminator_loss(
        players.generator, players.discriminator, batch, case.config.gan, scale
    ).backward()
    d_grad = gan_oracle.grads_of(players.discriminator)
    gan_oracle.generator_loss(
        players.generator, players.discriminator, batch, case.config.gan
    ).backward()
    assert_close(found, GanParams(gan_oracle.grads_of(players.generator), d_grad), 1e-12)


# --- chunks ------------------------------------------------------------------------------------


def run_setup(
    family: str = "flow",
    conditioning: str = "sample",
    *,
    second_order: bool = False,
    **sections: object,
) -> tuple[RunConfig, DatasetTasks, GanPair, GanParams, Layout]:
    unit = "domain" if conditioning == "sample" else "class"
    config = tiny_config(
        **{
            "gan": gan_settings(family, conditioning),
            "task": {"unit": unit, "shots": 3, "num_query": 3, "ways": 2},
            **sections,
        }
    )
    gan, params = build_gan(config.gan, (1, 16, 16), seed=0, second_order=second_order)
    return config, make_source(config), gan, params, Layout.of(params)


def episode_keys(source: DatasetTasks, count: int, *, step: int = 0) -> tuple[EpisodeKey, ...]:
    return tuple(meta_batch(source.tasks("train"), step=step, size=count, seed=0))


def compute(setup: tuple, chunk: ChunkKey, source: object = None, **options: object) -> ChunkResult:
    config, default_source, gan, params, layout = setup
    vector = layout.flatten(params).numpy()
    vector.flags.writeable = False
    return chunk_gradient(
        gan, layout, vector, chunk, source or default_source, config, device=CPU, **options
    )


@pytest.mark.parametrize("algorithm", ["reptile", "fomaml", "maml", "anil"])
@pytest.mark.parametrize(("family", "conditioning"), ARCHITECTURES)
def test_vectorised_episodes_equal_single_ones_in_float64(family, conditioning, algorithm):
    second_order = ALGORITHMS[algorithm].second_order
    config, source, gan, params, layout = run_setup(family, conditioning, second_order=second_order)
    init = perturbed(params)
    inputs = []
    for key in episode_keys(source, 3):
        halves = _inputs(source.episode(key), config, CPU)
        inputs.append(
            EpisodeInputs(
                *(type(h)(*(t.double() for t in h)) for h in (halves.support, halves.query))
            )
        )
    estimator = ALGORITHMS[algorithm].estimator
    together, one_by_one = (
        _per_episode(estimator, gan, layout, init, inputs, config, vectorised=vectorised)
        for vectorised in (True, False)
    )
    assert together[0].shape == (3, layout.size)
    assert float((together[0] - one_by_one[0]).abs().max()) <= 1e-10
    assert float(one_by_one[0].abs().max()) > 1e-3
    for name, values in one_by_one[1].items():
        assert float((together[1][name] - values).abs().max()) <= 1e-10


def test_vectorised_inner_adam_equals_single_episodes_in_float64():
    inner = InnerConfig(steps=3, batch_size=3, lr=2e-3, optimizer="adam")
    config, source, gan, params, layout = run_setup(inner=inner)
    inputs = [_inputs(source.episode(key), config, CPU) for key in episode_keys(source, 2)]
    doubled = [
        EpisodeInputs(*(type(h)(*(t.double() for t in h)) for h in (i.support, i.query)))
        for i in inputs
    ]
    init = perturbed(params)
    together, single = (
        _per_episode(reptile, gan, layout, init, doubled, config, vectorised=v)[0]
        for v in (True, False)
    )
    assert float((together - single).abs().max()) <= 1e-9


def test_the_vectorised_chunk_equals_the_loop_in_float32():
    setup = run_setup()
    chunk = ChunkKey(0, 0, "reptile", episode_keys(setup[1], 3))
    together, loop = (compute(setup, chunk, vectorised=v).gradient_sum for v in (True, False))
    # Float32 kinks may differ; the chunk of three has a sum of norm about 1e-1.
    assert np.linalg.norm(together - loop) <= 1e-3 * np.linalg.norm(loop)


@pytest.mark.parametrize("algorithm", ["reptile", "fomaml", "maml", "anil"])
def test_a_chunk_is_the_sum_of_its_episodes_in_order(algorithm):
    setup = run_setup(second_order=ALGORITHMS[algorithm].second_order)
    keys = episode_keys(setup[1], 4)
    whole = compute(setup, ChunkKey(0, 0, algorithm, keys), vectorised=False)
    total = np.zeros_like(whole.gradient_sum)
    losses = 0.0
    for key in keys:
        single = compute(setup, ChunkKey(0, 0, algorithm, (key,)), vectorised=False)
        total += single.gradient_sum
        losses += single.report.metric_sums["loss_d_last"]
    assert whole.gradient_sum.dtype == np.float32
    np.testing.assert_array_equal(whole.gradient_sum, total)
    assert whole.report.metric_sums["loss_d_last"] == losses
    assert whole.report.num_finite == 4
    assert whole.report.failures == ()


@pytest.mark.parametrize("vectorised", [True, False])
@pytest.mark.parametrize("algorithm", ["reptile", "fomaml", "maml", "joint"])
def test_a_chunk_is_bit_equal_whatever_ran_before_it(algorithm, vectorised):
    inner = InnerConfig(steps=2, batch_size=4, optimizer="adam", lr=1e-2)
    setup = run_setup(second_order=ALGORITHMS[algorithm].second_order, inner=inner)
    chunk = ChunkKey(1, 0, algorithm, episode_keys(setup[1], 3))
    first = compute(setup, chunk, vectorised=vectorised)
    for other in ("fomaml", "joint", "reptile"):
        keys = episode_keys(setup[1], 3, step=7)
        compute(setup, ChunkKey(7, 0, other, keys), vectorised=vectorised)
    again = compute(setup, chunk, vectorised=vectorised)
    np.testing.assert_array_equal(first.gradient_sum, again.gradient_sum)
    assert first.report.gradient_sha256 == again.report.gradient_sha256
    assert first.report.metric_sums == again.report.metric_sums


class PoisonedTasks:
    """Episodes of some keys have NaN pixels, as a broken file might give."""

    def __init__(self, source: DatasetTasks, bad: set[EpisodeKey]) -> None:
        self._source, self._bad = source, bad

    def tasks(self, split):
        return self._source.tasks(split)

    def episode(self, key: EpisodeKey) -> Episode:
        episode = self._source.episode(key)
        if key not in self._bad:
            return episode
        return Episode(key, torch.full_like(episode.support, torch.nan), episode.query)


@pytest.mark.parametrize("vectorised", [True, False])
def test_episodes_that_are_not_finite_are_left_out_listed_and_counted(vectorised):
    setup = run_setup()
    keys = episode_keys(setup[1], 4)
    bad = {keys[1], keys[3]}
    source = PoisonedTasks(setup[1], bad)
    mixed = compute(setup, ChunkKey(0, 0, "reptile", keys), source=source, vectorised=vectorised)
    good = compute(setup, ChunkKey(0, 0, "reptile", (keys[0], keys[2])), vectorised=False)
    assert [failure.key for failure in mixed.report.failures] == [keys[1], keys[3]]
    assert mixed.report.num_finite == 2
    assert np.isfinite(mixed.gradient_sum).all()
    tolerance = 1e-3 * np.linalg.norm(good.gradient_sum) if vectorised else 0.0
    assert np.linalg.norm(mixed.gradient_sum - good.gradient_sum) <= tolerance
    assert mixed.report.metric_sums["loss_d_first"] == pytest.approx(
        good.report.metric_sums["loss_d_first"], rel=1e-5
    )


def test_a_poisoned_joint_chunk_loses_all_its_episodes():
    setup = run_setup()
    keys = episode_keys(setup[1], 3)
    result = compute(
        setup, ChunkKey(0, 0, "joint", keys), source=PoisonedTasks(setup[1], {keys[0]})
    )
    assert [failure.key for failure in result.report.failures] == list(keys)
    assert result.report.num_finite == 0
    assert not result.gradient_sum.any()


def test_the_sent_vector_is_not_written_to_and_is_hashed():
    config, source, gan, params, layout = run_setup()
    vector = layout.flatten(params).numpy()
    before = vector.copy()
    chunk = ChunkKey(0, 0, "reptile", episode_keys(source, 2))
    for vectorised in (True, False):
        result = chunk_gradient(
            gan, layout, vector, chunk, source, config, device=CPU, vectorised=vectorised
        )
        np.testing.assert_array_equal(vector, before)
        assert result.report.params_sha256 == vector_sha256(before)
        assert result.report.gradient_sha256 == vector_sha256(result.gradient_sum)


def test_joint_counts_as_all_its_episodes_and_is_their_pooled_mean():
    warmup = WarmupConfig(steps=1, pairs_per_episode=2)
    setup = run_setup(warmup=warmup)
    keys = episode_keys(setup[1], 4)
    whole = compute(setup, ChunkKey(1, 0, "joint", keys))
    parts = [compute(setup, ChunkKey(1, i, "joint", keys[i : i + 1])) for i in range(4)]
    assert whole.report.num_finite == 4
    mean = sum(part.gradient_sum for part in parts) / 4
    # Losses are means over samples, so the pooled gradient is the mean of the parts'.
    np.testing.assert_allclose(whole.gradient_sum / 4, mean, atol=1e-5 * np.abs(mean).max())
    assert whole.report.metric_sums["loss_d_first"] == pytest.approx(
        sum(part.report.metric_sums["loss_d_first"] for part in parts), rel=1e-5
    )


def test_the_rule_for_vectorising_reads_only_sizes_and_the_kind_of_device():
    cuda = torch.device("cuda")
    small, large = GanConfig(width=8), GanConfig(width=64)
    assert prefers_vmap(small, 28, 8, CPU)
    assert not prefers_vmap(small, 64, 8, CPU)
    assert not prefers_vmap(large, 28, 8, CPU)
    assert prefers_vmap(large, 64, 8, cuda)
    assert not prefers_vmap(small, 28, 1, CPU)
    assert not prefers_vmap(small, 28, 1, cuda)
    for family in get_args(GeneratorFamily):
        assert prefers_vmap(GanConfig(family=family, width=4), 16, 2, CPU)


def test_an_episode_does_not_depend_on_its_group_under_vmap():
    """On a CPU a chunk is vectorised eight episodes at a time."""
    setup = run_setup("dcgan", inner=InnerConfig(steps=1, batch_size=2, lr=1e-2, optimizer="sgd"))
    keys = episode_keys(setup[1], 11)
    whole = compute(setup, ChunkKey(0, 0, "reptile", keys), vectorised=True)
    parts = [
        compute(setup, ChunkKey(0, i, "reptile", part), vectorised=True).gradient_sum
        for i, part in enumerate((keys[:8], keys[8:]))
    ]
    assert whole.report.num_finite == 11
    np.testing.assert_allclose(whole.gradient_sum, sum(parts), atol=1e-7)
    loop = compute(setup, ChunkKey(0, 0, "reptile", keys), vectorised=False).gradient_sum
    assert np.linalg.norm(whole.gradient_sum - loop) <= 1e-3 * np.linalg.norm(loop)


@settings(max_examples=4, derandomize=True, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 5), max_size=3, unique=True),
    algorithm=st.sampled_from(["reptile", "fomaml"]),
)
def test_chunks_of_any_size_add_up_to_the_same_gradient(cuts, algorithm):
    setup = run_setup("dcgan", inner=InnerConfig(steps=1, batch_size=2, lr=1e-2, optimizer="sgd"))
    keys = episode_keys(setup[1], 6)
    whole = compute(setup, ChunkKey(0, 0, algorithm, keys), vectorised=False).gradient_sum
    edges = [0, *sorted(cuts), 6]
    parts = [
        compute(setup, ChunkKey(0, i, algorithm, keys[a:b]), vectorised=False).gradient_sum
        for i, (a, b) in enumerate(itertools.pairwise(edges))
    ]
    np.testing.assert_allclose(sum(parts), whole, atol=1e-5 * np.abs(whole).max())
