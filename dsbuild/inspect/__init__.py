"""What finished TFRecords hold: documents, statistics, differences and the page."""
