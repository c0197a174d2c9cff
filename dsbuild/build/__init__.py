"""From a layout to an output folder: the writing stair."""
