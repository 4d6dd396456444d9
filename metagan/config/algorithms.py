"""The table of algorithms, one row each: what settings, checks and reports ask about a rule.

It needs no torch. `metagan.core.algorithms` has the estimator of every row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from metagan.config.learning import RateKind


@dataclass(frozen=True)
class Algorithm:
    """A row of the table.

    Attributes:
        summary: One line for help and reports.
        adapts: Whether episodes are adapted to one by one; if not, a chunk is one pooled batch.
        reads_query: Whether the query half is used.
        query_at_every_step: Whether the query loss may be taken after every inner step.
        through_inner_loop: Whether it differentiates through the inner loop, and can learn rates.
        second_order: Whether every operation of the networks needs a second derivative.
        every_task: Whether an outer step takes every training task once, and the initialization
            becomes the mean of what they are adapted to.
        moves: What the inner loop moves where the settings say "all".
        learn_rates: Which inner rates it learns where the settings say "none".
        proximal: Weight of the inner loop's proximal term where the settings leave it open.
        solves: Whether it always solves for the generator's head in closed form.
    """

    summary: str
    adapts: bool = True
    reads_query: bool = True
    query_at_every_step: bool = False
    through_inner_loop: bool = False
    second_order: bool = False
    every_task: bool = False
    moves: str = "all"
    learn_rates: RateKind = "none"
    proximal: float = 0.0
    solves: bool = False

    @property
    def by_displacement(self) -> bool:
        """True if its meta-gradient is the distance that the inner loop moved the weights."""
        return self.adapts and not self.reads_query


ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    "reptile": Algorithm("displacement of the adapted weights", reads_query=False),
    "fomaml": Algorithm("query gradient at the adapted weights", query_at_every_step=True),
    "maml": Algorithm(
        "query gradient through the inner loop",
        query_at_every_step=True,
        through_inner_loop=True,
        second_order=True,
    ),
    # Raghu et al. 2020, arXiv:1909.09157, section 4: MAML whose inner loop moves the head alone.
    "anil": Algorithm(
        "maml that adapts heads only",
        query_at_every_step=True,
        through_inner_loop=True,
        second_order=True,
        moves="head",
    ),
    # Li et al. 2017, arXiv:1707.09835, Algorithm 1.
    "meta_sgd": Algorithm(
        "maml that also learns an inner rate for every weight",
        query_at_every_step=True,
        through_inner_loop=True,
        second_order=True,
        learn_rates="weight",
    ),
    "imaml": Algorithm(
        "query gradient by the solved inner loop's implicit derivative",
        second_order=True,
        proximal=2.0,
    ),
    # Bertinetto et al. 2019, arXiv:1805.08136, with a learned prior head.
    "ridge": Algorithm("query gradient through a head solved in closed form", solves=True),
    "joint": Algorithm("pooled pre-training, no inner loop", adapts=False),
    "average": Algorithm(
        "mean of models fine-tuned on every source task", reads_query=False, every_task=True
    ),
}
