"""Pictures as a row of the table of kinds."""

from metagan.kinds.image.build import build_players
from metagan.kinds.image.classical import augmented, degraded
from metagan.kinds.image.classifier import build_model
from metagan.kinds.image.convert import (
    check_classes,
    check_support,
    fit,
    form_of_before,
    make_inputs,
    to_pictures,
    to_tensor,
    within,
)
from metagan.kinds.image.errors import errors
from metagan.kinds.image.fill import fillers
from metagan.kinds.image.given import form_of_inputs, inputs_of, read_inputs
from metagan.kinds.image.notes import other_notes
from metagan.kinds.image.other_data import other_looks, other_settings
from metagan.kinds.image.output import look, remark, write
from metagan.kinds.image.support import read
from metagan.kinds.image.taken import kept, shown
from metagan.kinds.kind import Kind, Pairs

KIND = Kind(
    fit=fit,
    to_tensor=to_tensor,
    make_inputs=make_inputs,
    conversion_facts=frozenset(),
    to_samples=to_pictures,
    within=within,
    check_support=check_support,
    check_classes=check_classes,
    other_settings=other_settings,
    other_looks=other_looks,
    other_notes=other_notes,
    players=build_players,
    classical=augmented,
    degraded=degraded,
    model=build_model,
    errors=errors,
    look=look,
    read=read,
    write=write,
    remark=remark,
    pairs=Pairs(
        inputs_of=inputs_of,
        read_inputs=read_inputs,
        form_of_inputs=form_of_inputs,
        shown=shown,
        kept=kept,
        # Pictures hold what their inputs show.
        joined=lambda inputs, drawn, form: (drawn, form),  # noqa: ARG005
    ),
    fillers=fillers,
    form_of_before=form_of_before,
)
