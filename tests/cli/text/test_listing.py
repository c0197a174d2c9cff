from dsbuild.cli.text.build import findings_text
from dsbuild.cli.text.check import validation_text
from dsbuild.cli.text.listing import listing
from dsbuild.cli.text.view import View, width
from dsbuild.layouts.finding import KINDS, Finding

REMEDY = "expected classes 0 to 10 and 255 for ignore: build it with dsbuild pairs --ignore 11"


def test_ten_of_each_kind_are_listed_and_all_on_request():
    groups = [("none", []), ("few", ["a"]), ("many", [f"sample {i}" for i in range(1214)])]
    lines = listing(groups, View())
    assert lines[:4] == ["  few (1)", "    a", "", "  many (1,214)"]
    assert lines[4:14] == [f"    sample {i}" for i in range(10)]
    assert lines[14:] == ["    … and 1,204 more; --all lists them"]
    assert listing(groups, View(every=True))[4:] == [f"    sample {i}" for i in range(1214)]


def test_a_remedy_is_shown_once():
    texts = [f"sample {i}: found label values {11 + i}, {REMEDY}" for i in range(3)]
    first, *others = listing([("values", texts)], View())[1:]
    assert first == f"    {texts[0]}"
    assert others == [f"    sample {i}: found label values {11 + i} …" for i in (1, 2)]
    # Short ends say something about each sample.
    texts = [f"sample {i}: there is no such file" for i in range(2)]
    assert listing([("missing", texts)], View())[1:] == [f"    {text}" for text in texts]
    same = [f"one and the same, {REMEDY}"] * 2
    assert listing([("same", same)], View())[1:] == [f"    {text}" for text in same]


def test_texts_fold_between_words_in_a_terminal():
    path = "a/very/long/path/" * 5
    lines = listing([("values", [f"{path}: found something, {REMEDY}"])], View(60))
    assert lines[1].strip().startswith(path)
    assert all(width(line) <= 60 for line in lines[2:])
    assert all(line.startswith("      ") for line in lines[2:])


def test_findings_name_their_split_and_a_path_below_the_data_set():
    findings = [
        Finding("stray", "train", "data/set/labels/.DS_Store"),
        Finding(
            "image-missing", "val", "sample a: data/set/a.jpg: there is no such file", True, "a"
        ),
    ]
    assert findings_text(findings, 16, "data/set").splitlines() == [
        f"  {KINDS['image-missing']} (1)",
        "    val: sample a: a.jpg: there is no such file",
        "",
        f"  {KINDS['stray']} (1)",
        "    train: labels/.DS_Store",
        "",
        "  16 samples of each split were opened; --dry-run opens all",
    ]


def test_problems_are_listed_by_kind():
    problems = [{"kind": "frame", "text": f"out/a: record {i} at byte 0: bad"} for i in range(12)]
    document = {
        "path": "out",
        "records": 1,
        "files": 1200,
        "bytes": 5000,
        "level": "frames",
        "problems": problems,
    }
    lines = validation_text(document).splitlines()
    assert lines[0] == (
        "out: 1 record in 1,200 files, 5.0 kB, checked at level frames: 12 problems found"
    )
    assert lines[2:4] == ["  damaged or truncated frames (12)", "    a: record 0 at byte 0: bad"]
    assert lines[-1] == "    … and 2 more; --all lists them"
    document["problems"] = []
    assert validation_text(document).endswith("checked at level frames: no problem found")
