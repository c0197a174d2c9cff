"""Commands whose calls into the system fail, or whose processes are killed."""
