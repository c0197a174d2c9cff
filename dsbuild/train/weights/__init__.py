"""Weights that others wrote: read as numbers, mapped by name onto the layers here."""
