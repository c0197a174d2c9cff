"""Samples for PyTorch, by `torch_dataset`."""
