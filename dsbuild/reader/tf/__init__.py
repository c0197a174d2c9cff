"""Samples for TensorFlow, by `tf_dataset`."""
