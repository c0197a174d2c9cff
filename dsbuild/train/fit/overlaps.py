"""Losses of overlap: soft Dice, Jaccard and Tversky, and Lovasz-Softmax.

Each is an average over the classes in the labels, weighted by the class weights. Classes without a
labelled pixel are skipped, so that no smoothing term is needed. Arguments are those of `losses`.
"""

from typing import NamedTuple

from keras import ops

from dsbuild.train.fit import counted
from dsbuild.train.fit.devices import gathered, total
from dsbuild.train.model.places import Tensor


class _Planes(NamedTuple):
    """What every loss of overlap is made of.

    Attributes:
      target: 1 in the labelled pixels of each class: (n, h, w, c).
      guess: the probabilities of softmax, (n, h, w, c).
      weights: of pixels, 0 for those that do not count: (n, h, w, 1).
      shares: how much each class counts, (c,); 0 for classes without a labelled pixel.
      wrong: whether a pixel that counts has a label that is not a class.
    """

    target: Tensor
    guess: Tensor
    weights: Tensor
    shares: Tensor
    wrong: Tensor

    @classmethod
    def of(
        cls,
        labels: Tensor,
        logits: Tensor,
        ignore: int | None,
        class_weights: Tensor | None,
        pixel_weights: Tensor | None,
    ) -> "_Planes":
        """Return the planes of a batch; raise TrainError for shapes that do not fit."""
        labels, logits = counted.planes(labels, logits)
        classes = logits.shape[-1]
        labels = ops.cast(labels, "int32")
        counts, wrong = counted.which(labels, ignore, classes - 1)
        weights = counted.pixel_weights(pixel_weights, logits[..., 0])
        weights = ops.where(counts, weights, ops.zeros_like(weights))[..., None]
        index = ops.where(ops.logical_and(counts, ops.logical_not(wrong)), labels, 0)
        target = ops.one_hot(index, classes, dtype=logits.dtype)
        guess = ops.exp(ops.log_softmax(logits, axis=-1))  # `softmax` warns about one class
        shares = ops.cast(total(ops.sum(target * weights, (0, 1, 2))) > 0, logits.dtype)
        if class_weights is not None:
            shares = shares * counted.class_weights(class_weights, classes, logits)
        wrong = total(ops.sum(ops.cast(wrong, logits.dtype))) > 0
        return cls(target, guess, weights, shares, wrong)

    def average(self, losses: Tensor) -> Tensor:
        """Return the average of the losses of classes, (c,); NaN for wrong labels."""
        whole = ops.sum(self.shares)
        loss = ops.sum(losses * self.shares) / ops.where(whole > 0, whole, 1)
        return counted.poisoned(loss, self.wrong)

    def missed(self, alpha: float, beta: float) -> Tensor:
        """Return 1 - TP / (TP + alpha FP + beta FN) of each class: (c,)."""
        axes = (0, 1, 2)
        target, guess = self.target * self.weights, self.guess * self.weights
        true = total(ops.sum(target, axes))
        both = total(ops.sum(ops.where(target > 0, guess, ops.zeros_like(guess)), axes))
        below = alpha * total(ops.sum(guess, axes)) + beta * true + (1 - alpha - beta) * both
        return 1 - both / ops.where(true > 0, below, 1)


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
    squares).
    """
    planes = _Planes.of(labels, logits, ignore, class_weights, pixel_weights)
    return planes.average(planes.missed(0.5, 0.5))


def jaccard(
    labels: Tensor,
    logits: Tensor,
    *,
    ignore: int | None = 255,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
) -> Tensor:
    """Return 1 - the soft IoU, sum(p t) / (sum(p) + sum(t) - sum(p t)), averaged as in `dice`."""
    planes = _Planes.of(labels, logits, ignore, class_weights, pixel_weights)
    return planes.average(planes.missed(1.0, 1.0))


def tversky(
    labels: Tensor,
    logits: Tensor,
    *,
    ignore: int | None = 255,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    alpha: float = 0.3,
    beta: float = 0.7,
) -> Tensor:
    """Return 1 - the soft Tversky index, averaged as in `dice`.

    It is TP / (TP + alpha FP + beta FN) with TP = sum(p t), FP = sum(p (1 - t)) and
    FN = sum((1 - p) t); the defaults prefer recall (Salehi et al., Tversky loss function, 2017).
    """
    planes = _Planes.of(labels, logits, ignore, class_weights, pixel_weights)
    return planes.average(planes.missed(alpha, beta))


def lovasz(
    labels: Tensor,
    logits: Tensor,
    *,
    ignore: int | None = 255,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
) -> Tensor:
    """Return the Lovasz extension of 1 - IoU at the errors |t - p|, averaged as in `dice`.

    Source: Berman et al., The Lovasz-Softmax loss, 2018, algorithm 1, over the whole batch, for the
    classes in the labels. A pixel counts in the IoU by its weight. All pixels are sorted for each
    class, which takes memory.
    """
    planes = _Planes.of(labels, logits, ignore, class_weights, pixel_weights)
    inside = planes.target * planes.weights
    errors = ops.where(planes.target > 0, 1 - planes.guess, planes.guess)
    inside, outside, errors = (
        ops.transpose(ops.reshape(gathered(plane), (-1, planes.guess.shape[-1])))
        for plane in (inside, planes.weights - inside, errors)
    )
    order = ops.argsort(-errors, axis=-1)
    errors, inside, outside = (
        ops.take_along_axis(plane, order, axis=-1) for plane in (errors, inside, outside)
    )
    true = ops.sum(inside, -1, keepdims=True)
    both, union = true - ops.cumsum(inside, axis=-1), true + ops.cumsum(outside, axis=-1)
    lost = 1 - both / ops.where(union > 0, union, 1)
    steps = lost - ops.concatenate([ops.zeros_like(lost[:, :1]), lost[:, :-1]], -1)
    return planes.average(ops.sum(errors * ops.stop_gradient(steps), -1))
