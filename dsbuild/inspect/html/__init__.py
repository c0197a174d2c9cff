"""The HTML page about a folder of TFRecords."""
