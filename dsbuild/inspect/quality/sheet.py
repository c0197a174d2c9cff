"""The quality sheet: one verdict per rule, as a JSON document."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict, cast

from dsbuild import storage
from dsbuild.engines import Engine
from dsbuild.errors import DataError, PlanError
from dsbuild.format import names
from dsbuild.format.documents import dump, parse_file
from dsbuild.format.folder import Folder, PathLike
from dsbuild.inspect.forms import StatisticsDocument
from dsbuild.inspect.quality import evidence, measures
from dsbuild.inspect.quality.evidence import Evidence
from dsbuild.inspect.quality.measures import Measure
from dsbuild.inspect.quality.rules import Bounds, Rule, Rules

Verdict = Literal["fail", "warn", "pass", "skip"]
VERDICTS: Sequence[Verdict] = ("fail", "warn", "pass", "skip")  # the gravest first
_EXAMPLES = 20  # of a rule that the document keeps


class RuleDocument(TypedDict):
    """One rule and its verdict; `skip` if it does not apply to these data.

    `limits` are `warn` and `fail`, above which a rule does so, or `least` and `most`.
    """

    rule: str
    verdict: Verdict
    what: str
    value: float | None
    text: str
    limits: dict[str, float | None]
    examples: list[str]
    more: int


class Sheet(TypedDict):
    """A quality sheet.

    `digest` is the sha256 of what it speaks of: names and digests of all shards, and class names.
    It is None for data that dsbuild did not build, or that are incomplete or damaged.
    """

    path: str
    digest: str | None
    verdict: Verdict
    records: int
    against: str | None
    rules_file: str | None
    rules: list[RuleDocument]


def check(path: PathLike, rules: Rules, against: PathLike | None, engine: Engine) -> Sheet:
    """Return the sheet of a folder or a file; raise ShardError if there is no TFRecord at all."""
    return sheet(evidence.gather(path, "pixels", against, engine), rules)


def keep(made: Sheet) -> None:
    """Write a sheet into its folder if it speaks of exactly what the manifest lists."""
    if made["digest"] is not None:
        storage.refuse_links(names.state(made["path"]))
        storage.write(_place(made["path"]), dump(made).encode())


def load(folder: Folder, counted: StatisticsDocument | None) -> Sheet | None:
    """Return the sheet kept in a folder, or None without one of the shards it has now.

    `counted` are the statistics that the folder keeps.
    """
    place = _place(folder.path)
    if counted is None or counted["of"] is None or storage.stamp(place) is None:
        return None
    try:
        made = parse_file(storage.read(place)[0], place)
    except DataError:
        return None  # it can be made again
    if not isinstance(made, dict) or made.get("digest") != counted["of"]:
        return None
    # Only `keep` writes this file; the folder may have been moved since.
    return cast(Sheet, {**made, "path": folder.path})


def _place(path: str) -> str:
    return names.state(path, names.QUALITY)


def sheet(gathered: Evidence, rules: Rules) -> Sheet:
    """Return the sheet of some evidence."""
    _refuse_unknown(gathered, rules)
    rows = [
        *(_row(name, rule, rule.measure(gathered)) for name, rule in rules.rules.items()),
        *(
            _share_row(name, bounds, measures.class_share(gathered, name))
            for name, bounds in rules.shares.items()
        ),
    ]
    counted = gathered.statistics
    against = gathered.reference
    return {
        "path": gathered.folder.path,
        "digest": None if gathered.validation.problems else counted["of"],
        "verdict": worst([row["verdict"] for row in rows]),
        "records": counted["all"]["records"],
        "against": None if against is None else against["path"],
        "rules_file": rules.source or None,
        "rules": rows,
    }


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the gravest of some verdicts; a rule that was skipped counts as passed.

    >>> worst(["pass", "warn", "skip"])
    'warn'
    """
    found: Verdict = next((one for one in VERDICTS[:2] if one in verdicts), "pass")
    return found


def limits_text(limits: Mapping[str, float | None]) -> str:
    """Return the limits of a rule as text.

    >>> limits_text({"warn": 0, "fail": None})
    'warns above 0'
    """
    words = {"warn": "warns above", "fail": "fails above", "least": "at least", "most": "at most"}
    texts = (f"{words[name]} {value:g}" for name, value in limits.items() if value is not None)
    return ", ".join(texts)


def _refuse_unknown(gathered: Evidence, rules: Rules) -> None:
    known = measures.class_names(gathered)
    for name in rules.shares:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known[:20])}"
            raise PlanError(f"{rules.source}: [class_share.{name}]: there is no such class; {hint}")


def _row(name: str, rule: Rule, found: Measure | None) -> RuleDocument:
    verdict: Verdict = "pass"
    if found is None or rule.warn is rule.fail is None:
        verdict = "skip"
    elif rule.fail is not None and found.value > rule.fail:
        verdict = "fail"
    elif rule.warn is not None and found.value > rule.warn:
        verdict = "warn"
    return _made(name, verdict, rule.what, found, {"warn": rule.warn, "fail": rule.fail})


def _share_row(name: str, bounds: Bounds, found: Measure | None) -> RuleDocument:
    within = found is not None and bounds.least <= found.value <= bounds.most
    limits: dict[str, float | None] = {"least": bounds.least, "most": bounds.most}
    return _made(
        f"class_share.{name}", "pass" if within else "fail", f"share of {name}", found, limits
    )


def _made(
    name: str,
    verdict: Verdict,
    what: str,
    found: Measure | None,
    limits: dict[str, float | None],
) -> RuleDocument:
    examples = [] if found is None else list(found.examples)
    return {
        "rule": name,
        "verdict": verdict,
        "what": what,
        "value": None if found is None else found.value,
        "text": "does not apply" if found is None else found.text,
        "limits": limits,
        "examples": examples[:_EXAMPLES],
        "more": max(len(examples) - _EXAMPLES, 0),
    }
