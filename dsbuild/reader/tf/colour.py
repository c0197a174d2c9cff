"""Changes of colour and sharpness: jitter and Gaussian blur. Labels do not change."""

import math

import tensorflow as tf

from dsbuild.reader.tf.augmentation import Augmentation

_LEAST = 1e-3  # of a standard deviation, in pixels: no blur


def jittered(image: tf.Tensor, chance: tf.Tensor, settings: Augmentation) -> tf.Tensor:
    """Return an image, float32 0..255, with its colours changed by four numbers 0 <= x < 1."""
    change = 2 * chance - 1
    if settings.hue:
        image = tf.image.adjust_hue(image, settings.hue * change[3])
    if settings.saturation:
        image = tf.image.adjust_saturation(image, 1 + settings.saturation * change[2])
    if settings.contrast:
        image = tf.image.adjust_contrast(image, 1 + settings.contrast * change[1])
    if settings.brightness:
        image += 255 * settings.brightness * change[0]
    if settings.hue or settings.saturation or settings.contrast or settings.brightness:
        image = tf.clip_by_value(image, 0.0, 255.0)
    return image


def blurred(image: tf.Tensor, deviation: tf.Tensor, most: float) -> tf.Tensor:
    """Return an image (h, w, c) after a Gaussian blur of at most `most` pixels: float32.

    At its edges the weights of the pixels that exist add up to 1.
    """
    reach = math.ceil(3 * most)
    places = tf.range(-reach, reach + 1, dtype=tf.float32) / tf.maximum(deviation, _LEAST)
    weights = tf.exp(-(places**2) / 2)
    planes = tf.concat([image, tf.ones_like(image[..., :1])], 2)[tf.newaxis]
    for shape in ([-1, 1, 1, 1], [1, -1, 1, 1]):
        kernel = tf.tile(tf.reshape(weights, shape), [1, 1, planes.shape[3], 1])
        planes = tf.nn.depthwise_conv2d(planes, kernel, [1, 1, 1, 1], "SAME")
    return planes[0, ..., :-1] / planes[0, ..., -1:]
