"""Symptoms of training that goes wrong while all numbers are finite; each is reported once.

They change nothing that is computed.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from metagan.config.learning import AdversarialLossName

SPREAD: Final = "spread"
"""Metric of `metagan.workflow.previews`: how much generated samples differ, over real ones."""

# The discriminator's loss is nearly nothing if its median over so many outer steps is below this.
_LASTING = 20
_NEARLY_NOTHING = 0.01
# A norm this many times the median of the last steps is out of the ordinary.
_OUTLIER = 100.0
_FEWEST, _MOST = 10, 50
_COLLAPSED = 0.05
# Its losses are differences of scores: they have no bottom that could be reached.
_WITHOUT_BOTTOM: tuple[AdversarialLossName, ...] = ("wgan_gp",)


class Symptoms:
    """Watches the metrics of outer steps; a symptom is reported again only after it was gone."""

    def __init__(self, loss: AdversarialLossName) -> None:
        """`loss` is the adversarial one."""
        self._has_bottom = loss not in _WITHOUT_BOTTOM
        self._losses: deque[float] = deque(maxlen=_LASTING)
        self._norms: dict[str, deque[float]] = {}
        self._algorithm = ""
        self._told: set[str] = set()

    def of_step(self, algorithm: str, metrics: Mapping[str, float]) -> Sequence[str]:
        """New symptoms of a step, a line each; norms are compared within an algorithm."""
        if algorithm != self._algorithm:
            self._algorithm = algorithm
            self._losses.clear()
            self._norms.clear()
        found: dict[str, str] = {}
        if (won := self._discriminator_wins(metrics)) is not None:
            found["won"] = won
        for name, value in metrics.items():
            if name.startswith("grad_norm_") and (grown := self._explodes(name, value)) is not None:
                found[name] = grown
            if name.startswith("cg_residual_") and value > 1:
                found[name] = (
                    f"{name} is {value:.3g}, more than no solution at all would leave (1): this "
                    "meta-gradient is of little worth; raise algorithm.cg_steps or inner.proximal"
                )
        spread = metrics.get(SPREAD)
        if spread is None:
            if "collapsed" in self._told:  # Measured now and then; till then it is as it was.
                found["collapsed"] = ""
        elif spread < _COLLAPSED:
            found["collapsed"] = (
                f"generated samples of a class hardly differ: {SPREAD} is {spread:.3g} of that of "
                "real ones (mode collapse); raise gan.mode_seeking, or lower inner.lr"
            )
        new = [text for name, text in found.items() if name not in self._told]
        self._told = set(found)
        return new

    def _discriminator_wins(self, metrics: Mapping[str, float]) -> str | None:
        loss = metrics.get("loss_d_last", metrics.get("loss_d_first"))
        if loss is None or not self._has_bottom:
            return None
        self._losses.append(loss)
        usual = median(self._losses)
        # Once told, it is gone only when it is well above.
        limit = _NEARLY_NOTHING * (2 if "won" in self._told else 1)
        if len(self._losses) < _LASTING or not usual < limit:
            return None
        return (
            f"the discriminator wins: the median of its loss over the last {_LASTING} outer steps "
            f"is {usual:.3g}; lower inner.discriminator_lr_scale, or raise gan.r1"
        )

    def _explodes(self, name: str, norm: float) -> str | None:
        before = self._norms.setdefault(name, deque(maxlen=_MOST))
        usual = median(before) if len(before) >= _FEWEST else 0.0
        before.append(norm)
        if not usual or norm < _OUTLIER * usual:
            return None
        return (
            f"{name} is {norm:.3g}, {norm / usual:.0f} times the median of the last "
            f"{len(before) - 1} outer steps; set outer.max_norm or outer.max_episode_norm"
        )
