"""MATLAB files of level 5: the arrays that SciPy reads, and nothing from damaged ones."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.io import loadmat, savemat

from dsbuild.layouts.matlab import array

SIDES = st.tuples(st.integers(1, 12), st.integers(1, 12))
KINDS = st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.float64])


def saved(plane, compressed, **more):
    """Return a file as SBD's are: a structure with the plane between other fields."""
    fields = {"Boundaries": np.array([[1, 2]], object), "Segmentation": plane, **more}
    file = io.BytesIO()
    savemat(file, {"other": np.ones(3), "GTcls": fields}, do_compression=compressed)
    return file.getvalue()


@given(KINDS.flatmap(lambda kind: arrays.arrays(kind, SIDES, elements=st.integers(0, 20))))
@pytest.mark.parametrize("compressed", [False, True])
def test_an_array_is_what_scipy_reads(compressed, plane):
    data = saved(plane, compressed, CategoriesPresent=np.array([1, 2]))
    expected = loadmat(io.BytesIO(data))["GTcls"][0, 0]["Segmentation"]
    found = array(data, "GTcls", "Segmentation")
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("compressed", [False, True])
def test_cut_and_damaged_files_give_nothing_else(compressed):
    plane = np.arange(600, dtype=np.uint8).reshape(20, 30) % 21
    data = saved(plane, compressed)
    rng = np.random.default_rng(0)
    spoilt = [data[:end] for end in range(len(data) - 1)]
    for at in rng.integers(0, len(data), 300):
        spoilt.append(data[:at] + bytes((data[at] ^ 1 << int(rng.integers(8)),)) + data[at + 1 :])
    for one in spoilt:
        try:
            found = array(one, "GTcls", "Segmentation")
        except ValueError:
            continue
        assert found.size <= 1 << 20


@pytest.mark.parametrize(
    ("name", "field", "said"),
    [
        ("LabelMap", "x", "it has no LabelMap"),
        ("GTcls", "x", "it has no field x"),
        ("other", "x", "it is no structure"),
        ("GTcls", "Boundaries", "its field Boundaries holds no numbers"),
    ],
)
def test_what_is_not_there_is_named(name, field, said):
    with pytest.raises(ValueError, match=said):
        array(saved(np.ones((2, 2)), False), name, field)


def test_files_of_other_levels_are_named():
    for data in (b"", b"MATLAB 7.3 MAT-file" + bytes(107) + b"\0\2IM", b"x" * 200):
        with pytest.raises(ValueError, match="no MATLAB file of level 5"):
            array(data, "GTcls", "Segmentation")
