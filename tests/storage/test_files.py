import os
import pathlib
import subprocess
import sys

import pytest

from dsbuild import storage
from dsbuild.errors import StorageError
from dsbuild.storage import local
from tests.support.odd_files import ODD


def test_every_name_is_there_whatever_was_imported_before():
    """Names are imported when they are asked for; a module of the same name would hide one."""
    program = """
import importlib, pkgutil, types
from dsbuild import storage
for module in pkgutil.iter_modules(storage.__path__):
    importlib.import_module(f"dsbuild.storage.{module.name}")
found = {name: getattr(storage, name) for name in storage.__all__}
print([name for name, value in found.items() if isinstance(value, types.ModuleType)])
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert done.stdout == b"[]\n"


def test_files_appear_when_complete(tmp_path):
    path = str(tmp_path / "new" / "file")
    storage.write(path, b"one")
    with storage.writing(path) as file:
        file.write(b"two")
        file.flush()
        assert (tmp_path / "new" / "file").read_bytes() == b"one"
        assert len(os.listdir(tmp_path / "new")) == 2
    assert (tmp_path / "new" / "file").read_bytes() == b"two"
    assert os.listdir(tmp_path / "new") == ["file"]


def test_a_block_that_raises_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), storage.writing(str(tmp_path / "file")) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


def test_written_files_have_the_usual_permissions(tmp_path):
    storage.write(str(tmp_path / "ours"), b"")
    (tmp_path / "usual").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_sweep_removes_only_unfinished_files(tmp_path):
    (tmp_path / f"{local.TEMPORARY}x-1-abcd").touch()
    (tmp_path / "x").touch()
    (tmp_path / f"{local.TEMPORARY}room-1-0123abcd").mkdir()  # from the export of a model
    storage.sweep(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [f"{local.TEMPORARY}room-1-0123abcd", "x"]
    storage.sweep(str(tmp_path / "nowhere"))


def test_read_gives_bytes_and_stamp(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    data, stamp = storage.read(str(tmp_path / "x"))
    assert data == b"abc"
    assert stamp == storage.stamp(str(tmp_path / "x"))
    assert stamp.size == 3
    assert storage.stamp(str(tmp_path / "y")) is None
    assert storage.stamp(str(tmp_path / "x" / "y")) is None


def test_errors_name_the_path(tmp_path):
    for call in (
        lambda: storage.read(str(tmp_path / "x")),
        lambda: storage.read(str(tmp_path)),
        lambda: storage.write(os.devnull + "/x", b""),
        lambda: storage.remove(str(tmp_path)),
    ):
        with pytest.raises(StorageError, match=rf"^({tmp_path}|{os.devnull})"):
            call()


def test_names_are_sorted_and_a_missing_folder_has_none(tmp_path):
    for name in "cab":
        (tmp_path / name).touch()
    assert storage.names(str(tmp_path)) == ["a", "b", "c"]
    assert storage.names(str(tmp_path / "nowhere")) == []


def test_inside_resolves_links(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert storage.inside(str(tmp_path / "link" / "b"), str(tmp_path / "a"))
    assert storage.inside(str(tmp_path / "a"), str(tmp_path / "a"))
    assert not storage.inside(str(tmp_path / "ab"), str(tmp_path / "a"))


def test_a_lock_is_held_once_and_freed(tmp_path):
    path = str(tmp_path / "out" / ".dsbuild" / "lock")
    with storage.lock(path):
        with pytest.raises(StorageError, match="out: another dsbuild"), storage.lock(path):
            pass
    with storage.lock(path):
        pass


@pytest.mark.parametrize("make", ODD, ids=lambda make: make.__name__)
def test_other_kinds_of_files_are_named_and_never_opened(tmp_path, make):
    path = str(tmp_path / "x")
    make(path)
    assert storage.odd(path) == ODD[make]
    assert storage.stamp(path).size == 0
    for call in (storage.read, storage.sha256, lambda path: storage.read_part(path, 0, 9)):
        with pytest.raises(StorageError, match=rf"x: found {ODD[make]}, expected a file$"):
            call(path)
    with pytest.raises(StorageError, match="expected a file"), storage.reading(path):
        pass
    storage.write(path, b"whole")  # replaces it, never writes into it
    assert storage.read(path)[0] == b"whole"
    assert storage.odd(path) == storage.odd(str(tmp_path)) == storage.odd(path + "?") == ""


def test_a_file_of_another_length_than_listed_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"found more than the 0 bytes .* wait until"):
        storage.read("/proc/self/status")
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(StorageError, match="found 1,099,511,627,776 bytes, expected at most"):
        storage.read(str(path))


def test_a_file_that_changes_while_it_is_read_is_named(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(bytes(100))
    plain = os.read

    def growing(handle, size):
        with open(path, "ab") as file:
            file.write(b"more")
        return plain(handle, size)

    def cut(handle, size):
        os.truncate(path, 50)
        return plain(handle, size)

    for reads, word in ((growing, "more"), (cut, "less")):
        monkeypatch.setattr(os, "read", reads)
        with pytest.raises(StorageError, match=f"x: found {word} than the"):
            storage.read(str(path))
        monkeypatch.setattr(os, "read", plain)


def test_a_part_ends_with_the_file(tmp_path):
    (tmp_path / "x").write_bytes(b"abcdef")
    path = str(tmp_path / "x")
    assert storage.read_part(path, 4, 1 << 50) == b"ef"
    assert storage.read_part(path, 2, 3) == b"cde"
    for offset in (6, 1 << 70, -1):
        assert storage.read_part(path, offset, 3) == b""


@pytest.fixture
def outside(tmp_path):
    """A folder with files beside the one under test."""
    folder = tmp_path / "outside"
    (folder / "deep").mkdir(parents=True)
    for name in ("a", "deep/b", f"{local.TEMPORARY}x", "lock"):
        (folder / name).write_text("mine")
    yield folder
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert left == {"a", "deep/b", f"{local.TEMPORARY}x", "lock"}
    assert {(folder / name).read_text() for name in left} == {"mine"}


def test_removing_and_writing_follow_no_links(tmp_path, outside):
    work = tmp_path / "work"
    (work / "inner").mkdir(parents=True)
    (work / "folder").symlink_to(outside)
    (work / "inner" / "file").symlink_to(outside / "a")
    (work / "inner" / "folder").symlink_to(outside / "deep")
    storage.write(str(work / "inner" / "file"), b"new")
    assert not (work / "inner" / "file").is_symlink()
    storage.remove_folder(str(work))
    assert not work.exists()
    link = tmp_path / "link"
    link.symlink_to(outside)
    storage.remove_folder(str(link))
    assert not link.is_symlink()


@pytest.mark.parametrize("name", [".dsbuild", ".dsbuild/receipts", "index"])
def test_a_folder_with_links_out_of_it_is_not_written_to(name, tmp_path, outside):
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).symlink_to(outside)
    with (
        pytest.raises(StorageError, match=rf"out/{name}: found a link that leads out of"),
        storage.lock(str(out / ".dsbuild" / "lock")),
    ):
        pass


def test_links_within_a_folder_and_to_it_are_followed(tmp_path):
    out = tmp_path / "out"
    (out / "kept").mkdir(parents=True)
    (out / "index").symlink_to("kept")
    (tmp_path / "link").symlink_to(out)
    with storage.lock(str(tmp_path / "link" / ".dsbuild" / "lock")):
        pass


def test_a_lock_that_is_a_link_makes_no_file_elsewhere(tmp_path):
    state = tmp_path / "out" / ".dsbuild"
    state.mkdir(parents=True)
    (state / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError), storage.lock(str(state / "lock")):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_path_is_joined_like_its_text():
    assert storage.join(pathlib.Path("a/b"), "c") == storage.join("a/b", "c") == "a/b/c"
    assert storage.join("a/", "c") == "a/c"
    assert storage.join("a", "/c") == "/c"
    assert storage.join("", "c") == "c"


def test_a_folder_is_listed_in_order_with_few_names_in_memory(tmp_path):
    for name in ("b", "a.txt", "C", "ä"):
        (tmp_path / name).touch()
    (tmp_path / "a").mkdir()
    found = list(storage.ordered_entries(str(tmp_path)))
    assert found == storage.entries(str(tmp_path))
    assert ("a", True) in found
    assert list(storage.ordered_entries(str(tmp_path / "missing"))) == []
    assert list(storage.ordered_entries(str(tmp_path / "b"))) == []
