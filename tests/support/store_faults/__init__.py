"""Faults of stores by seed: what befalls requests, the commands, and what has to come of them."""
