"""From settings to the two players' modules, with weights drawn from a named seed."""

from torch import nn

from metagan.config.learning import GanConfig
from metagan.core.draws import DrawsFrom
from metagan.kinds.image.dcgan import PlainGenerator, ResidualUp, TransposedUp
from metagan.kinds.image.discriminators import ImageDiscriminator
from metagan.kinds.image.flow import FlowGenerator


def build_players(
    config: GanConfig, sample_shape: tuple[int, ...], *, seed: int, second_order: bool = False
) -> tuple[nn.Module, nn.Module]:
    """The generator and discriminator for pictures of shape (C, S, S).

    With `second_order` all of their operations have a second derivative. Weights depend on `seed`
    alone: torch's global generator is neither read nor changed.
    """
    channels, size, _ = sample_shape
    conditional = config.conditioning == "sample"
    num_labels = config.num_labels if config.conditioning == "label" else 0
    with DrawsFrom(seed, "weights"):
        generator: nn.Module
        if config.family == "flow":
            generator = FlowGenerator(
                channels,
                size,
                config.width,
                config.latent_dim,
                config.max_displacement,
                second_order=second_order,
            )
        else:
            generator = PlainGenerator(
                channels,
                size,
                config.width,
                config.latent_dim,
                conditional=conditional,
                num_labels=num_labels,
                stage=TransposedUp if config.family == "dcgan" else ResidualUp,
            )
        discriminator = ImageDiscriminator(
            channels,
            size,
            config.discriminator_width,
            conditional=conditional,
            num_labels=num_labels,
        )
    return generator, discriminator
