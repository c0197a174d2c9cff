"""Coverage-guided fuzzing of validation: no bytes raise anything but a DsbuildError.

`make fuzz`, or `python -m tests.validate.fuzz FOLDER -max_total_time=60`: inputs that
find new paths are kept in FOLDER. What is fuzzed is the content of records, framed with right
checksums in half of the cases, since no fuzzer guesses a crc32c.
"""

import os
import sys
import tempfile

import atheris

with atheris.instrument_imports(include=["dsbuild"]):
    from dsbuild.errors import DsbuildError
    from dsbuild.format import example, tfrecord
    from dsbuild.validate.run import validate

PATH = os.path.join(tempfile.mkdtemp(), "fuzz.tfrecord")


def one(data: bytes) -> None:
    """Validate a file of these bytes, or of a record of them."""
    with open(PATH, "wb") as file:
        if data[:1] > b"\x7f":
            file.write(data[1:])
        else:
            tfrecord.Writer(file).write(data[1:])
    try:
        validate(PATH)
        example.parse(data)
    except DsbuildError:
        return


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
