"""A sample whose pixels say where they are, and what augmentation makes of it."""

import numpy as np
import tensorflow as tf

from dsbuild.reader.tf.augment import augment
from dsbuild.reader.tf.augmentation import Augmentation


def drawn(height, width):
    """Return a sample of which every pixel says where it is.

    The image is row, column and class; the label the class, of two rows and three columns;
    so are the planes.
    """
    rows, columns = np.mgrid[:height, :width]
    label = (rows // 2 * 7 + columns // 3) % 20
    return {
        "image": np.stack([rows, columns, label], 2).astype(np.uint8),
        "label": label.astype(np.uint8),
        "laplacian": (4 * rows - 4 * columns)[..., None].astype(np.int16),
        "alpha": rows.astype(np.uint8),
        "trimap": np.choose(label % 3, [0, 128, 255]).astype(np.uint8)[..., None],
        "weights": (label / 20).astype(np.float32),
        "edges": label % 2 == 1,
        "key": np.array(b"2007_000032"),
        "height": np.array(height, np.int64),
        "width": np.array([width], np.int32),
    }


def tensors(sample):
    return {name: tf.constant(value) for name, value in sample.items()}


def arrays(sample):
    return {name: value.numpy() for name, value in sample.items()}


def run(sample, seed, **chosen):
    return arrays(augment(tensors(sample), tf.constant([seed, 0]), Augmentation(**chosen)))
