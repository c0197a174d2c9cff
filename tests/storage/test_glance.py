"""Bounded looks at folders, and the nearest name to a missing path."""

import time

import pytest

from dsbuild import storage


@pytest.fixture(params=["local", "memory", "moto"])
def place(request, tmp_path):
    """A folder without files: on disk, in memory, on a server of S3."""
    if request.param == "local":
        return str(tmp_path)
    return "memory://glance" if request.param == "memory" else request.getfixturevalue("s3")


def test_a_small_folder_is_listed_whole(place):
    for name in ("b.txt", "a/x.txt", "a/y.txt", "c/d/e.txt"):
        storage.write(storage.join(place, "small", name), b"x") if storage.is_remote(
            place
        ) else _local(place, "small", name)
    folder = storage.join(place, "small")
    assert storage.some(folder) == ([("a", True), ("b.txt", False), ("c", True)], True)
    assert storage.some(folder).entries == storage.entries(folder)
    assert storage.some(storage.join(place, "none")) == ([], True)


def _local(place, *names):
    import pathlib

    path = pathlib.Path(place, *names)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def test_large_folders_are_skipped_on_a_store():
    url = "memory://large"
    for i in range(2100):
        storage.write(f"{url}/images/{i}.jpg", b"x")
        storage.write(f"{url}/labels/{i}.png", b"x")
    storage.write(f"{url}/names.txt", b"x")
    assert storage.some(url) == (storage.entries(url), True)
    entries, whole = storage.some(f"{url}/images", 50)
    assert (len(entries), whole) == (50, False)


def test_a_huge_folder_costs_what_is_looked_at(tmp_path):
    for i in range(30_000):
        (tmp_path / f"{i}.jpg").touch()
    begin = time.perf_counter()
    entries, whole = storage.some(str(tmp_path), 100)
    assert (len(entries), whole) == (100, False)
    looked = time.perf_counter() - begin
    begin = time.perf_counter()
    assert len(storage.entries(str(tmp_path))) == 30_000
    assert looked < time.perf_counter() - begin


def test_a_missing_path_suggests_the_nearest_name(tmp_path, monkeypatch):
    (tmp_path / "camvid" / "label").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    cases = {
        "camvid/lable": "camvid/lable: no such folder; did you mean label?",
        "camvid/LABEL": "camvid/LABEL: no such folder; did you mean label?",
        "camvud/label": "camvud/label: no such folder: there is no camvud; did you mean camvid?",
        "zzz": "zzz: no such folder",
        "notes.tx": "notes.tx: no such folder",  # a file is no folder
        "notes.txt/a": "notes.txt/a: no such folder: notes.txt is a file",
    }
    assert {path: storage.missing(path) for path in cases} == cases
    found = storage.missing("notes.tx", "file or folder")
    assert found == "notes.tx: no such file or folder; did you mean notes.txt?"
    storage.write("memory://near/data/voc/a.txt", b"x")
    assert storage.missing("memory://near/data/vco").endswith("did you mean voc?")
