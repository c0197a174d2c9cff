"""Finished TFRecords checked against their schema, pixels and sources."""
