"""Samples for TensorFlow."""
