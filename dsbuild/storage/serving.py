"""Run in a helper process, which uses object stores for a forked process that cannot.

`helper` starts it with a socket as its standard input; it ends when the other side is closed.
A message is a length and a pickle: a request (number, operation, arguments) or an answer (number,
error, result). Answers come in any order.
"""

import contextlib
import functools
import os
import pickle
import shutil
import socket
import struct
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

from dsbuild.errors import DsbuildError
from dsbuild.storage import objects, patience, prefetch
from dsbuild.storage.local import Stamp

READY = -1  # number of the first message, sent once the process is ready
_LENGTH = struct.Struct("<Q")


def packed(*message: Any) -> bytes:
    """Return a message as bytes to send."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


def received(end: socket.socket) -> tuple[Any, ...]:
    """Return the next message; raise EOFError after the last one."""
    (size,) = _LENGTH.unpack(_exactly(end, _LENGTH.size))
    message: tuple[Any, ...] = pickle.loads(_exactly(end, size))
    return message


def _exactly(end: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    left = memoryview(data)
    while left:
        if not (count := end.recv_into(left)):
            raise EOFError
        left = left[count:]
    return data


def serve() -> None:
    """Answer requests until the other process closes its socket or ends."""
    end = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sending, operations = threading.Lock(), _operations()
    patience.reach()  # the forked process had answers before

    def answer(number: int, name: str, arguments: tuple[Any, ...]) -> None:
        try:
            reply = packed(number, None, operations[name](*arguments))
        except BaseException as error:
            reply = packed(number, _portable(error), None)
        with contextlib.suppress(OSError), sending:  # the other process may be gone
            end.sendall(reply)

    try:
        end.sendall(packed(READY, None, None))
        pool = ThreadPoolExecutor(prefetch.WIDTH)
        while True:
            pool.submit(answer, *received(end))
    finally:
        os._exit(0)  # nobody needs the pending requests now


def _portable(error: BaseException) -> BaseException:
    """Return an error that can be pickled; a bug keeps its traceback as a note."""
    if isinstance(error, DsbuildError):
        return error
    portable = RuntimeError(f"{type(error).__name__}: {error}")
    portable.add_note("".join(traceback.format_exception(error)))
    return portable


def _operations() -> Mapping[str, Callable[..., Any]]:
    """Return the operations by name: functions of `objects`, and access to open files."""
    files: dict[str, tuple[contextlib.ExitStack, BinaryIO]] = {}

    def begin(name: str, url: str) -> int:
        with contextlib.ExitStack() as stack:
            file, size = stack.enter_context(objects.reading(url))
            files[name] = stack.pop_all(), file
        return size

    def part(name: str, offset: int, size: int) -> bytes:
        _, file = files[name]
        file.seek(offset)
        return file.read(size)

    def end(name: str) -> None:
        files.pop(name)[0].close()

    @functools.lru_cache(8)  # an evicted stamper is made again and lists again
    def stamper(_name: str) -> Callable[[str], Stamp | None]:
        return objects.stamper()

    return {
        "stamp": objects.stamp,
        "stamped": lambda name, url: stamper(name)(url),
        "is_folder": objects.is_folder,
        "entries": objects.entries,
        "some": objects.some,
        "read": objects.read,
        "read_part": objects.read_part,
        "begin": begin,
        "part": part,
        "end": end,
        "put": _put,
        "remove": objects.remove,
    }


def _put(url: str, path: str) -> None:
    """Move a local file to a store."""
    with objects.placing(url) as place:
        shutil.move(path, place)
