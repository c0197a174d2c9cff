"""The bundled trainer: DeepLabV3+ on the shards."""
