"""Apache Beam pipelines, installed as `dsbuild.pipelines`: the room for engines on Beam."""

import importlib.util

from dsbuild.errors import DsbuildError

# Here, since this runs before any module of the room imports Beam.
if importlib.util.find_spec("apache_beam") is None:
    raise DsbuildError("found no Apache Beam; install it: pip install 'dsbuild[beam]'")
