"""Losses of dense labels, for every backend of Keras; pixels with the ignore value do not count.

Each is a function of labels, integers (n, h, w) or (n, h, w, 1), and logits (n, h, w, c), or of
(n,) and (n, c) for classification, and returns a scalar. Logits of 16 bits are converted to
float32. If no pixel counts, loss and gradients are 0. A pixel that counts and whose label is not a
class makes the loss NaN: a graph cannot raise, and wrong labels must not pass for a small loss.
Sums run over the whole batch, also if several devices share it.

Common arguments:
  ignore: the label value that does not count, or None.
  class_weights: (c,), one factor per class; (2,) for a single logit.
  pixel_weights: one factor per pixel (n, h, w) or (n, h, w, 1), or per image (n,).
"""

from collections.abc import Callable

from keras import ops

from dsbuild.train.fit import counted
from dsbuild.train.fit.devices import total
from dsbuild.train.fit.overlaps import dice, jaccard, lovasz, tversky
from dsbuild.train.model.places import Tensor


def cross_entropy(
    labels: Tensor,
    logits: Tensor,
    *,
    ignore: int | None = 255,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    smoothing: float = 0.0,
    share: float | Tensor = 1.0,
) -> Tensor:
    """Return the mean cross entropy of softmax over the pixels that count.

    As in DeepLab, a pixel with weight 0 does not count, and a weight is a factor of the pixel's
    loss, which is not divided by the sum of weights. `smoothing` spreads that part of a label
    evenly over all classes (Szegedy et al., Rethinking the Inception Architecture, 2016).
    Only the pixels of largest loss are kept, a `share` of all pixels, ignored ones included, and
    at least one: DeepLab's `top_k_percent_pixels`; each of several devices keeps its own. A tensor
    may be scheduled, as DeepLab does from 1 downwards over `hard_example_mining_step` steps.
    """

    def losses(index: Tensor, logits: Tensor) -> Tensor:
        if not smoothing:
            return ops.sparse_categorical_crossentropy(index, logits, from_logits=True)
        target = _smoothed(index, logits, smoothing)
        return ops.categorical_crossentropy(target, logits, from_logits=True)

    return _mean(losses, labels, logits, ignore, class_weights, pixel_weights, share)


def focal(
    labels: Tensor,
    logits: Tensor,
    *,
    ignore: int | None = 255,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    smoothing: float = 0.0,
    share: float | Tensor = 1.0,
    gamma: float = 2.0,
) -> Tensor:
    """Return the mean of -(1 - p)^gamma log p over the pixels that count, as in `cross_entropy`.

    p is the softmax probability of the label (Lin et al., Focal Loss for Dense Object Detection,
    2017); class weights are its alpha. With smoothing, each class has its part of the label.
    """

    def losses(index: Tensor, logits: Tensor) -> Tensor:
        target = _smoothed(index, logits, smoothing)
        log = ops.log_softmax(logits, axis=-1)
        # At 0 the slope of a power below 1 is infinite.
        rest = ops.maximum(1 - ops.exp(log), 1e-7)
        return -ops.sum(target * rest**gamma * log, -1)

    return _mean(losses, labels, logits, ignore, class_weights, pixel_weights, share)


def _smoothed(index: Tensor, logits: Tensor, smoothing: float) -> Tensor:
    """Return labels as shares of each class: (n, h, w, c)."""
    classes = logits.shape[-1]
    target = ops.one_hot(index, classes, dtype=logits.dtype)
    return target * (1 - smoothing) + smoothing / classes if smoothing else target


def _mean(
    losses: Callable[[Tensor, Tensor], Tensor],
    labels: Tensor,
    logits: Tensor,
    ignore: int | None,
    class_weights: Tensor | None,
    pixel_weights: Tensor | None,
    share: float | Tensor,
) -> Tensor:
    """Return the weighted mean of losses of class indices and logits over pixels that count."""
    labels, logits = counted.planes(labels, logits)
    classes = logits.shape[-1]
    labels = ops.cast(labels, "int32")
    counts, wrong = counted.which(labels, ignore, classes - 1)
    index = ops.where(ops.logical_and(counts, ops.logical_not(wrong)), labels, 0)
    each = losses(index, logits)
    weights = counted.pixel_weights(pixel_weights, each)
    if class_weights is not None:
        factors = counted.class_weights(class_weights, classes, each)
        weights = weights * ops.take(factors, index, axis=0)
    return counted.mean(counted.poisoned(each, wrong), counts, weights, share)


def binary_cross_entropy(
    labels: Tensor,
    logits: Tensor,
    *,
    ignore: int | None = 255,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    smoothing: float = 0.0,
    share: float | Tensor = 1.0,
) -> Tensor:
    """Return the mean cross entropy of a sigmoid of one logit over the pixels that count.

    Labels are 0 and 1, or floats in between for mattes. Weights, smoothing (towards a half) and
    share work as in `cross_entropy`.
    """
    target, logit, counts, wrong = counted.binary(labels, logits, ignore)
    weights = counted.pixel_weights(pixel_weights, logit)
    if class_weights is not None:
        off, on = ops.unstack(counted.class_weights(class_weights, 2, logit), 2)
        weights = weights * (off * (1 - target) + on * target)
    soft = target * (1 - smoothing) + smoothing / 2
    losses = ops.binary_crossentropy(soft, logit, from_logits=True)
    return counted.mean(counted.poisoned(losses, wrong), counts, weights, share)


def binary_cross_entropy_log_dice(
    labels: Tensor,
    logits: Tensor,
    *,
    ignore: int | None = 255,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    smoothing: float = 0.0,
    share: float | Tensor = 1.0,
) -> Tensor:
    """Return the binary cross entropy - log(dice) of one logit.

    dice = (2 sum(p t) + 1) / (sum(p) + sum(t) + 1) over the pixels of the batch that count,
    weighted by pixel; the 1 makes it 1 if neither label nor prediction has any foreground.
    Smoothing, share and class weights apply to the cross entropy alone.
    """
    target, logit, counts, _ = counted.binary(labels, logits, ignore)
    weights = counted.pixel_weights(pixel_weights, logit)
    weights = ops.where(counts, weights, ops.zeros_like(weights))
    guess = ops.sigmoid(logit)
    both = 2 * total(ops.sum(guess * target * weights)) + 1
    log_dice = ops.log(both) - ops.log(total(ops.sum((guess + target) * weights)) + 1)
    entropy = binary_cross_entropy(
        labels,
        logits,
        ignore=ignore,
        class_weights=class_weights,
        pixel_weights=pixel_weights,
        smoothing=smoothing,
        share=share,
    )
    return entropy - log_dice


LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross_entropy": cross_entropy,
    "focal": focal,
    "dice": dice,
    "jaccard": jaccard,
    "tversky": tversky,
    "lovasz": lovasz,
    "bce": binary_cross_entropy,
    "bce_log_dice": binary_cross_entropy_log_dice,
}
