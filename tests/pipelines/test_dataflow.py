"""Dataflow without Google's cloud: graphs, staging, jobs of a fake service on loopback."""

import functools
import hashlib
import importlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import zipfile
from importlib import metadata

import pytest

from dsbuild import storage
from dsbuild.build.audit import audit
from dsbuild.build.recipe import Recipe
from dsbuild.build.request import Request
from dsbuild.layouts.voc import Voc
from dsbuild.storage import clients
from tests.support import fakes
from tests.support.fake_dataflow import Dataflow
from tests.support.runs import make

pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
pytest.importorskip(
    "google.cloud.dataflow", reason="the parts of Apache Beam for Google's cloud are not installed"
)
pytest.importorskip("gcp_storage_emulator", reason="Google's emulator is not installed")
pytest.importorskip("obstore", reason="obstore is not installed")
gcs = importlib.import_module("tests.support.gcs")
building = importlib.import_module("dsbuild.pipelines.build")
launch = importlib.import_module("dsbuild.pipelines.run")
options = importlib.import_module("dsbuild.pipelines.options")
package = importlib.import_module("dsbuild.pipelines.wheel")
protos = importlib.import_module("apache_beam.portability.api").beam_runner_api_pb2
known = importlib.import_module("apache_beam.options.pipeline_options")

CLOUD = ["--project=project", "--region=europe-west1", "--temp_location=gs://bucket/tmp"]
WHEEL = f"dsbuild-{metadata.version('dsbuild')}-py3-none-any.whl"


# A dry run: the graph that would be sent, with no network at all.


@pytest.fixture
def no_network(monkeypatch):
    """Make any attempt to reach the network an error."""

    def refuse(*_, **__):
        raise AssertionError("an attempt to reach the network")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(clients, "at", refuse)  # has sockets of its own


@pytest.fixture
def submitted(monkeypatch):
    """Return a list of the jobs that Beam makes for Dataflow."""
    made = []
    runner = importlib.import_module("apache_beam.runners.dataflow.dataflow_runner").DataflowRunner
    run = runner.run_pipeline

    def record(*args, **named):
        result = run(*args, **named)
        made.append(result.job)
        return result

    monkeypatch.setattr(runner, "run_pipeline", record)
    return made


def dry(*flags, splits=("train", "val")):
    """Make the graph of a build, send nothing."""
    request = Request(recipe=Recipe(layout=Voc()), root="gs://bucket/voc", out="gs://bucket/out")
    found = options.parse("DataflowRunner", [*CLOUD, "--dry_run=True", *flags])
    graph = functools.partial(building._graph, request=request, splits=list(splits))
    assert launch.run(found, graph) is None


def staged(job):
    """Return the names under which workers find what the driver stages."""
    payload = protos.ArtifactStagingToRolePayload
    (environment,) = job.proto_pipeline.components.environments.values()
    return [payload.FromString(one.role_payload).staged_name for one in environment.dependencies]


def test_a_graph_for_dataflow(no_network, submitted):
    dry("--num_workers=8", "--max_num_workers=8", "--number_of_worker_harness_threads=4")
    (job,) = submitted
    components = job.proto_pipeline.components
    steps = {one.unique_name for one in components.transforms.values()}
    assert {
        "plans",
        "Build/places",
        "Build/WriteShards/Reshuffle",
        "Build/WriteShards/write",
        "Build/manifest",
    } <= steps
    (environment,) = components.environments.values()
    version = metadata.version("apache-beam")
    image = f"beam_python{sys.version_info[0]}.{sys.version_info[1]}_sdk:{version}"
    assert (environment.urn, environment.payload[2:].decode()) == (
        "beam:env:docker:v1",
        f"gcr.io/cloud-dataflow/v1beta3/{image}",
    )
    assert sorted(staged(job)) == [
        WHEEL,
        "extra_packages.txt",
        "submission_environment_dependencies.txt",
    ]
    asked = job.options.view_as(known.WorkerOptions)
    assert (asked.num_workers, asked.max_num_workers) == (8, 8)
    assert job.options.view_as(known.DebugOptions).number_of_worker_harness_threads == 4
    assert job.options.view_as(known.SetupOptions).save_main_session is False


def test_a_graph_is_as_large_for_many_samples_and_shards(
    tmp_path, no_network, submitted, monkeypatch
):
    sizes = []
    monkeypatch.setattr(building, "_refuse_local", lambda *_: None)
    notes = []
    for count in (10, 1000):
        root = many(tmp_path / str(count), count)
        request = Request(
            recipe=Recipe(layout=Voc()), root=root, out="gs://bucket/out", shards=count
        )
        found = audit(request)
        assert [len(split.shards) for split in found.splits] == [count]
        flags = options.parse("DataflowRunner", [*CLOUD, "--dry_run=True"])
        assert building.build(request, found, flags, notes.append) is None
        sizes.append(len(submitted[-1].proto_pipeline.SerializeToString()))
    assert abs(sizes[1] - sizes[0]) < 100  # the length of temporary names, of numbers
    assert max(sizes) < 100_000
    assert notes[0].startswith("Beam's --dry_run made the pipeline's graph; nothing was written")


def many(folder, count):
    """Draw a VOC whose samples are one, under many names."""
    root = pathlib.Path(fakes.voc(folder, train=1, val=0))
    keys = [f"2008_{i:06d}" for i in range(count)]
    for place, suffix in (("JPEGImages", ".jpg"), ("SegmentationClass", ".png")):
        (one,) = (root / place).iterdir()
        for key in keys:
            os.link(one, root / place / f"{key}{suffix}")
        one.unlink()
    for path in (root / "ImageSets/Segmentation").iterdir():
        path.unlink()
    fakes.write_list(root, "train", keys)
    return str(root)


@pytest.mark.parametrize(
    ("flags", "comes"),
    [
        ([], True),
        (["--sdk_container_image=europe-docker.pkg.dev/p/r/dsbuild:1"], False),
        (["--extra_package={tmp}/dsbuild-9.whl"], False),
        (["--extra_package={tmp}/other-1.whl"], True),
    ],
)
def test_when_dsbuild_is_sent_to_workers(flags, comes, no_network, submitted, tmp_path):
    for name in ("dsbuild-9.whl", "other-1.whl"):
        (tmp_path / name).write_bytes(b"")
    dry(*(flag.format(tmp=tmp_path) for flag in flags))
    assert (WHEEL in staged(submitted[0])) == comes


@pytest.mark.parametrize(
    ("runner", "flags"),
    [("beam", []), ("PortableRunner", ["--environment_type=LOOPBACK", "--job_endpoint=l:1"])],
)
def test_workers_that_are_the_driver_are_sent_nothing(runner, flags, tmp_path):
    found = options.parse(runner, flags)
    package.bring(found, str(tmp_path))
    assert found.view_as(known.SetupOptions).extra_packages is None
    assert list(tmp_path.iterdir()) == []


def test_the_wheel(tmp_path):
    first, second = (pathlib.Path(package.wheel(str(tmp_path))) for _ in range(2))
    assert first.name == WHEEL
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        names = archive.namelist()
        info = WHEEL.removesuffix("-py3-none-any.whl") + ".dist-info"
        about = archive.read(f"{info}/METADATA").decode().splitlines()
    assert {"dsbuild/inspect/html/page.html", "dsbuild/schemas/segmentation.json"} <= set(names)
    assert "dsbuild/pipelines/build.py" in names
    for name in ("obstore", "numpy", "pillow"):
        assert f"Requires-Dist: {name}=={metadata.version(name)}" in about
    assert not any("apache-beam" in line or "pytest" in line for line in about)


# What a user sees of options that cannot work.


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (CLOUD[:2], "options of Beam: found no --temp_location"),
        (CLOUD[1:], "options of Beam: Pipeline has validations errors: Missing required option"),
    ],
)
def test_missing_options(flags, text, run, voc, out, no_network, monkeypatch):
    monkeypatch.setattr(building, "_refuse_local", lambda *_: None)
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    words = ["--runner", "DataflowRunner", "--quiet", "--", "--dry_run=True", *flags]
    result = run("voc", voc, out, *words)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {text}")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["dataflow", "dataflowrunner", "DataflowRunner"])
def test_names_of_the_runner(name):
    assert options.parse(name, CLOUD).get_all_options()["runner"] == "DataflowRunner"


def test_files_of_this_machine_are_refused(run, voc, out, no_network):
    result = run("voc", voc, out, "--runner", "DataflowRunner", "--quiet", "--", *CLOUD)
    assert result.stderr.startswith(f"error: {voc}: found a path that Dataflow's workers cannot")
    assert not os.path.exists(out)


# Jobs of a fake service: submitted by REST, staged through a store, run by bare workers.


class Cloud:
    """A store and a Dataflow on loopback, a VOC in the store, and what a local build makes."""

    def __init__(self, tmp_path, store, service):
        self.store, self.service, self.out = store, service, "gs://bucket/out"
        self.root = pathlib.Path(fakes.voc(tmp_path, train=24, val=4))
        (self.root / "ImageSets/Segmentation/trainval.txt").unlink()
        for path in sorted(self.root.rglob("*")):
            if path.is_file():
                storage.write(f"gs://bucket/voc/{path.relative_to(self.root)}", path.read_bytes())
        make(self.root, tmp_path / "local", shards=3)
        self.expected = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (tmp_path / "local").glob("*.tfrecord")
        }

    @property
    def port(self):
        return self.service.server_address[1]

    def words(self, *flags, out=None):
        """Return the command line of a build on Dataflow."""
        words = [sys.executable, "-m", "dsbuild", "voc", "gs://bucket/voc", out or self.out]
        words += ["--shards", "3", "--runner", "DataflowRunner", "--quiet", "--"]
        return [*words, f"--dataflow_endpoint=http://localhost:{self.port}", *CLOUD, *flags]

    def drive(self, *flags, **named):
        """Build on Dataflow as a user does."""
        words = self.words(*flags, **named)
        return subprocess.run(words, capture_output=True, text=True, timeout=240)

    def built(self):
        """Return name -> sha256 of the shards in the store."""
        names = [name for name in storage.names(self.out) if name.endswith(".tfrecord")]
        return {name: storage.sha256(storage.join(self.out, name))[0] for name in names}

    def unfinished(self):
        """Tell whether nothing says that the folder is complete, and what stands is right."""
        stands = self.built().items() <= self.expected.items()
        return stands and "manifest.json" not in storage.names(self.out)

    def finish(self, run):
        """Finish the build by the engine of this machine; tell whether it comes out the same."""
        result = run("voc", "gs://bucket/voc", self.out, "--shards", 3, "--workers", 1)
        assert result.exit_code == 0, result.stderr
        assert "manifest.json" in storage.names(self.out)
        return self.built() == self.expected

    def log(self):
        """Return what the last job left, for a test that fails."""
        return [(folder / "log.txt").read_text() for *_, folder in self.service.jobs.values()]


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    (tmp_path / "jobs").mkdir()
    store = gcs.gcs("bucket")
    with gcs.serving(store), gcs.serving(Dataflow(tmp_path / "jobs")) as service:
        key = account(f"http://localhost:{service.server_address[1]}/token")
        (tmp_path / "key.json").write_text(key)
        host = f"http://127.0.0.1:{store.server_address[1]}"
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", host)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
        monkeypatch.setenv("DSBUILD_STORE_SECONDS", "5")
        clients.open_store.cache_clear()
        yield Cloud(tmp_path, store, service)
        clients.open_store.cache_clear()


def account(tokens):
    """Return the key of a service account that nobody has."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    mail = "nobody@project.iam.gserviceaccount.com"
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "key",
            "private_key": key.decode(),
            "client_email": mail,
            "client_id": "1",
            "token_uri": tokens,
        }
    )


@pytest.mark.slow
def test_a_job(cloud):
    done = cloud.drive()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), cloud.log()
    assert cloud.built() == cloud.expected
    ((job, _, folder),) = cloud.service.jobs.values()
    assert job["currentState"] == "JOB_STATE_DONE"
    assert len((folder / "workers.txt").read_text().split()) == 2
    assert json.loads(storage.read(f"{cloud.out}/manifest.json")[0])["splits"].keys() == {
        "train",
        "val",
    }


@pytest.mark.slow
def test_a_bad_sample_fails_a_job(cloud, run):
    key = (cloud.root / "ImageSets/Segmentation/train.txt").read_text().split()[10]
    name = f"JPEGImages/{key}.jpg"
    whole = (cloud.root / name).read_bytes()
    # Later than the driver opens some samples, and of the same size.
    broken = whole[: len(whole) // 2].ljust(len(whole), b"\0")
    cloud.service.before = lambda: storage.write(f"gs://bucket/voc/{name}", broken)
    done = cloud.drive()
    assert (done.returncode, done.stdout) == (2, ""), cloud.log()
    assert done.stderr.startswith(f"error: sample {key}: gs://bucket/voc/{name}: "), cloud.log()
    assert len(done.stderr.splitlines()) == 1
    assert cloud.unfinished()
    assert len(cloud.built()) == 5
    storage.write(f"gs://bucket/voc/{name}", whole)
    assert cloud.finish(run)


@pytest.mark.slow
def test_a_worker_that_is_killed_fails_a_job(cloud, run):
    images = []

    def kill(method, path):
        # In the middle of a shard of eight samples.
        if cloud.service.jobs and method == "GET" and "JPEGImages" in path:
            images.append(path)
            if len(images) == 12:
                cloud.service.kill(*cloud.service.jobs)

    cloud.store.seen = kill
    done = cloud.drive()
    cloud.store.seen = lambda *_: None
    assert (done.returncode, done.stdout) == (2, ""), cloud.log()
    assert done.stderr == (
        "error: DataflowRunner: Dataflow pipeline failed. State: FAILED: The worker lost contact "
        "with the service; finished shards are kept: run the same command again to resume\n"
    )
    assert cloud.unfinished()
    assert len(cloud.built()) < 6
    assert cloud.finish(run)


@pytest.mark.slow
def test_an_interrupted_driver_cancels_its_job(cloud, run):
    driver = subprocess.Popen(cloud.words(), stderr=subprocess.PIPE, text=True)
    with driver:
        while driver.poll() is None and not cloud.service.jobs:
            time.sleep(0.1)
        time.sleep(1)
        driver.send_signal(signal.SIGINT)
        _, shown = driver.communicate(timeout=60)
    assert driver.returncode == 130, shown
    assert shown.splitlines()[-1].startswith("interrupted: finished shards are kept")
    (job,) = cloud.service.jobs
    assert cloud.service.look(job)["currentState"] == "JOB_STATE_CANCELLED"
    assert cloud.unfinished()
    assert cloud.finish(run)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "out", "text"),
    [
        ([], "gs://missing/out", "gs://missing/out/"),
        (
            ["--temp_location=gs://missing/tmp"],
            None,
            "gs://missing/tmp: cannot be listed: there is no such bucket; ",
        ),
        (["--dataflow_endpoint=http://localhost:1"], None, "DataflowRunner: "),
    ],
)
def test_a_failed_submission_is_one_line(flags, out, text, cloud, run):
    done = cloud.drive(*flags, out=out)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {text}")
    assert len(done.stderr.splitlines()) == 1
    assert not cloud.service.jobs
    assert cloud.finish(run)


@pytest.mark.slow
def test_a_template_is_staged_and_its_job_completes_the_folder(cloud):
    """As a Flex template does: the launcher makes a job's description, the service runs it."""
    launcher = pathlib.Path(building.__file__).parent / "dataflow" / "launch.py"
    place = "gs://bucket/templates/voc"
    endpoint = f"--dataflow_endpoint=http://localhost:{cloud.port}"
    words = ["--layout=voc", "--source=gs://bucket/voc", f"--out={cloud.out}", "--shards=3"]
    words += ["--runner=DataflowRunner", *CLOUD, endpoint, f"--template_location={place}"]
    done = subprocess.run([sys.executable, launcher, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "the pipeline was staged, not run; its job completes the folder" in done.stderr
    assert not cloud.service.jobs
    assert cloud.unfinished()
    job = cloud.service.start(json.loads(storage.read(place)[0]))
    while cloud.service.look(job["id"])["currentState"] == "JOB_STATE_RUNNING":
        time.sleep(0.2)
    assert job["currentState"] == "JOB_STATE_DONE", cloud.log()
    assert cloud.built() == cloud.expected
    assert "manifest.json" in storage.names(cloud.out)
