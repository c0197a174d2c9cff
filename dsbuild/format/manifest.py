"""The manifest of an output folder, names and places of all that lies beside its shards.

    manifest.json             written last: present means complete
    schema.json               the features that its records have
    index/<shard>.idx         offset and size of every record
    index/<shard>.values      the label values that occur in every record
    rejects.jsonl             samples that were left out: key, file, reason
    .dsbuild/                 lock, recipe, plans, receipts

The manifest names the sha256 of every control file, and its own. Nothing in them depends on
when, where or by how many workers they were written, but for the stamps of the sources in the
receipts. Paths are relative to the layout's root.
"""

from dsbuild.format.counts import Reject, Statistics
from dsbuild.format.manifest_document import load, sealed, text
from dsbuild.format.names import (
    INDEX,
    NAME,
    REJECTS,
    SCHEMA,
    SHARD,
    STATE,
    dump,
    index_path,
    offsets,
    parse,
    parts_path,
    read,
    receipt_path,
    shard_name,
    siblings,
    split_of,
    values_path,
)

__all__ = [
    "INDEX",
    "NAME",
    "REJECTS",
    "SCHEMA",
    "SHARD",
    "STATE",
    "Reject",
    "Statistics",
    "dump",
    "index_path",
    "load",
    "offsets",
    "parse",
    "parts_path",
    "read",
    "receipt_path",
    "sealed",
    "shard_name",
    "siblings",
    "split_of",
    "text",
    "values_path",
]
