"""Samples for PyTorch."""
