"""Small drawn data sets, one per layout, for a first try and for the pages."""

from dsbuild.demo.trees import DEMOS, draw

__all__ = ["DEMOS", "draw"]
