"""`dsbuild build` and `dsbuild.recognise`: the layout's bytes, and what stops them."""

import pytest

import dsbuild
from dsbuild.errors import LayoutError, PlanError
from dsbuild.layouts import LAYOUTS
from tests.support import fakes
from tests.support.runs import content

DRAW = {
    "voc": fakes.voc,
    "cityscapes": fakes.cityscapes,
    "matting": fakes.matting,
    "pairs": fakes.pairs,
    "classes": fakes.classes,
}


@pytest.fixture
def names(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("\n".join(f"class {i}" for i in range(200)))
    return str(path)


@pytest.mark.parametrize("name", DRAW)
def test_the_bytes_are_those_of_the_layouts_command(name, tmp_path, run, names):
    root = DRAW[name](tmp_path / "data")
    own = ["--shards", 2]
    own += ["--classes", names] if name == "pairs" else []
    assert run(name, root, tmp_path / "one", *own).exit_code == 0
    made = run("build", root, tmp_path / "two", *own)
    assert made.exit_code == 0, made.output
    assert f"building it as `dsbuild {name} {root} {tmp_path}/two" in made.stdout
    assert "` does, with your other options\n" in made.stdout
    assert content(tmp_path / "one") == content(tmp_path / "two")
    again = run("build", root, tmp_path / "one", *own)
    assert "nothing to do" in again.stdout


def test_nothing_recognised_is_named_layout_by_layout(tmp_path, run):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.h5").write_bytes(b"x")
    result = run("build", tmp_path / "weights", tmp_path / "out")
    assert result.exit_code == 2
    first, *rows = result.stderr.splitlines()
    assert first.startswith(f"error: {tmp_path}/weights: found no layout")
    assert "model.h5" in first
    assert [row.split()[0] for row in rows[: len(LAYOUTS)]] == list(LAYOUTS)
    assert not (tmp_path / "out").exists()


def test_a_tie_names_both(tmp_path, run):
    fakes.voc(tmp_path / "data")
    fakes.cityscapes(tmp_path / "data")
    result = run("build", tmp_path / "data", tmp_path / "out")
    assert result.exit_code == 2
    assert "found voc and cityscapes, expected one layout" in result.stderr
    assert "--layout voc" in result.stderr
    assert run("build", tmp_path / "data", tmp_path / "out", "--layout", "voc").exit_code == 0


def test_what_only_a_user_can_choose_is_asked_for(tmp_path, run):
    root = fakes.pairs(tmp_path / "data")
    result = run("build", root, tmp_path / "out")
    assert result.exit_code == 2
    assert "name what the labels mean: --classes FILE" in result.stderr
    with pytest.raises(PlanError, match="name what the labels mean"):
        dsbuild.build("auto", root, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--labels", "agu"], "but --labels agu: expected one of auto, class, raw, aug, sbd; did"),
        (["--alphas", "x"], "but dsbuild voc has no option --alphas"),
    ],
)
def test_an_option_that_does_not_fit_is_named(options, text, voc, tmp_path, run):
    result = run("build", voc, tmp_path / "out", *options)
    assert result.exit_code == 2
    assert text in result.stderr.splitlines()[0]


def test_wrong_paths(tmp_path, voc, run):
    (tmp_path / "set.zip").write_bytes(b"x")
    cases = {
        f"{tmp_path}/set.zip": "found an archive",
        f"{voc}x": "no such folder; did you mean",
        f"{tmp_path}/nothing/at/all": "no such folder",
    }
    for path, text in cases.items():
        result = run("build", path, tmp_path / "out")
        assert result.exit_code != 0
        assert text in result.stderr.splitlines()[0]


def test_python(voc, tmp_path):
    found = dsbuild.recognise(voc)
    assert (found.layout, found.options, found.needs) == ("voc", {}, "")
    dsbuild.build("auto", voc, tmp_path / "one", shards=2)
    dsbuild.build("voc", voc, tmp_path / "two", shards=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    with pytest.raises(PlanError, match="found no source"):
        dsbuild.build("auto")
    with pytest.raises(LayoutError, match="found no layout"):
        dsbuild.recognise(tmp_path / "one")


def test_a_wrong_layout_says_which_one_it_is(voc, tmp_path, run):
    result = run("cityscapes", voc, tmp_path / "out")
    assert "this folder looks like Pascal VOC" in result.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--split", "vla"], "did you mean val?"),
        (["--extra", "laplacain"], "did you mean laplacian?"),
        (["--extra", "sobel:raw61"], "did you mean raw16?"),
    ],
)
def test_wrong_names_suggest_the_nearest(words, text, voc, tmp_path, run):
    assert text in run("voc", voc, tmp_path / "out", *words).stderr


def test_wrong_folders_of_pairs_suggest_the_nearest(tmp_path, run, names):
    root = fakes.pairs(tmp_path / "data")
    words = ["--classes", names, "--labels", "lables"]
    first = run("pairs", root, tmp_path / "out", *words).stderr.splitlines()[0]
    assert first == f"error: {root}/lables: no such folder; did you mean labels?"


def test_options_under_old_names(tmp_path, run):
    root = fakes.classes(tmp_path / "data")
    listed = tmp_path / "listed.txt"
    listed.write_text("horse\ndog\ncat\n")
    old = run("classes", root, tmp_path / "one", "--labels", listed)
    new = run("classes", root, tmp_path / "two", "--classes", listed)
    assert (old.exit_code, new.exit_code) == (0, 0), old.output + new.output
    assert "--labels is now called --classes" in old.stderr
    assert content(tmp_path / "one") == content(tmp_path / "two")
    both = run("classes", root, tmp_path / "one", "--labels", listed, "--classes", listed)
    assert both.exit_code == 2
    assert "--labels" not in run("classes", "--help").stdout
    city = fakes.cityscapes(tmp_path / "city")
    assert run("cityscapes", city, tmp_path / "a", "--classes", "ids").exit_code == 0
    assert run("cityscapes", city, tmp_path / "b", "--class-set", "ids").exit_code == 0
    assert content(tmp_path / "a") == content(tmp_path / "b")
    with pytest.warns(DeprecationWarning, match="classes is now called class_set"):
        dsbuild.build("cityscapes", city, tmp_path / "a", classes="ids")
