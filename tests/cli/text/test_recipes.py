from dsbuild.cli.text.check import diff_text


def document(**change):
    return {
        "a": "one",
        "b": "two",
        "same": False,
        "recipe": [change],
        "extent": {},
        "splits": {},
        "classes": [],
    }


def lines(what, was, now):
    text = diff_text(document(what=what, was=was, **{"is": now}))
    return [line.strip() for line in text.splitlines() if "recipe" in line]


def test_short_values_are_shown_whole():
    assert lines("ignore", 255, None) == ["recipe: ignore was 255 and is None"]
    assert lines("extras", [], ["edges"]) == ["recipe: extras was [] and is ['edges']"]


def test_of_a_mapping_only_what_differs_is_shown():
    was = {"labels": "auto", "encoding": "ids"}
    now = {"labels": "auto", "encoding": "trainids", "seed": 1}
    assert lines("options", was, now) == [
        "recipe: options.encoding was ids and is trainids",
        "recipe: options.seed was None and is 1",
    ]
    many = lines("features", {}, {str(i): i for i in range(9)})
    assert len(many) == 5
    assert many[-1] == "recipe: features: … and 5 more"


def test_long_lists_are_shown_by_their_first_values():
    (line,) = lines("classes", [str(i) for i in range(1000)], ["a"])
    assert line == "recipe: classes was ['0', '1', '2', '3', … 1,000 in all] and is ['a']"
