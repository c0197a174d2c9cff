"""Merge finished builds of different classes into one build with one list of classes."""

from dsbuild.build.merge.public import merge

__all__ = ["merge"]
