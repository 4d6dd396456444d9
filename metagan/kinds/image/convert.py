"""From stored pictures to what networks see, and back.

Shapes: W classes of K pictures each, C channels, H x W pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metagan.config.image import ImageData
from metagan.data.dataset import DataError, Dataset, Samples
from metagan.data.form import Form
from metagan.data.handed_in import array_of
from metagan.data.pairs import MakeInputs, reference_domain, reference_inputs
from metagan.kinds.image.reading.record import Reading, median_level
from metagan.kinds.image.samples import FAR_ABOVE_WHITE, in_bytes, picture_classes
from metagan.kinds.image.taken import enlarge, given_shape, take, taken_of
from metagan.kinds.kind import Support
from metagan.warn import warn


def fit(dataset: Dataset, learned: Sequence[int], config: ImageData) -> Form:
    """How the pictures of a data set were read, and the level in the middle of those learned from.

    Args:
        dataset: The pictures.
        learned: Training classes.
        config: The settings that they were read by.
    """
    median = median_level([dataset.class_samples(index) for index in learned])
    form = form_of_before(config, {"origin": dataset.origin, "median": median})
    if config.input is not None:
        form = replace(form, facts={**form.facts, "inputs": config.input})
        return replace(form, given=given_shape(form))
    return form if reference_domain(dataset) is None else replace(form, given=form.shape)


def form_of_before(config: ImageData, record: Mapping[str, Any]) -> Form:
    """The form of a run's pictures by its data.json, of which earlier versions kept no other."""
    return Reading.of_run(config, record).form()


def to_tensor(samples: Samples, form: Form) -> Tensor:
    """Stored pictures as networks see them, float32 in [-1, 1]; small inputs enlarged."""
    pictures, size = to_float(samples), form.shape[-1]
    return pictures if pictures.shape[-1] == size else enlarge(pictures, size)


def make_inputs(dataset: Dataset, form: Form) -> MakeInputs:
    """Function that gives the inputs of a data set's pictures.

    Raises:
        DataError: If they have none.
    """
    if taken_of(form):
        return _made_inputs(form)
    inputs = reference_inputs(dataset, lambda samples: to_tensor(samples, form))
    if inputs is None:
        raise DataError(
            "gan.conditioning has input, but the pictures have none; set data.reference_domain, "
            "whose pictures of the same classes are then the inputs, or data.input, by which "
            "inputs are made from the pictures themselves"
        )
    return inputs


def _made_inputs(form: Form) -> MakeInputs:
    """Function that takes something away from every picture."""

    def inputs(
        classes: NDArray[np.int64], places: NDArray[np.int64], samples: Tensor, seed: int
    ) -> Tensor:
        where = zip(classes.tolist(), places.tolist(), strict=True)
        return take(samples, form, ((seed, *place) for place in where))

    return inputs


def to_pictures(images: Tensor, form: Form) -> np.ndarray:
    """Turn what networks draw into pictures like their owner's: bright and dark swapped back."""
    return Reading.of_form(form).given_back(to_uint8(images))


def within(images: Tensor) -> Tensor:
    """Pictures with no level outside of [-1, 1]."""
    return images.clamp(-1, 1)


def check_classes(classes: object, form: Form) -> Support:
    """Pictures that Python code hands in, as the system holds them; see `picture_classes`.

    Those that were read from files say how. Others are taken as they are, with a warning where they
    are not as bright as the run's.
    """
    pictures = picture_classes(classes, shape=form.shape)
    if isinstance(classes, Support):
        return Support(pictures, classes.form)
    if warning := Reading.of_form(form).other_polarity(pictures.values(), "give 255 - array"):
        warn(warning)
    return Support(pictures, replace(form, facts={**form.facts, "inverted": False}))


def check_support(support: object, form: Form) -> None:  # noqa: ARG001 - of whatever form
    """Refuse values that are no levels of pictures; warn of pictures that are bright all over.

    Args:
        support: (W, K, C, H, W) floats.
        form: Of the run's pictures.

    Raises:
        DataError: With the fix.
    """
    fix = "; metagan.to_float makes it of uint8 pictures"
    if not (isinstance(support, Tensor) and support.is_floating_point()):
        given = getattr(support, "dtype", type(support).__name__)
        raise DataError(f"support is {given}; expected a tensor of floats in [-1, 1]{fix}")
    low, high = (float(end) for end in torch.aminmax(support.detach()))
    if not -1.001 <= low <= high <= 1.001:  # NaN is not, either.
        raise DataError(f"support has values from {low:g} to {high:g}; expected [-1, 1]{fix}")
    levels = (support.detach() + 1) * 127.5
    # Of bytes, however bright, all levels are whole.
    if low >= 0 and (levels - levels.round()).abs().max() > 0.01:
        warn(
            "support has no value below 0, so that no pixel is darker than middle grey; if it is "
            f"in [0, 1], scale it by 2 * support - 1{fix}"
        )


def to_float(samples: np.ndarray) -> Tensor:
    """uint8 pictures as float32 in [-1, 1].

    `metagan.kinds.image.samples.in_bytes` says what is made of other numbers.

    Raises:
        DataError: If the numbers have no plain meaning as brightness.
    """
    [pixels] = in_bytes([array_of(samples)], "samples")
    return torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1.0)


def to_uint8(images: Tensor) -> np.ndarray:
    """Float pictures as uint8, clamped to [-1, 1] and rounded.

    Raises:
        DataError: If they are no floats.
    """
    try:
        images = torch.as_tensor(images)
    except (TypeError, ValueError, RuntimeError):
        raise DataError(
            f"images are {type(images).__name__}; to_uint8 takes a tensor of floats in [-1, 1]"
        ) from None
    if not images.is_floating_point():
        raise DataError(
            f"images are {str(images.dtype).removeprefix('torch.')}; to_uint8 takes floats in "
            "[-1, 1], such as generate_samples gives; pixels from 0 to 255 need no such step"
        )
    images = images.detach().cpu().float()
    if images.numel() and images.min() >= 0 and images.max() > FAR_ABOVE_WHITE:
        warn(
            f"images have values from {images.min():g} to {images.max():g}, and all above 1 become "
            "white: to_uint8 takes floats in [-1, 1]"
        )
    scaled = (images.clamp(-1, 1) + 1) * 127.5
    result: np.ndarray = scaled.round().to(torch.uint8).numpy()
    return result
