"""The HTML page of an output folder."""
