"""The discriminator that is conditioned on labels."""

import torch

from metagan.config.learning import GanConfig
from metagan.core.layers import ProjectionHead
from metagan.data.form import Form
from metagan.kinds.image.discriminators import ImageDiscriminator


def test_a_labels_score_is_the_linear_one_and_the_product_with_its_own_vector():
    head = ProjectionHead(6, 3).double()
    features = torch.randn(4, 6, dtype=torch.float64)
    labels = torch.tensor([[0.0], [2.0], [1.0], [2.0]])
    found = head(features, labels)
    for row, label in enumerate([0, 2, 1, 2]):
        by_hand = features[row] @ head.score.weight[0] + head.score.bias[0]
        by_hand = by_hand + features[row] @ head.labels.weight[label]
        torch.testing.assert_close(found[row], by_hand)


def test_the_same_picture_scores_differently_under_another_label():
    config = GanConfig(family="dcgan", conditioning="label", discriminator_width=4)
    critic = ImageDiscriminator(Form("image", (1, 16, 16)), config, 3)
    pictures = torch.randn(1, 1, 16, 16).expand(3, -1, -1, -1)
    scores = critic({"label": torch.arange(3.0)[:, None]}, pictures)
    assert len(set(scores.tolist())) == 3
