"""Spectral normalization against singular values."""

import torch
from torch.autograd import gradcheck, gradgradcheck

from metagan.core.spectral import spectrally_normalized


def weights(*shape: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(len(shape))
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def test_matrices_get_a_largest_singular_value_of_one_and_vectors_stay() -> None:
    params = {
        "wide": weights(3, 2, 4, 4),
        "tall": weights(9, 2),
        "row": weights(1, 7),
        "bias": weights(5),
    }
    normal = spectrally_normalized(params)
    for name in ("wide", "tall", "row"):
        values = torch.linalg.svdvals(normal[name].flatten(1))
        torch.testing.assert_close(values[0].item(), 1.0, rtol=1e-12, atol=0)
        ratio = normal[name] / params[name]
        torch.testing.assert_close(ratio, ratio.flatten()[0].expand_as(ratio))
    assert torch.equal(normal["bias"], params["bias"])


def test_weights_of_zero_stay_zero() -> None:
    assert not spectrally_normalized({"w": torch.zeros(3, 4)})["w"].any()


def test_its_first_and_second_derivatives_are_those_of_finite_differences() -> None:
    for shape in ((3, 5), (5, 3)):
        matrix = weights(*shape).requires_grad_()

        def normal(w: torch.Tensor) -> torch.Tensor:
            return spectrally_normalized({"w": w})["w"]

        assert gradcheck(normal, matrix)
        assert gradgradcheck(normal, matrix)


def test_many_at_once_equal_one_by_one() -> None:
    many = weights(4, 3, 5)
    mapped = torch.func.vmap(lambda w: spectrally_normalized({"w": w})["w"])(many)
    single = torch.stack([spectrally_normalized({"w": w})["w"] for w in many])
    torch.testing.assert_close(mapped, single, rtol=1e-12, atol=1e-14)
