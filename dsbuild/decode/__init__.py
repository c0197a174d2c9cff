"""Records to tensors: what TensorFlow trains on."""
