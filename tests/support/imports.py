"""Heavy libraries: where each may be imported, and which of them a process has loaded."""

import subprocess
import sys

ROOMS = {  # library -> where it may be imported
    "PIL": {"demo", "images", "shapes"},
    "apache_beam": {"pipelines"},
    "array_record": {"interop.export"},
    "click": {"cli"},
    "cv2": {"extras", "images", "shapes", "train"},
    "distributed": {"engines.dask"},
    "google_crc32c": {"build.slices", "format.tfrecord"},
    "keras": {"train"},
    "matplotlib": set(),
    "obstore": {"storage"},
    "pyarrow": {"interop.export"},
    "scipy": {"layouts"},
    "tensorflow": {"reader.tf", "train"},
    "torch": {"reader.torch", "train.fit.step_seeds"},
    "tqdm": {"engines"},
}


def loaded(code):
    """Return which heavy modules a fresh process holds after running code."""
    heavy = sorted({*ROOMS, "numpy", "concurrent.futures.process"} - {"click"})
    code += f"\nimport sys; print([name for name in {heavy} if name in sys.modules])"
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()
