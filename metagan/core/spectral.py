"""Spectral normalization as a pure function of weights.

Source: Miyato et al. 2018, arXiv:1802.05957, equation 8. There the largest singular value is
followed by one step of power iteration per update, a state that an episode would have to carry;
here it is computed exactly each time, so that equal weights give equal scores and derivatives of
any order.
"""

import torch
from torch import Tensor

from metagan.core.params import Params


def spectrally_normalized(params: Params) -> Params:
    """Each weight of two axes or more, over its largest singular value as an (out, rest) matrix."""
    return {
        name: weight / _largest_singular_value(weight.flatten(1)) if weight.ndim > 1 else weight
        for name, weight in params.items()
    }


def _largest_singular_value(matrix: Tensor) -> Tensor:
    # The smaller Gram matrix has full rank but for special weights, and costs less than an SVD.
    rows, columns = matrix.shape
    gram = matrix @ matrix.mT if rows <= columns else matrix.mT @ matrix
    return torch.linalg.eigvalsh(gram)[-1].clamp_min(1e-12).sqrt()
