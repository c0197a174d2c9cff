"""Class weights are asked for among the extras, and are none of them."""

import pytest

from dsbuild.build.class_weights import divided
from dsbuild.errors import PlanError


@pytest.mark.parametrize(
    ("extras", "features", "beta"),
    [
        ((), (), None),
        (("edges:width=2",), ("edges:width=2",), None),
        (("weights",), (), 0.999),
        (("weights:beta=0", "edges"), ("edges",), 0.0),
        (("edges", "weights:beta=0.9", "sobel"), ("edges", "sobel"), 0.9),
    ],
)
def test_features_and_weights_are_divided(extras, features, beta):
    assert divided(extras) == (features, beta)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "no such extra; there are laplacian, sobel, canny"),
        ("wieghts", "alpha, trimap, weights"),
        ("weights:png", "no form 'png'; there are none"),
        ("weights:", "no form ''; there are none"),
        ("weights:cap=1", "no parameter 'cap'; there are beta"),
        ("weights:beta=1", "found '1', expected a number from 0.0 to 0.999999"),
        ("weights:beta=-0.1", "found '-0.1', expected a number from 0.0 to 0.999999"),
        ("weights:beta=nan", "found 'nan', expected a number"),
        ("weights:beta=x", "found 'x', expected a number"),
        ("weights:beta=0.5:beta=0.6", "found 'beta=0.6' too, expected beta alone"),
    ],
)
def test_what_cannot_be_meant_is_refused(text, error):
    with pytest.raises(PlanError) as caught:
        divided([text])
    assert str(caught.value).startswith(f"--extra {text}: ")
    assert error in str(caught.value)
    with pytest.raises(PlanError, match="found twice"):
        divided(["weights", "edges", "weights:beta=0"])
