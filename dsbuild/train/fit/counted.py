"""Which pixels of a batch count in a loss, with what weight, and the mean over them."""

from keras import backend, ops

from dsbuild.errors import TrainError
from dsbuild.train.fit.devices import total
from dsbuild.train.model.places import Tensor


def planes(labels: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
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


def binary(
    labels: Tensor, logits: Tensor, ignore: int | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return targets of 0..1 and logits (n, h, w), which pixels count and which are wrong."""
    labels, logits = planes(labels, logits)
    if logits.shape[-1] != 1:
        raise TrainError(
            f"loss: found logits of {logits.shape[-1]} classes, expected 1 for a sigmoid; use "
            "cross_entropy or dice"
        )
    labels, logit = ops.cast(labels, logits.dtype), logits[..., 0]
    counts, wrong = which(labels, ignore, 1)
    right = ops.logical_and(counts, ops.logical_not(wrong))
    return ops.where(right, labels, ops.zeros_like(labels)), logit, counts, wrong


def which(labels: Tensor, ignore: int | None, most: int) -> tuple[Tensor, Tensor]:
    """Return which pixels count, and which of those have a label outside 0..most: bool."""
    counts = ops.ones_like(labels, dtype="bool") if ignore is None else labels != ignore
    # NaN is not in the range either.
    right = ops.logical_and(labels >= 0, labels <= most)
    return counts, ops.logical_and(counts, ops.logical_not(right))


def poisoned(losses: Tensor, wrong: Tensor) -> Tensor:
    """Return the losses, NaN for wrong labels."""
    return ops.where(wrong, ops.full_like(losses, float("nan")), losses)


def pixel_weights(weights: Tensor | None, losses: Tensor) -> Tensor:
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


def class_weights(weights: Tensor, classes: int, losses: Tensor) -> Tensor:
    """Return class weights in the type of the losses; raise TrainError if they do not fit."""
    weights = ops.cast(ops.convert_to_tensor(weights), losses.dtype)
    if tuple(weights.shape) != (classes,):
        raise TrainError(
            f"loss: found class weights of shape {tuple(weights.shape)}, expected ({classes},)"
        )
    return weights


def mean(losses: Tensor, counts: Tensor, weights: Tensor, share: float | Tensor) -> Tensor:
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


def number(
    labels: Tensor, ignore: int | None, factors: Tensor | None, weights: Tensor | None
) -> Tensor:
    """Return how many pixels of a batch count in a mean, at least 1: float32 ().

    `factors` are those of classes, `weights` those of pixels or images.
    """
    labels = ops.convert_to_tensor(labels)
    labels = ops.reshape(labels, (-1, 1, 1)) if len(labels.shape) == 1 else labels
    labels = ops.squeeze(labels, -1) if len(labels.shape) == 4 else labels
    labels = ops.cast(labels, "int32")
    counts = ops.ones_like(labels, dtype="bool") if ignore is None else labels != ignore
    heavy = pixel_weights(weights, ops.cast(counts, "float32"))
    if factors is not None:
        table = ops.convert_to_tensor(factors, "float32")
        # A label that is not a class makes the loss NaN.
        heavy = heavy * ops.take(table, ops.clip(labels, 0, table.shape[0] - 1), axis=0)
    counts = ops.logical_and(counts, heavy > 0)
    return ops.maximum(total(ops.sum(ops.cast(counts, "float32"))), 1)
