import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dsbuild.train.metrics.top import Top


@settings(deadline=None)
@given(arrays.arrays(np.float32, st.integers(1, 12), elements=st.integers(0, 3)), st.data())
def test_the_label_is_compared_in_a_stable_order(probabilities, data):
    label = data.draw(st.integers(0, len(probabilities) - 1))
    order = np.argsort(-probabilities, kind="stable")[:5]
    assert Top.of(label, probabilities) == Top(int(label in order), 1)


def test_images_add_up():
    assert (Top(1, 2) + Top(2, 2)).accuracy == 0.75
    assert math.isnan(Top().accuracy)
