import contextlib
import os
import pathlib
import random
import secrets
import signal

import hypothesis
import pytest
from click.testing import CliRunner

from dsbuild.cli import main
from dsbuild.engines import choice
from tests.support import engines, fakes, gcs, stores

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Hundreds of processes are started, and each would compile the package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Functions and commands have one worker unless a test asks for more: beside TensorFlow, a worker is
# a fresh interpreter, which takes longer to start than a drawn data set takes to build. What users
# get is tested in tests/engines/test_choice.py, and by commands that are processes.
choice.cores = lambda: 1
# What is started in the background ignores Ctrl-C, and so would all commands started here, of
# which some are interrupted.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no failure: how long an example takes says nothing about its result.
hypothesis.settings.register_profile("dsbuild", deadline=None)
hypothesis.settings.load_profile("dsbuild")

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
def two_processes():
    """An engine of two fresh interpreters, which are started once."""
    with engines.standing(2) as engine:
        yield engine


@pytest.fixture(scope="session")
def moto():
    """The port of moto's S3, one a test process."""
    with gcs.serving(stores.moto()) as server:
        yield server.server_port


@pytest.fixture
def faulty(moto, monkeypatch):
    """A proxy before moto, which AWS_* lead to; it does as it is told."""
    with gcs.serving(stores.Faulty(moto)) as proxy:
        yield from stores.on_store(monkeypatch, stores.s3_environment(proxy.server_port), proxy)


@pytest.fixture
def s3(moto, monkeypatch):
    """The URL of an empty bucket of S3."""
    name = f"bucket-{secrets.token_hex(4)}"
    stores.s3_bucket(moto, name)
    yield from stores.on_store(monkeypatch, stores.s3_environment(moto), f"s3://{name}")


@pytest.fixture
def gs(monkeypatch):
    """The URL of an empty bucket of Google's emulator."""
    with gcs.serving(gcs.gcs("bucket")) as server:
        emulator = {"STORAGE_EMULATOR_HOST": f"127.0.0.1:{server.server_port}"}
        yield from stores.on_store(monkeypatch, emulator, "gs://bucket")


@pytest.fixture(scope="module")
def eager():
    """Let the predictors of a module compute without graphs."""
    from tests.support.trained import eagerly

    with eagerly():
        yield


@pytest.fixture(scope="module")
def loaded_once():
    """Let the tests of a module, which only predict, share the models of their runs."""
    from tests.support.trained import loaded_once

    with loaded_once():
        yield


@pytest.fixture
def run():
    """Call dsbuild as a user does; returns Click's result."""

    def call(*args):
        return CliRunner().invoke(main, [str(arg) for arg in args], prog_name="dsbuild")

    return call
