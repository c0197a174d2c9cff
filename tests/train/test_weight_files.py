"""Readers of PyTorch's checkpoints and of safetensors, on whole, damaged and hostile files."""

import collections
import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from dsbuild.errors import ModelError  # noqa: E402
from dsbuild.train.weights import files, safetensors_file, torch_file  # noqa: E402


def state():
    torch.manual_seed(1)
    whole = torch.randn(100)
    return collections.OrderedDict(
        {
            "a.weight": torch.randn(4, 3, 2, 2),
            "half": torch.randn(4).half(),
            "narrow": torch.randn(5).bfloat16(),
            "double": torch.randn(2, 1).double(),
            "count": torch.tensor(7),
            "turned": torch.randn(6, 4).t(),
            "part": whole[10:20],
            "strided": whole[::7],
            "none": torch.zeros(0, 3),
        }
    )


class Named:
    """A class that the reader does not know."""

    def __init__(self):
        self.value = [1, {2: 3}]


WRAPPED = {
    "plain": lambda found: found,
    "parameters": lambda found: {n: torch.nn.Parameter(v, False) for n, v in found.items()},
    "checkpoint": lambda found: {
        "epoch": 3,
        "optimizer": {"state": {str(i): torch.zeros(1) for i in range(20)}},
        "state_dict": found,
        "best": np.float64(0.5),
        "of": Named(),
    },
}


@pytest.mark.parametrize("wrapped", list(WRAPPED))
@pytest.mark.parametrize("zipped", [True, False])
def test_checkpoints_are_read_as_pytorch_reads_them(tmp_path, wrapped, zipped):
    path, expected = str(tmp_path / "found.pth"), state()
    torch.save(WRAPPED[wrapped](expected), path, _use_new_zipfile_serialization=zipped)
    assert files.kind(path) == "PyTorch"
    found = torch_file.load(path)
    assert set(found) == set(expected)
    for name, values in expected.items():
        read = found[name].read()
        assert read.dtype == np.float32
        assert read.shape == found[name].shape
        np.testing.assert_array_equal(read, values.float().numpy())


def test_safetensors_are_read_as_their_library_does(tmp_path):
    library = pytest.importorskip("safetensors.torch")
    path = str(tmp_path / "found.safetensors")
    expected = {name: values.contiguous().clone() for name, values in state().items()}
    library.save_file(expected, path, metadata={"format": "pt"})
    found = safetensors_file.load(path)
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name].read(), values.float().numpy())


class Evil:
    """Makes a folder when it is unpickled by a reader that calls what is named."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_checkpoints_is_not_run(tmp_path, zipped):
    touched, path = str(tmp_path / "touched"), str(tmp_path / "found.pth")
    whole = {"state_dict": state(), "evil": Evil(touched), "more": [Evil(touched)]}
    torch.save(whole, path, _use_new_zipfile_serialization=zipped)
    assert "a.weight" in torch_file.load(path)
    torch.save({"a": Evil(touched)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"found.pth: found no tensors by name; expected a PyT"):
        torch_file.load(path)
    assert not os.path.exists(touched)


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_checkpoints_are_refused(tmp_path, zipped):
    path = tmp_path / "found.pth"
    torch.save(state(), path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for share in (0.05, 0.3, 0.6, 0.95):
        path.write_bytes(whole[: int(share * len(whole))])
        assert files.kind(str(path)) == "PyTorch"
        with pytest.raises(ModelError, match="found no readable PyTorch checkpoint"):
            torch_file.load(str(path))


def changed(source, target, change):
    """Write a zip again with other entries."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for name in before.namelist():
            data = change(name, before.read(name))
            if data is not None:
                after.writestr(name, data)


def oversized(name, data):
    """Let a tensor of a pickle be larger than its storage."""
    return data.replace(b"K\x04K\x03K\x02K\x02", b"K\x44K\x03K\x02K\x02")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda name, data: None if name.endswith("data/0") else data, "data/0 is missing"),
        (lambda name, data: data[:-4] if name.endswith("data/0") else data, "another size"),
        (lambda name, data: b"big" if name.endswith("byteorder") else data, "little-endian"),
        (lambda name, data: oversized(name, data), "a tensor is larger than its storage"),
    ],
)
def test_checkpoints_that_lie_are_refused(tmp_path, change, message):
    torch.save(state(), tmp_path / "whole.pth")
    changed(tmp_path / "whole.pth", tmp_path / "found.pth", change)
    with pytest.raises(ModelError, match=message):
        torch_file.load(str(tmp_path / "found.pth"))


def test_pickles_that_ask_for_much_memory_are_refused(tmp_path):
    path = tmp_path / "found.pth"
    with zipfile.ZipFile(path, "w") as file:
        far = (1 << 24).to_bytes(4, "little")
        file.writestr("a/data.pkl", b"\x80\x02}r" + far + b".")  # one value, kept under a number
    with pytest.raises(ModelError, match=r"place 16,777,216 of its memory, expected less"):
        torch_file.load(str(path))


def test_values_of_foreign_pickles_do_nothing():
    data = pickle.dumps([collections.Counter("aab"), Named(), {1, 2}, collections.deque([1])])
    found = torch_file._Unpickler(io.BytesIO(data), None).load()
    assert len(found) == 4


def written(path, header, data=b"\0" * 8):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return str(path)


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"a": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (entry(offsets=(0, 7)), "a: its offsets do not fit its shape"),
        (entry(shape=(3,), offsets=(0, 12)), "lie outside of the file"),
        (entry(shape=(-2,)), "a: its entry has no dtype, shape and offsets"),
        (entry(offsets=(-8, 0)), "do not fit its shape, or lie outside"),
        (entry(offsets=(0,)), "do not fit its shape"),
        (entry(dtype="F8_E4M3"), "values of type F8_E4M3 cannot be read"),
        ([1], "its header is no table of tensors"),
        (b'{"a": 1, "a": 2}', "found no readable safetensors file"),
        (b'{"a":', "found no readable safetensors file"),
    ],
)
def test_damaged_safetensors_are_refused(tmp_path, header, message):
    path = written(tmp_path / "found.safetensors", header)
    assert files.kind(path) == "safetensors"
    with pytest.raises(ModelError, match=message):
        safetensors_file.load(path)


def test_empty_and_cut_safetensors_are_refused(tmp_path):
    path = tmp_path / "found.safetensors"
    for data in (b"", b"\xff" * 8, (1 << 40).to_bytes(8, "little") + b"{}"):
        path.write_bytes(data)
        with pytest.raises(ModelError, match="found no readable safetensors file"):
            safetensors_file.load(str(path))
