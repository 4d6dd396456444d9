import numpy as np
import pytest
import torch

from metagan.data.form import Form
from metagan.evaluate.classifier import untrained
from metagan.evaluate.source_classifier import ClassifierFeatures, SourceClassifier
from metagan.kinds.image.classifier import SmallConvNet


def classifier(seed=0, num_classes=3, sample_shape=(1, 16, 16)):
    return untrained(lambda: SmallConvNet(num_classes, sample_shape), seed)


def samples(count=5):
    return torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (count, 1, 16, 16))).float()


def test_features_are_those_of_the_body_in_float64():
    net = classifier()
    extractor = ClassifierFeatures(net)
    features = extractor(samples())
    assert features.dtype == np.float64
    assert features.shape == (5, extractor.num_features)
    expected = net.features(samples()).detach().double().numpy()
    np.testing.assert_array_equal(features, expected)


def test_many_samples_in_chunks_have_the_features_of_each_alone():
    extractor = ClassifierFeatures(classifier())
    many = samples(300)
    np.testing.assert_allclose(extractor(many)[-3:], extractor(many[-3:]), rtol=1e-4, atol=1e-5)
    assert extractor(many[:0]).shape == (0, extractor.num_features)


def test_hash_follows_the_weights_that_make_features_and_no_others():
    base = ClassifierFeatures(classifier())
    assert ClassifierFeatures(classifier()).sha256 == base.sha256
    assert ClassifierFeatures(classifier(num_classes=7), name="other").sha256 == base.sha256
    assert ClassifierFeatures(classifier(seed=1)).sha256 != base.sha256
    assert ClassifierFeatures(classifier(sample_shape=(1, 20, 16))).sha256 != base.sha256
    changed = classifier()
    with torch.no_grad():
        next(changed.body.parameters()).view(-1)[0] += 1e-6
    assert ClassifierFeatures(changed).sha256 != base.sha256


def test_hash_of_given_weights_is_that_of_earlier_versions():
    net = classifier()
    with torch.no_grad():
        for weight in net.body.parameters():
            weight.copy_((torch.arange(weight.numel()) % 64 / 64).reshape(weight.shape))
    expected = "feaa5507d73b1d3140dc401bf83ce899aba394c10ecb1eb050658e727799dcd2"
    assert ClassifierFeatures(net).sha256 == expected


def test_a_trained_classifier_is_made_an_extractor_without_the_global_generator():
    net = classifier()
    source = SourceClassifier(dict(net.state_dict()), 3, Form("image", (1, 16, 16)), 0.5)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    extractor = source.features()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert source.features().sha256 == extractor.sha256 == ClassifierFeatures(net).sha256
    np.testing.assert_array_equal(extractor(samples()), ClassifierFeatures(net)(samples()))


def test_later_changes_to_the_classifier_do_not_reach_the_extractor():
    net = classifier()
    extractor = ClassifierFeatures(net)
    before = extractor(samples())
    with torch.no_grad():
        next(net.body.parameters()).zero_()
    np.testing.assert_array_equal(extractor(samples()), before)


def test_accuracy_that_is_no_share_and_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"accuracy is 93"):
        ClassifierFeatures(SmallConvNet(2, (1, 16, 16)), accuracy=93)
    with pytest.raises(ValueError, match=r"built for \(1, 16, 16\)"):
        ClassifierFeatures(classifier())(torch.zeros(2, 3, 16, 16))
