import json

import pytest

from dsbuild.errors import SchemaError
from dsbuild.format import schema

DEEPLAB = {
    "image": "image/encoded",
    "key": "image/filename",
    "format": "image/format",
    "height": "image/height",
    "width": "image/width",
    "channels": "image/channels",
    "label": "image/segmentation/class/encoded",
    "label.format": "image/segmentation/class/format",
}
RECORD = dict.fromkeys(("image", "key", "format", "height", "width", "channels"), 1)


def test_names_on_disk_are_deeplabs():
    found = schema.load("segmentation")
    assert {role: found[role].name for role in DEEPLAB} == DEEPLAB
    assert found["laplacian"].name == "image/gradient"


def test_tensorflow_metadata_parses_it():
    from google.protobuf import json_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    whole = schema.load("segmentation")
    for found in (whole, whole.select(["label", "label.format"])):
        parsed = json_format.Parse(found.text(), schema_pb2.Schema())
        assert [f.name for f in parsed.feature] == [f.name for f in found.features]
        assert all(
            f"role:{feature.role}" in proto.annotation.tag
            for feature, proto in zip(found.features, parsed.feature, strict=True)
        )


def test_named_translates_roles():
    found = schema.load("segmentation").named({**RECORD, "label": b"x"})
    assert found["image/segmentation/class/encoded"] == b"x"
    assert found["image/height"] == 1
    with pytest.raises(SchemaError, match="the record has no key, width"):
        schema.load("segmentation").named(
            {k: v for k, v in RECORD.items() if k not in ("key", "width")}
        )
    with pytest.raises(SchemaError, match="no feature has the role 'depth'"):
        schema.load("segmentation").named({**RECORD, "depth": 1})


def test_select_keeps_what_a_data_set_has():
    whole = schema.load("segmentation")
    found = whole.select(always=["laplacian"], sometimes=["label"])
    assert set(found.roles) == {*RECORD, "laplacian", "label"}
    assert found["laplacian"].required
    assert not found["label"].required
    assert schema.parse(json.loads(found.text()), "x") == found


@pytest.mark.parametrize("document", [{}, [], {"feature": [{}]}, {"feature": 3}])
def test_an_invalid_schema_is_named(document):
    with pytest.raises(SchemaError, match=r"some/schema.json: found no tensorflow.metadata Schema"):
        schema.parse(document, "some/schema.json")
