"""Label errors that a model finds: confidences of models that never saw the labels they judge."""
