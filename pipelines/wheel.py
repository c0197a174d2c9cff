"""The wheel that workers install: this very dsbuild, made from the files that run here.

Workers get the driver's versions of the requirements, and exactly its optional libraries, so that
bytes do not depend on the machine that writes a shard.
"""

import base64
import hashlib
import importlib.resources
import os
import zipfile
from collections.abc import Iterator
from importlib import metadata

from apache_beam.options.pipeline_options import (
    PipelineOptions,
    PortableOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)
from packaging.requirements import Requirement

from dsbuild.errors import DsbuildError
from dsbuild.pipelines.options import IN_PROCESS

_NAME = "dsbuild"
_PACKAGES = ("dsbuild", "dsbuild.pipelines", "dsbuild.schemas")  # the last two may be elsewhere
_EXTRAS = ("cloud", "sbd")  # workers get these if the driver has them
_WHEEL = "Wheel-Version: 1.0\nGenerator: dsbuild\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_HERE = ("LOOPBACK", "EMBEDDED")  # environments that are the driver's own


def bring(options: PipelineOptions, folder: str) -> None:
    """Make workers install dsbuild, unless options say how they get it.

    The wheel is made in `folder`, which must exist until the pipeline is submitted.
    """
    setup = options.view_as(SetupOptions)
    given = setup.extra_packages or []
    if (
        options.view_as(StandardOptions).runner == IN_PROCESS
        or options.view_as(PortableOptions).environment_type in _HERE
        or options.view_as(WorkerOptions).sdk_container_image
        or setup.setup_file
        or any(os.path.basename(one).startswith(f"{_NAME}-") for one in given)
    ):
        return
    setup.extra_packages = [*given, wheel(folder)]


def wheel(folder: str) -> str:
    """Write the wheel into a folder; return its path. The same files make the same wheel."""
    try:
        version = metadata.version(_NAME)
        needed = list(_needed())
    except metadata.PackageNotFoundError as error:
        raise DsbuildError(
            "dsbuild runs here without being installed, so no wheel can be made for the workers: "
            "pip install it, or name a wheel, as in -- --extra_package=dsbuild-1.0.whl"
        ) from error
    about = [f"Name: {_NAME}", f"Version: {version}", *(f"Requires-Dist: {one}" for one in needed)]
    info = f"{_NAME}-{version}.dist-info"
    files = dict(_files())
    files[f"{info}/METADATA"] = "\n".join(["Metadata-Version: 2.1", *about, ""]).encode()
    files[f"{info}/WHEEL"] = _WHEEL.encode()
    lines = [f"{name},{_digest(data)},{len(data)}\n" for name, data in files.items()]
    files[f"{info}/RECORD"] = "".join([*lines, f"{info}/RECORD,,\n"]).encode()
    path = os.path.join(folder, f"{_NAME}-{version}-py3-none-any.whl")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return path


def _files() -> Iterator[tuple[str, bytes]]:
    for package in _PACKAGES:
        with importlib.resources.as_file(importlib.resources.files(package)) as root:
            for path in sorted(root.rglob("*")):
                if path.is_file() and path.suffix != ".pyc":
                    yield f"{package.replace('.', '/')}/{path.relative_to(root)}", path.read_bytes()


def _needed() -> Iterator[str]:
    for text in metadata.requires(_NAME) or []:
        needed = Requirement(text)
        name, marker, extras = needed.name, needed.marker, ("", *_EXTRAS)
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
            installed = [*metadata.distributions(name=name)]
            if installed or marker is None:
                yield f"{name}=={metadata.version(name)}"


def _digest(data: bytes) -> str:
    value = base64.urlsafe_b64encode(hashlib.sha256(data).digest())
    return f"sha256={value.rstrip(b'=').decode()}"
