"""Training a classifier of any samples: of pictures, and of rows of numbers."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from metagan.data.form import Form
from metagan.evaluate.classifier import (
    batched,
    nearest_centroid,
    predict,
    train_classifier,
    untrained,
)
from metagan.kinds.registry import find_kind


class RowNet(nn.Module):
    """The least that a kind's model can be."""

    def __init__(self, num_classes, form):
        super().__init__()
        self.sample_shape = form.shape
        self.num_features = 200
        self.body = nn.Sequential(nn.Linear(*form.shape, self.num_features), nn.ReLU())
        self.head = nn.Linear(self.num_features, num_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def features(self, samples):
        return self.body(samples)

    def forward(self, samples):
        return self.head(self.features(samples))


MODELS = {
    "rows": (RowNet, Form("rows", (16,))),
    "pictures": (find_kind("image").model, Form("image", (1, 16, 16))),
}


class Case:
    """A kind's model, and samples that are easily told apart."""

    def __init__(self, model, form):
        self.model, self.form = model, form

    def bars(self, count, seed, classes=4):
        """Noisy samples with a bright bar whose place is the class."""
        rng = np.random.default_rng(seed)
        labels = rng.integers(classes, size=count)
        samples = rng.normal(-0.6, 0.3, (count, *self.form.shape))
        for sample, label in zip(samples, labels, strict=True):
            sample.reshape(16, -1)[3 * label + 1 : 3 * label + 4] += 0.8
        return torch.from_numpy(samples).float().clamp(-1, 1), torch.from_numpy(labels)

    def trained(self, num_classes=4, **changes):
        settings = {"steps": 30, "seed": 0, "batch_at": lambda step: self.bars(16, step)} | changes
        build = partial(self.model, num_classes, self.form)
        return train_classifier(build, settings.pop("batch_at"), **settings)


@pytest.fixture(params=MODELS)
def case(request):
    return Case(*MODELS[request.param])


def accuracy(net, samples, labels):
    return float((predict(net, samples) == labels).double().mean())


def same(one, other):
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_training_learns_a_simple_task_and_evaluates_without_gradients(case):
    samples, labels = case.bars(100, seed=99)
    net = case.trained()
    assert accuracy(net, samples, labels) > 0.95
    assert accuracy(case.trained(steps=0), samples, labels) < 0.5
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())


def test_equal_arguments_give_equal_bits_whatever_the_global_generator_holds(case):
    torch.manual_seed(1)
    one = case.trained(steps=5)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    other = case.trained(steps=5)
    assert same(one, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert not same(one, case.trained(steps=5, seed=1))


def test_one_sample_is_classified_the_same_alone_and_in_any_batch(case):
    net = case.trained()
    samples, _ = case.bars(9, seed=5)
    together = batched(net, samples)
    alone = torch.cat([batched(net, sample[None]) for sample in samples])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_a_head_from_centroids_starts_as_the_nearest_centroid_rule(case):
    body = case.trained()
    support, labels = case.bars(12, seed=7)
    queries, _ = case.bars(60, seed=8)
    net = case.trained(steps=0, init=body.state_dict(), head_from=(support, labels))
    expected = nearest_centroid(body.features(support), labels, body.features(queries))
    assert torch.equal(predict(net, queries), expected)


def test_classes_without_support_are_not_predicted_by_a_head_from_centroids(case):
    support, labels = case.bars(20, seed=7, classes=3)
    queries, truth = case.bars(60, seed=8, classes=3)
    net = case.trained(steps=0, init=case.trained().state_dict(), head_from=(support, labels))
    assert accuracy(net, queries, truth) > 0.9


def test_init_takes_the_body_and_leaves_the_head(case):
    source = case.trained(7, steps=3, seed=5)
    net = case.trained(steps=0, init=source.state_dict())
    assert same(net.body, source.body)
    assert net.head.weight.shape == (4, net.num_features)
    assert not net.head.weight.any()


def test_a_frozen_body_keeps_its_bits_while_the_head_learns(case):
    source = case.trained(seed=3)
    net = case.trained(steps=5, init=source.state_dict(), body_lr_scale=0.0)
    assert same(net.body, source.body)
    assert net.head.weight.any()
    assert not same(
        case.trained(steps=5, init=source.state_dict(), body_lr_scale=0.1).body, source.body
    )


def test_no_samples_have_no_classes(case):
    samples, _ = case.bars(3, seed=5)
    assert predict(case.trained(steps=0), samples[:0]).shape == (0,)


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


def test_divergence_is_a_named_error(case):
    bad = (torch.full((4, *case.form.shape), float("nan")), torch.tensor([0, 1, 2, 3]))
    with pytest.raises(FloatingPointError, match="diverged within 2 steps"):
        case.trained(steps=2, batch_at=lambda _: bad)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.0}, "lr 0.0"),
        ({"steps": -1}, "steps -1"),
        ({"label_smoothing": 1.0}, "label_smoothing 1.0"),
        ({"init": {}}, "does not fit samples of shape"),
    ],
)
def test_settings_out_of_range_are_named(case, changes, message):
    with pytest.raises(ValueError, match=message):
        case.trained(**changes)


def test_an_empty_support_is_refused():
    with pytest.raises(ValueError, match="n >= 1"):
        nearest_centroid(torch.empty(0, 3), torch.empty(0).long(), torch.zeros(1, 3))


def test_untrained_weights_are_those_of_the_seed_and_move_no_global_generator(case):
    build = partial(case.model, 4, case.form)
    one = untrained(build, 3)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert same(one, untrained(build, 3))
    assert torch.equal(torch.get_rng_state(), state)
    assert not same(one, untrained(build, 4))
