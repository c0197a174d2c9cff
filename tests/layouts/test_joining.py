from hypothesis import given
from hypothesis import strategies as st

from dsbuild.layouts.joining import joined

LISTS = st.lists(st.tuples(st.sampled_from("abcdef"), st.text(max_size=2)), max_size=12)


@given(LISTS, LISTS)
def test_all_paths_are_found_under_their_keys_in_the_order_of_the_first_list(ones, others):
    found = list(joined(iter(ones), iter(others)))
    keys = [key for key, _, _ in found]
    assert sorted(keys) == sorted({key for key, _ in [*ones, *others]})
    for key, one, other in found:
        assert one == [path for name, path in ones if name == key]
        assert other == [path for name, path in others if name == key]
    alone = {key for key, _ in others} - {key for key, _ in ones}
    assert {*keys[: len(alone)]} == alone
    assert keys[len(alone) :] == list(dict.fromkeys(key for key, _ in ones))
