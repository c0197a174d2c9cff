"""Within `listed_once` a store is asked once for each folder, and answers are as without it."""

import pytest

from dsbuild import storage
from dsbuild.storage import clients


@pytest.fixture
def folder(bucket):
    storage.write_all({f"{bucket}/out/{name}": name.encode() for name in ("a", "b", "c/d", "c/e")})
    return f"{bucket}/out"


@pytest.fixture
def asked(monkeypatch):
    """The requests that are made, by what they do."""
    found, plain = [], clients.ask

    def ask(url, done, *rest):
        found.append((done, url))
        return plain(url, done, *rest)

    monkeypatch.setattr(clients, "ask", ask)
    return found


def look(folder):
    paths = [f"{folder}/{name}" for name in ("a", "b", "c", "c/d", "c/e", "none", "none/x", "c/f")]
    return [
        [storage.stamp(path) and storage.stamp(path).size for path in paths],
        [one and one.size for one in storage.stamps(paths)],
        [storage.is_folder(path) for path in (folder, *paths)],
        [storage.entries(path) for path in (folder, *paths)],
        storage.size(paths),
    ]


def test_answers_are_the_same(folder):
    before = look(folder)
    with storage.listed_once(folder, f"{folder}/c"):
        assert look(folder) == before
    with storage.listed_once():
        assert look(folder) == before
        assert look(folder) == before


def test_nothing_is_asked_twice(folder, asked):
    with storage.listed_once(folder, f"{folder}/c"):
        assert len(asked) == 2
        assert storage.stamp(f"{folder}/a")
        assert not storage.stamp(f"{folder}/none")
        assert storage.names(folder) == ["a", "b", "c"]
        assert storage.is_folder(f"{folder}/c")
        assert not storage.is_folder(f"{folder}/none")
        assert all(storage.stamps([f"{folder}/a", f"{folder}/c/d", f"{folder}/c/e"]))
        assert len(asked) == 2
    assert storage.stamp(f"{folder}/a")
    assert len(asked) == 3


def test_what_is_written_and_removed_here_is_seen(folder):
    def change():
        storage.write(f"{folder}/new", b"12345")
        storage.write(f"{folder}/deep/er/new", b"1")
        storage.write_all({f"{folder}/a": b"longer than before", f"{folder}/c/f": b"x"})
        storage.remove(f"{folder}/b")
        storage.remove(f"{folder}/c/d", f"{folder}/c/e")
        return look(folder), storage.entries(f"{folder}/deep"), storage.stamp(f"{folder}/new").size

    def whole():
        storage.remove_folder(folder)
        return look(folder)

    with storage.listed_once(folder, f"{folder}/c", f"{folder}/deep"):
        found = change()
    assert found[0] == look(folder)
    assert found[1:] == ([("er", True)], 5)
    with storage.listed_once(folder):
        assert whole() == look(folder)
    assert not storage.is_folder(folder)


def test_local_folders_are_as_always(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    with storage.listed_once(str(tmp_path)):
        (tmp_path / "b").write_bytes(b"1")
        assert storage.names(str(tmp_path)) == ["a", "b"]
