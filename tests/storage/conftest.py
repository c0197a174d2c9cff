"""Buckets of every kind of store, each empty."""

import secrets

import pytest

from tests.support import azurite, gcs, stores
from tests.support.runs import content


@pytest.fixture
def az(monkeypatch):
    """The URL of an empty container of Azure's."""
    with gcs.serving(stores.azure()) as server:
        environment = stores.azure_environment(server.server_port)
        yield from stores.on_store(monkeypatch, environment, "az://container")


@pytest.fixture(params=azurite.KINDS)
def bucket(request):
    """The URL of an empty bucket, of each kind in turn."""
    if request.param == "memory":
        return f"memory://{secrets.token_hex(4)}"
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def azurite_port():
    with azurite.serving() as port:
        yield port


@pytest.fixture
def azurite_container(azurite_port, monkeypatch):
    """The URL of an empty container of Azurite's."""
    name = f"container-{secrets.token_hex(4)}"
    azurite.container(azurite_port, name)
    yield from stores.on_store(monkeypatch, azurite.environment(azurite_port), f"az://{name}")


@pytest.fixture
def local(voc, out, run):
    """The files of a local build of the VOC tree."""
    assert run("voc", voc, out, "--shards", "4", "--workers", "1").exit_code == 0
    return content(out)
