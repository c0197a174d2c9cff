"""A Dataflow service on loopback: takes jobs by REST and runs each on two bare workers.

    python tests/support/fake_dataflow.py URL_OF_PIPELINE FOLDER    what the service does for a job

The workers' Python is a fresh environment with this one's libraries, but not its dsbuild:
that comes from the packages that the job names, as on a worker of the real service.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import sysconfig
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "test"
OPTIONS = "sdkPipelineOptions"


class Dataflow(ThreadingHTTPServer):
    """The service: job id -> its process and state; `folder` holds what its jobs leave."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("localhost", 0), _Rest)
        self.folder, self.jobs, self.before = pathlib.Path(folder), {}, lambda: None

    def start(self, job):
        """Run a job, as its own process group; `before` is called first."""
        self.before()
        url = job["environment"][OPTIONS]["options"]["pipelineUrl"]
        folder = self.folder / f"job-{len(self.jobs)}"
        folder.mkdir()
        job |= {"id": uuid.uuid4().hex, "currentState": "JOB_STATE_RUNNING", "location": "r"}
        job["createTime"] = "2026-01-01T00:00:00Z"
        words = [sys.executable, os.path.abspath(__file__), url, str(folder)]
        with open(folder / "log.txt", "w") as log:
            process = subprocess.Popen(
                words, cwd=folder, stdout=log, stderr=log, start_new_session=True
            )
        self.jobs[job["id"]] = (job, process, folder)
        return job

    def look(self, name):
        """Return a job's current state."""
        job, process, _ = self.jobs[name]
        if job["currentState"] == "JOB_STATE_RUNNING" and process.poll() is not None:
            job["currentState"] = "JOB_STATE_FAILED" if process.poll() else "JOB_STATE_DONE"
        return job

    def messages(self, name):
        """Return what the service says about a job; the log, if it failed."""
        if self.look(name)["currentState"] != "JOB_STATE_FAILED":
            return []
        text = (self.jobs[name][2] / "log.txt").read_text()
        if "Traceback" not in text:
            text = "The worker lost contact with the service."
        level = "JOB_MESSAGE_ERROR"
        time = "2026-01-01T00:00:01Z"
        return [{"id": "1", "time": time, "messageText": text, "messageImportance": level}]

    def kill(self, name):
        """End a job with all its workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.jobs[name][1].pid, signal.SIGKILL)
        self.jobs[name][1].wait(60)

    def server_close(self):
        """Stop what still runs, too."""
        for name in self.jobs:
            self.kill(name)
        super().server_close()


class _Rest(BaseHTTPRequestHandler):
    def _serve(self):
        given = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        _, _, rest = self.path.partition("?")[0].partition("/jobs")
        name, _, what = rest.lstrip("/").partition("/")
        server = self.server
        if self.path == "/token":
            answer = {"access_token": KEY, "expires_in": 3600, "token_type": "Bearer"}
        elif self.command == "POST":
            answer = server.start(json.loads(given))
        elif self.command == "PUT":
            server.kill(name)
            answer = server.look(name)
            answer["currentState"] = "JOB_STATE_CANCELLED"  # all that is asked for
        elif what == "messages":
            answer = {"jobMessages": server.messages(name)}
        else:
            answer = {} if what else server.look(name)
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815

    def log_message(self, *_):
        pass


def fetch(url):
    """Return an object of the emulator."""
    host = os.environ["STORAGE_EMULATOR_HOST"]
    with urllib.request.urlopen(f"{host}/{url.removeprefix('gs://')}") as answer:
        return answer.read()


def bare_python(folder):
    """Make an environment that has this one's libraries and not its dsbuild; return its Python."""
    words = [sys.executable, "-m", "venv", "--without-pip", str(folder / "env")]
    subprocess.run(words, check=True)
    (packages,) = (folder / "env").glob("lib/python*/site-packages")
    # A path in a .pth file brings libraries, but not the hooks of editable installs.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "env" / "bin" / "python"


def install(python, folder, staged):
    """Install staged packages as a worker does at its boot, without their requirements."""
    for name in staged.get("extra_packages.txt", b"").decode().split():
        (folder / name).write_bytes(staged[name])
        words = ["-m", "pip", "--python", str(python), "install", "--quiet", "--no-index"]
        words += ["--no-deps", "--disable-pip-version-check", str(folder / name)]
        subprocess.run([sys.executable, *words], check=True)


def run(url, folder):
    """Run the pipeline of a job on two workers."""
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.portability import python_urns
    from apache_beam.portability.api import beam_runner_api_pb2 as protos
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

    python = bare_python(folder)
    proto = protos.Pipeline.FromString(fetch(url))
    for environment in proto.components.environments.values():
        staged = {
            protos.ArtifactStagingToRolePayload.FromString(one.role_payload).staged_name: fetch(
                protos.ArtifactUrlPayload.FromString(one.type_payload).url
            )
            for one in environment.dependencies
        }
        install(python, folder, staged)
        del environment.dependencies[:]
        environment.urn = python_urns.SUBPROCESS_SDK
        words = f"echo $$ >> workers.txt; exec {python} -m apache_beam.runners.worker."
        environment.payload = (words + "sdk_worker_main").encode()
    runner = FnApiRunner()
    runner._num_workers = 2  # an option, but only of pipelines that it is not given as a graph
    runner.run_via_runner_api(proto, PipelineOptions([])).wait_until_finish()


if __name__ == "__main__":
    run(sys.argv[1], pathlib.Path(sys.argv[2]))
