"""The output folder as a whole: which shards are ours, opening it for work, closing it.

A folder with a manifest is complete. Work on it begins by taking the manifest away
and ends by writing it, so that a reader never meets old and new shards together.
"""

from dsbuild.build.output.closing import (
    betas,
    close,
    described,
    digests,
    load_recipe,
    open_for_work,
    recipe_text,
    renew,
    save_recipe,
    side_files,
    unlike,
    write_side_files,
)
from dsbuild.build.output.holder import claim, stranger, tenure
from dsbuild.build.output.refusals import (
    differences,
    other_splits,
    refuse_ambiguous,
    refuse_extra_shards,
    refuse_foreign_side_files,
    refuse_replacement,
    refuse_source,
    refuse_strangers,
)
from dsbuild.build.output.state import (
    FAILED,
    PREVIOUS,
    STATISTICS,
    clear,
    entries,
    forget,
    rejects,
    shards,
    state,
    strays,
    sweep,
)

__all__ = [
    "FAILED",
    "PREVIOUS",
    "STATISTICS",
    "betas",
    "claim",
    "clear",
    "close",
    "described",
    "differences",
    "digests",
    "entries",
    "forget",
    "load_recipe",
    "open_for_work",
    "other_splits",
    "recipe_text",
    "refuse_ambiguous",
    "refuse_extra_shards",
    "refuse_foreign_side_files",
    "refuse_replacement",
    "refuse_source",
    "refuse_strangers",
    "rejects",
    "renew",
    "save_recipe",
    "shards",
    "side_files",
    "state",
    "stranger",
    "strays",
    "sweep",
    "tenure",
    "unlike",
    "write_side_files",
]
