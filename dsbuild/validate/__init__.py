"""Finished TFRecords checked against schema, pixels and sources."""
