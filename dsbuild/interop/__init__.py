"""Side files that let other tools open an output folder, each a function of its manifest.

dataset_info.json, features.json, *.labels.txt     TFDS
croissant.json                                     Croissant 1.0
README.md                                          people and Hugging Face
schema.pbtxt                                       TFX, on request
"""

from collections.abc import Mapping
from typing import Any

from dsbuild.format.schema import Schema
from dsbuild.format.schema import load as load_schema
from dsbuild.interop import card, croissant, pbtxt, tfds
from dsbuild.interop.terms import NAME as TERMS
from dsbuild.interop.terms import Terms, load

__all__ = ["TERMS", "Terms", "load", "names", "side_files"]


def side_files(
    schema: Schema, document: Mapping[str, Any], terms: Terms, text_schema: bool = False
) -> dict[str, bytes]:
    """Return name -> bytes of all side files of a folder with this schema and manifest."""
    found: dict[str, bytes] = {}
    for tool in (tfds, croissant, card):
        found |= tool.files(schema, document, terms)
    return found | (pbtxt.files(schema) if text_schema else {})


def names() -> tuple[str, ...]:
    """Return the names of all side files that a folder may contain."""
    schemas = [load_schema(name) for name in ("segmentation", "classification")]
    labels = [name for one in schemas for name in tfds.names_files(one)]
    return (tfds.INFO, tfds.FEATURES, *labels, croissant.NAME, card.NAME, pbtxt.NAME)
