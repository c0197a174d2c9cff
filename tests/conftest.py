import contextlib
import os
import pathlib
import random
import secrets
import signal

import pytest
from click.testing import CliRunner

from dsbuild.build.audit import Request, audit
from dsbuild.build.class_weights import divided
from dsbuild.build.image_policy import Policy
from dsbuild.build.recipe import Recipe
from dsbuild.build.run import build
from dsbuild.cli import main
from dsbuild.layouts.voc import Voc
from tests.support import fakes

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# What is started in the background ignores Ctrl-C, and so would all commands started here, of
# which some are interrupted.
signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = pathlib.Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items):
    if SHARED.is_dir():
        return
    skip = pytest.mark.skip(reason="there is no folder ../shared with real data")
    for item in items:
        if item.get_closest_marker("shared"):
            item.add_marker(skip)


@pytest.fixture
def shared():
    return SHARED


@pytest.fixture
def voc(tmp_path):
    """A drawn VOC2012 folder: 12 train, 6 val."""
    return fakes.voc(tmp_path)


@pytest.fixture
def out(tmp_path):
    return str(tmp_path / "out")


@pytest.fixture
def shuffled_listing(monkeypatch):
    """Make the file system list its names in another order, from where this is called."""

    def shuffle():
        plain = os.scandir

        @contextlib.contextmanager
        def scandir(folder):
            with plain(folder) as found:
                entries = list(found)
            random.Random(5).shuffle(entries)
            yield iter(entries)

        monkeypatch.setattr(os, "scandir", scandir)

    return shuffle


@pytest.fixture(scope="session")
def moto():
    """The port of moto's S3, one a test process."""
    from tests.support import gcs, stores

    with gcs.serving(stores.moto()) as server:
        yield server.server_port


@pytest.fixture
def faulty(moto, monkeypatch):
    """A proxy before moto, which AWS_* lead to; it does as it is told."""
    from tests.support import gcs, stores

    with gcs.serving(stores.Faulty(moto)) as proxy:
        yield from on_store(monkeypatch, stores.s3_environment(proxy.server_port), proxy)


@pytest.fixture
def s3(moto, monkeypatch):
    """The URL of an empty bucket of S3."""
    from tests.support import stores

    name = f"bucket-{secrets.token_hex(4)}"
    stores.s3_bucket(moto, name)
    yield from on_store(monkeypatch, stores.s3_environment(moto), f"s3://{name}")


@pytest.fixture
def gs(monkeypatch):
    """The URL of an empty bucket of Google's emulator."""
    from tests.support import gcs

    with gcs.serving(gcs.gcs("bucket")) as server:
        emulator = {"STORAGE_EMULATOR_HOST": f"127.0.0.1:{server.server_port}"}
        yield from on_store(monkeypatch, emulator, "gs://bucket")


@pytest.fixture
def az(monkeypatch):
    """The URL of an empty container of Azure's."""
    from tests.support import gcs, stores

    with gcs.serving(stores.azure()) as server:
        environment = stores.azure_environment(server.server_port)
        yield from on_store(monkeypatch, environment, "az://container")


@pytest.fixture(params=["s3", "gs", "az", "memory"])
def bucket(request):
    """The URL of an empty bucket, of each kind in turn."""
    if request.param == "memory":
        return f"memory://{secrets.token_hex(4)}"
    return request.getfixturevalue(request.param)


def on_store(monkeypatch, variables, value):
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    forget()
    yield value
    forget()


def forget():
    """Have stores opened anew, by the environment of now, as if none had been reached."""
    from dsbuild.storage import clients, patience, uploads

    clients.open_store.cache_clear()
    patience.forget()
    uploads.forget()


@pytest.fixture
def run():
    """Call dsbuild as a user does; returns Click's result."""

    def call(*args):
        return CliRunner().invoke(main, [str(arg) for arg in args])

    return call


def requested(root, out, *, layout=None, extras=(), verify="full", policy=None, **asked):
    """Return what a build of a tree, VOC's by default, asks for."""
    layout = (layout or Voc()).bind(str(root))
    extras, weights = divided(extras)
    recipe = Recipe(layout=layout, extras=extras, verify=verify, policy=policy or Policy())
    return Request(recipe=recipe, root=str(root), out=str(out), weights=weights, **asked)


def make(root, out, workers=1, note=lambda _: None, **asked):
    """Build a tree, VOC's by default, by the library; returns the summary."""
    request = requested(root, out, **asked)
    return build(request, audit(request), workers, note=note)


def content(out):
    """Return file -> bytes of all that a build wrote, but for stamps of the sources."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(pathlib.Path(out).rglob("*"))
        if path.is_file() and "receipts" not in path.parts and path.name != "lock"
    }
