"""A model as it is trained: with an auxiliary head, and with steps computed in parts.

A step in parts has the gradients of the whole batch, whatever the loss, while only the activations
of one part are in memory. If the loss is a mean over pixels, each part has its share of the pixels
that count. Other losses, such as of overlap, depend on all pixels at once: then the logits of all
parts are computed first, the loss of the whole batch gives the gradient of each logit, and every
part is computed again to pass these on. Batch normalisation alone sees parts: it normalises each by
its own statistics.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from dsbuild.train.fit.devices import replicas
from dsbuild.train.model.places import Tensor

Part = tuple[Any, Tensor]  # of a batch: inputs and labels


class Trainer(keras.Model):
    """A functional model of logits, or of those and of the logits of an auxiliary head.

    Attributes:
      parts: in how many parts a step is computed; more than 1 need TensorFlow.
      auxiliary: the weight of the auxiliary head's loss.
    """

    parts = 1
    auxiliary = 0.0

    @classmethod
    def of(cls, network: keras.Model, parts: int, auxiliary: float = 0.0) -> "Trainer":
        """Return a model over the same layers, to be compiled and fitted."""
        inputs = network.inputs if len(network.inputs) > 1 else network.inputs[0]
        made = cls(inputs, network.outputs if auxiliary else network.outputs[0], name=network.name)
        made.parts, made.auxiliary = parts, auxiliary
        return made

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor = None,
        y_pred: Any = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """Return the loss of the logits, plus the weighted one of the auxiliary head."""
        main, *others = y_pred if self.auxiliary else [y_pred]
        loss = super().compute_loss(x, y, main, sample_weight, training)
        for other in others:
            loss = loss + self.auxiliary * self.loss(y, other, sample_weight)
        return loss

    def compute_metrics(
        self, x: Any, y: Tensor, y_pred: Any, sample_weight: Tensor = None
    ) -> dict[str, Tensor]:
        """Return the metrics of the logits."""
        main = y_pred[0] if self.auxiliary else y_pred
        found: dict[str, Tensor] = super().compute_metrics(x, y, main, sample_weight)
        return found

    def train_step(self, data: tuple[Any, Tensor]) -> dict[str, Tensor]:
        """Move the weights by the gradients of a batch of inputs and labels."""
        if self.parts == 1:
            found: dict[str, Tensor] = super().train_step(data)
            return found
        import tensorflow as tf

        x, y = data
        # Inputs are planes, or a pair of planes.
        planes = [tf.split(plane, self.parts) for plane in tf.nest.flatten(x)]
        inputs = [tf.nest.pack_sequence_as(x, part) for part in zip(*planes, strict=True)]
        parts = list(zip(inputs, tf.split(y, self.parts), strict=True))
        step = self._by_pixels if self.loss.separable else self._by_logits
        loss, gradients = step(parts, y)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        logs: dict[str, Tensor] = {}
        for metric in self.metrics:
            if metric.name == "loss":  # that of a device is its part of the loss of all
                metric.update_state(loss * replicas())
            found = metric.result()
            logs |= found if isinstance(found, dict) else {metric.name: found}
        return logs

    def _by_pixels(self, parts: Sequence[Part], y: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return loss and gradients if the loss is a mean over the pixels that count."""
        import tensorflow as tf

        number = self.loss.number(y)
        total: Tensor = 0.0
        sums: list[Tensor] = []
        for x, labels in parts:
            x = _after(sums, x)
            with tf.GradientTape() as tape:
                logits = self(x, training=True)
                loss = self.compute_loss(x, labels, logits)
                loss = loss * (self.loss.number(labels) / number)
                scaled = self.optimizer.scale_loss(loss)
            sums = self._added(sums, tape, scaled)
            self.compute_metrics(x, labels, logits)
            total = total + loss
        return total, sums

    def _by_logits(self, parts: Sequence[Part], y: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return loss and gradients for any loss of all logits."""
        import tensorflow as tf

        weights = [variable.value for variable in self.trainable_variables]
        state = [variable.value for variable in self.non_trainable_variables]
        found: list[Any] = []
        for x, _ in parts:
            x = _after(found[-1:], x)
            logits, state = self.stateless_call(weights, state, x, training=True)
            found.append(logits)
        with tf.GradientTape() as tape:
            tape.watch(found)
            whole = tf.nest.map_structure(lambda *several: ops.concatenate(several), *found)
            total = self.compute_loss(None, y, whole)
            scaled = self.optimizer.scale_loss(total)
        slopes = tape.gradient(scaled, found)
        sums: list[Tensor] = []
        # The state was not changed, so dropout and normalisation do the same again.
        for (x, labels), slope in zip(parts, slopes, strict=True):
            x = _after(sums or slopes, x)
            with tf.GradientTape() as tape:
                logits = self(x, training=True)
            sums = self._added(sums, tape, logits, slope)
            self.compute_metrics(x, labels, logits)
        return total, sums

    def _added(self, sums: list[Tensor], tape: Any, target: Any, slopes: Any = None) -> Any:
        """Return the sums of the gradients so far and those of a tape."""
        import tensorflow as tf

        more = tape.gradient(
            target,
            [variable.value for variable in self.trainable_weights],
            slopes,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return [a + b for a, b in zip(sums, more, strict=True)] if sums else more


def _after(done: Any, inputs: Any) -> Any:
    """Return inputs that are there only once others are, so that parts share memory."""
    import tensorflow as tf

    with tf.control_dependencies(tf.nest.flatten(done)):
        return tf.nest.map_structure(tf.identity, inputs)
