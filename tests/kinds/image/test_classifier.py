import numpy as np
import pytest
import torch

from metagan.kinds.image.classifier import (
    SmallConvNet,
    batched,
    nearest_centroid,
    predict,
    train_classifier,
)

SHAPE = (1, 16, 16)


def bars(count, seed, classes=4):
    """Noisy pictures of a bright bar whose place is the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    pictures = rng.normal(-0.6, 0.3, (count, *SHAPE))
    for picture, label in zip(pictures, labels, strict=True):
        picture[0, 3 * label + 1 : 3 * label + 4] += 0.8
    return torch.from_numpy(pictures).float().clamp(-1, 1), torch.from_numpy(labels)


def batches(seed=0, classes=4):
    return lambda step: bars(16, 1000 * seed + step, classes)


def trained(**changes):
    settings = {"steps": 30, "seed": 0} | changes
    return train_classifier(4, SHAPE, settings.pop("batch_at", batches()), **settings)


def accuracy(net, images, labels):
    return float((predict(net, images) == labels).double().mean())


def same(one, other):
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_training_learns_a_simple_task_and_evaluates_without_gradients():
    images, labels = bars(100, seed=99)
    net = trained()
    assert accuracy(net, images, labels) > 0.95
    assert accuracy(trained(steps=0), images, labels) < 0.5
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())


def test_equal_arguments_give_equal_bits_whatever_the_global_generator_holds():
    torch.manual_seed(1)
    one = trained(steps=5)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    other = trained(steps=5)
    assert same(one, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert not same(one, trained(steps=5, seed=1))


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


def test_one_sample_is_classified_the_same_alone_and_in_any_batch():
    net = trained()
    images, _ = bars(9, seed=5)
    together = batched(net, images)
    alone = torch.cat([batched(net, image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_a_head_from_centroids_starts_as_the_nearest_centroid_rule():
    body = trained()
    support, labels = bars(12, seed=7)
    queries, _ = bars(60, seed=8)
    net = train_classifier(
        4,
        SHAPE,
        batches(),
        steps=0,
        seed=0,
        init=body.state_dict(),
        head_from=(support, labels),
    )
    expected = nearest_centroid(body.features(support), labels, body.features(queries))
    assert torch.equal(predict(net, queries), expected)


def test_classes_without_support_are_not_predicted_by_a_head_from_centroids():
    support, labels = bars(20, seed=7, classes=3)
    queries, truth = bars(60, seed=8, classes=3)
    net = trained(steps=0, init=trained().state_dict(), head_from=(support, labels))
    assert accuracy(net, queries, truth) > 0.9


def test_init_takes_the_body_and_leaves_the_head():
    source = train_classifier(7, SHAPE, batches(classes=4), steps=3, seed=5)
    net = trained(steps=0, init=source.state_dict())
    assert same(net.body, source.body)
    assert net.head.weight.shape == (4, net.num_features)
    assert not net.head.weight.any()


def test_a_frozen_body_keeps_its_bits_while_the_head_learns():
    source = trained(seed=3)
    net = trained(steps=5, init=source.state_dict(), body_lr_scale=0.0)
    assert same(net.body, source.body)
    assert net.head.weight.any()
    assert not same(trained(steps=5, init=source.state_dict(), body_lr_scale=0.1).body, source.body)


def test_uint8_pictures_are_classified_as_their_float_form():
    net = trained()
    raw = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (9, *SHAPE), dtype=np.uint8))
    assert torch.equal(predict(net, raw), predict(net, raw.float() / 127.5 - 1))
    assert predict(net, raw[:0]).shape == (0,)


def test_nearest_centroid_uses_directions_from_the_mean_of_centroids():
    # Class 5 has many samples; centring on the mean of samples would put the centre on top of it.
    support = torch.tensor([[10.0, 0.0]] * 9 + [[10.0, 4.0]])
    labels = torch.tensor([5] * 9 + [2])
    queries = torch.tensor([[10.0, 1.9], [10.0, 2.1], [30.0, 2.5]])
    assert nearest_centroid(support, labels, queries).tolist() == [5, 2, 2]


def test_nearest_centroid_ignores_how_far_a_query_lies_from_the_centre():
    support, labels = torch.tensor([[1.0, 0.0], [0.0, 8.0]]), torch.tensor([0, 1])
    centre = support.mean(dim=0)
    direction = torch.tensor([0.3, -0.2])
    queries = torch.stack([centre + scale * direction for scale in (1e-3, 1.0, 1e3)])
    assert nearest_centroid(support, labels, queries).tolist() == [0, 0, 0]


def test_divergence_is_a_named_error():
    bad = (torch.full((4, *SHAPE), float("nan")), torch.tensor([0, 1, 2, 3]))
    with pytest.raises(FloatingPointError, match="diverged within 2 steps"):
        trained(steps=2, batch_at=lambda _: bad)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.0}, "lr 0.0"),
        ({"steps": -1}, "steps -1"),
        ({"label_smoothing": 1.0}, "label_smoothing 1.0"),
        ({"init": {}}, "does not fit images of shape"),
    ],
)
def test_settings_out_of_range_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        trained(**changes)


def test_unfit_networks_and_supports_are_refused():
    with pytest.raises(ValueError, match="at least 2 classes, not 1"):
        SmallConvNet(1, SHAPE)
    with pytest.raises(ValueError, match="at least 16 x 16"):
        SmallConvNet(2, (1, 8, 8))
    with pytest.raises(ValueError, match="n >= 1"):
        nearest_centroid(torch.empty(0, 3), torch.empty(0).long(), torch.zeros(1, 3))
