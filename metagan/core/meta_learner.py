"""The meta-learner: the initialization, its outer optimizer and its moving average.

Shapes: P weights.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metagan.config.learning import OuterConfig, WarmupConfig
from metagan.core.aggregate import DivergedError
from metagan.core.params import Vector


@dataclass(frozen=True)
class LearnerState:
    """Everything the outer loop carries from step to step, as plain tensors.

    Attributes:
        step: Outer steps done.
        tensors: {"init": (P,), "ema": (P,), "optimizer.<name>": ...}, and with
            `outer.staleness` "history": (H, P), the initializations before the last H steps; after
            a rollback "rollbacks": ().
    """

    step: int
    tensors: dict[str, Tensor]


class MetaLearner:
    """The one mutable object of training; lives in the driver, on the CPU.

    Warm-up (joint pre-training) has its own Adam; the algorithm's optimizer starts fresh after it.
    """

    def __init__(
        self,
        init: Tensor,
        outer: OuterConfig,
        warmup: WarmupConfig,
        *,
        restart_at: int | None = None,
    ) -> None:
        """The learner at step 0.

        Args:
            init: (P,) weights.
            outer: The outer loop's settings.
            warmup: Those of joint pre-training.
            restart_at: Before this outer step the optimizer starts fresh once more, as where a part
                of the weights has its first gradients: Adam, which has seen only zeros of them,
                would take steps of many times its rate.
        """
        self.step = 0
        self._restart_at = restart_at
        self.rollbacks = 0
        self._outer, self._warmup = outer, warmup
        self._init = init.detach().clone().float()
        self._ema = self._init.clone()
        # As many of the last initializations as chunks may be computed at.
        self._history: list[Tensor] = []
        self._moments: dict[str, Tensor] = {}
        self._optimizer_steps = 0

    @property
    def vector(self) -> Vector:
        """The initialization, (P,) float32: a copy."""
        copied: Vector = self._init.numpy().copy()
        return copied

    def vector_for(self, step: int) -> Vector:
        """Weights at which an outer step, this or a later one, computes its chunks, (P,) float32.

        That is the initialization as it was `outer.staleness` steps before that step, or at step 0:
        a function of the step alone, whoever is slow, and known that many steps ahead. So workers
        need not wait for the end of a step, and the weights still do not depend on their number.

        Source: delayed gradients with a fixed delay, Langford, Smola and Zinkevich 2009,
        arXiv:0911.0491, Algorithm 1.
        """
        lag = self.step - max(0, step - self._outer.staleness)
        copied: Vector = (self._history[-lag] if lag else self._init).numpy().copy()
        return copied

    @property
    def averaged(self) -> Vector:
        """Exponential moving average of the initialization, which evaluation and adaptation use."""
        copied: Vector = self._ema.numpy().copy()
        return copied

    @property
    def warming_up(self) -> bool:
        """True if the next step is one of joint pre-training."""
        return self.step < self._warmup.steps

    @property
    def lr(self) -> float:
        """Outer learning rate of the next step."""
        lr = self._warmup.lr if self.warming_up else self._outer.lr
        if self._outer.anneal == "linear" and not self.warming_up:
            span = self._outer.steps - self._warmup.steps
            # The last step has lr / span; when all are done, nothing is left of it.
            lr = lr * max(0, self._outer.steps - self.step) / max(1, span)
        return lr * self._outer.rollback_lr**self.rollbacks

    def apply(self, gradient: Vector) -> None:
        """Descend along an aggregated meta-gradient (P,) and move the average.

        Raises:
            ValueError: If the gradient has another shape or is not finite.
            DivergedError: If the update leads to NaN or infinity; all is then as before, as after
                any other error.
        """
        if gradient.shape != tuple(self._init.shape) or not np.isfinite(gradient).all():
            raise ValueError(
                f"meta-gradient of shape {gradient.shape}, finite: {np.isfinite(gradient).all()}; "
                f"expected a finite one of shape {tuple(self._init.shape)}"
            )
        before = self.state()
        try:
            self._apply(gradient)
        except BaseException:
            self.load(before)
            raise

    def _apply(self, gradient: Vector) -> None:
        if self.step in (self._warmup.steps, self._restart_at):
            self._moments, self._optimizer_steps = {}, 0
        self._optimizer_steps += 1
        direction = self._direction(torch.from_numpy(gradient.copy()))
        if kept := self._outer.staleness:
            self._history = [*self._history, self._init][-kept:]
        self._init = self._init - self.lr * direction
        changed = {"initialization": self._init, **self._moments}
        for name, tensor in changed.items():
            if not torch.isfinite(tensor).all():
                raise DivergedError(
                    f"outer step {self.step + 1}: the update makes the {name} infinite (the "
                    f"meta-gradient's largest number is {np.abs(gradient).max():.3g}); set "
                    "outer.max_norm, or lower outer.lr"
                )
        # A short history weighs little at first: decay rises from 0.1 to its final value.
        decay = min(self._outer.ema, (1 + self.step) / (10 + self.step))
        self._ema = decay * self._ema + (1 - decay) * self._init
        self.step += 1

    def _direction(self, gradient: Tensor) -> Tensor:
        kind = "adam" if self.warming_up else self._outer.optimizer
        if kind == "sgd":
            return gradient
        if kind == "nesterov":
            momentum = self._moments.get("momentum", torch.zeros_like(gradient))
            momentum = self._outer.momentum * momentum + gradient
            self._moments = {"momentum": momentum}
            return gradient + self._outer.momentum * momentum
        beta1, beta2 = self._outer.beta1, self._outer.beta2
        first = self._moments.get("first", torch.zeros_like(gradient))
        second = self._moments.get("second", torch.zeros_like(gradient))
        first = beta1 * first + (1 - beta1) * gradient
        second = beta2 * second + (1 - beta2) * gradient.square()
        self._moments = {"first": first, "second": second}
        count = self._optimizer_steps
        return (first / (1 - beta1**count)) / ((second / (1 - beta2**count)).sqrt() + 1e-8)

    def state(self) -> LearnerState:
        """A snapshot; later steps do not change it (tensors are replaced, never written to)."""
        tensors = {"init": self._init, "ema": self._ema}
        if self._history:
            tensors["history"] = torch.stack(self._history)
        tensors |= {f"optimizer.{name}": value for name, value in self._moments.items()}
        if self.rollbacks:
            tensors["rollbacks"] = torch.tensor(self.rollbacks, dtype=torch.int64)
        tensors["optimizer.steps"] = torch.tensor(self._optimizer_steps, dtype=torch.int64)
        return LearnerState(self.step, tensors)

    def load(self, state: LearnerState) -> None:
        """Continue from a snapshot.

        Raises:
            ValueError: If it belongs to another architecture or is not finite.
        """
        for name in ("init", "ema"):
            tensor = state.tensors[name]
            if tensor.shape != self._init.shape or not torch.isfinite(tensor).all():
                raise ValueError(
                    f"checkpoint tensor {name}: shape {tuple(tensor.shape)}, finite: "
                    f"{bool(torch.isfinite(tensor).all())}; this run needs finite values of shape "
                    f"{tuple(self._init.shape)}"
                )
        history = state.tensors.get("history", torch.empty(0, *self._init.shape))
        if history.shape != (min(self._outer.staleness, state.step), *self._init.shape):
            raise ValueError(
                f"checkpoint tensor history: shape {tuple(history.shape)}; outer.staleness "
                f"{self._outer.staleness} needs the last {min(self._outer.staleness, state.step)} "
                "initializations"
            )
        self._history = [tensor.clone() for tensor in history]
        self.step = state.step
        self.rollbacks = int(state.tensors.get("rollbacks", 0))
        self._init, self._ema = state.tensors["init"].clone(), state.tensors["ema"].clone()
        self._optimizer_steps = int(state.tensors["optimizer.steps"])
        self._moments = {
            name.removeprefix("optimizer."): value.clone()
            for name, value in state.tensors.items()
            if name.startswith("optimizer.") and name != "optimizer.steps"
        }
