"""dsbuild: segmentation data sets as published, to sharded TFRecords that can be trusted."""

__version__ = "0.1.0"
