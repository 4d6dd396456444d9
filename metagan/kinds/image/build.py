"""From settings to the two players' modules, with weights drawn from a named seed."""

from collections.abc import Mapping

from torch import nn

from metagan.config.learning import GanConfig
from metagan.core.draws import DrawsFrom
from metagan.core.gan import Augment, Players
from metagan.data.form import Form
from metagan.kinds.image.augment import NUM_AUGMENT_DRAWS, augment
from metagan.kinds.image.dcgan import PlainGenerator, ResidualUp, TransposedUp
from metagan.kinds.image.discriminators import ImageDiscriminator
from metagan.kinds.image.flow import FlowGenerator
from metagan.kinds.image.taken import hides, unknown
from metagan.kinds.image.unet import UnetGenerator

AUGMENT = Augment(NUM_AUGMENT_DRAWS, augment)
# Largest width x picture side for which vmap was the faster path on a CPU thread; measured by
# benchmarks/inner_loop.py, unet by benchmarks/closed_form.py (benchmarks/results).
_LIGHT_UP_TO: Mapping[str, int] = {
    "flow": 8 * 28,
    "dcgan": 16 * 28,
    "residual": 16 * 28,
    "unet": 8 * 28,
}


def build_players(
    config: GanConfig, form: Form, *, seed: int, second_order: bool = False
) -> Players:
    """The generator and discriminator for pictures of shape (C, S, S).

    With `second_order` all of their operations have a second derivative. Weights depend on `seed`
    alone: torch's global generator is neither read nor changed.
    """
    size = form.shape[-1]
    labels = config.num_labels if "label" in config.conditioning else 0
    with DrawsFrom(seed, "weights"):
        generator: nn.Module
        if config.family == "flow":
            generator = FlowGenerator(form, config, second_order=second_order)
        elif config.family == "unet":
            generator = UnetGenerator(form, config, labels)
        else:
            stage = TransposedUp if config.family == "dcgan" else ResidualUp
            generator = PlainGenerator(form, config, labels, stage)
        discriminator = ImageDiscriminator(form, config, labels) if config.has_adversary else None
    return Players(
        generator,
        discriminator,
        AUGMENT,
        is_light=config.width * size <= _LIGHT_UP_TO[config.family],
        unknown=unknown if hides(form) else None,
    )
