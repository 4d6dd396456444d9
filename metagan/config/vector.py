"""Settings of data whose samples are rows of numbers."""

from typing import Literal

from pydantic import ConfigDict

from metagan.config.affects import field
from metagan.config.data import DataConfig

SourceName = Literal["auto", "npz", "table", "arrow"]


class VectorData(DataConfig):
    """Vectors: arrays of NumPy, or tables of numbers."""

    # Without it, a file that does not name its kind would fit this schema as well as pictures'.
    model_config = ConfigDict(json_schema_extra={"required": ["kind"]})

    kind: Literal["vector"] = field(
        "vector",
        affects="samples networks",
        description="Kind of sample; decides which other settings of data exist.",
    )
    source: SourceName = field(
        "auto",
        affects="where",
        description="Layout of the data; auto looks at the path.",
    )
    label: str = field(
        "label",
        affects="samples",
        min_length=1,
        description="Tables: the column that names a row's class.",
    )
    domain: str = field(
        "domain",
        affects="samples",
        min_length=1,
        description="Tables: the column that names a row's domain.",
    )
    columns: tuple[str, ...] = field(
        (),
        affects="samples networks",
        description="Tables: the columns that make the vector, in this order; default: every "
        "numeric one that is neither label, domain nor split.",
    )
    inputs: tuple[str, ...] = field(
        (),
        affects="samples networks",
        description="Columns that are told to the generator, which draws the others (with "
        "gan.conditioning input).",
    )
