"""A fresh process that asks object stores in the place of a forked one, which cannot.

It is started by `helper`, hears requests at its standard input, a socket, and ends with that.
Messages are pickles behind their length: (number, operation, arguments) there, (number, error,
result) back, in any order, since many requests are under way at a time.
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
from dsbuild.storage import remote, window
from dsbuild.storage.local import Stamp

READY = -1  # the number of the first message, which says that the process is there
_LENGTH = struct.Struct("<Q")


def packed(*message: Any) -> bytes:
    """Return a message as it is sent."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


def received(end: socket.socket) -> tuple:
    """Return the next message that comes to an end; raise EOFError behind the last one."""
    return pickle.loads(_exactly(end, _LENGTH.unpack(_exactly(end, _LENGTH.size))[0]))


def _exactly(end: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    left = memoryview(data)
    while left:
        if not (count := end.recv_into(left)):
            raise EOFError
        left = left[count:]
    return data


def serve() -> None:
    """Answer until the other process closes its end, or ends in any way."""
    end = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sending, operations = threading.Lock(), _operations()

    def answer(number: int, name: str, arguments: tuple) -> None:
        try:
            reply = packed(number, None, operations[name](*arguments))
        except BaseException as error:
            reply = packed(number, _portable(error), None)
        with contextlib.suppress(OSError), sending:  # nobody is there to be told
            end.sendall(reply)

    try:
        end.sendall(packed(READY, None, None))
        pool = ThreadPoolExecutor(window.WIDTH)
        while True:
            pool.submit(answer, *received(end))
    finally:
        os._exit(0)  # whatever is under way is nobody's any more


def _portable(error: BaseException) -> BaseException:
    """Return an error that survives pickling, and, where it is a bug, says where it arose."""
    if isinstance(error, DsbuildError):
        return error
    told = RuntimeError(f"{type(error).__name__}: {error}")
    told.add_note("".join(traceback.format_exception(error)))
    return told


def _operations() -> Mapping[str, Callable[..., Any]]:
    """Return what can be asked for, by name: functions of `remote`, and files that are open."""
    files: dict[str, tuple[contextlib.ExitStack, BinaryIO]] = {}

    def begin(name: str, url: str) -> int:
        with contextlib.ExitStack() as stack:
            file, size = stack.enter_context(remote.reading(url))
            files[name] = stack.pop_all(), file
        return size

    def part(name: str, offset: int, size: int) -> bytes:
        _, file = files[name]
        file.seek(offset)
        return file.read(size)

    def end(name: str) -> None:
        files.pop(name)[0].close()

    @functools.lru_cache(8)  # of what lists folders for many stamps; one that is gone lists anew
    def stamper(_name: str) -> Callable[[str], Stamp | None]:
        return remote.stamper()

    return {
        "stamp": remote.stamp,
        "stamped": lambda name, url: stamper(name)(url),
        "is_folder": remote.is_folder,
        "entries": remote.entries,
        "read": remote.read,
        "read_part": remote.read_part,
        "begin": begin,
        "part": part,
        "end": end,
        "put": _put,
        "remove": remote.remove,
    }


def _put(url: str, path: str) -> None:
    """Make an object of a file of this machine, which is used up."""
    with remote.placing(url) as place:
        shutil.move(path, place)
