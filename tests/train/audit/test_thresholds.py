import itertools
import tracemalloc

import numpy as np
import pytest

from dsbuild.errors import TrainError
from dsbuild.train.audit import planes
from dsbuild.train.audit.ranking import ranked
from dsbuild.train.audit.thresholds import Thresholds, candidates
from tests.support import seen

CLASSES = 5


@pytest.fixture(params=[None, 255])
def records(request):
    """Some records of several sizes; the last class is in no label."""
    rng = np.random.default_rng(3)
    shapes = [(24, 32), (24, 32), (7, 50), (40, 9)]
    made = [seen.drawn(rng, one, CLASSES, request.param, i, 5) for i, one in enumerate(shapes)]
    for one, _ in made:
        one.given[one.given == CLASSES - 1] = 0
    return [
        (
            planes.Seen.of(
                (one.split, one.number, one.key),
                one.size,
                one.given,
                (units / 65535).astype(np.float32),
                [255],
            ),
            units,
        )
        for one, units in made
    ]


def flat(records):
    """Return labels (n,) and units (n, c) of all judged pixels, in memory."""
    labels = np.concatenate([one.given[one.judged] for one, _ in records])
    return labels, np.concatenate([units[one.judged] for one, units in records])


def test_thresholds_are_means_over_pixels(records):
    labels, units = flat(records)
    found = Thresholds.over((one for one, _ in records), CLASSES)
    for value, threshold in enumerate(found.values):
        mine = units[labels == value, value].astype(np.float64) / 65535
        assert threshold == (pytest.approx(mine.mean(), rel=1e-12) if mine.size else None)
    assert found.values[-1] is None
    assert found.limits[-1] > 65535  # nobody is sure of a class that no label has


def test_candidates_are_those_of_a_plain_loop(records):
    limits = Thresholds.over((one for one, _ in records), CLASSES).limits
    values = Thresholds.over((one for one, _ in records), CLASSES).values
    for one, units in records:
        found = candidates(one, limits)
        for y, x in itertools.product(*map(range, found.shape)):
            model = int(units[y, x].argmax())
            least = values[model]
            sure = least is not None and units[y, x, model] >= least * 65535 - 1e-6
            assert found[y, x] == (one.given[y, x] not in (model, 255) and sure)


def test_they_are_cleanlabs(records):
    count = pytest.importorskip("cleanlab.count")
    batched = pytest.importorskip("cleanlab.experimental.label_issues_batched")
    labels, units = flat(records)
    shares, found = units / 65535, Thresholds.over((one for one, _ in records), CLASSES)
    theirs = count.get_confident_thresholds(labels.astype(int), shares)
    for value, threshold in zip(found.values, theirs, strict=True):
        assert value is None or threshold == pytest.approx(value, rel=1e-9)
    inspector = batched.LabelInspector(num_class=CLASSES, verbose=False, n_jobs=1)
    inspector.update_confident_thresholds(labels.astype(int), shares)
    inspector.confident_thresholds[-1] = 2  # which is 0 there: any confidence would do
    inspector.score_label_quality(labels.astype(int), shares)
    mine = sum(int(candidates(one, found.limits).sum()) for one, _ in records)
    assert mine == inspector.get_num_issues(silent=True) > 0


def test_sums_of_parts_are_the_sum_of_the_whole(records):
    whole = Thresholds.over((one for one, _ in records), CLASSES)
    for order in (records, records[::-1]):
        parts = [Thresholds.over([one], CLASSES) for one, _ in order]
        total = sum(parts[1:], parts[0])
        assert (total.sums == whole.sums).all()
        assert (total.counts == whole.counts).all()


def test_streamed_from_files_they_are_the_same(records, tmp_path):
    path = str(tmp_path / "confidences.bin")
    planes.write(path, {"unknown": [255], "of": "test"}, (one for one, _ in records))
    assert planes.about(path) == {"unknown": [255], "of": "test"}
    again = list(planes.read(path))
    for one, (other, _) in zip(again, records, strict=True):
        for name in ("given", "model", "own", "confidence", "judged"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert (one.split, one.number, one.key, one.size) == (
            other.split,
            other.number,
            other.key,
            other.size,
        )
    limits = Thresholds.over(planes.read(path), CLASSES).limits
    names = [str(value) for value in range(CLASSES)]
    in_memory = ranked(((0, one) for one, _ in records), limits, names, 5)
    assert ranked(((0, one) for one in planes.read(path)), limits, names, 5) == in_memory
    assert in_memory[1] > 5 == len(in_memory[0])
    backwards = ranked(((0, one) for one, _ in records[::-1]), limits, names, 5)
    assert backwards == in_memory


@pytest.mark.parametrize("cut", [1, 300, 2000])
def test_a_damaged_file_is_named(records, tmp_path, cut):
    path = tmp_path / "confidences.bin"
    planes.write(str(path), {"unknown": []}, (one for one, _ in records))
    path.write_bytes(path.read_bytes()[:-cut] if cut > 1 else b"{")
    with pytest.raises(TrainError, match="damaged confidences"):
        list(planes.read(str(path)))


def test_missing_records_are_noticed(records, tmp_path):
    path = str(tmp_path / "confidences.bin")
    planes.write(path, {"unknown": [], "records": len(records)}, (one for one, _ in records[:-1]))
    with pytest.raises(TrainError, match=f"records, expected {len(records)}"):
        list(planes.read(path))


def test_wide_labels_keep_their_classes(tmp_path):
    rng = np.random.default_rng(0)
    given = rng.integers(0, 300, (6, 5)).astype(np.uint16)
    shares = rng.dirichlet(np.ones(300), (6, 5)).astype(np.float32)
    one = planes.Seen.of(("val", 3, "a"), (6, 5), given, shares, [])
    path = str(tmp_path / "wide")
    planes.write(path, {"unknown": []}, [one])
    (again,) = planes.read(path)
    np.testing.assert_array_equal(again.given, given)
    np.testing.assert_array_equal(again.model, shares.argmax(-1))
    assert again.model.max() > 255


def test_memory_does_not_grow_with_the_records(tmp_path):
    """Both passes hold one record at a time, and no probability of other classes."""
    rng = np.random.default_rng(0)
    one, _ = seen.drawn(rng, (96, 128), CLASSES, block=12)
    names = [str(value) for value in range(CLASSES)]

    def peak(count):
        path = str(tmp_path / f"{count}.bin")
        planes.write(path, {"unknown": []}, itertools.repeat(one, count))
        tracemalloc.start()
        limits = Thresholds.over(planes.read(path), CLASSES).limits
        ranked(((0, record) for record in planes.read(path)), limits, names, 10)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)
    few, many = peak(4), peak(40)
    assert many < 1.2 * few
