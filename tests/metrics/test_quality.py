import json
from dataclasses import dataclass

import numpy as np
import pytest

from metagan.metrics.diversity import diversity_ratio
from metagan.metrics.features import FeatureError, NonFiniteFeaturesError
from metagan.metrics.fid import frechet_distance
from metagan.metrics.kid import kernel_distance
from metagan.metrics.memorisation import memorisation
from metagan.metrics.prdc import precision_recall_density_coverage
from metagan.metrics.quality import quality


@dataclass(frozen=True)
class Described:
    """An extractor whose features are made elsewhere."""

    name: str = "pixels"
    num_features: int = 6
    sha256: str = "a" * 64
    accuracy: float | None = 0.75

    def __call__(self, samples):
        return samples.flatten(1).double().numpy()


def gaussian(seed, count, dims=6, mean=0.0):
    return np.random.default_rng(seed).normal(mean, 1.0, (count, dims))


def judged(real=None, generated=None, support=None, extractor=None):
    real = gaussian(0, 60) if real is None else real
    generated = gaussian(1, 80, mean=0.4) if generated is None else generated
    return quality(
        real,
        generated,
        real_labels=np.arange(len(real)) % 3,
        generated_labels=np.arange(len(generated)) % 3,
        support=gaussian(2, 15) if support is None else support,
        extractor=extractor or Described(),
    )


def test_every_number_is_that_of_its_metric():
    x, y, support = gaussian(0, 60), gaussian(1, 80, mean=0.4), gaussian(2, 15)
    result = judged(x, y, support)
    kid, shares = kernel_distance(x, y), precision_recall_density_coverage(x, y)
    nearness = memorisation(x, y, support=support)
    assert (result.kid, result.kid_stderr) == (kid.value, kid.stderr)
    assert (result.fid, result.fid_n, result.num_real) == (frechet_distance(x, y), 80, 60)
    assert (result.precision, result.recall) == (shares.precision, shares.recall)
    assert (result.density, result.coverage) == (shares.density, shares.coverage)
    assert result.diversity == diversity_ratio(
        x, y, real_labels=np.arange(60) % 3, generated_labels=np.arange(80) % 3
    )
    assert (result.copies, result.support_distance) == (
        nearness.copies,
        nearness.relative_distance,
    )
    assert (result.extractor, result.extractor_accuracy) == ("pixels", 0.75)


def test_json_has_the_promised_keys():
    text = json.dumps(judged().to_json(), allow_nan=False)
    promised = "kid kid_stderr fid fid_n precision recall density coverage diversity copies"
    assert set(promised.split()) <= set(json.loads(text))


def test_numbers_that_too_few_samples_leave_undefined_are_null():
    values = judged(real=gaussian(0, 4), generated=gaussian(1, 1)).to_json()
    undefined = {name for name, value in values.items() if value is None}
    assert undefined == {
        *("kid", "kid_stderr", "fid", "precision", "recall", "density", "coverage", "diversity")
    }
    assert (values["fid_n"], values["num_real"]) == (1, 4)
    json.dumps(values, allow_nan=False)


def test_bad_features_are_errors_and_not_nulls():
    bad = gaussian(0, 60)
    bad[7, 2] = np.nan
    with pytest.raises(NonFiniteFeaturesError, match="index 7"):
        judged(real=bad)
    with pytest.raises(NonFiniteFeaturesError, match="support"):
        judged(support=np.full((3, 6), np.inf))
    with pytest.raises(FeatureError, match="columns"):
        judged(generated=gaussian(1, 80, 5))
    with pytest.raises(ValueError, match="extractor pixels makes 7"):
        judged(extractor=Described(num_features=7))
