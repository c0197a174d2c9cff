"""Write several files of one place, each completely or not at all, in less time than one by one."""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from dsbuild.storage import files, local


@dataclass(frozen=True)
class Group:
    """Files that are written together; `writing` is as in `storage`."""

    writing: Callable[[str], AbstractContextManager[BinaryIO]]

    def write_all(self, contents: Mapping[str, bytes]) -> None:
        """Write small files; to a store in parallel."""
        if len(contents) > 1 and files.is_remote(next(iter(contents))):
            self._at_once(contents)
            return
        for path, data in contents.items():
            self.write(path, data)

    def write(self, path: str, data: bytes) -> None:
        """Write a small file."""
        with self.writing(path) as file:
            file.write(data)

    def _at_once(self, contents: Mapping[str, bytes]) -> None:
        from dsbuild.storage.threads import threads  # here: `--help` needs no threads

        with threads(len(contents), "dsbuild-write") as pool:
            # Threads start with an empty context; the lock that covers the writes is in this one.
            tasks = [
                pool.submit(
                    functools.partial(contextvars.copy_context().run, self.write, path, data)
                )
                for path, data in contents.items()
            ]
            for task in tasks:
                pool.result(task)


@contextlib.contextmanager
def together(folder: str) -> Iterator[Group]:
    """Write several files below a folder, which appear in their order when the block ends.

    A block that raises leaves none of them behind. A file on a store appears as soon as it is
    written.
    """
    if files.is_remote(folder):
        yield Group(files.writing)
        return
    with local.together() as group:
        yield Group(group.writing)


def write_all(contents: Mapping[str, bytes]) -> None:
    """Write small files to one place, each completely or not at all, in their order."""
    if contents:
        with together(next(iter(contents))) as group:
            group.write_all(contents)
