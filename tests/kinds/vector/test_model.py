"""The target's own model of vectors."""

import pytest
import torch

from metagan.data.form import Form
from metagan.kinds.vector.model import SmallVectorNet, build_model


@pytest.mark.parametrize("columns", [1, 2, 40])
def test_it_gives_features_and_logits(columns):
    net = build_model(3, Form("vector", (columns,)))
    samples = torch.randn(5, columns)
    assert net.features(samples).shape == (5, net.num_features)
    assert net(samples).shape == (5, 3)
    torch.testing.assert_close(net(samples), net.head(net.body(samples)))
    assert (net.sample_shape, net.num_classes) == ((columns,), 3)
    assert list(net.buffers()) == []


def test_no_class_is_ahead_at_the_start():
    assert not SmallVectorNet(4, (3,))(torch.randn(6, 3)).any()


def test_the_size_of_a_single_column_reaches_the_features():
    net = SmallVectorNet(2, (1,))
    features = net.features(torch.tensor([[1.0], [2.0], [5.0]])).detach()
    assert float((features[0] - features[1]).detach().abs().max()) > 1e-3
    assert float((features[1] - features[2]).detach().abs().max()) > 1e-3


def test_other_samples_and_a_single_class_are_refused():
    with pytest.raises(ValueError, match="at least 2 classes"):
        SmallVectorNet(1, (3,))
    with pytest.raises(ValueError, match=r"takes \(D,\)"):
        SmallVectorNet(2, (1, 16, 16))
    with pytest.raises(ValueError, match=r"\(4,\).*\(3,\)"):
        SmallVectorNet(2, (3,)).features(torch.zeros(1, 4))
