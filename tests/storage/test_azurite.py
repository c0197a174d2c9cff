"""What holds for Azurite alone, and commands with its containers at both ends."""

import pathlib
import secrets

from dsbuild import storage
from dsbuild.storage import objects
from tests.support import azurite
from tests.support.runs import content
from tests.support.stores import ODD_NAMES, SECRET, built, files, upload

pytestmark = azurite.MARKS


def test_names(azurite_container):
    for name in (one for one in ODD_NAMES if "\\" not in one):  # which is a slash to Azure
        storage.write(f"{azurite_container}/odd/{name}", name.encode())
        assert storage.read(f"{azurite_container}/odd/{name}")[0] == name.encode()
        assert all(storage.stamps([f"{azurite_container}/odd/{name}"]))
        storage.remove(f"{azurite_container}/odd/{name}")
    assert not storage.is_folder(f"{azurite_container}/odd")


def test_a_large_file_is_sent_in_blocks(azurite_container):
    data = secrets.token_bytes(2 * objects.PART + 5)
    storage.write(f"{azurite_container}/large", data)
    assert storage.read(f"{azurite_container}/large")[0] == data
    with storage.reading(f"{azurite_container}/large") as (file, _):
        assert file.read() == data


def test_a_container_that_is_missing(azurite_container, voc, run):
    result = run("voc", voc, "az://nowhere/out", "--workers", "1")
    assert result.exit_code == 2
    assert "there is no such bucket" in result.stderr
    assert SECRET not in result.output + result.stderr


def test_commands(azurite_container, voc, out, local, tmp_path, run):
    def done(*arguments, code=0):
        result = run(*arguments, "--workers", "2")
        assert result.exit_code == code, result.output
        return result.output

    upload(pathlib.Path(voc), f"{azurite_container}/VOC2012")
    source, there = f"{azurite_container}/VOC2012", f"{azurite_container}/out"
    done("voc", source, there, "--shards", "4")
    storage.remove(f"{there}/manifest.json", f"{there}/val-00001-of-00004.tfrecord")
    assert "resuming: 11 of 12 shards are valid" in done("voc", source, there, "--shards", "4")
    storage.write(f"{there}/train-00002-of-00004.tfrecord", b"damaged")
    assert "train-00002-of-00004" in done("validate", there, code=1)
    done("repair", there, source)
    assert "no problem" in done("validate", there, source, "--level", "source")
    assert built(there) == local
    for target in ("webdataset", "parquet", "array_record"):
        done("export", there, f"{azurite_container}/{target}", "--to", target)
        done("export", out, tmp_path / target, "--to", target)
        if target == "array_record":  # its bytes differ from run to run
            continue
        assert files(f"{azurite_container}/{target}").items() >= content(tmp_path / target).items()
    assert not [name for name in files(azurite_container) if name.endswith("/lock")]
