"""Inputs of a user's samples where a run's inputs are samples of a reference domain."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from metagan.data.cache import open_dataset
from metagan.data.dataset import DataError, Samples
from metagan.data.form import Form
from metagan.data.library import Library
from metagan.data.pairs import known_as, reference_domain
from metagan.data.paths.names import a_few
from metagan.data.splits import splits_from_names
from metagan.data.tasks import Half
from metagan.workflow.setup import LoadedRun
from metagan.workflow.worker import converter


def told_by_label(
    run: LoadedRun, classes: Mapping[str, Samples]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Inputs of samples by label, and of every label that there is, as a run's generator is told.

    Args:
        run: The run.
        classes: {label: (n, ...) stored samples}, see `inputs_of`.

    Returns:
        (1, N, *given_shape) in the order of the samples, and {label: (*given_shape)}. Where the run
        is told what its library answers, that stands behind each input.

    Raises:
        DataError: If the run's data cannot be opened, or have no reference domain any more; or
            labels have no input.
    """
    dataset = open_dataset(run.config.data)
    domain = reference_domain(dataset)
    if domain is None:
        raise DataError(
            f"{run.folder.path}: its inputs are samples of a reference domain, which the data at "
            f"data.path {run.config.data.path} do not have"
        )
    to_tensor = converter(run.form)
    known = {
        dataset.classes[index].label: to_tensor(dataset.class_samples(index))
        for index in dataset.classes_of(domain)
    }
    inputs, labels = inputs_of(classes, known)
    asked = torch.stack([each[0] for each in known.values()])
    if "library" in run.config.gan.conditioning:
        library = Library(dataset, splits_from_names(run.splits, dataset).train, to_tensor)
        support = Half(to_tensor(np.concatenate(list(classes.values())))[None], inputs[None])
        told = library.beside(support, Half(asked[None], asked[None]), labels, list(known))
        inputs, asked = (half.inputs[0] for half in told if half.inputs is not None)
    return inputs[None], dict(zip(known, asked, strict=True))


def inputs_of(
    classes: Mapping[str, Samples], known: Mapping[str, Tensor]
) -> tuple[Tensor, list[str]]:
    """The inputs (N, ...) of samples by label, in their order, and the label of each.

    Args:
        classes: {label: (n, ...)}. A label of one character goes with one that begins with its
            code point, as built-in styles and fonts name them: `A` with `U+0041 LATIN ...`.
        known: {label: (m, ...)}, the inputs that there are.

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
    found, labels = [], []
    for label, samples in classes.items():
        name = str(names[label])
        inputs = known[name]
        found.append(inputs[torch.from_numpy(np.arange(len(samples)) % len(inputs))])
        labels += [name] * len(samples)
    return torch.cat(found), labels


def is_from_reference(form: Form) -> bool:
    """True if inputs are samples of a reference domain, and no part of the samples themselves."""
    return bool(form.given) and "inputs" not in form.facts
