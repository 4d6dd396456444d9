"""Untrained weights are a matter of the seed, and of nothing else that happens in the process."""

import threading
from collections.abc import Callable

import pytest
import torch
from torch import nn

from metagan.config.learning import GanConfig
from metagan.core.draws import DrawsFrom
from metagan.core.gan import build_gan
from metagan.evaluate.classifier import untrained as untrained_classifier
from metagan.kinds.image.classifier import SmallConvNet
from metagan.kinds.registry import find_kind
from tests.reference.cases import ARCHITECTURES, form_of, gan_settings

CASES = [*ARCHITECTURES, ("classifier", "")]


def untrained(family: str, conditioning: str) -> torch.Tensor:
    """All weights of a GAN or of the classifier, flat."""
    if family == "classifier":
        net = untrained_classifier(lambda: SmallConvNet(2, (1, 16, 16)), 3)
        return nn.utils.parameters_to_vector(net.parameters())
    config = GanConfig(**gan_settings(family, conditioning))
    form = form_of(family, conditioning=config.conditioning)
    _, params = build_gan(find_kind(form.kind).players, config, form, seed=3)
    return torch.cat([weight.flatten() for part in params for weight in part.values()])


def before_every_layer(work: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that another thread does between the draws of two layers."""
    for layer in (nn.Conv2d, nn.ConvTranspose2d, nn.Linear):

        def meanwhile(self: nn.Module, draw=layer.reset_parameters) -> None:
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            draw(self)

        monkeypatch.setattr(layer, "reset_parameters", meanwhile)


@pytest.mark.parametrize(("family", "conditioning"), CASES)
def test_what_another_thread_draws_changes_no_untrained_weight(
    family: str, conditioning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = untrained(family, conditioning)
    before_every_layer(lambda: torch.rand(7), monkeypatch)
    assert torch.equal(untrained(family, conditioning), expected)


@pytest.mark.parametrize(("family", "conditioning"), CASES)
def test_building_networks_changes_nothing_that_another_thread_draws(
    family: str, conditioning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float] = []
    before_every_layer(lambda: drawn.append(float(torch.rand(()))), monkeypatch)
    torch.manual_seed(5)
    untrained(family, conditioning)
    torch.manual_seed(5)
    assert drawn == torch.rand(len(drawn)).tolist()
    assert len(drawn) >= 5


def test_a_layer_that_can_only_draw_from_the_global_generator_is_an_error() -> None:
    with pytest.raises((RuntimeError, TypeError), match="generator"), DrawsFrom(0, "weights"):
        torch.rand(3)
    with DrawsFrom(0, "weights"):
        assert nn.init.normal_(torch.empty(3)).std() > 0
