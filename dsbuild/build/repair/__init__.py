"""Repair: what is damaged or lost in an output folder, restored from the rest.

Shards count first, then the manifest and the receipts, each by its digest, then plans. New shards
are written beside the old ones first, so that a repair that fails changes nothing.
"""

from dsbuild.build.repair.run import repair

__all__ = ["repair"]
