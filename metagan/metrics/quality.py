"""All quality numbers of one set of generated samples."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from numpy.typing import ArrayLike

from metagan.metrics.diversity import diversity_ratio
from metagan.metrics.features import FeatureExtractor, TooFewSamplesError, checked_pair
from metagan.metrics.fid import frechet_distance
from metagan.metrics.kid import kernel_distance
from metagan.metrics.memorisation import memorisation
from metagan.metrics.prdc import precision_recall_density_coverage

T = TypeVar("T")


@dataclass(frozen=True)
class Quality:
    """The quality of generated samples, judged on one extractor's features.

    A number is None where there were too few samples to define it.

    Attributes:
        kid: Unbiased kernel distance, the primary number; 0 is perfect.
        kid_stderr: Its standard error.
        fid: Frechet distance; only comparable at equal `num_real` and `fid_n`.
        fid_n: Generated samples that `fid` was computed on.
        num_real: Real samples that everything was computed on.
        precision: Share of generated samples that look real.
        recall: Share of real samples that generated ones reach.
        density: As precision, but robust to outliers; about 1 is perfect.
        coverage: As recall, but robust to outliers.
        diversity: Mean distance inside a class, generated over real.
        copies: Share of generated samples as close to a support sample as 1 % of unseen real ones.
        support_distance: Median distance to the nearest support sample, generated over real.
        extractor: Name of the extractor.
        extractor_sha256: Hash over its weights.
        extractor_accuracy: Held-out accuracy of the classifier behind it.
    """

    kid: float | None
    kid_stderr: float | None
    fid: float | None
    fid_n: int
    num_real: int
    precision: float | None
    recall: float | None
    density: float | None
    coverage: float | None
    diversity: float | None
    copies: float | None
    support_distance: float | None
    extractor: str
    extractor_sha256: str
    extractor_accuracy: float | None

    def to_json(self) -> dict[str, float | int | str | None]:
        """Every attribute by name; None stands for a number that is not defined, never NaN."""
        return dict(vars(self))


def quality(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    real_labels: ArrayLike,
    generated_labels: ArrayLike,
    support: ArrayLike,
    extractor: FeatureExtractor,
    k: int = 5,
) -> Quality:
    """Every metric of this package on features that are already extracted.

    Args:
        real: (n, d) features of real samples that are not in the support set.
        generated: (m, d) features of generated samples.
        real_labels: (n,) classes.
        generated_labels: (m,) classes.
        support: (s, d) features of the samples that the generator was adapted on.
        extractor: Where all features came from; only its description is used.
        k: Neighbours for precision, recall, density and coverage.

    Raises:
        FeatureError: If features are not finite tables with equal d, a set is empty, or labels do
            not fit.
    """
    x, y = checked_pair(real, generated)
    if x.shape[1] != extractor.num_features:
        raise ValueError(
            f"features have {x.shape[1]} columns, but extractor {extractor.name} makes "
            f"{extractor.num_features}"
        )
    kid = _defined(lambda: kernel_distance(x, y))
    fid = _defined(lambda: frechet_distance(x, y))
    shares = _defined(lambda: precision_recall_density_coverage(x, y, k=k))
    nearness = memorisation(x, y, support=support)
    return Quality(
        kid=kid.value if kid else None,
        kid_stderr=kid.stderr if kid else None,
        fid=fid,
        fid_n=len(y),
        num_real=len(x),
        precision=shares.precision if shares else None,
        recall=shares.recall if shares else None,
        density=shares.density if shares else None,
        coverage=shares.coverage if shares else None,
        diversity=diversity_ratio(x, y, real_labels=real_labels, generated_labels=generated_labels),
        copies=nearness.copies,
        support_distance=nearness.relative_distance,
        extractor=extractor.name,
        extractor_sha256=extractor.sha256,
        extractor_accuracy=extractor.accuracy,
    )


def _defined(compute: Callable[[], T]) -> T | None:
    """The result, or None where there are too few samples for it."""
    try:
        return compute()
    except TooFewSamplesError:
        return None
