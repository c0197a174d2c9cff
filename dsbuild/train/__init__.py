"""The bundled trainer: DeepLabV3+ in Keras, for what dsbuild writes."""
