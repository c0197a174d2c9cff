"""Fields of frozen values: what is allowed, what is refused, and the options made of them."""

import dataclasses
import math
from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from dsbuild import fields
from dsbuild.cli.field_options import options
from dsbuild.errors import PlanError, TrainError
from dsbuild.fields import field


@dataclass(frozen=True, kw_only=True)
class Value:
    plain: str
    size: int = field(8, "Samples per step.", least=1, most=100)
    rate: float = field(0.5, "Rate.", above=0, below=1)
    kind: str = field("a", "Kind.", choices=("a", "b"))
    stride: int = field(8, "Stride.", choices=(8, 16))
    side: int | None = field(None, "Longest side.", least=1, option="max_side")
    crop: tuple[int, int] | None = field((3, 5), "Crop.", least=1, what="height and width")
    scales: tuple[float, ...] = field((1.0,), "Scales.", above=0)
    accept: tuple[str, ...] = field((), "Accept.", choices=("x", "y"))
    fast: bool = field(False, "Hurry.")

    def __post_init__(self):
        fields.check(self, PlanError)


@pytest.mark.parametrize(
    ("name", "wrong", "told"),
    [
        ("plain", 3, "plain: found 3, expected a text"),
        ("size", 0, "size: found 0, expected a whole number from 1 to 100"),
        ("size", True, "size: found True, expected a whole number from 1 to 100"),
        ("size", 2.0, "size: found 2.0, expected a whole number from 1 to 100"),
        ("size", None, "size: found None, expected a whole number from 1 to 100"),
        ("rate", 0, "rate: found 0, expected a number, above 0 and below 1"),
        ("rate", math.nan, "rate: found nan, expected a number, above 0 and below 1"),
        ("rate", "1", "rate: found '1', expected a number, above 0 and below 1"),
        ("kind", "c", "kind: found 'c', expected one of a, b"),
        ("stride", 9, "stride: found 9, expected one of 8, 16"),
        ("side", 0, "max_side: found 0, expected a whole number, at least 1, or None"),
        (
            "crop",
            (3, 5, 7),
            "crop: found (3, 5, 7), expected height and width, 2 whole numbers, at least 1, or",
        ),
        ("crop", 3, "crop: found 3, expected height and width, 2 whole"),
        ("crop", (0, 1), "crop: found (0, 1), expected height and width, 2 whole"),
        ("scales", (1, 0), "scales: found (1, 0), expected numbers, above 0"),
        ("accept", ("x", "z"), "accept: found ('x', 'z'), expected some of x, y"),
        ("accept", "x", "accept: found 'x', expected some of x, y"),
        ("fast", 1, "fast: found 1, expected True or False"),
    ],
)
def test_a_wrong_value_is_named(name, wrong, told):
    with pytest.raises(PlanError) as error:
        Value(**{"plain": "text", name: wrong})
    assert str(error.value).startswith(told)


@given(
    st.fixed_dictionaries(
        {
            "plain": st.text(),
            "size": st.integers(1, 100),
            "rate": st.floats(0, 1, exclude_min=True, exclude_max=True),
            "side": st.none() | st.integers(1),
            "crop": st.none() | st.tuples(st.integers(1), st.integers(1)),
            "scales": st.lists(st.floats(0.1, 9) | st.integers(1)).map(tuple),
            "accept": st.lists(st.sampled_from("xy")).map(tuple),
        }
    )
)
def test_what_is_within_the_bounds_is_taken(values):
    made = Value(**values)
    assert {name: getattr(made, name) for name in values} == values


def test_any_error_may_be_raised():
    with pytest.raises(TrainError, match=r"^max_side: found None, expected a miracle$"):
        fields.refuse(Value(plain=""), "side", "a miracle", TrainError)


@pytest.mark.parametrize("how", [{}, {"ranges": True}, {"given": True}])
def test_options_are_made_of_fields(how):
    cls = dataclasses.make_dataclass(
        "Options",
        [
            (
                one.name,
                fields.kinds(Value)[one.name],
                dataclasses.field(default=one.default, metadata=one.metadata),
            )
            for one in dataclasses.fields(Value)
            if one.metadata and one.name not in ("crop", "scales")
        ],
    )

    @click.command()
    def show(**values):
        click.echo(repr(values))

    for decorate in options(cls, **how):
        show = decorate(show)
    words = ["--size", "9", "--stride", "16", "--max-side", "4", "--fast"]
    if "given" not in how:
        words += ["--accept", "x", "--accept", "y"]
    result = CliRunner().invoke(show, words)
    assert result.exit_code == 0, result.output
    values = eval(result.output)
    assert values["size"], values["stride"] == (9, 16)
    assert (values["max_side"], values["fast"]) == (4, True)
    assert values["rate"] == (None if "given" in how else 0.5)
    wrong = CliRunner().invoke(show, ["--size", "0"])
    assert wrong.exit_code == (2 if "ranges" in how else 0)
    assert CliRunner().invoke(show, ["--stride", "9"]).exit_code == 2
    text = CliRunner().invoke(show, ["--help"]).output
    assert "Samples per step." in text
    assert "default: 8" in text
    assert ("1<=x<=100" in text) == ("ranges" in how)
    assert ("--no-fast" in text) == ("given" in how)
