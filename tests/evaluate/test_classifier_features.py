import numpy as np
import pytest
import torch

from metagan.evaluate.source_classifier import ClassifierFeatures
from metagan.kinds.image.classifier import SmallConvNet, train_classifier


def classifier(seed=0, num_classes=3, image_shape=(1, 16, 16)):
    return train_classifier(num_classes, image_shape, lambda _: None, steps=0, seed=seed)


def images(count=5):
    values = np.random.default_rng(0).integers(0, 256, (count, 1, 16, 16), dtype=np.uint8)
    return torch.from_numpy(values)


def test_features_are_those_of_the_body_in_float64():
    net = classifier()
    extractor = ClassifierFeatures(net)
    features = extractor(images())
    assert features.dtype == np.float64
    assert features.shape == (5, extractor.num_features)
    expected = net.features(images().float() / 127.5 - 1).double().numpy()
    np.testing.assert_array_equal(features, expected)


def test_uint8_and_float_images_of_the_same_pictures_have_equal_features():
    extractor = ClassifierFeatures(classifier())
    np.testing.assert_array_equal(extractor(images()), extractor(images().float() / 127.5 - 1))


def test_many_images_in_chunks_have_the_features_of_each_alone():
    extractor = ClassifierFeatures(classifier())
    many = images(300)
    np.testing.assert_allclose(extractor(many)[-3:], extractor(many[-3:]), rtol=1e-4, atol=1e-5)
    assert extractor(many[:0]).shape == (0, extractor.num_features)


def test_hash_follows_the_weights_that_make_features_and_no_others():
    base = ClassifierFeatures(classifier())
    assert ClassifierFeatures(classifier()).sha256 == base.sha256
    assert ClassifierFeatures(classifier(num_classes=7), name="other").sha256 == base.sha256
    assert ClassifierFeatures(classifier(seed=1)).sha256 != base.sha256
    assert ClassifierFeatures(classifier(image_shape=(1, 20, 16))).sha256 != base.sha256
    changed = classifier()
    with torch.no_grad():
        next(changed.body.parameters()).view(-1)[0] += 1e-6
    assert ClassifierFeatures(changed).sha256 != base.sha256


def test_later_changes_to_the_classifier_do_not_reach_the_extractor():
    net = classifier()
    extractor = ClassifierFeatures(net)
    before = extractor(images())
    with torch.no_grad():
        next(net.body.parameters()).zero_()
    np.testing.assert_array_equal(extractor(images()), before)


def test_accuracy_that_is_no_share_and_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"accuracy is 93"):
        ClassifierFeatures(SmallConvNet(2, (1, 16, 16)), accuracy=93)
    with pytest.raises(ValueError, match=r"built for \(1, 16, 16\)"):
        ClassifierFeatures(classifier())(torch.zeros(2, 3, 16, 16))
