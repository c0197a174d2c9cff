import numpy as np
import pytest

from dsbuild.train.audit.ranking import area, box, ranked
from dsbuild.train.audit.regions import Region, depth, regions
from dsbuild.train.audit.thresholds import Thresholds
from tests.support import seen

SIDE = 64
NAMES = ("ground", "disc", "box", "bar")


def plane(*parts):
    """Return a plane of ground with boxes: value, top, left, height, width."""
    made = np.zeros((SIDE, SIDE), np.uint8)
    for value, top, left, height, width in parts:
        made[top : top + height, left : left + width] = value
    return made


DISC, BOX = (1, 10, 6, 20, 20), (2, 12, 30, 18, 20)
TRUE = plane(DISC, BOX)
WRONG = {
    "swapped": (plane((3, *DISC[1:]), BOX), ("bar", "disc"), 400),
    "dropped": (plane(BOX), ("ground", "disc"), 400),
    "shifted": (plane((1, 16, 6, 20, 20), BOX), None, 240),
    "merged": (plane((1, 10, 6, 20, 44)), ("disc", "box"), 360),
}


def rough(model, rng):
    """Return a model's plane whose outlines are a pixel off here and there."""
    off = np.roll(model, rng.integers(-1, 2, 2), (0, 1))
    return np.where(rng.random(model.shape) < 0.7, off, model)


@pytest.mark.parametrize("kind", WRONG)
def test_an_error_is_one_region_and_comes_first(kind):
    rng = np.random.default_rng(0)
    given, pair, area = WRONG[kind]
    records = [seen.certain(TRUE, rough(TRUE, rng), number=i) for i in range(1, 12)]
    records.append(seen.certain(given, rough(TRUE, rng), number=0))
    # A region of which the model is not sure is none.
    records.append(seen.certain(plane(BOX), TRUE, number=99, unsure=[TRUE == 1]))
    limits = Thresholds.over(records, 4).limits
    found, _ = ranked(((0, one) for one in records), limits, NAMES, 10)
    assert found[0].key == "000"
    assert [one.key for one in found[1:]].count("000") == 0 or found[1].score < found[0].score / 4
    assert pair is None or (found[0].given, found[0].suggested) == pair
    assert 0.6 * area < found[0].area < 1.5 * area
    assert "099" not in [one.key for one in found]


def test_ranks_scores_and_boxes():
    one = seen.certain(plane(BOX), TRUE)
    clean = [seen.certain(TRUE, TRUE, number=i) for i in range(1, 4)]
    limits = Thresholds.over([one, *clean], 3).limits
    ((first,), total) = ranked([(2, one)], limits, NAMES[:3], 10)
    assert (first.rank, first.box, first.area, first.fold, total) == (1, (6, 10, 20, 20), 400, 2, 1)
    (region,) = regions(one, limits)
    margin = one.confidence[12, 12] / 65535 - one.own[12, 12] / 65535
    assert region.score == pytest.approx(margin**2 * (depth(region, (SIDE, SIDE)) + 0.25).sum())


def test_boxes_are_in_pixels_of_the_label():
    one = seen.certain(plane(BOX), TRUE)
    large = one.__class__(**{**vars(one), "size": (96, 200)})
    mask = np.ones((10, 34), bool)
    assert box(large, Region(0, 1, 10, 30, mask, 1.0)) == (93, 15, 107, 15)
    assert area(large, Region(0, 1, 10, 30, mask, 1.0)) == round(340 * 96 * 200 / SIDE**2)


def test_regions_of_one_class_pair_apart_are_two():
    given, model = plane(), plane((1, 2, 2, 10, 10), (1, 40, 40, 12, 12))
    found = regions(seen.certain(given, model), np.zeros(2, np.int64))
    assert [region.mask.sum() for region in found] == [144, 100]


def test_depth_counts_from_the_edge_but_not_from_the_border():
    square = np.ones((3, 3), bool)
    middle = depth(Region(0, 1, 3, 3, square, 0.0), (9, 9))
    assert middle.sum() == 1 == middle[1, 1]
    assert depth(Region(0, 1, 0, 0, square, 0.0), (3, 3)).min() > 0
    corner = depth(Region(0, 1, 0, 6, square, 0.0), (9, 9))
    assert corner.tolist() == [[0, 1, 2], [0, 1, 1], [0, 0, 0]]


def test_no_disagreement_is_no_region():
    assert regions(seen.certain(TRUE, TRUE), np.zeros(3, np.int64)) == []
