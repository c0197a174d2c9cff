"""The system that dsbuild runs on: Linux and macOS, whose kernels lock files for it."""

import sys

from dsbuild.errors import DsbuildError

if sys.platform == "win32":
    raise DsbuildError(
        "dsbuild runs on Linux and macOS; on Windows, run it in WSL (https://learn.microsoft.com/windows/wsl)"
    )

import fcntl

__all__ = ["fcntl"]
