"""A job on a Dask cluster."""

from dsbuild.engines.dask.engine import Dask

__all__ = ["Dask"]
