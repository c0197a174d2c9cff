"""Export finished folders to other formats."""
