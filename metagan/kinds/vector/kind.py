"""Vectors as a row of the table of kinds."""

from metagan.data.form import Form
from metagan.kinds.kind import Kind
from metagan.kinds.vector.augment import classical
from metagan.kinds.vector.convert import (
    check_classes,
    check_support,
    fit,
    other_looks,
    to_samples,
    to_tensor,
    within,
)
from metagan.kinds.vector.look import look
from metagan.kinds.vector.model import build_model
from metagan.kinds.vector.networks import build_players
from metagan.kinds.vector.support import read_support
from metagan.kinds.vector.writing import write_samples


def _network_note(form: Form) -> str:
    """How an exported network's samples differ from the user's."""
    return (
        f"networks take and draw {form.shape[0]} columns as (value - center) / scale, between -10 "
        "and 10; center and scale of every column are in the form"
    )


KIND = Kind(
    fit=fit,
    to_tensor=to_tensor,
    to_samples=to_samples,
    within=within,
    check_support=check_support,
    check_classes=check_classes,
    other_looks=other_looks,
    players=build_players,
    classical=classical,
    model=build_model,
    look=look,
    read=read_support,
    write=write_samples,
    network_note=_network_note,
)
