"""Errors of vectors whose truth is known."""

from torch import Tensor

from metagan.data.form import Form


def errors(drawn: Tensor, truth: Tensor, form: Form) -> dict[str, float]:  # noqa: ARG001
    """Root mean square error, in units of each column's spread over training classes.

    Args:
        drawn: (Q, D) as networks draw them.
        truth: (Q, D) as they see them.
        form: Of the vectors.
    """
    return {"rmse": float((drawn - truth).double().square().mean().sqrt())}
