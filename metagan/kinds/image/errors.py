"""Errors of pictures whose truth is known.

Shapes: Q pictures, C channels.
"""

import numpy as np
from scipy.ndimage import gaussian_filter
from torch import Tensor

from metagan.data.form import Form

# Of Wang et al. 2004, sections III-B and III-C: the window, and constants for levels in [0, 1].
_SIGMA, _RADIUS = 1.5, 5
_C1, _C2 = 0.01**2, 0.03**2


def errors(drawn: Tensor, truth: Tensor, form: Form) -> dict[str, float]:  # noqa: ARG001
    """Root mean square error of levels in [0, 1], and structural similarity.

    Args:
        drawn: (Q, C, H, W) in [-1, 1].
        truth: The same, true.
        form: Of the pictures.
    """
    a, b = ((part.double().numpy() + 1) / 2 for part in (drawn, truth))
    return {"rmse": float(np.sqrt(np.square(a - b).mean())), "ssim": float(ssim(a, b).mean())}


def ssim(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Structural similarity (Q,) of pictures (Q, C, H, W) with levels in [0, 1].

    Source: Wang, Bovik, Sheikh and Simoncelli 2004, doi:10.1109/TIP.2003.819861, equation 13, with
    a Gaussian window of 11 pixels; beyond the border pictures are taken as their mirror image. The
    mean over pixels and channels.
    """

    def blur(values: np.ndarray) -> np.ndarray:
        smooth: np.ndarray = gaussian_filter(values, _SIGMA, radius=_RADIUS, axes=(-2, -1))
        return smooth

    mean1, mean2 = blur(first), blur(second)
    both = blur(first * second) - mean1 * mean2
    var1, var2 = blur(first * first) - mean1**2, blur(second * second) - mean2**2
    similar: np.ndarray = ((2 * mean1 * mean2 + _C1) * (2 * both + _C2)) / (
        (mean1**2 + mean2**2 + _C1) * (var1 + var2 + _C2)
    )
    return similar.reshape(len(first), -1).mean(1)
