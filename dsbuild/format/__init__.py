"""The files of an output folder: what writers and readers share."""
