"""Repair: what is damaged or lost in an output folder, restored from the rest.

Shards are the truth, then the manifest and the receipts, each by its digest, then plans. What is
to be replaced is written beside first, so that a repair that fails changes nothing.
"""

from dsbuild.build.repair.run import repair

__all__ = ["repair"]
