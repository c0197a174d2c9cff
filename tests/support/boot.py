"""The boot of a worker, as Beam's containers have it: fetch what was staged, install it, start.

    python tests/support/boot.py PYTHON FOLDER --id=1 --provision_endpoint=HOST:PORT

PYTHON is that of a bare environment, FOLDER where packages are kept and the worker runs.
"""

import argparse
import os
import pathlib

import grpc
from apache_beam.portability.api import (
    beam_artifact_api_pb2,
    beam_artifact_api_pb2_grpc,
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    beam_runner_api_pb2,
)
from fake_dataflow import install
from google.protobuf import json_format, text_format


def main():
    """Boot."""
    parser = argparse.ArgumentParser()
    parser.add_argument("python")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--id")
    parser.add_argument("--provision_endpoint")
    given, _ = parser.parse_known_args()
    channel = grpc.insecure_channel(given.provision_endpoint)
    service = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
    headers = [("worker_id", given.id)]
    request = beam_provision_api_pb2.GetProvisionInfoRequest()
    info = service.GetProvisionInfo(request, metadata=headers).info
    if info.dependencies:
        install(given.python, given.folder, fetch(info, headers))
    os.chdir(given.folder)
    os.environ |= {
        "WORKER_ID": given.id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.control_endpoint),
        "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.logging_endpoint),
    }
    os.execv(given.python, [given.python, "-m", "apache_beam.runners.worker.sdk_worker_main"])


def fetch(info, headers):
    """Return name -> bytes of what the driver staged."""
    channel = grpc.insecure_channel(info.artifact_endpoint.url)
    service = beam_artifact_api_pb2_grpc.ArtifactRetrievalServiceStub(channel)
    asked = beam_artifact_api_pb2.ResolveArtifactsRequest(artifacts=info.dependencies)
    staged = {}
    for one in service.ResolveArtifacts(asked, metadata=headers).replacements:
        role = beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(one.role_payload)
        request = beam_artifact_api_pb2.GetArtifactRequest(artifact=one)
        parts = service.GetArtifact(request, metadata=headers)
        staged[role.staged_name] = b"".join(part.data for part in parts)
    return staged


if __name__ == "__main__":
    main()
