"""Annotations on an object store, from TFRecords there: the same bytes as on a disk."""

import pathlib
import random

import pytest

from dsbuild.interop.annotations import run
from dsbuild.storage import clients, lease
from tests.support import stores
from tests.support.runs import make
from tests.support.stores import files, upload


@pytest.mark.parametrize("name", ["coco", "voc"])
def test_bytes_are_those_of_a_disk(moto, monkeypatch, voc, out, tmp_path, name):
    make(voc, out, shards=2, splits=("train",))
    run.export(out, str(tmp_path / "made"), name)
    bucket = f"annotations-{random.randrange(1 << 40)}"
    stores.s3_bucket(moto, bucket)
    for key, value in stores.s3_environment(moto).items():
        monkeypatch.setenv(key, value)
    clients.open_store.cache_clear()
    try:
        upload(pathlib.Path(out), f"s3://{bucket}/out")
        run.export(f"s3://{bucket}/out", f"s3://{bucket}/made", name)
        again = run.export(f"s3://{bucket}/out", f"s3://{bucket}/made", name)
        found = files(f"s3://{bucket}/made")
    finally:
        clients.open_store.cache_clear()
    assert again.kept == 2
    assert again.complete
    ours = {
        str(path.relative_to(tmp_path / "made")): path.read_bytes()
        for path in (tmp_path / "made").rglob("*")
        if path.is_file() and path.name != "lock"
    }
    alone = ("lock", lease.TENURE)  # which are of the folder, and not of what is in it
    assert {key: data for key, data in found.items() if not key.endswith(alone)} == ours
