import random

import pytest

from dsbuild import validate
from dsbuild.validate import record
from tests.support import fakes

END = record._END


@pytest.mark.parametrize("size", [1, END, 2 * END, 2 * END + 1, 40_000])
def test_every_bit_of_content_decides_its_digest(size):
    rng = random.Random(size)
    content = rng.randbytes(size)
    contents = {content, content + b"\0", b""}
    for at in {0, size // 2, size - 1, *(rng.randrange(size) for _ in range(50))}:
        changed = bytearray(content)
        changed[at] ^= 1 << rng.randrange(8)
        contents.add(bytes(changed))
    assert len(set(map(record._digest, contents))) == len(contents)
    assert record._digest(bytes(bytearray(content))) == record._digest(content)


def test_no_image_is_decoded_again_without_extras(tmp_path, monkeypatch):
    """Else every process imports OpenCV for it."""
    import dsbuild

    root = fakes.voc(str(tmp_path / "voc"), 3, 1, 40, 30)
    dsbuild.build("voc", root, str(tmp_path / "out"))
    monkeypatch.setattr("dsbuild.images.deep.pixels", None)
    assert validate(str(tmp_path / "out")).problems == ()
