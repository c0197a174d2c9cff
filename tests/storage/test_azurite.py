"""The tests of stores once more, on Azurite, and commands with its containers at both ends."""

import pathlib
import secrets

import pytest

from dsbuild import storage
from dsbuild.storage import objects
from tests.conftest import content, on_store
from tests.storage.test_builds import (  # noqa: F401
    built,
    local,
    test_a_build_has_the_bytes_of_a_local_one,
)
from tests.storage.test_lease import (  # noqa: F401
    quick,
    test_a_dead_holders_lock_is_taken_over,
    test_a_holder_that_was_taken_over_is_told,
    test_a_lock_is_held_once_and_freed,
    test_of_many_who_find_a_dead_lock_one_has_it,
)
from tests.storage.test_objects import (  # noqa: F401
    ODD,
    test_a_block_that_raises_leaves_what_was_there,
    test_a_stamp_is_the_same_whichever_way_it_is_asked_for,
    test_files_are_written_read_listed_and_removed,
    test_reading_ahead,
    test_reading_in_order_and_from_anywhere,
    test_what_is_missing_is_named,
)
from tests.support import azurite
from tests.support.stores import SECRET, files, upload

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        azurite.program() is None,
        reason=f"there is no Azurite: npm install -g azurite, or {azurite.PLACE}=PATH",
    ),
]


@pytest.fixture(scope="module")
def port():
    with azurite.serving() as port:
        yield port


@pytest.fixture
def bucket(port, monkeypatch):
    """The URL of an empty container of Azurite's."""
    name = f"container-{secrets.token_hex(4)}"
    azurite.container(port, name)
    yield from on_store(monkeypatch, azurite.environment(port), f"az://{name}")


def test_names(bucket):
    for name in (one for one in ODD if "\\" not in one):  # which is a slash to Azure
        storage.write(f"{bucket}/odd/{name}", name.encode())
        assert storage.read(f"{bucket}/odd/{name}")[0] == name.encode()
        assert all(storage.stamps([f"{bucket}/odd/{name}"]))
        storage.remove(f"{bucket}/odd/{name}")
    assert not storage.is_folder(f"{bucket}/odd")


def test_a_large_file_is_sent_in_blocks(bucket):
    data = secrets.token_bytes(2 * objects.PART + 5)
    storage.write(f"{bucket}/large", data)
    assert storage.read(f"{bucket}/large")[0] == data
    with storage.reading(f"{bucket}/large") as (file, _):
        assert file.read() == data


def test_a_container_that_is_missing(bucket, voc, run):
    result = run("voc", voc, "az://nowhere/out", "--workers", "1")
    assert result.exit_code == 1
    assert "there is no such bucket" in result.stderr
    assert SECRET not in result.output + result.stderr


def test_commands(bucket, voc, out, local, tmp_path, run):  # noqa: F811
    def done(*arguments, code=0):
        result = run(*arguments, "--workers", "2")
        assert result.exit_code == code, result.output
        return result.output

    upload(pathlib.Path(voc), f"{bucket}/VOC2012")
    source, there = f"{bucket}/VOC2012", f"{bucket}/out"
    done("voc", source, there, "--shards", "4")
    storage.remove(f"{there}/manifest.json", f"{there}/val-00001-of-00004.tfrecord")
    assert "resuming: 11 of 12 shards stand" in done("voc", source, there, "--shards", "4")
    storage.write(f"{there}/train-00002-of-00004.tfrecord", b"damaged")
    assert "train-00002-of-00004" in done("validate", there, code=1)
    done("repair", there, source)
    assert "no problem" in done("validate", there, source, "--level", "source")
    assert built(there) == local
    for target in ("webdataset", "parquet", "array_record"):
        done("export", there, f"{bucket}/{target}", "--to", target)
        done("export", out, tmp_path / target, "--to", target)
        if target == "array_record":  # its bytes differ from run to run
            continue
        assert files(f"{bucket}/{target}").items() >= content(tmp_path / target).items()
    assert not [name for name in files(bucket) if name.endswith("/lock")]
