"""Export finished folders as annotated data sets of other tools, each with a receipt."""
