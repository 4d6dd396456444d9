import pytest
import torch

from metagan.kinds.image.classifier import SmallConvNet


def test_there_are_no_running_statistics_and_the_body_has_100_to_200_thousand_weights():
    net = SmallConvNet(10, (1, 28, 28))
    assert not list(net.buffers())
    assert 100_000 <= sum(p.numel() for p in net.body.parameters()) <= 200_000


@pytest.mark.parametrize("size", [16, 20, 28, 32, 48, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_size_ends_in_a_map_of_three_to_five_pixels_a_side(size, channels):
    net = SmallConvNet(5, (channels, size, size))
    images = torch.rand(2, channels, size, size) * 2 - 1
    assert net.features(images).shape == (2, net.num_features)
    assert net(images).shape == (2, 5)
    assert 3 <= (net.num_features / 96) ** 0.5 <= 5


def test_unfit_networks_and_pictures_are_refused():
    with pytest.raises(ValueError, match="at least 2 classes, not 1"):
        SmallConvNet(1, (1, 16, 16))
    with pytest.raises(ValueError, match="at least 16 x 16"):
        SmallConvNet(2, (1, 8, 8))
    with pytest.raises(ValueError, match=r"built for \(1, 16, 16\)"):
        SmallConvNet(2, (1, 16, 16)).features(torch.zeros(2, 3, 16, 16))
