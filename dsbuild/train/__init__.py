"""The bundled trainer: DeepLabV3+ in Keras, for folders that dsbuild wrote."""
