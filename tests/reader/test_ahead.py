"""Reading a store ahead gives the samples of a local folder, in every order and after errors."""

import gc
import multiprocessing
import os
import pickle
import secrets
import threading
import warnings

import pytest

import dsbuild
from dsbuild import storage
from dsbuild.errors import ShardError
from dsbuild.reader import ahead
from dsbuild.reader.records import Records
from dsbuild.storage import clients
from tests.support.runs import content


@pytest.fixture
def places(voc, out, run, monkeypatch):
    """A local folder, and a copy of it in a store."""
    assert run("voc", voc, out, "--shards", "3", "--workers", "1").exit_code == 0
    url = f"memory://{secrets.token_hex(4)}/out"  # indexes are remembered by path and stamp
    storage.write_all({f"{url}/{name}": data for name, data in content(out).items()})
    return str(out), url


def seen(samples):
    return [(sample.key, sample.image.tobytes(), sample.label.tobytes()) for sample in samples]


@pytest.mark.parametrize("part", [1, 3000, 1 << 20])
@pytest.mark.parametrize("held", [1, 32 << 20])
def test_every_order(places, part, held, monkeypatch):
    monkeypatch.setattr(ahead, "_PART", part)
    monkeypatch.setattr(ahead, "_HELD", held)
    mine, far = (dsbuild.open(path, "train") for path in places)
    assert seen(far) == seen(mine)
    for options in (
        {},
        {"seed": 1},
        {"seed": 1, "index": 1, "count": 2},
        {"threads": 2, "seed": 3},
    ):
        assert seen(far.epoch(**options)) == seen(mine.epoch(**options))
    pairs = [dsbuild.open(path, "train", as_supervised=True) for path in places]
    assert [image.tobytes() for image, _ in pairs[1]] == [image.tobytes() for image, _ in pairs[0]]


def test_neighbours_are_one_request(places, monkeypatch):
    data = dsbuild.open(places[1], "train")
    for file in range(3):
        data.records.index(file)
    asked, plain = [], storage.read_part
    monkeypatch.setattr(storage, "read_part", lambda *place: asked.append(place) or plain(*place))
    found = len(list(data))
    asked = [place for place in asked if place[0].endswith("tfrecord")]
    assert len(asked) == 3 < found, asked


def test_samples_do_not_wait_for_the_indexes_of_later_files(places, monkeypatch):
    monkeypatch.setattr(ahead, "_LOOK", 2)
    monkeypatch.setattr(ahead, "_HELD", 1)
    monkeypatch.setattr(ahead, "_PART", 1)
    expected = seen(dsbuild.open(places[0], "train"))
    last, asked, go, plain = 2, threading.Event(), threading.Event(), Records.index

    def index(records, file):
        if file == last:
            asked.set()
            assert go.wait(30)
        return plain(records, file)

    monkeypatch.setattr(Records, "index", index)
    data = dsbuild.open(places[1], "train")
    before = sum(data.records.counts[:last])
    waits = data.records.ahead(range(len(data)))
    # The batch before the one that begins with the last file.
    early = [next(waits)().data for _ in range(before // 2 * 2 - 2)]
    assert asked.wait(30)
    go.set()
    assert len(early) + len(list(waits)) == len(expected)


def test_a_folder_is_opened_with_few_requests_in_a_row(places, monkeypatch):
    asked, plain = [], clients.ask

    def ask(url, done, *rest):
        asked.append((done, url.removeprefix(places[1])))
        return plain(url, done, *rest)

    monkeypatch.setattr(clients, "ask", ask)
    data = dsbuild.open(places[1], "train")
    first, *documents = asked
    assert first == ("listed", "")
    assert sorted(documents) == [("read", "/manifest.json"), ("read", "/schema.json")]
    asked.clear()
    assert len(list(data.epoch())) == len(data)
    # Per shard: its index, the last record's length, to see that it fits, and the records.
    assert len(asked) == 3 * len(data.records.paths)


def test_a_folder_that_is_built_again_meanwhile_is_read_without_a_warning(voc, places, run):
    url = places[1]
    data = dsbuild.open(url, "train")
    options = ("--shards", "3", "--workers", "1", "--overwrite", "--extra", "laplacian")
    assert run("voc", voc, places[0], *options).exit_code == 0
    storage.write_all({f"{url}/{name}": file for name, file in content(places[0]).items()})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = seen(data.epoch())
    assert found == seen(dsbuild.open(places[0], "train"))


def test_an_epoch_is_left_and_resumed(places):
    mine, far = (dsbuild.open(path, "train").epoch(seed=2, threads=2) for path in places)
    assert seen([next(far) for _ in range(3)]) == seen([next(mine) for _ in range(3)])
    again = pickle.loads(pickle.dumps(mine))
    state = far.state_dict()
    assert seen([next(far)]) == seen([next(again)])
    far.load_state_dict(state)
    assert seen(far) == seen(mine)


@pytest.mark.parametrize("threads", [0, 2])
def test_a_damaged_record_is_named_and_the_next_is_read(places, threads):
    data = dsbuild.open(places[1], "train")
    path = data.records.paths[0]
    whole = bytearray(storage.read(path)[0])
    whole[int(data.records.index(0)[1][0]) + 30] ^= 1
    storage.write(path, bytes(whole))
    epoch = dsbuild.open(places[1], "train").epoch(threads=threads)
    assert next(epoch).key == data[0].key
    with pytest.raises(ShardError, match="record 1 at byte"):
        next(epoch).image  # noqa: B018
    assert len(list(epoch)) == len(data) - 2


@pytest.mark.parametrize("threads", [0, 2])
def test_a_file_that_is_gone_is_named_for_each_of_its_samples(places, threads):
    epoch = dsbuild.open(places[1], "train").epoch(threads=threads)
    data = dsbuild.open(places[1], "train")
    first = len(data.records.index(0))
    storage.remove(data.records.paths[0])
    for _ in range(first):
        with pytest.raises(dsbuild.DsbuildError, match="00000-of-00003"):
            next(epoch)
    assert len(list(epoch)) == len(data) - first


@pytest.mark.parametrize("threads", [0, 2])
def test_a_later_file_that_is_gone_is_named_where_its_samples_would_come(
    places, threads, monkeypatch
):
    monkeypatch.setattr(ahead, "_PART", 1)
    expected = seen(dsbuild.open(places[0], "train"))
    data = dsbuild.open(places[1], "train")
    path, (first, gone, last) = data.records.paths[1], data.records.counts
    storage.remove(path)
    asked = asked_of(monkeypatch)
    epoch = data.epoch(threads=threads)
    assert seen([next(epoch) for _ in range(first)]) == expected[:first]
    records = [place for place in asked if place[0] != path and place[2] > 12]
    assert len(records) == len({*records})  # once, though the file is missed ahead of time
    for _ in range(gone):
        with pytest.raises(dsbuild.DsbuildError, match="00001-of-00003"):
            next(epoch)
    assert seen(epoch) == expected[-last:]


def test_threads_end_with_their_epoch(places, monkeypatch):
    for limit in ("_HELD", "_LOOK", "_PART"):
        monkeypatch.setattr(ahead, limit, 1)  # so that most samples are still to be asked for
    before = set(threading.enumerate())
    epoch = dsbuild.open(places[1], "train").epoch(threads=2)
    next(epoch)
    started = {*threading.enumerate()} - before
    assert any(one.name.startswith("dsbuild-records") for one in started)
    gc.disable()  # by reference counts alone
    try:
        del epoch
        for one in started:
            one.join(10)
    finally:
        gc.enable()
    assert not any(one.is_alive() for one in started)


@pytest.fixture
def kept(places, tmp_path):
    """A folder of a store, read with a cache, and its samples."""
    options = {"cache": "decoded", "cache_folder": tmp_path / "kept"}
    return dsbuild.open(places[1], "train", **options), seen(dsbuild.open(places[0], "train"))


def asked_of(monkeypatch):
    """The ranges that are read of shards."""
    asked, plain = [], storage.read_part

    def read_part(path, *place):
        if path.endswith(".tfrecord"):
            asked.append((path, *place))
        return plain(path, *place)

    monkeypatch.setattr(storage, "read_part", read_part)
    return asked


@pytest.mark.parametrize("threads", [0, 2])
def test_a_cache_is_filled_once_and_then_read_alone(kept, threads, monkeypatch):
    data, expected = kept
    asked = asked_of(monkeypatch)
    assert seen(data.epoch(threads=threads)) == expected
    assert len([path for path, offset, _ in asked if not offset]) == 3
    asked.clear()
    for seed in (None, 1, 2):
        assert sorted(seen(data.epoch(seed=seed, threads=threads))) == sorted(expected)
    assert not asked


@pytest.mark.parametrize("threads", [0, 2])
def test_what_a_cache_lacks_is_fetched_and_what_is_damaged_again(kept, threads, monkeypatch):
    data, expected = kept
    for number in (0, 3, 4, 7):
        data[number].load()
    assert seen(data.epoch(threads=threads)) == expected
    size = os.path.getsize(data.decoded.file.path)
    for at in (size // 3, size // 2, size - 200):
        with open(data.decoded.file.path, "r+b") as file:
            file.seek(at)
            file.write(b"?" * 200)
        assert seen(data.epoch(threads=threads)) == expected
    with open(data.decoded.file.path, "r+b") as file:
        file.truncate(size // 2)
    assert seen(data.epoch(threads=threads)) == expected
    epoch = data.epoch(threads=threads)
    first = seen([next(epoch), next(epoch)])
    os.remove(data.decoded.file.path)
    assert [*first, *seen(epoch)] == expected
    assert seen(data.epoch(threads=threads)) == expected


@pytest.mark.parametrize("threads", [0, 2])
def test_two_epochs_beside_each_other_fill_one_cache(kept, threads):
    data, expected = kept
    one, other = data.epoch(threads=threads), data.epoch(seed=1, threads=threads)
    pairs = list(zip(one, other, strict=True))
    assert seen(first for first, _ in pairs) == expected
    assert sorted(seen(second for _, second in pairs)) == sorted(expected)


@pytest.mark.parametrize("threads", [0, 2])
def test_with_a_cache_a_file_that_is_gone_is_named_for_its_samples(kept, threads):
    data, expected = kept
    first = len(data.records.index(0))
    data[0].load()
    storage.remove(data.records.paths[0])
    epoch = data.epoch(threads=threads)
    assert seen([next(epoch)]) == expected[:1]
    for _ in range(first - 1):
        with pytest.raises(dsbuild.DsbuildError, match="00000-of-00003"):
            next(epoch)
    assert seen(epoch) == expected[first:]


def fill(url, folder, seed):
    options = {"cache": "decoded", "cache_folder": folder}
    for sample in dsbuild.open(url, "train", **options).epoch(seed, threads=2):
        sample.load()


def test_processes_fill_one_cache_of_a_store(voc, out, run, s3, tmp_path, monkeypatch):
    assert run("voc", voc, out, "--shards", "3").exit_code == 0
    url, folder = f"{s3}/out", str(tmp_path / "kept")
    storage.write_all({f"{url}/{name}": data for name, data in content(out).items()})
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=fill, args=(url, folder, seed)) for seed in range(2)]
    [one.start() for one in workers]
    [one.join(120) for one in workers]
    assert [one.exitcode for one in workers] == [0, 0]
    data = dsbuild.open(url, "train", cache="decoded", cache_folder=folder)
    asked = asked_of(monkeypatch)
    assert seen(data) == seen(dsbuild.open(str(out), "train"))
    assert not [path for path, *_ in asked if path.startswith(url)]
