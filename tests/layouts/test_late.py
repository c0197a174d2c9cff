import pytest

from dsbuild.layouts.late import Late


def test_values_are_made_once_and_when_asked_for():
    asked = []
    found = Late(["b", "a"], lambda name: asked.append(name) or name.upper())
    assert (list(found), len(found), "a" in found, "c" in found) == (["b", "a"], 2, True, False)
    assert asked == []
    assert found["a"] == found["a"] == found.get("a") == "A"
    assert asked == ["a"]
    assert dict(found) == {"b": "B", "a": "A"}
    with pytest.raises(KeyError, match="c"):
        found["c"]


def test_values_can_be_set_and_removed():
    found = Late(["a"], str.upper)
    found["z"] = "zed"
    assert dict(found) == {"a": "A", "z": "zed"}
    del found["z"]
    del found["a"]
    assert dict(found) == {}
