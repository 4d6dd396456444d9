"""Both players, and a twin discriminator if there is one, as one flat mapping of named tensors.

"generator.<name>", "discriminator.<name>" and, where a twin discriminator scores the generator's
query loss, "critic.<name>": the form in which `metagan.core.implicit` solves for all of them at
once.
"""

from collections.abc import Mapping

from metagan.config.learning import InnerConfig
from metagan.core.batches import GanBatch
from metagan.core.derivatives import functional_gradient
from metagan.core.gan import GanPair
from metagan.core.inner_loop import StepGradients, discriminator_gradient
from metagan.core.params import Params


def flatten_game(players: Mapping[str, Params]) -> Params:
    """Join both players' weights into one mapping, which `players_of` takes apart again."""
    return {
        f"{player}.{name}": weight
        for player, weights in players.items()
        for name, weight in weights.items()
    }


def players_of(flat: Params) -> dict[str, Params]:
    """{"generator": ..., "discriminator": ..., "critic": ...} of flat names."""
    players: dict[str, Params] = {}
    for name, weight in flat.items():
        player, _, own = name.partition(".")
        players.setdefault(player, {})[own] = weight
    return players


def inner_field(
    gan: GanPair, support: GanBatch, query: GanBatch, inner: InnerConfig, at: Params
) -> Params:
    """Every player's partial derivative of its own inner loss, by the weights that move.

    The batches have no inner steps in front; penalties count at their mean weight. The query half
    is the twin discriminator's.
    """
    players = players_of(at)
    step = StepGradients(
        gan,
        players["generator"],
        support,
        functional_gradient,
        moving=inner.generator_moves,
    )
    own = players.get("discriminator", {})
    field: dict[str, Params] = {"generator": {}}
    if own:
        field["discriminator"], _ = step.discriminator(
            own, penalty_scale=1.0, moving=inner.discriminator_moves
        )
    field["generator"], _ = step.generator(own)
    if "critic" in players:
        field["critic"], _ = discriminator_gradient(
            gan,
            players["critic"],
            gan.generate(players["generator"], query.condition, query.z[:, 0]),
            query,
            functional_gradient,
            penalty_scale=1.0,
            moving=inner.discriminator_moves,
        )
    return flatten_game(field)
