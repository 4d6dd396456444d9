"""Pictures as a row of the table of kinds."""

from metagan.kinds.image.build import build_players
from metagan.kinds.image.convert import to_float, to_uint8
from metagan.kinds.kind import Kind

KIND = Kind(players=build_players, to_tensor=to_float, to_samples=to_uint8)
