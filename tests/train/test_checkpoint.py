import keras
import numpy as np
import pytest

from dsbuild.errors import StorageError, TrainError
from dsbuild.train import checkpoint, model


def network(classes=3):
    return model.build(classes=classes, backbone="tiny", depth=8, rates=())


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    made = network()
    path = str(tmp_path_factory.mktemp("kept") / "best.npz")
    checkpoint.save(path, checkpoint.names(made.variables), {"step": 7, "score": 0.1 + 0.2})
    return made, path


def test_values_and_meta_data_are_read_back_bit_for_bit(kept):
    made, path = kept
    values, meta = checkpoint.load(path)
    assert meta == {"step": 7, "score": 0.1 + 0.2}
    other = network()
    variables = checkpoint.names(other.variables)
    assert set(values) == set(variables)
    checkpoint.restore(path, variables, values)
    for one, two in zip(made.variables, other.variables, strict=True):
        assert np.array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(two))


def test_a_checkpoint_of_another_model_changes_nothing(kept):
    _, path = kept
    values, _ = checkpoint.load(path)
    other = network(classes=4)
    before = [keras.ops.convert_to_numpy(one).copy() for one in other.variables]
    with pytest.raises(TrainError, match=r"logits/kernel: found shape \(1, 1, 8, 3\), expected"):
        checkpoint.restore(path, checkpoint.names(other.variables), values)
    for value, one in zip(before, other.variables, strict=True):
        assert np.array_equal(value, keras.ops.convert_to_numpy(one))


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04 cut"])
def test_a_file_that_is_not_a_checkpoint_is_named(tmp_path, data):
    path = tmp_path / "best.npz"
    path.write_bytes(data)
    with pytest.raises(TrainError, match=r"best.npz: found no complete checkpoint of dsbuild"):
        checkpoint.load(str(path))


def test_a_cut_checkpoint_and_a_foreign_archive_are_named(kept, tmp_path):
    _, path = kept
    cut, foreign = str(tmp_path / "cut.npz"), str(tmp_path / "foreign.npz")
    with open(path, "rb") as whole, open(cut, "wb") as part:
        part.write(whole.read()[:-100])
    np.savez(foreign, a=np.ones(3))
    for one in (cut, foreign):
        with pytest.raises(TrainError, match=r"found no complete checkpoint of dsbuild"):
            checkpoint.load(one)
    with pytest.raises(StorageError):
        checkpoint.load(str(tmp_path / "none.npz"))


def test_numpy_files_that_are_not_checkpoints_are_named(tmp_path):
    single, stepless = str(tmp_path / "single.npz"), str(tmp_path / "stepless.npz")
    with open(single, "wb") as file:
        np.save(file, np.ones(3))
    checkpoint.save(stepless, {"a": np.ones(3)}, {"score": 1})
    for path in (single, stepless):
        with pytest.raises(TrainError, match=r"found no complete checkpoint of dsbuild"):
            checkpoint.load(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(kept, value):
    _, path = kept
    values, _ = checkpoint.load(path)
    values["logits/bias"] = np.full_like(values["logits/bias"], value)
    other = network()
    with pytest.raises(TrainError, match=r"best.npz: logits/bias: found NaN or infinite values"):
        checkpoint.restore(path, checkpoint.names(other.variables), values)
