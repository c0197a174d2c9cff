import contextlib
import http.client
import io
import os
import re
import secrets
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from dsbuild import storage
from dsbuild.errors import StorageError
from dsbuild.storage import clients, objects, prefetch, urls
from tests.support import azurite, stores
from tests.support.stores import (
    ODD_NAMES,
    SECRET,
    elsewhere,
    s3_bucket,
    s3_environment,
    signed,
    stalled,
)


@azurite.TOO
def test_files_are_written_read_listed_and_removed(bucket):
    base = f"{bucket}/some/folder"
    assert not storage.is_folder(base)
    assert storage.names(base) == []
    storage.write(f"{base}/b/c", b"three")
    storage.write(f"{base}/a", b"one")
    storage.write(f"{base}/a", b"other")
    storage.write(f"{base}er/x", b"")
    assert storage.entries(base) == [("a", False), ("b", True)]
    assert storage.entries(bucket) == [("some", True)]
    assert [storage.is_folder(base + end) for end in ("", "/", "/b", "/a", "/nowhere")] == [
        *(True, True, True, False, False)
    ]
    data, stamp = storage.read(f"{base}/a")
    assert data == b"other"
    assert stamp.size == 5
    assert abs(stamp.mtime_ns / 1e9 - time.time()) < 60
    assert storage.sha256(f"{base}/b/c")[1] == 5
    storage.write(f"{base}/c", b"")
    storage.remove(f"{base}/gone", f"{base}/a", f"{base}/c")
    storage.remove(f"{base}/a")
    storage.remove()
    storage.sweep(base)
    assert storage.stamp(f"{base}/a") is None
    assert storage.names(base) == ["b"]


@azurite.TOO
def test_a_stamp_is_the_same_whichever_way_it_is_asked_for(bucket):
    for name in ("x/1", "x/2", "y/1"):
        storage.write(f"{bucket}/{name}", name.encode())
    paths = [f"{bucket}/{name}" for name in ("x/1", "y/1", "x/2", "x/nowhere", "nowhere/x")]
    single = [storage.stamp(path) for path in paths]
    assert list(storage.stamps(paths)) == single
    assert [storage.read(path)[1] for path in paths[:3]] == single[:3]
    assert single[3:] == [None, None]


def test_odd_names_come_back(bucket):
    for name in ODD_NAMES:
        storage.write(f"{bucket}/odd/{name}", name.encode())
    assert storage.names(f"{bucket}/odd") == sorted(name.partition("/")[0] for name in ODD_NAMES)
    for name in ODD_NAMES:
        assert storage.read(f"{bucket}/odd/{name}")[0] == name.encode()
        assert storage.stamp(f"{bucket}/odd/{name}").size == len(name.encode())
        assert all(storage.stamps([f"{bucket}/odd/{name}"]))
        storage.remove(f"{bucket}/odd/{name}")
    assert not storage.is_folder(f"{bucket}/odd")


def test_an_odd_name_is_the_same_for_other_clients(s3, moto):
    storage.write(f"{s3}/50%25 #ü", b"x")
    url = f"http://127.0.0.1:{moto}/{s3[5:]}/50%2525%20%23%C3%BC"
    with urllib.request.urlopen(signed(url)) as answer:
        assert answer.read() == b"x"


def test_the_object_that_marks_a_folder_is_not_listed(s3, moto):
    urllib.request.urlopen(signed(f"http://127.0.0.1:{moto}/{s3[5:]}/marked/", "PUT")).close()
    assert storage.entries(f"{s3}/marked") == []
    storage.write(f"{s3}/marked/x", b"")
    assert storage.entries(f"{s3}/marked") == [("x", False)]
    assert storage.entries(s3) == [("marked", True)]


@azurite.TOO
def test_a_block_that_raises_leaves_what_was_there(bucket):
    path = f"{bucket}/file"
    storage.write(path, b"before")
    with pytest.raises(ZeroDivisionError), storage.writing(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), storage.placing(path) as temporary:
        with open(temporary, "w") as file:
            file.write("half")
        raise ZeroDivisionError
    assert storage.read(path)[0] == b"before"
    with storage.placing(path) as temporary:
        with open(temporary, "w") as file:
            file.write("whole")
        assert storage.read(path)[0] == b"before"
    assert storage.read(path)[0] == b"whole"
    assert storage.names(bucket) == ["file"]


def test_a_large_file_is_sent_in_parts(s3, monkeypatch):
    monkeypatch.setattr(objects, "PART", 5 << 20)  # the smallest part that S3 accepts
    data = os.urandom(12 << 20)
    with storage.writing(f"{s3}/large") as file:
        for at in range(0, len(data), 1 << 20):
            file.write(data[at : at + (1 << 20)])
    assert storage.read(f"{s3}/large")[0] == data


@azurite.TOO
def test_reading_in_order_and_from_anywhere(bucket, monkeypatch):
    monkeypatch.setattr(objects, "_FIRST", 100)
    monkeypatch.setattr(objects, "_MOST", 1000)
    data = os.urandom(200_000)
    storage.write(f"{bucket}/x", data)
    with storage.reading(f"{bucket}/x") as (file, size):
        assert size == len(data)
        assert file.read(12) == data[:12]
        assert file.read(70_000) == data[12:70_012]
        assert file.tell() == 70_012
        for at in (199_990, 5, 100_000, 100_010, 0):
            file.seek(at)
            assert file.read(50) == data[at : at + 50]
        file.seek(-3, io.SEEK_END)
        assert file.read() == data[-3:]
        assert file.read() == b""
        file.seek(0)
        assert file.read() == data
    storage.write(f"{bucket}/empty", b"")
    with storage.reading(f"{bucket}/empty") as (file, size):
        assert (size, file.read()) == (0, b"")
    storage.write(f"{bucket}/lines", b"one\ntwo\n")
    with storage.reading(f"{bucket}/lines") as (file, _):
        assert list(file) == [b"one\n", b"two\n"]


def test_a_file_that_is_replaced_while_it_is_read_is_an_error(s3, monkeypatch):
    monkeypatch.setattr(objects, "_FIRST", 100_000)
    storage.write(f"{s3}/x", bytes(200_000))
    with storage.reading(f"{s3}/x") as (file, _):
        file.read(1000)
        storage.write(f"{s3}/x", b"\1" * 200_000)
        with pytest.raises(StorageError, match="/x: cannot be read: it was replaced meanwhile"):
            file.read()


@azurite.TOO
def test_what_is_missing_is_named(bucket):
    for call in (storage.read, storage.sha256):
        with pytest.raises(StorageError, match=f"^{bucket}/x: there is no such file"):
            call(f"{bucket}/x")


def test_a_bucket_that_is_missing_is_named(s3):
    for call in (storage.names, storage.is_folder, lambda url: storage.write(f"{url}/x", b"")):
        with pytest.raises(
            StorageError, match=r"^s3://no-such-bucket.*: cannot be .*: there is no such bucket"
        ):
            call("s3://no-such-bucket")


@azurite.TOO
@pytest.mark.parametrize("local", [True, False])
def test_reading_ahead(bucket, tmp_path, local):
    base = str(tmp_path) if local else bucket
    paths = [f"{base}/{i:02d}" for i in range(50)]
    for path in paths:
        storage.write(path, path.encode())
    with storage.ahead(iter(paths)) as read:
        for path in paths:
            assert read(path) == (path.encode(), storage.stamp(path))
        assert read(paths[3])[0] == paths[3].encode()  # again
    with storage.ahead([paths[0], f"{base}/gone", paths[1], paths[2], paths[1]]) as read:
        assert read(paths[0])[0] == paths[0].encode()
        with pytest.raises(StorageError, match="gone: there is no such file"):
            read(f"{base}/gone")
        assert read(paths[2])[0] == paths[2].encode()  # skipping one
        assert read(paths[1])[0] == paths[1].encode()
        assert read(paths[9])[0] == paths[9].encode()  # never announced
    with storage.ahead([]) as read:
        assert read(paths[0])[0] == paths[0].encode()


def test_reading_ahead_stays_within_its_window(bucket, monkeypatch):
    monkeypatch.setattr(prefetch, "WIDTH", 2)  # and as many that wait for a thread
    asked = []
    plain = objects.read
    monkeypatch.setattr(objects, "read", lambda url: asked.append(url) or plain(url))
    paths = [f"{bucket}/{i:02d}" for i in range(20)]
    for path in paths:
        storage.write(path, b"x")
    with storage.ahead(paths) as read:
        read(paths[0])
        read(paths[1])
    assert len(asked) <= 6


def test_pending_requests_are_cancelled_at_the_end(faulty, moto):
    s3_bucket(moto, "ahead")
    paths = [f"s3://ahead/{i}" for i in range(9)]
    storage.write(paths[0], b"x")
    faulty.fault = lambda _, __, path: None if path.endswith("/0") else 503
    with storage.ahead(paths) as read:
        assert read(paths[0])[0] == b"x"
        time.sleep(3)
        begin = time.monotonic()
    assert time.monotonic() - begin < 8


@pytest.mark.parametrize(
    "url",
    [
        f"s3://me:{SECRET}@bucket/x",
        f"s3://me:{SECRET[:5]}/{SECRET}@bucket/x",
        f"gs://bucket/x?token={SECRET}",
        f"az://container/x?sv=1&sig={SECRET}",
        f"https://bucket.s3.amazonaws.com/x?X-Amz-Signature={SECRET}",
        f"s3:///{SECRET}",
    ],
)
def test_a_url_that_may_hold_a_secret_is_refused_unseen(url, run, voc):
    for arguments in (("inspect", url), ("voc", url), ("voc", voc, url), ("diff", url, voc)):
        result = run(*arguments)
        assert result.exit_code == 2
        assert SECRET not in result.output + result.stderr
        assert SECRET[:5] not in result.output + result.stderr
        assert "found a URL" in result.stderr


def test_paths_in_order():
    assert storage.normal("gs://b//x/./y/../z/") == "gs://b/x/z"
    assert storage.normal("gs://b/../..") == "gs://b"
    assert storage.normal("x/../y/") == "y"
    assert storage.name("s3://b/x/y/") == "y"
    assert storage.name("s3://b") == "b"
    assert storage.name(".") == os.path.basename(os.getcwd())
    assert storage.inside("s3://b/x/y", "s3://b/x/")
    assert storage.inside("s3://b/x", "s3://b")
    assert storage.inside("s3://b/x", "s3://b/x")
    assert not storage.inside("s3://b/xy", "s3://b/x")
    assert not storage.inside("s3://b/x/../y", "s3://b/x")
    assert not storage.inside("s3://b/x", "gs://b")
    assert not storage.inside("s3://b/x", "/")
    assert storage.relative("s3://b/x/y/z", "s3://b/x") == "y/z"
    assert urls.is_url("s3://b")
    assert not urls.is_url("folder/a://b")


def test_a_local_name_like_a_url_is_local(tmp_path):
    path = str(tmp_path / "a:" / "b")
    storage.write(path, b"x")
    assert storage.read(str(tmp_path / "a:") + "//b")[0] == b"x"


def test_failed_requests_are_retried(faulty, moto):
    s3_bucket(moto, "tried")
    data = os.urandom(300_000)
    for fault in (500, 503, 429, "lost", "cut", "slow"):
        faulty.fault = lambda number, *_, fault=fault: fault if number % 2 else None
        faulty.seen.clear()
        storage.write("s3://tried/x", data)
        assert storage.read("s3://tried/x")[0] == data
        assert storage.stamp("s3://tried/x").size == len(data)
        assert storage.names("s3://tried") == ["x"]
        with storage.reading("s3://tried/x") as (file, _):
            assert file.read() == data


def test_a_store_that_stays_away_becomes_an_error(faulty, monkeypatch):
    monkeypatch.setenv(clients.SECONDS, "1")
    for fault in (503, "lost", stalled):
        stores.forget()
        faulty.fault = lambda *_, fault=fault: fault
        begin = time.monotonic()
        for call in (storage.read, storage.names, lambda url: storage.write(url, b"x")):
            with pytest.raises(StorageError, match=r"^s3://b/x: cannot be .*again") as caught:
                call("s3://b/x")
            assert re.search(r"tried for \d+ s; .* with --store-seconds 5 ", str(caught.value))
            assert SECRET not in str(caught.value)
            assert caught.value.__cause__ is None
        assert time.monotonic() - begin < 10  # one budget per outage, whichever request meets it


@pytest.mark.parametrize(
    "fault",
    [503, "lost", stalled, *(pytest.param(one, marks=pytest.mark.slow) for one in (408, 429, 500))],
)
def test_an_outage_is_waited_for(faulty, moto, monkeypatch, fault):
    monkeypatch.setenv(clients.SECONDS, "20")
    monkeypatch.setattr(clients, "_STALL", 0.5)
    stores.forget()
    bucket = f"outage-{secrets.token_hex(4)}"
    s3_bucket(moto, bucket)
    data = os.urandom(3 << 20)
    storage.write(f"s3://{bucket}/x", data)
    calls = (
        lambda: storage.read(f"s3://{bucket}/x")[0] == data,
        lambda: storage.names(f"s3://{bucket}") == ["x"],
        lambda: storage.stamp(f"s3://{bucket}/x").size == len(data),
        lambda: storage.write(f"s3://{bucket}/y", b"small") is None,
    )
    for call in calls:
        end = time.monotonic() + 0.8  # longer than obstore retries itself
        faulty.fault = lambda *_, end=end: fault if time.monotonic() < end else None
        assert call()
        assert time.monotonic() >= end


def test_a_slow_answer_is_waited_for(faulty, moto, monkeypatch):
    monkeypatch.setattr(clients, "_STALL", 0.5)
    stores.forget()
    s3_bucket(moto, "drips")
    data = os.urandom(1 << 20)
    storage.write("s3://drips/x", data)
    faulty.fault = lambda *_: dripping
    assert storage.read("s3://drips/x")[0] == data
    with storage.reading("s3://drips/x") as (file, _):
        assert file.read() == data


def dripping(handler, _):
    """Send a body in pieces, within a second or two."""
    status, headers, data = upstream(handler)
    handler.send_response(status)
    for name, value in headers:
        handler.send_header(name, value)
    handler.end_headers()
    step = max(1, len(data) // 8)
    for at in range(0, len(data), step):
        time.sleep(0.2)
        handler.wfile.write(data[at : at + step])


def upstream(handler):
    """Return the answer of the store."""
    store = http.client.HTTPConnection("127.0.0.1", handler.server.port, timeout=60)
    with contextlib.closing(store):
        store.request(handler.command, handler.path, headers=dict(handler.headers))
        answer = store.getresponse()
        hop = ("connection", "transfer-encoding", "server", "date")
        headers = [pair for pair in answer.getheaders() if pair[0].lower() not in hop]
        return answer.status, headers, answer.read()


def test_data_before_an_interruption_is_kept(faulty, moto, monkeypatch):
    monkeypatch.setattr(objects, "_PIECE", 1 << 16)
    monkeypatch.setattr(objects, "_MOST", 1 << 20)
    monkeypatch.setattr(clients, "_STALL", 1.0)
    stores.forget()
    s3_bucket(moto, "breaks")
    data = os.urandom(3 << 20)
    storage.write("s3://breaks/x", data)
    asked = []

    def breaking(handler, _):
        """Send at most 400 kB of a body."""
        status, headers, body = upstream(handler)
        asked.append(len(body))
        handler.send_response(status)
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body[:400_000])
        if len(body) > 400_000:
            handler.close_connection = True
            time.sleep(3)

    faulty.fault = lambda _, method, __: breaking if method == "GET" else None
    assert storage.read("s3://breaks/x")[0] == data
    assert asked[0] == len(data)
    assert min(asked[1:6]) < 400_000  # the ranges shrink


def test_an_endpoint_without_a_server(monkeypatch):
    for name, value in s3_environment(1).items():
        monkeypatch.setenv(name, value)
    stores.forget()
    begin = time.monotonic()
    with pytest.raises(StorageError, match="s3://b/x: cannot be read: the store cannot be reached"):
        storage.read("s3://b/x")
    assert time.monotonic() - begin < 10
    stores.forget()


def test_a_store_that_was_reached_before_is_waited_for(s3, moto, monkeypatch):
    monkeypatch.setenv(clients.SECONDS, "3")
    stores.forget()
    storage.write(f"{s3}/x", b"x")
    clients.open_store.cache_clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    begin = time.monotonic()
    with pytest.raises(StorageError, match=r"nothing listens at 127.0.0.1:1; .*, tried for 3 s"):
        storage.read(f"{s3}/x")
    assert time.monotonic() - begin >= 3
    stores.forget()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL", "127.0.0.1:9000"),
        ("AWS_ENDPOINT_URL", "htp://127.0.0.1:9000"),
        ("AWS_ENDPOINT_URL", "http://:9000"),
        ("AWS_ENDPOINT_URL", f"http://{SECRET}@h:no"),
        ("AWS_REGION", "eu-west-1\n"),
        ("AWS_ACCESS_KEY_ID", f"{SECRET}\n"),
    ],
)
def test_an_unusable_environment_is_named(s3, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    stores.forget()
    with pytest.raises(StorageError, match=f"^{name}: found ") as caught:
        storage.read(f"{s3}/x")
    assert SECRET not in str(caught.value)


def test_a_refused_head_says_why(faulty):
    faulty.fault = lambda *_: elsewhere("eu-west-1")
    for call in (storage.stamp, storage.read, lambda url: storage.reading(url).__enter__()):
        with pytest.raises(StorageError, match=r"set AWS_REGION to eu-west-1 .400 Authorization"):
            call("s3://b/x")


def test_without_obstore_the_extra_is_named():
    code = (
        "import sys; sys.modules['obstore'] = None\n"
        "from dsbuild.cli import main; main(['inspect', 's3://bucket/x'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'dsbuild[cloud]'" in done.stderr


def test_a_local_build_never_imports_obstore(voc, out):
    code = (
        "import sys; from click.testing import CliRunner; from dsbuild.cli import main\n"
        f"assert CliRunner().invoke(main, ['voc', {voc!r}, {out!r}]).exit_code == 0\n"
        "assert 'obstore' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_threads_that_use_a_store_first_use_the_same(monkeypatch):
    """If one name opened two memories, files in one would be missing from the other."""
    kind = clients.library().store.MemoryStore
    monkeypatch.setattr(clients.library().store, "MemoryStore", lambda: time.sleep(0.02) or kind())
    url, start = f"memory://{secrets.token_hex(4)}", threading.Barrier(8)

    def write(number):
        start.wait(20)
        storage.write(f"{url}/{number}", b"1")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(20)
    assert storage.names(url) == [str(number) for number in range(8)]
