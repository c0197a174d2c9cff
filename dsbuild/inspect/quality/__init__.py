"""Whether data are fit for training, by rules that their owner sets."""
