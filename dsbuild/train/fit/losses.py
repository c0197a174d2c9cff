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

from keras import backend, ops

from dsbuild.errors import TrainError
from dsbuild.train.fit.devices import total
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
    labels, logits = _planes(labels, logits)
    classes = logits.shape[-1]
    labels = ops.cast(labels, "int32")
    counts, wrong = _counted(labels, ignore, classes - 1)
    index = ops.where(ops.logical_and(counts, ops.logical_not(wrong)), labels, 0)
    if smoothing:
        target = ops.one_hot(index, classes, dtype=logits.dtype)
        target = target * (1 - smoothing) + smoothing / classes
        losses = ops.categorical_crossentropy(target, logits, from_logits=True)
    else:
        losses = ops.sparse_categorical_crossentropy(index, logits, from_logits=True)
    weights = _pixel_weights(pixel_weights, losses)
    if class_weights is not None:
        weights = weights * ops.take(_class_weights(class_weights, classes, losses), index, axis=0)
    return _mean(_poisoned(losses, wrong), counts, weights, share)


def dice(
    labels: Tensor,
    logits: Tensor,
    *,
    ignore: int | None = 255,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
) -> Tensor:
    """Return 1 - the soft Dice coefficient, averaged over the classes in the labels.

    For one class it is 2 sum(p t) / (sum(p) + sum(t)) over the whole batch, with its softmax
    probability p, and t = 1 in its labelled pixels (after Milletari et al., V-Net, 2016, who sum
    squares). Classes without a labelled pixel are skipped, so that no smoothing term is needed.
    With class weights the average is weighted.
    """
    labels, logits = _planes(labels, logits)
    classes = logits.shape[-1]
    labels = ops.cast(labels, "int32")
    counts, wrong = _counted(labels, ignore, classes - 1)
    weights = _pixel_weights(pixel_weights, logits[..., 0])
    weights = ops.where(counts, weights, ops.zeros_like(weights))[..., None]
    index = ops.where(ops.logical_and(counts, ops.logical_not(wrong)), labels, 0)
    target = ops.one_hot(index, classes, dtype=logits.dtype) * weights
    guess = ops.exp(ops.log_softmax(logits, axis=-1)) * weights  # `softmax` warns about one class
    axes = (0, 1, 2)
    true = total(ops.sum(target, axes))
    both = total(ops.sum(ops.where(target > 0, guess, ops.zeros_like(guess)), axes))
    present = ops.cast(true > 0, logits.dtype)
    missed = 1 - 2 * both / ops.where(true > 0, true + total(ops.sum(guess, axes)), 1)
    if class_weights is not None:
        present = present * _class_weights(class_weights, classes, logits)
    whole = ops.sum(present)
    loss = ops.sum(missed * present) / ops.where(whole > 0, whole, 1)
    return _poisoned(loss, total(ops.sum(ops.cast(wrong, loss.dtype))) > 0)


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
    target, logit, counts, wrong = _binary(labels, logits, ignore)
    weights = _pixel_weights(pixel_weights, logit)
    if class_weights is not None:
        off, on = ops.unstack(_class_weights(class_weights, 2, logit), 2)
        weights = weights * (off * (1 - target) + on * target)
    soft = target * (1 - smoothing) + smoothing / 2
    losses = ops.binary_crossentropy(soft, logit, from_logits=True)
    return _mean(_poisoned(losses, wrong), counts, weights, share)


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
    target, logit, counts, _ = _binary(labels, logits, ignore)
    weights = _pixel_weights(pixel_weights, logit)
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
    "dice": dice,
    "bce": binary_cross_entropy,
    "bce_log_dice": binary_cross_entropy_log_dice,
}


def _planes(labels: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return labels (n, h, w) and logits of at least 32 bits; raise TrainError for wrong shapes."""
    labels, logits = ops.convert_to_tensor(labels), ops.convert_to_tensor(logits)
    if len(logits.shape) == 2:  # classification: planes of one pixel
        labels, logits = ops.reshape(labels, (-1, 1, 1)), logits[:, None, None]
    if len(labels.shape) == 4 and labels.shape[-1] == 1:
        labels = ops.squeeze(labels, -1)
    shapes = tuple(labels.shape), tuple(logits.shape)
    pairs = zip(shapes[0], shapes[1][:-1], strict=False)
    if (
        len(shapes[0]) != 3
        or len(shapes[1]) != 4
        or any(None not in pair and pair[0] != pair[1] for pair in pairs)
    ):
        raise TrainError(
            f"loss: found labels of shape {shapes[0]} and logits of shape {shapes[1]}, expected "
            "(n, h, w), or (n, h, w, 1), and (n, h, w, c); let the model resize its logits"
        )
    if backend.standardize_dtype(logits.dtype) != "float64":
        logits = ops.cast(logits, "float32")
    return labels, logits


def _binary(
    labels: Tensor, logits: Tensor, ignore: int | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return targets of 0..1 and logits (n, h, w), which pixels count and which are wrong."""
    labels, logits = _planes(labels, logits)
    if logits.shape[-1] != 1:
        raise TrainError(
            f"loss: found logits of {logits.shape[-1]} classes, expected 1 for a sigmoid; use "
            "cross_entropy or dice"
        )
    labels, logit = ops.cast(labels, logits.dtype), logits[..., 0]
    counts, wrong = _counted(labels, ignore, 1)
    right = ops.logical_and(counts, ops.logical_not(wrong))
    return ops.where(right, labels, ops.zeros_like(labels)), logit, counts, wrong


def _counted(labels: Tensor, ignore: int | None, most: int) -> tuple[Tensor, Tensor]:
    """Return which pixels count, and which of those have a label outside 0..most: bool."""
    counts = ops.ones_like(labels, dtype="bool") if ignore is None else labels != ignore
    # NaN is not in the range either.
    right = ops.logical_and(labels >= 0, labels <= most)
    return counts, ops.logical_and(counts, ops.logical_not(right))


def _poisoned(losses: Tensor, wrong: Tensor) -> Tensor:
    """Return the losses, NaN for wrong labels."""
    return ops.where(wrong, ops.full_like(losses, float("nan")), losses)


def _pixel_weights(weights: Tensor | None, losses: Tensor) -> Tensor:
    """Return pixel weights in the shape and type of the losses (n, h, w)."""
    if weights is None:
        return ops.ones_like(losses)
    weights = ops.cast(ops.convert_to_tensor(weights), losses.dtype)
    if len(weights.shape) == 4 and weights.shape[-1] == 1:
        weights = ops.squeeze(weights, -1)
    elif len(weights.shape) == 1:
        weights = weights[:, None, None]
    if len(weights.shape) != 3:
        raise TrainError(
            f"loss: found pixel weights of shape {tuple(weights.shape)}, expected (n, h, w), "
            "(n, h, w, 1), or (n,)"
        )
    return weights * ops.ones_like(losses)


def _class_weights(weights: Tensor, classes: int, losses: Tensor) -> Tensor:
    """Return class weights in the type of the losses; raise TrainError if they do not fit."""
    weights = ops.cast(ops.convert_to_tensor(weights), losses.dtype)
    if tuple(weights.shape) != (classes,):
        raise TrainError(
            f"loss: found class weights of shape {tuple(weights.shape)}, expected ({classes},)"
        )
    return weights


def _mean(losses: Tensor, counts: Tensor, weights: Tensor, share: float | Tensor) -> Tensor:
    """Return the mean of weighted losses over the pixels that count, or of the largest ones."""
    counts = ops.logical_and(counts, weights > 0)
    losses = ops.where(counts, losses * weights, ops.zeros_like(losses))
    number = ops.sum(ops.cast(counts, losses.dtype))
    if not (isinstance(share, int | float) and share >= 1):
        pixels = ops.cast(ops.size(losses), losses.dtype)
        kept = ops.maximum(ops.floor(ops.cast(share, losses.dtype) * pixels), 1)
        number = ops.minimum(number, kept)
        # Sorted, since the k of `top_k` cannot be a tensor; pixels that do not count come last.
        ranked = ops.where(counts, losses, ops.full_like(losses, -1))
        ranked = ops.flip(ops.sort(ops.reshape(ranked, (-1,))), 0)
        first = ops.arange(ops.size(ranked)) < ops.cast(number, "int32")
        losses = ops.where(first, ranked, ops.zeros_like(ranked))
    return total(ops.sum(losses)) / ops.maximum(total(number), 1)
