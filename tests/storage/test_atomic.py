"""Files on a local disk are written completely or not at all, and messages about them are true."""

import errno
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

from dsbuild import storage
from dsbuild.errors import StorageError
from dsbuild.storage import atomic

EIO = OSError(errno.EIO, "Input/output error")


@pytest.fixture(autouse=True)
def _anew():
    """Forget which folders this process has swept."""
    atomic._sweep_once.cache_clear()


def fail(monkeypatch, name, when="before", error=EIO, on=bool):
    """Make a system call fail, before or after it did its work."""
    plain = getattr(os, name)

    def failing(*words, **named):
        hit = on(words[0])
        if when == "after" or not hit:
            done = plain(*words, **named)
        if hit:
            raise error
        return done

    monkeypatch.setattr(os, name, failing)


def is_folder(handle):
    return os.path.isdir(f"/proc/self/fd/{handle}")


FAILURES = {
    "open": {"on": lambda path: ".dsbuild-" in str(path)},
    "fsync": {"on": lambda handle: not is_folder(handle)},
    "fsync of the folder": {"on": is_folder},
    "replace": {},
    "replace, done all the same": {"when": "after"},
}


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize("failing", FAILURES)
def test_messages_about_a_file_match_the_disk(tmp_path, monkeypatch, failing, before):
    path = tmp_path / "x"
    if before:
        path.write_bytes(before)
    with monkeypatch.context() as patch, pytest.raises(StorageError) as raised:
        fail(patch, failing.split()[0].strip(","), **FAILURES[failing])
        storage.write(str(path), b"new")
    found = path.read_bytes() if path.exists() else None
    said = {
        None: "x: cannot be written: Input/output error; nothing was left under this name",
        b"old": "x: cannot be written: Input/output error; an earlier file still has this name",
        b"new": "x: was written, but may not survive a power cut: Input/output error",
    }[found]
    assert f"{said}; check the disk, and run the same command again" in str(raised.value)
    assert found == (b"new" if failing.endswith(("folder", "same")) else before)
    assert os.listdir(tmp_path) == (["x"] if found else [])


@pytest.mark.parametrize("when", ["before", "after"])
def test_messages_about_a_move_match_the_disk(tmp_path, monkeypatch, when):
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")
    fail(monkeypatch, "replace", when)
    with pytest.raises(StorageError) as raised:
        storage.move(str(tmp_path / "a"), str(tmp_path / "b"))
    there = (tmp_path / "b").read_bytes()
    said = {b"old": "b: cannot be written: .*an earlier file", b"new": "b: was written, but"}
    assert re.search(said[there], str(raised.value))
    assert there == (b"old" if when == "before" else b"new")


def test_what_stands_in_the_way_is_named(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(StorageError, match="an earlier folder still has this name; move the fo"):
        storage.write(str(tmp_path / "x"), b"new")


def test_nothing_unknown_is_claimed(tmp_path, monkeypatch):
    fail(monkeypatch, "replace")
    fail(monkeypatch, "lstat", on=lambda path: str(path).endswith("/x"))
    with pytest.raises(StorageError, match="it is unknown what has this name"):
        storage.write(str(tmp_path / "x"), b"new")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG])
def test_the_same_command_is_suggested_only_if_it_helps(tmp_path, monkeypatch, number):
    fail(monkeypatch, "makedirs", error=OSError(number, os.strerror(number)))
    with pytest.raises(StorageError, match="; choose a") as raised:
        storage.write(str(tmp_path / "x"), b"new")
    assert "same command" not in str(raised.value)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_file_that_is_gone_despite_an_error_counts_as_removed(tmp_path, monkeypatch, when):
    (tmp_path / "x").touch()
    fail(monkeypatch, "unlink", when)
    if when == "after":
        storage.remove(str(tmp_path / "x"))
        return
    with pytest.raises(StorageError, match="x: cannot be removed: Input/output error; check"):
        storage.remove(str(tmp_path / "x"))


WRITE = """
import os, signal, sys
from dsbuild import storage
with storage.{how}(sys.argv[1]) as file:
    print("there", flush=True)
    {then}
"""


def writer(path, then, how="writing"):
    """Start a process that is writing a file."""
    code = WRITE.format(how=how, then=then)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"there\n"
    return process


@pytest.mark.parametrize("how", ["writing", "placing", "room"])
def test_files_of_a_killed_process_are_removed_by_the_next_writer(tmp_path, how):
    path = tmp_path if how == "room" else tmp_path / "page.html"
    with writer(path, "os.kill(os.getpid(), signal.SIGKILL)", how) as killed:
        assert killed.wait(60) == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 1
    storage.write(str(tmp_path / "other"), b"")
    assert os.listdir(tmp_path) == ["other"]


def test_files_of_a_living_process_are_left_alone(tmp_path):
    with writer(tmp_path / "x", "file.write(sys.stdin.buffer.read())") as living:
        storage.write(str(tmp_path / "other"), b"")
        assert len(os.listdir(tmp_path)) == 2
        living.communicate(b"whole", timeout=60)
    assert living.returncode == 0
    assert (tmp_path / "x").read_bytes() == b"whole"


def test_a_room_of_a_living_process_is_left_alone_until_its_block_ends(tmp_path):
    then = "open(os.path.join(file, 'x'), 'w').close(); sys.stdin.read()"
    with writer(tmp_path, then, "room") as living:
        storage.write(str(tmp_path / "other"), b"")
        assert len(os.listdir(tmp_path)) == 2
        living.communicate(timeout=60)
    assert living.returncode == 0
    assert os.listdir(tmp_path) == ["other"]


def test_files_that_only_look_temporary_are_left_alone(tmp_path):
    kept = [".dsbuild-notes.txt", ".dsbuild-x-1-abcd", ".dsbuild-x-1-0123abcd.txt"]
    for name in kept:
        (tmp_path / name).touch()
    (tmp_path / ".dsbuild-y-1-01234567").symlink_to(tmp_path / kept[0])
    os.mkfifo(tmp_path / ".dsbuild-z-1-01234567")
    before = set(os.listdir(tmp_path))
    storage.write(str(tmp_path / "other"), b"")
    assert set(os.listdir(tmp_path)) == before | {"other"}


def test_many_processes_that_start_together_lose_nothing(tmp_path):
    code = "import sys; from dsbuild import storage\nfor i in range(20):\n"
    code += "    storage.write(f'{sys.argv[1]}/{sys.argv[2]}-{i}', b'x')"
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(n)]) for n in range(4)
    ]
    assert [process.wait(60) for process in started] == [0] * 4
    assert len(os.listdir(tmp_path)) == 80


def test_a_file_swept_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    plain, swept = os.open, []

    def opening(path, flags, *more, **named):
        handle = plain(path, flags, *more, **named)
        if flags & os.O_EXCL and not swept:
            swept.append(path)
            os.unlink(path)
        return handle

    monkeypatch.setattr(os, "open", opening)
    storage.write(str(tmp_path / "x"), b"new")
    assert swept
    assert pathlib.Path(tmp_path, "x").read_bytes() == b"new"


@pytest.mark.parametrize("failing", ["fsync", "fsync of the folder", "replace"])
def test_files_written_together_match_what_is_said(tmp_path, monkeypatch, failing):
    names = ["a", "b", "below/c"]
    with monkeypatch.context() as patch, pytest.raises(StorageError) as raised:
        fail(patch, failing.split()[0], **FAILURES[failing])
        storage.write_all({str(tmp_path / name): name.encode() for name in names})
    found = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert found == (names if failing.endswith("folder") else [])
    what = "was written, but may not" if found else "cannot be written"
    assert what in str(raised.value)


def test_files_written_together_appear_in_order_when_all_are_complete(tmp_path):
    first, second = str(tmp_path / "a"), str(tmp_path / "b" / "c")
    with storage.together(str(tmp_path)) as group:
        group.write(first, b"1")
        group.write_all({second: b"2"})
        assert not os.path.exists(first)
    assert storage.read(first)[0] + storage.read(second)[0] == b"12"
    with pytest.raises(ValueError, match="no"), storage.together(str(tmp_path)) as group:
        group.write(first, b"3")
        raise ValueError("no")
    assert storage.read(first)[0] == b"1"
    assert os.listdir(tmp_path) in (["a", "b"], ["b", "a"])


def test_files_written_together_are_synced_before_any_has_its_name(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        plain = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *words, n=name, plain=plain: (done.append(n), plain(*words))[1]
        )
    storage.write_all({str(tmp_path / name): b"x" for name in "abc"})
    assert done == ["fsync"] * 3 + ["replace"] * 3 + ["fsync"]
