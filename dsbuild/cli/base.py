"""What all commands share: sizes as options, errors as one red line, notes."""

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import Any

import click

from dsbuild.errors import DsbuildError

UNITS = ("", "k", "m", "g", "t")


class Bytes(click.ParamType):
    """A size such as `128MB`, in powers of 1000, or `128MiB`, in powers of 1024."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return the number of bytes."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([kmgt]?)(i?)b?", value.strip().lower())
        base = 1024 if match and match[3] else 1000
        size = int(float(match[1]) * base ** UNITS.index(match[2])) if match else 0
        if size < 1:
            self.fail(f"found {value!r}, expected a size such as 128MB or 1GB", param, ctx)
        return size


@contextlib.contextmanager
def errors(kept: str = "finished shards are kept") -> Iterator[None]:
    """Turn what a user can mend into one red line and exit code 1; leave bugs their traceback.

    `kept` is what an interruption leaves.
    """
    try:
        yield
    except DsbuildError as error:
        click.secho(f"error: {error}", fg="red", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.secho(
            f"interrupted: {kept}; run the same command again to resume",
            fg="yellow",
            err=True,
        )
        sys.exit(130)


def note(line: str) -> None:
    """Print a note to stderr."""
    click.secho(f"note: {line}", fg="yellow", err=True)
