"""The command line and a store: how long it waits, what it says of that and of bad input."""

import os
import pathlib
import time

import pytest

import dsbuild
from dsbuild.cli import main
from dsbuild.errors import StorageError
from dsbuild.storage import clients, patience, waiting
from tests.support import stores
from tests.support.stores import SECRET, elsewhere, refused, s3_bucket, s3_environment, upload

COMMANDS = {
    "build from it": ("voc", "{url}/VOC2012", "{out}", "--workers", "1"),
    "build into it": ("voc", "{voc}", "{url}/out", "--workers", "1"),
    "validate": ("validate", "{url}/out"),
    "inspect": ("inspect", "{url}/out"),
    "export from it": ("export", "{url}/out", "{out}", "--to", "webdataset"),
    "open": (),
}


@pytest.fixture(params=COMMANDS)
def said(request, run, voc, out):
    """Call a command on a URL; return the one line that it ends with."""

    def call(url):
        begin = time.monotonic()
        places = {"url": url, "voc": voc, "out": out}
        if words := COMMANDS[request.param]:
            result = run(*(word.format(**places) for word in words))
            assert result.exit_code == 2
            lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
            assert len(lines) == 1
            assert result.stderr.splitlines()[-1] == lines[0]
            line = lines[0].removeprefix("error: ")
        else:
            with pytest.raises(StorageError) as caught:
                list(dsbuild.open(f"{url}/out", "train"))
            line = str(caught.value)
        assert SECRET not in line
        assert time.monotonic() - begin < 10
        return line

    return call


def test_a_missing_bucket(said, s3):
    assert "s3://no-such-bucket/" in (line := said("s3://no-such-bucket"))
    assert "there is no such bucket; create it first, or check its name" in line


def test_wrong_credentials(said, faulty):
    faulty.fault = lambda *_: refused(403, "<Error><Code>InvalidAccessKeyId</Code></Error>")
    assert "not allowed; check credentials and rights (403 InvalidAccessKeyId)" in said("s3://b")


def test_another_region(said, faulty):
    faulty.fault = lambda *_: elsewhere("eu-west-1")
    assert "another region, or at another endpoint; set AWS_REGION to eu-west-1" in said("s3://b")
    faulty.fault = lambda *_: refused(301, "<Error><Code>PermanentRedirect</Code></Error>")
    assert "another region, or at another endpoint; set AWS_REGION to its own" in said("s3://b")


def test_a_typo_in_the_scheme(said):
    assert "s4://: found a URL of this kind" in said("s4://b")


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://127.0.0.1:1", "nothing listens at 127.0.0.1:1; check AWS_ENDPOINT_URL"),
        pytest.param(
            "http://no-such.invalid:9",
            "there is no host no-such.invalid:9; check AWS_ENDPOINT",
            marks=pytest.mark.slow,
        ),
        ("127.0.0.1:9000", "AWS_ENDPOINT_URL: found no URL of a host"),
        (None, "there is no host s3.no-region.amazonaws.com; check AWS_ENDPOINT_URL, which is"),
    ],
)
def test_a_typo_in_the_endpoint(said, monkeypatch, endpoint, expected):
    for name, value in s3_environment(1).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_REGION", "no-region")  # whose endpoint has no address anywhere
    if endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    else:
        monkeypatch.delenv("AWS_ENDPOINT_URL")
    stores.forget()
    assert expected in said("s3://b")
    stores.forget()


def test_every_command_takes_store_seconds(run, monkeypatch):
    monkeypatch.setenv(patience.SECONDS, "7")
    for name, command in main.commands.items():
        assert "--store-seconds" in {option for one in command.params for option in one.opts}, name
        for wrong in ("0", "-3", "4000", "soon"):
            result = run(name, "--store-seconds", wrong, "x")
            assert result.exit_code == 2
            assert "--store-seconds" in result.stderr
    assert os.environ[patience.SECONDS] == "7"


@pytest.fixture
def away(faulty, moto, voc, monkeypatch):
    """A bucket with a VOC tree, of which one image cannot be had for a while."""
    monkeypatch.setattr(patience, "_UNSAID", 0.5)
    monkeypatch.setattr(clients, "_STALL", 1.0)
    name = f"away-{time.time_ns()}"
    s3_bucket(moto, name)
    upload(pathlib.Path(voc), f"s3://{name}/VOC2012")
    stores.forget()
    begin = []

    def fault(_, method, path):
        if "2007_000003.jpg" not in path:
            return None
        begin.append(time.monotonic())
        return 503 if time.monotonic() - begin[0] < 2 else None

    faulty.fault = fault
    return f"s3://{name}"


def test_a_command_says_that_it_waits_and_for_how_long(away, run, out, monkeypatch):
    monkeypatch.setenv(patience.SECONDS, "1")
    arguments = ("voc", f"{away}/VOC2012", out, "--store-seconds", "30")
    result = run(*arguments, "--workers", "1")
    assert result.exit_code == 0, result.stderr
    assert f"note: {away}: the store is busy or broken (503), for " in result.stderr
    assert "s so far; retrying for up to 30 s\n" in result.stderr
    assert os.environ[patience.SECONDS] == "1"


def test_quiet_commands_wait_in_silence(away, run, out):
    result = run("voc", f"{away}/VOC2012", out, "--quiet", "--workers", "1")
    assert (result.exit_code, result.stderr) == (0, "")


def test_workers_wait_for_as_long_and_say_so(away, run, out, monkeypatch):
    monkeypatch.setattr(waiting, "_AGAIN", 0.0)
    arguments = ("voc", f"{away}/VOC2012", out, "--store-seconds", "1")
    result = run(*arguments, "--workers", "2", "--shards", "2")
    assert result.exit_code == 2
    assert "the store is busy or broken (503), tried for " in result.stderr
    assert "with --store-seconds 5 (or DSBUILD_STORE_SECONDS=5)" in result.stderr
