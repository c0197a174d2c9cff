import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.errors import PlanError
from dsbuild.reader.order import Order, Share

BLOCKS = st.lists(st.integers(0, 40), max_size=12).map(tuple)


@given(BLOCKS, st.none() | st.integers(-5, 2**70), st.integers(0, 5), st.integers(1, 50))
def test_each_record_comes_once(blocks, seed, epoch, window):
    order = Order(blocks, seed, epoch, window)
    found = [order[place] for place in range(len(order))]
    assert sorted(found) == list(range(sum(blocks)))
    if seed is None:
        assert found == sorted(found)
    assert [order[place] for place in reversed(range(len(order)))] == found[::-1]
    assert pickle.loads(pickle.dumps(order)) == order


def test_an_order_never_changes():
    """It may change only together with the version that states are loaded by."""
    order = Order((5, 3, 4), seed=1, epoch=2, window=6)
    assert [order[place] for place in range(12)] == EXPECTED


EXPECTED = [1, 0, 2, 5, 3, 4, 8, 10, 7, 6, 11, 9]


def test_seed_and_epoch_give_other_orders():
    orders = {
        tuple(order[place] for place in range(len(order)))
        for seed in range(5)
        for epoch in range(5)
        for order in [Order((50, 50), seed, epoch)]
    }
    assert len(orders) == 25


def test_a_window_holds_what_is_shuffled_together():
    order = Order((100,) * 10, seed=3, window=100)
    for begin in range(0, 1000, 100):
        blocks = {order[place] // 100 for place in range(begin, begin + 100)}
        assert len(blocks) == 1


@pytest.mark.parametrize("total", [0, 1, 7, 12, 13])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 16])
def test_shares_divide_the_places(total, count):
    shares = [list(Share(index, count).places(total)) for index in range(count)]
    assert sorted(place for share in shares for place in share) == list(range(total))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_wrong_numbers_are_named():
    with pytest.raises(PlanError, match="window 0"):
        Order((1,), window=0)
    with pytest.raises(PlanError, match="reader 2 of 2"):
        Share(2, 2)
    with pytest.raises(IndexError):
        Order((2,))[2]
