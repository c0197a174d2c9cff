import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.errors import TrainError
from dsbuild.train import choices as names
from dsbuild.train import loss_terms, settings
from dsbuild.train.fit.losses import LOSSES
from dsbuild.train.model import MERGES, STRIDES
from dsbuild.train.model.backbones import BACKBONES
from dsbuild.train.model.scalings import SCALINGS
from dsbuild.train.settings import Settings


def choices(name):
    (field,) = (one for one in dataclasses.fields(Settings) if one.name == name)
    return field.metadata["choices"]


def test_choices_equal_the_registries():
    assert set(choices("backbone")) == set(BACKBONES)
    assert set(names.CELLS) == {name for name, one in BACKBONES.items() if one.plain}
    assert set(loss_terms.LOSSES) == set(LOSSES)
    assert set(choices("pixels")) == set(SCALINGS)
    assert set(choices("merge")) == set(MERGES)
    assert set(choices("output_stride")) == set(STRIDES)


@given(
    st.builds(
        Settings,
        backbone=st.sampled_from(names.BACKBONES),
        rates=st.lists(st.integers(1, 99), max_size=4).map(tuple),
        depth=st.none() | st.integers(1, 512),
        pyramid=st.lists(st.floats(0.1, 4), min_size=1, max_size=3).map(tuple),
        rate=st.floats(1e-9, 10),
        steps=st.none() | st.integers(1, 10**9),
        resize=st.just(()) | st.tuples(*[st.integers(1, 4096)] * 3),
        freeze=st.lists(st.text(min_size=1)).map(tuple),
        seed=st.integers(0, 2**31),
    )
)
def test_settings_are_read_back_as_they_were(asked):
    text = json.dumps(asked.document())
    assert settings.read(json.loads(text), "here") == asked


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"batch": 0}, "batch: found 0, expected a whole number, at least 1"),
        ({"rate": 0.0}, "rate: found 0.0, expected a number, above 0"),
        ({"rate": math.nan}, "rate: found nan, expected a number, above 0"),
        ({"epochs": math.inf}, "epochs: found inf, expected a number, above 0 and at most 1000000"),
        ({"seed": 1 << 32}, "seed: found 4294967296, expected a whole number from 0 to 4294967295"),
        ({"pyramid": ()}, "pyramid: found (), expected one scale or more, such as 0.5,1"),
        ({"hard_steps": 5}, "hard_steps: found 5, expected 0 without hard_share"),
        ({"schedule": "plateau", "patience": 5}, "patience: found 5, expected more than --plateau"),
        ({"steps": 5, "warmup": 9}, "warmup: found 9, expected at most the steps"),
        ({"flip": 1.5}, "flip: found 1.5, expected a number from 0 to 1"),
        ({"ema": 1.0}, "ema: found 1.0, expected a number, at least 0 and below 1"),
        ({"scales": (1.0,)}, "scales: found (1.0,), expected 2 numbers, above 0"),
        ({"backbone": "vgg"}, "backbone: found 'vgg', expected one of mobilenet_v2, mobilenet_v3"),
        ({"loss": "bce"}, "loss: found 'bce', expected bce or bce_log_dice with"),
        ({"sigmoid": True}, "loss: found 'cross_entropy', expected bce or bce_log_dice with"),
        ({"warmup": 5, "schedule": "plateau"}, "warmup: found 5, expected 0 with plateau"),
        ({"loss": "dice", "hard_share": 0.5}, "hard_share: found 0.5, expected 1 with dice"),
        ({"loss": "dyce"}, "loss: found 'dyce', expected one of cross_entropy, focal, dice"),
        ({"loss": "ce+0*dice"}, "loss: found '0*dice', expected a factor above 0"),
        ({"loss": "ce+1.2.3*dice"}, "loss: found '1.2.3*dice', expected a factor above 0"),
        ({"loss": "ce+cross_entropy"}, "loss: found cross_entropy twice in 'ce+cross_entropy'"),
        ({"loss": "ce+"}, "loss: found '', expected one of cross_entropy"),
        ({"focal_gamma": 1.0}, "focal_gamma: found 1.0, expected 2.0 with cross_entropy"),
        ({"tversky": (1.0, 1.0)}, "tversky: found (1.0, 1.0), expected 0.3,0.7 with cross_ent"),
        ({"loss": "ce+dice", "sigmoid": True}, "loss: found 'cross_entropy+dice', expected bce"),
    ],
)
def test_contradictory_settings_are_named(given, told):
    with pytest.raises(TrainError) as error:
        Settings(**given)
    assert str(error.value).startswith(told)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ([], "here: found none; expected the settings"),
        ({"colour": 1}, "here: found colour; expected the settings"),
        ({"batch": "8"}, "here: batch: found '8'"),
        ({"batch": True}, "here: batch: found True"),
        ({"rates": [1, "a"]}, "here: rates: found (1, 'a')"),
    ],
)
def test_other_documents_are_named(document, told):
    with pytest.raises(TrainError) as error:
        settings.read(document, "here")
    assert str(error.value).startswith(told)


def test_losses_have_one_name_in_settings():
    assert Settings(loss="ce + 0.50*iou") == Settings(loss="cross_entropy+0.5*jaccard")
    large = Settings(loss="1e20*dice")
    assert large == Settings(loss=large.loss) == settings.read(large.document(), "here")
    assert Settings(loss="bce+dice", sigmoid=True, hard_share=0.5).loss == "bce+dice"


def test_settings_of_an_earlier_version_get_defaults():
    assert settings.read({"batch": 4}, "here") == Settings(batch=4)
