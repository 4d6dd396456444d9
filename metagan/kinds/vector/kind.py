"""Vectors as a row of the table of kinds."""

from metagan.data.form import Form
from metagan.kinds.kind import Kind, Pairs
from metagan.kinds.vector.augment import classical, degraded
from metagan.kinds.vector.convert import (
    check_classes,
    check_support,
    fit,
    form_of_inputs,
    joined,
    make_inputs,
    to_inputs,
    to_samples,
    to_tensor,
    within,
)
from metagan.kinds.vector.errors import errors
from metagan.kinds.vector.look import look
from metagan.kinds.vector.model import build_model
from metagan.kinds.vector.networks import build_players
from metagan.kinds.vector.other_data import other_looks, other_notes, other_settings
from metagan.kinds.vector.support import read_support
from metagan.kinds.vector.writing import write_samples


def _remark(form: Form, use: str) -> str:
    """How vectors outside of the program differ from what networks take and draw.

    Args:
        form: Of the vectors.
        use: The command: adapt, generate or export.
    """
    if use != "export":
        return ""
    return (
        f"the network reads and draws {form.shape[0]} columns as (value - center) / scale, between "
        "-10 and 10; `form` in the file's metadata has the center and the scale of each"
    )


KIND = Kind(
    fit=fit,
    to_tensor=to_tensor,
    make_inputs=make_inputs,
    conversion_facts=frozenset({"center", "scale"}),
    to_samples=to_samples,
    within=within,
    check_support=check_support,
    check_classes=check_classes,
    other_settings=other_settings,
    other_looks=other_looks,
    other_notes=other_notes,
    players=build_players,
    classical=classical,
    degraded=degraded,
    model=build_model,
    errors=errors,
    look=look,
    read=read_support,
    write=write_samples,
    remark=_remark,
    pairs=Pairs(
        inputs_of=lambda samples, form, seed: to_inputs(samples, form),  # noqa: ARG005
        read_inputs=lambda path, form: read_support(path, form_of_inputs(form), {}),
        form_of_inputs=form_of_inputs,
        shown=lambda inputs, form: None if "inputs" in form.facts else inputs,
        kept=lambda answers, inputs, form: answers,  # noqa: ARG005
        joined=joined,
    ),
    fillers=lambda shown, inputs, asked, form: {},  # noqa: ARG005
)
