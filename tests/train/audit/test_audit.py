"""`dsbuild audit` from records to list, page and LabelMe files, with given confidences."""

import csv
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

import dsbuild
from dsbuild.format.folder import Folder
from dsbuild.layouts.class_files import read_names
from dsbuild.layouts.pairs import Pairs
from dsbuild.train import dataset
from dsbuild.train.audit import folds, plan, planes, suspects
from dsbuild.train.audit.defaults import SETTINGS
from dsbuild.train.audit.plan import Plan
from dsbuild.train.settings import Settings
from tests.support import fakes, seen, trained
from tests.support.runs import make, masks

pytestmark = pytest.mark.usefixtures("eager")
SMALL = ("--backbone", "tiny", "--crop", "33", "--folds", "2")
HOW = Plan(folds=2, settings=Settings(**{**SETTINGS, "backbone": "tiny", "crop": 33}))


WRONG = ("000", "002")  # records in which the model sees a box where the label has a disc


def judged(key, label):
    """Return what a model says of a label."""
    model = np.where(label == 255, 0, label)
    return np.where(model == 1, 2, model) if key in WRONG else model


@pytest.fixture(scope="module")
def given(shapes, tmp_path_factory):
    """Data, and the folder of an audit whose models have already looked at it."""
    out, folder = str(tmp_path_factory.mktemp("audit")), Folder(shapes)
    facts, samples = dataset.of(folder), dsbuild.open(shapes, "train")
    about = plan.document(HOW, folder, facts)
    plan.begin(out, about)
    every = {"train": np.ones(len(samples), bool)}
    made = folds.divide(folder, every, 4, 2)
    for fold in range(2):
        records = []
        for split, number in made.of(fold):
            sample = samples[number]
            one = seen.certain(sample.label % 255, judged(sample.key, sample.label), 0.9)
            place = {"split": split, "number": number, "key": sample.key}
            real = {"given": sample.label, "judged": sample.label != 255}
            records.append(planes.Seen(**{**vars(one), **place, **real}))
        header = {**about, "fold": fold, "unknown": [255], "records": len(records)}
        planes.write(suspects.confidences(out, fold), header, records)
    return shapes, out


@pytest.fixture
def audited(given, tmp_path, run):
    """The same after `dsbuild audit`."""
    data, out = given
    shutil.copytree(out, tmp_path / "out")
    done = run("audit", data, "--learn", "--out", tmp_path / "out", *SMALL)
    assert done.exit_code == 0, done.output
    return data, str(tmp_path / "out"), done


def content(out):
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(pathlib.Path(out).rglob("*"))
        if path.is_file()
    }


def test_the_list_begins_with_the_errors(audited):
    data, out, done = audited
    found, report = suspects.read(out)
    assert {one.key for one in found[:2]} == set(WRONG)
    assert {(one.given, one.suggested) for one in found[:2]} == {("disc", "box")}
    labels = {sample.key: sample.label for sample in dsbuild.open(data, "train")}
    for one in found[:2]:
        rows, columns = np.nonzero(labels[one.key] == 1)
        left, top, width, height = one.box
        assert columns.min() <= left < left + width <= columns.max() + 1
        assert rows.min() <= top < top + height <= rows.max() + 1
        assert rows.size / 2 < one.area <= rows.size
    assert report["records"] == 24
    assert [one["name"] for one in report["classes"]] == ["ground", "disc", "box", "bar"]
    with open(os.path.join(out, suspects.TABLE), newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["key"] for row in table] == [one.key for one in found]
    assert WRONG[0] in done.stdout
    assert done.stderr.splitlines()[-1].startswith("next: dsbuild inspect ")
    assert not os.path.exists(os.path.join(out, "folds", "0", "run"))  # nobody trained


def test_again_it_writes_the_same_bytes(audited, run):
    data, out, _ = audited
    before = content(out)
    os.unlink(os.path.join(out, suspects.REPORT))
    os.unlink(os.path.join(out, suspects.LIST))
    done = run("audit", data, "--learn", "--out", out, *SMALL, "--json")
    assert content(out) == before
    assert json.loads(done.stdout)["listed"] == len(suspects.read(out)[0])


def test_the_page_shows_image_label_model_and_disagreement(audited, run, tmp_path):
    data, out, _ = audited
    page = tmp_path / "page.html"
    done = run("inspect", data, "--html", page, "--suspects", out)
    assert done.exit_code == 0, done.output
    text = page.read_text()
    assert text == pathlib.Path(out, "suspects.html").read_text()
    for what in ("image", "label", "model", "disagreement"):
        assert text.count(f"<figcaption>{what}</figcaption>") == min(48, len(suspects.read(out)[0]))
    few = run("inspect", data, "--html", page, "--suspects", out, "--samples", 1)
    assert few.exit_code == 0
    assert page.read_text().count('<article class="change"') == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--html", "p.html", "--suspects", "nowhere"], "found no audit.json"),
        (["--suspects", "nowhere"], "choose samples for --html"),
        (["--html", "p.html", "--suspects", "x", "--problems"], "choose samples for --html"),
    ],
)
def test_pages_without_an_audit(shapes, run, words, text):
    done = run("inspect", shapes, *words)
    assert done.exit_code == 2
    assert text in done.stderr


def test_a_page_of_other_data_is_refused(audited, voc_data, run, tmp_path):
    done = run("inspect", voc_data, "--html", tmp_path / "p.html", "--suspects", audited[1])
    assert done.exit_code == 2
    assert "an audit of other data" in done.stderr


@pytest.mark.parametrize("text", ["{}", "[]", '{"digest":1}', "{"])
def test_a_damaged_report_is_one_line(audited, run, tmp_path, text):
    data, out, _ = audited
    pathlib.Path(out, "audit.json").write_text(text)
    done = run("inspect", data, "--html", tmp_path / "p.html", "--suspects", out)
    assert done.exit_code == 2
    assert "found a damaged list" in done.stderr
    assert done.stderr.count("\n") == 1


def test_labelme_files_have_the_suspects_and_a_repair_builds(audited, run, tmp_path):
    data, out, _ = audited
    target, built = tmp_path / "repair", tmp_path / "built"
    words = ("audit", data, "--learn", "--out", out, *SMALL, "--most", 2, "--labelme", target)
    assert run(*words).exit_code == 0
    assert sorted(path.name for path in target.rglob("*.json")) == [f"{key}.json" for key in WRONG]
    refused = run("labelme", target, built)
    assert refused.exit_code == 2
    assert "suspect: box" in refused.stderr
    again = run(*words)
    assert again.exit_code == 2
    assert "somebody may be repairing" in again.stderr
    decided = dict(zip(WRONG, (True, False), strict=True))
    for key, agreed in decided.items():
        path = target / "train" / f"{key}.json"
        document = json.loads(path.read_text())
        *others, last = document["shapes"]
        assert "labelled disc, the model sees box" in last["description"]
        document["shapes"] = [*others, {**last, "label": "box"}] if agreed else others
        path.write_text(json.dumps(document))
    assert run("labelme", target, built).exit_code == 0
    before, after = masks(data), masks(built)
    for key, agreed in decided.items():
        # LabelMe's class 0 is a background, so values are those of the data, one higher.
        mine = np.where((before[key] == 1) & agreed, 2, before[key])
        np.testing.assert_array_equal(after[key], np.where(mine == 255, 255, mine + 1))


def test_what_labelme_cannot_hold_is_refused_before_a_training(tmp_path, run):
    source, data = fakes.shapes(tmp_path, 4, 40), str(tmp_path / "data")
    make(source, data, layout=Pairs(names=("ground", "disc", "__ignore__", "bar")))
    done = run(
        "audit", data, "--learn", "--out", tmp_path / "out", "--labelme", tmp_path / "repair"
    )
    assert done.exit_code == 2
    assert "found a class named __ignore__" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["", "repair"])
def test_labelme_files_are_not_written_into_the_data(shapes, run, tmp_path, place):
    target = os.path.join(shapes, place)
    done = run("audit", shapes, "--learn", "--out", tmp_path / "out", "--labelme", target)
    assert done.exit_code == 2
    assert "found a folder inside the data" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "expected --learn"),
        (["--learn", "--run", "x"], "found --learn and --run; expected one"),
        (["--run", "nowhere"], "expected the folder of a run"),
        (["--run", "x", "--epochs", "3"], "--epochs is for the trainings of --learn"),
        (["--learn", "--folds", "25"], "none is in fold"),
        (["--learn", "--split", "val"], "no split 'val'"),
        (["--learn", "--crop", "0"], "--crop: found 0"),
        (["--learn", "--group", "("], "--group: found '('"),
    ],
)
def test_what_cannot_be_audited_is_one_line(shapes, run, tmp_path, words, text):
    done = run("audit", shapes, *words, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert text in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out" / "plan.json").exists()


def test_an_audit_inside_the_data_is_refused(shapes, run, monkeypatch):
    monkeypatch.chdir(shapes)
    done = run("audit", ".", "--learn")
    assert done.exit_code == 2
    assert "found a folder inside the data" in done.stderr
    assert not os.path.exists("audit")


def test_python_gives_what_the_command_writes(audited, tmp_path, capsys):
    data, out, _ = audited
    copy = shutil.copytree(out, tmp_path / "audit")
    how = {"learn": True, "folds": 2, "backbone": "tiny", "crop": 33}
    found = dsbuild.audit(data, out=copy, **how)
    assert [*found.suspects] == [*suspects.read(out)[0]]
    assert {**found.report, "out": out} == {**suspects.read(out)[1], "out": out}
    assert suspects.read(str(copy))[1] == found.report
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "learn, run: expected one of them"),
        ({"learn": True, "run": "run"}, "learn, run: expected one of them"),
        ({"run": "run", "folds": 3}, "--folds is for the trainings of --learn; omit it with --run"),
        ({"learn": True, "crops": 33}, "found option crops, expected one of .*did you mean"),
        ({"learn": True, "backbone": "tinny"}, "backbone: found 'tinny', expected"),
    ],
)
def test_wrong_options_are_refused(given, options, message):
    with pytest.raises(dsbuild.DsbuildError, match=message):
        dsbuild.audit(given[0], **options)


def test_images_by_class_are_refused(class_data, run, tmp_path):
    done = run("audit", class_data, "--learn", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "found images by class, expected labels of pixels" in done.stderr


def test_another_plan_or_a_strange_folder_is_refused(audited, run, tmp_path):
    data, out, _ = audited
    done = run("audit", data, "--learn", "--out", out, *SMALL, "--epochs", 3)
    assert done.exit_code == 2
    assert "this audit has epochs 20.0; found epochs 3.0; give the same" in done.stderr
    done = run("audit", data, "--learn", "--out", out, "--backbone", "tiny", "--crop", "33")
    assert "this audit has folds 2; found folds 4" in done.stderr
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "mine.txt").touch()
    done = run("audit", data, "--learn", "--out", tmp_path / "strange", *SMALL)
    assert done.exit_code == 2
    assert "found mine.txt, expected an empty folder" in done.stderr


def test_a_run_judges_what_it_never_saw(voc_run, shapes, run, tmp_path):
    data, model = voc_run
    done = run("audit", data, "--run", model, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["records"], report["folds"]) == (6, 1)  # those of val
    found, _ = suspects.read(str(tmp_path / "out"))
    assert {one.split for one in found} <= {"val"}
    again = run(
        "audit", data, "--run", model, "--out", tmp_path / "all", "--split", "train[:2]+val"
    )
    assert again.exit_code == 0
    assert "note: 2 of 8 records are among those that" in again.stderr
    assert "models have learned little" in again.stderr  # its weights are random
    other = run("audit", shapes, "--run", model, "--out", tmp_path / "other")
    assert other.exit_code == 2
    assert "found 4 classes, expected 21" in other.stderr


@pytest.mark.parametrize("same", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_run_of_another_build_may_have_seen_the_records(voc_run, run, tmp_path, same):
    """What a run was trained on is known by the digest of its data, which a new build changes."""
    trained, data = tmp_path / "run", tmp_path / "data"
    for made, copy in zip(voc_run, (data, trained), strict=True):
        shutil.copytree(made, copy)
    about = json.loads((trained / "run.json").read_text())
    about["facts"]["digest"] = "0" * 64
    about["data"] = str(data) if same else str(tmp_path / "elsewhere")
    (trained / "run.json").write_text(json.dumps(about))
    options = ["--run", trained, "--out", tmp_path / "audit", "--split", "val", "--side", 65]
    result = run("audit", data, *options)
    assert result.exit_code == 0, result.output
    notes = [line for line in result.stderr.splitlines() if line.startswith("note: ")]
    first = f"{data} has been built again since" if same else f"{trained} was trained on another"
    assert notes[0].startswith(f"note: {first}")
    assert "the model may have learned from the labels that it judges here" in notes[0]


def test_a_run_that_saw_everything_is_refused(shapes, run, tmp_path):
    model = trained.run(tmp_path, shapes, val="")
    done = run("audit", shapes, "--run", model, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "no labelled record that the model was not trained on" in done.stderr


@pytest.mark.slow
def test_trainings_find_errors_and_continue_where_they_were(tmp_path, run):
    """Models of two folds find discs that labels call boxes; a stopped audit ends the same."""
    source = fakes.shapes(tmp_path, 48, 64)
    planted = set()
    for key in (f"{i:03d}" for i in range(0, 48, 5)):
        path = f"{source}/labels/{key}.png"
        label = np.array(Image.open(path))
        planted |= {key} if np.count_nonzero(label == 1) > 100 else set()
        Image.fromarray(np.where(label == 1, 2, label)).save(path)
    data, out = str(tmp_path / "data"), tmp_path / "out"
    layout = Pairs(names=read_names(f"{source}/classes.txt"))
    make(source, data, layout=layout)
    words = ("audit", data, "--learn", "--folds", 2, "--backbone", "tiny", "--crop", 65)
    words += ("--epochs", 30, "--rate", "3e-3", "--quiet")
    assert run(*words, "--out", out).exit_code == 0
    found, report = suspects.read(str(out))
    first = found[: 2 * len(planted)]
    swapped = {one.key for one in first if (one.given, one.suggested) == ("box", "disc")}
    assert len(swapped & planted) >= 0.75 * len(planted)
    assert all(one["threshold"] > 0.5 for one in report["classes"])
    stopped = tmp_path / "stopped"
    shutil.copytree(out, stopped)
    for name in ("folds/1/confidences.bin", "folds/1/run/metrics.json", "audit.json"):
        os.unlink(stopped / name)
    assert run(*words, "--out", stopped).exit_code == 0
    assert suspects.read(str(stopped)) == (found, report)
