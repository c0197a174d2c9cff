"""Run the command line, by `dsbuild` or `python -m dsbuild`."""

import sys

from dsbuild.errors import DsbuildError


def main() -> None:
    """Run the command line; a system that dsbuild does not run on gets one line."""
    try:
        from dsbuild.cli import main as command
    except DsbuildError as error:
        sys.exit(f"error: {error}")
    command(prog_name="dsbuild")


if __name__ == "__main__":
    main()
