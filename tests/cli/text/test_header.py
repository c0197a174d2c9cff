import pytest

from dsbuild.cli.text.header import header_text
from dsbuild.cli.text.view import View, width
from dsbuild.train.fit.header import Header
from dsbuild.train.settings import Settings


def header(**changed):
    settings = Settings(backbone="tiny", batch=4, crop=65, val="val")
    given = {
        "run": "runs/a",
        "data": "out",
        "images": 1234,
        "val_images": 100,
        "task": "segmentation",
        "classes": ("sky", "road"),
        "settings": settings,
        "parameters": 98_597,
        "trained": 98_000,
        "device": "CPU, 2 cores",
        "steps": 617,
        "every": 309,
        "done": 0,
    }
    return Header(**{**given, **changed})


def test_a_header_says_what_a_training_is():
    assert header_text(header()).splitlines() == [
        "data      out: 1,234 images of train, scored on 100 of val",
        "classes   2: sky, road",
        "model     DeepLabV3+, tiny, output stride 16, 98,597 parameters",
        "weights   random",
        "device    CPU, 2 cores",
        "schedule  617 steps of 4 x 65 x 65 pixels (2 epochs), scored every 309; sgd, poly rate "
        "0.007",
        "run       runs/a",
    ]


def test_a_resumed_run_and_frozen_layers_are_named():
    text = header_text(header(done=309, trained=97, val_images=0))
    assert "runs/a, continues after step 309" in text
    assert "98,597 parameters, 97 trained" in text
    assert "saved every 309" in text


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_header_fits_the_terminal(columns):
    wide = header(classes=tuple(f"类{i}" for i in range(1000)))
    lines = header_text(wide, View(columns)).splitlines()
    assert max(map(width, lines)) <= columns
    assert lines[1].startswith("classes   1,000: 类0, 类1")
