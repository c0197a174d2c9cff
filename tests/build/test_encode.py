"""Whose fault an error is: a bad sample may be left out, trouble of the world ends a build."""

import os
import pickle
import subprocess
import sys

import pytest

from dsbuild import errors, storage
from dsbuild.build import encode
from dsbuild.errors import DataError, ImageError, MachineError, NoFileError, StorageError
from dsbuild.layouts import Sample
from tests.support.runs import requested


@pytest.fixture
def sample(voc, out):
    """A sample of VOC's, and how it is loaded by another `read`."""
    recipe = requested(voc, out).recipe
    one = Sample("2007_000000", "JPEGImages/2007_000000.jpg", "SegmentationClass/2007_000000.png")
    return lambda read: encode.encode(one, str(voc), recipe, read)


def failing(error, ending):
    """Return a `read` that fails at files of an ending."""

    def read(path):
        if path.endswith(ending):
            raise error
        return storage.read(path)

    return read


@pytest.mark.parametrize("ending", [".jpg", ".png"])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StorageError("s3://b/k: cannot be read: the store is busy or broken (500)"), StorageError),
        (errors.DeniedError("s3://b/k: cannot be read: not allowed"), StorageError),
        (OSError(28, "No space left on device"), StorageError),
        (MemoryError(), MachineError),
    ],
    ids=["store", "rights", "disk", "memory"],
)
def test_machine_trouble_is_not_a_bad_sample(sample, error, kind, ending):
    with pytest.raises(kind) as caught:
        sample(failing(error, ending))
    assert not isinstance(caught.value, DataError)
    assert str(caught.value).startswith("sample 2007_000000: ")
    assert f"2007_000000{ending}: " in str(caught.value)
    assert "--on-error" not in str(caught.value)


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_a_missing_or_a_bad_file_is_a_bad_sample(sample, ending):
    with pytest.raises(encode.Rejected) as caught:
        sample(failing(NoFileError("there is no such file"), ending))
    assert caught.value.kind == {".jpg": "image-missing", ".png": "label-missing"}[ending]
    stamp = storage.stamp(storage.__file__)._replace(size=4)
    bad = lambda path: (b"none", stamp) if path.endswith(ending) else storage.read(path)  # noqa: E731
    with pytest.raises(encode.Rejected) as caught:
        sample(bad)
    assert caught.value.kind in ("unreadable", "colours")


def test_faults_are_distinguished_by_type():
    of_data = ("ImageError", "LayoutError", "SampleError", "SchemaError", "ShardError")
    for name in (*of_data, "NoFileError"):
        assert issubclass(getattr(errors, name), DataError)
    for name in ("DeniedError", "MachineError", "ModelError", "PlanError", "StorageError"):
        assert not issubclass(getattr(errors, name), DataError)


def test_errors_survive_pickling():
    row = (5, 7, None, None, None, None)
    rejected = encode.Rejected("sample k: f: gone", "k", "f", "image-missing", "gone", row)
    for error in (NoFileError("p: gone"), ImageError("bad", kind="size"), rejected):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


CODE = """
import io, resource, sys, warnings
import numpy as np
from PIL import Image
from dsbuild import images
from dsbuild.images import labels, lossless
from dsbuild.images import display as seen
warnings.simplefilter("ignore")
Image.MAX_IMAGE_PIXELS = None
side = 9000
grey = Image.new("L", (side, side), 3)
made = {}
forms = {"png": {}, "jpeg": {}, "progressive": {"progressive": True}, "bmp": {}, "tiff": {}}
for name, options in forms.items():
    data = io.BytesIO()
    options = options | ({"compression": "tiff_lzw"} if name == "tiff" else {})
    grey.save(data, "jpeg" if name == "progressive" else name, **options)
    made[name] = data.getvalue()
del grey
small = io.BytesIO()
Image.new("L", (8, 8)).save(small, "jpeg")
images.decode(small.getvalue(), images.header(small.getvalue()))  # what this needs is there
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (24 << 20), -1))
header = images.header
looks = {
    "png": lambda data: images.decode(data, header(data), strict=True),
    "check": lambda data: images.check(data, header(data)),
    "indices": images.plane,
    "jpeg": lambda data: images.decode(data, header(data), strict=True),
    "progressive": lambda data: images.check(data, header(data)),
    "bmp": images.convert,
    "tiff": lossless.as_png,
    "seen": seen.pixels,
}
for name, look in looks.items():
    data = made.get(name) or made["png"]
    try:
        look(data)
        print(name, "enough")
    except MemoryError:
        print(name, "memory")
    except Exception as error:
        print(name, type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its memory")
def test_running_out_of_memory_is_not_a_damaged_image():
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert set(found.values()) == {"memory"}, done.stdout
