"""Things that are not files but sit where a file belongs."""

import os
import socket as socketlib


def fifo(path):
    os.mkfifo(path)


def socket(path):
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    with socketlib.socket(socketlib.AF_UNIX) as one:
        # The path of a socket is short.
        one.bind(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    os.close(folder)


def endless(path):
    os.symlink("/dev/zero", path)


def to_fifo(path):
    os.mkfifo(f"{path}-there")
    os.symlink(f"{path}-there", path)


ODD = {fifo: "a FIFO", socket: "a socket", endless: "a device", to_fifo: "a FIFO"}
