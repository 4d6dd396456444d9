"""Training a target's own model, and asking it: for any kind of sample.

Shapes: N samples (B in a batch), d features, K classes; a sample as its model takes it.
"""

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as functional
from torch import Tensor

from metagan.core.draws import DrawsFrom
from metagan.kinds.kind import Model

BatchAt = Callable[[int], tuple[Tensor, Tensor]]

_WARMUP_SHARE = 0.05
_HEAD_SCALE = 10.0


def train_classifier(
    build: Callable[[], Model],
    batch_at: BatchAt,
    *,
    steps: int,
    seed: int,
    init: Mapping[str, Tensor] | None = None,
    head_from: tuple[Tensor, Tensor] | None = None,
    lr: float = 2e-3,
    body_lr_scale: float = 1.0,
    weight_decay: float = 1e-2,
    label_smoothing: float = 0.1,
    device: torch.device | str = "cpu",
) -> Model:
    """Train a classifier with AdamW, warm-up over 5 % of the steps and a cosine to zero.

    The result depends on the arguments and on what `batch_at` returns, and on nothing else: torch's
    global generator is neither read nor moved.

    Args:
        build: Makes the untrained classifier of K classes.
        batch_at: Step to (samples (B, *sample_shape), labels (B,) int64 in [0, K)).
        steps: Training steps; 0 returns the classifier as it was initialised.
        seed: Names the initial weights.
        init: `state_dict` of a classifier trained elsewhere, with any number of classes; its body
            is taken, its head is not.
        head_from: (samples, labels) whose class centroids initialise the head, so that training
            starts at `nearest_centroid`; None starts at equal logits. Sensible with `init`.
        lr: Largest learning rate.
        body_lr_scale: The body's learning rate over the head's; 0 keeps the body as it is.
        weight_decay: AdamW's, on weights of two axes and more.
        label_smoothing: Share of the target spread over all classes, [0, 1).
        device: Where to train; batches are moved there.

    Returns:
        The classifier in evaluation mode, on `device`.

    Raises:
        ValueError: If a setting is out of range, or `init` does not fit what is built.
        FloatingPointError: If training diverged.
    """
    if steps < 0 or not lr > 0 or not body_lr_scale >= 0 or not 0 <= label_smoothing < 1:
        raise ValueError(
            f"classifier settings out of range: steps {steps} (at least 0), lr {lr} (above 0), "
            f"body_lr_scale {body_lr_scale} (at least 0), label_smoothing {label_smoothing} "
            "(at least 0, below 1)"
        )
    net = _initial(build, init, seed).to(device)
    if head_from is not None:
        _head_from_centroids(net, *head_from)
    net.body.requires_grad_(body_lr_scale > 0)
    optimizer = _optimizer(net, lr, body_lr_scale, weight_decay)
    rates = [group["lr"] for group in optimizer.param_groups]
    for step in range(steps):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * _schedule(step, steps)
        samples, labels = batch_at(step)
        loss = functional.cross_entropy(
            net(samples), labels.to(device), label_smoothing=label_smoothing
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    if not all(bool(torch.isfinite(tensor).all()) for tensor in net.parameters()):
        raise FloatingPointError(
            f"classifier training diverged within {steps} steps at lr {lr}; lower lr, or look for "
            "non-finite values in the batches"
        )
    return net.requires_grad_(False).eval()


def untrained(build: Callable[[], Model], seed: int) -> Model:
    """A classifier with named random weights; torch's global generator is not asked for them."""
    with DrawsFrom(seed, "classifier weights"):
        return build()


def batched(compute: Callable[[Tensor], Tensor], samples: Tensor, *, size: int = 256) -> Tensor:
    """Apply a network to many samples, `size` at a time and without gradients.

    Args:
        compute: (B, *sample_shape) to (B, ...).
        samples: (N, *sample_shape).
        size: Samples at once; bounds the memory.
    """
    with torch.no_grad():
        # One empty chunk for no samples: the result keeps its trailing shape.
        chunks = torch.split(samples, size) if len(samples) else (samples,)
        return torch.cat([compute(chunk) for chunk in chunks])


def predict(net: Model, samples: Tensor) -> Tensor:
    """Most likely class of every sample.

    Args:
        net: A trained classifier.
        samples: (N, *sample_shape), on any device.

    Returns:
        (N,) int64, on the CPU.
    """
    return batched(net, samples).argmax(dim=1).cpu()


def nearest_centroid(
    support_features: Tensor, support_labels: Tensor, query_features: Tensor
) -> Tensor:
    """Classify by the class centroid at the largest cosine, features centred on the support.

    The centre is the mean of the class centroids, so that a class with more samples does not pull
    it. A baseline that learns nothing, and with pre-trained features a strong one.

    Source: Wang et al. 2019, arXiv:1911.04623 (SimpleShot, CL2N); they centre on the mean of the
    base classes, which a user with a few samples does not have.

    Args:
        support_features: (n, d).
        support_labels: (n,) int64, any values.
        query_features: (m, d).

    Returns:
        (m,) labels out of `support_labels`.

    Raises:
        ValueError: If there is no support, or labels do not fit.
    """
    classes, directions, centre = _centroids(support_features, support_labels)
    return classes[((query_features - centre) @ directions.T).argmax(dim=1)]


def _centroids(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Classes present (k,), unit directions of their centred centroids (k, d), the centre (d,)."""
    if len(features) == 0 or features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            f"support features {tuple(features.shape)} and labels {tuple(labels.shape)} must be "
            "(n, d) and (n,) with n >= 1"
        )
    classes, index = torch.unique(labels, return_inverse=True)
    sums = features.new_zeros((len(classes), features.shape[1])).index_add_(0, index, features)
    means = sums / torch.bincount(index, minlength=len(classes)).to(features)[:, None]
    centre = means.mean(dim=0)
    return classes, functional.normalize(means - centre, dim=1), centre


def _head_from_centroids(net: Model, samples: Tensor, labels: Tensor) -> None:
    """Make the head the nearest-centroid rule, at a scale that cross-entropy can start from."""
    features = batched(net.features, samples)
    classes, directions, centre = _centroids(features, labels.to(features.device))
    typical = (features - centre).norm(dim=1).mean().clamp(min=1e-12)
    with torch.no_grad():
        # Classes without a sample keep a zero direction: no more likely than chance.
        net.head.weight.zero_()
        net.head.weight[classes] = directions * (_HEAD_SCALE / typical)
        net.head.bias.copy_(-(net.head.weight @ centre))


def _initial(build: Callable[[], Model], init: Mapping[str, Tensor] | None, seed: int) -> Model:
    """An untrained classifier, or one with the body of `init`."""
    net = untrained(build, seed)
    if init is None:
        return net
    prefix = "body."
    body = {name.removeprefix(prefix): t for name, t in init.items() if name.startswith(prefix)}
    try:
        net.body.load_state_dict(body)
    except RuntimeError as error:
        raise ValueError(
            f"the pre-trained classifier does not fit samples of shape {net.sample_shape}: {error}"
        ) from None
    return net


def _optimizer(
    net: Model, lr: float, body_lr_scale: float, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW over the head and, if it learns, the body; no decay on scales and shifts."""
    groups = []
    for module, rate in ((net.head, lr), (net.body, lr * body_lr_scale)):
        parameters = [p for p in module.parameters() if rate > 0]
        for matrices, decay in ((True, weight_decay), (False, 0.0)):
            members = [p for p in parameters if (p.ndim > 1) == matrices]
            if members:
                groups.append({"params": members, "lr": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups, fused=True)


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine; the last step's rate is just above zero."""
    warmup = min(1.0, (step + 1) / max(1.0, _WARMUP_SHARE * steps))
    return warmup * 0.5 * (1 + math.cos(math.pi * step / steps))
