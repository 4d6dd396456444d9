"""Inputs of a user's samples where a run's inputs are samples of a reference domain."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from metagan.data.cache import open_dataset
from metagan.data.dataset import DataError, Samples
from metagan.data.form import Form
from metagan.data.pairs import known_as, reference_domain, with_reference
from metagan.data.paths.names import a_few
from metagan.kinds.registry import find_kind
from metagan.workflow.setup import LoadedRun


def inputs_by_label(run: LoadedRun) -> dict[str, Tensor]:
    """The run's inputs as networks see them: {label: (n, *given_shape)}.

    Raises:
        DataError: If the run's data cannot be opened, or have no reference domain any more.
    """
    dataset = with_reference(open_dataset(run.config.data), run.config.data)
    domain = reference_domain(dataset)
    if domain is None:
        raise DataError(
            f"{run.folder.path}: its inputs are samples of a reference domain, which the data at "
            f"data.path {run.config.data.path} do not have"
        )
    to_tensor = find_kind(run.form.kind).to_tensor
    return {
        dataset.classes[index].label: to_tensor(dataset.class_samples(index), run.form)
        for index in dataset.classes_of(domain)
    }


def inputs_of(classes: Mapping[str, Samples], known: Mapping[str, Tensor]) -> Tensor:
    """The inputs (N, *given_shape) of samples by label, in their order.

    Args:
        classes: {label: (n, ...)}. A label of one character goes with one that begins with its
            code point, as built-in styles and fonts name them: `A` with `U+0041 LATIN ...`.
        known: What `inputs_by_label` gives.

    Raises:
        DataError: If labels have no input, with some that do.
    """
    names = {label: known_as(label, known) for label in classes}
    lacking = [label for label, name in names.items() if name is None]
    if lacking:
        raise DataError(
            f"no input is called like {a_few(lacking)}: each class of the examples has to be a "
            f"label of the reference domain, such as {a_few(list(known))}"
        )
    found = []
    for label, samples in classes.items():
        inputs = known[str(names[label])]
        found.append(inputs[torch.from_numpy(np.arange(len(samples)) % len(inputs))])
    return torch.cat(found)


def is_from_reference(form: Form) -> bool:
    """True if inputs are samples of a reference domain, and no part of the samples themselves."""
    return bool(form.given) and "inputs" not in form.facts
