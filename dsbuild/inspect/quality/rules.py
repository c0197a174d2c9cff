"""The rules of a quality sheet, and the file that sets their limits.

    [leaks]                     # one table per rule
    warn = 0                    # above this it warns; `false`: never
    fail = 0                    # above this it fails; `false`: never

    [small_images]
    side = 64                   # pixels of the shorter side

    [class_share.person]        # the share of a class must be within these
    least = 0.01
    most = 0.5

A rule that the file does not name keeps its default; within a rule that it names, limits that are
not given do, too.
"""

import difflib
import functools
import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dsbuild import storage
from dsbuild.errors import PlanError
from dsbuild.inspect.quality import measures
from dsbuild.inspect.quality.evidence import Evidence
from dsbuild.inspect.quality.measures import Measure

Measuring = Callable[[Evidence], Measure | None]


@dataclass(frozen=True)
class Rule:
    """One rule: what it measures, and above which values it warns and fails; None means never."""

    what: str
    measure: Measuring
    warn: float | None = None
    fail: float | None = None


RULES: Mapping[str, Rule] = {
    "damage": Rule("problems that validate finds", measures.damage, fail=0),
    "label_values": Rule("label values that are no class", measures.values, fail=0),
    "left_out": Rule("share of samples left out by the build", measures.left_out, warn=0),
    "leaks": Rule(
        "groups of equal images in splits that should share none", measures.leaks, fail=0
    ),
    "near_leaks": Rule("groups of similar images in such splits", measures.near_leaks, warn=0),
    "duplicates": Rule("other groups of equal images", measures.duplicates, warn=0),
    "absent_classes": Rule("classes in no record", measures.absent, warn=0),
    "missing_classes": Rule("classes that some split lacks", measures.missing, warn=0),
    "ignored": Rule("largest share of ignored pixels of a split", measures.ignored, 0.3, 0.9),
    "empty_masks": Rule("largest share of masks without object of a split", measures.empty, 0.5),
    "small_images": Rule(
        "share of images with a side below 32 pixels",
        functools.partial(measures.small, side=32),
        warn=0,
    ),
    "licence": Rule("whether a licence is stated", measures.unlicensed, warn=0),
    "drift": Rule(
        "largest change of a class's share since the reference", measures.drift, 0.02, 0.1
    ),
}


@dataclass(frozen=True)
class Bounds:
    """Limits of the share of one class; outside them the rule fails."""

    least: float = 0.0
    most: float = 1.0


@dataclass(frozen=True)
class Rules:
    """A rule set.

    Attributes:
      rules: by name.
      shares: class name -> limits of its share.
      source: the file that it is from; empty for the default set.
    """

    rules: Mapping[str, Rule] = field(default_factory=lambda: RULES)
    shares: Mapping[str, Bounds] = field(default_factory=dict)
    source: str = ""


def load(path: str) -> Rules:
    """Return the rule set of a TOML file; raise PlanError with what is wrong in it."""
    try:
        document = tomllib.loads(storage.read(path)[0].decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PlanError(f"{path}: found no TOML: {error}") from error
    return parse(document, path)


def parse(document: Mapping[str, Any], path: str) -> Rules:
    """Return the rule set of a parsed file, which `path` names in errors."""
    rules, shares = dict(RULES), {}
    for name, entry in document.items():
        if not isinstance(entry, dict):
            raise PlanError(f"{path}: found {name} = {entry!r}, expected a table: [{name}]")
        if name == "class_share":
            shares = {
                one: _bounds(f"{path}: [{name}.{one}]", limits) for one, limits in entry.items()
            }
            continue
        if name not in RULES:
            raise PlanError(f"{path}: [{name}]: there is no such rule{_near(name, RULES)}")
        rules[name] = _rule(f"{path}: [{name}]", name, entry)
    return Rules(rules, shares, path)


def _rule(where: str, name: str, entry: Mapping[str, Any]) -> Rule:
    rule = RULES[name]
    allowed = ["warn", "fail", *(["side"] if name == "small_images" else [])]
    _known(where, entry, allowed)
    if "side" in entry:
        side = entry["side"]
        if type(side) is not int or side < 1:
            raise PlanError(f"{where}: found side = {side!r}, expected a number of pixels")
        what = f"share of images with a side below {side} pixels"
        rule = replace(rule, what=what, measure=functools.partial(measures.small, side=side))
    made = replace(
        rule,
        warn=_limit(f"{where}: warn", entry.get("warn", rule.warn)),
        fail=_limit(f"{where}: fail", entry.get("fail", rule.fail)),
    )
    if made.warn is not None and made.fail is not None and made.warn > made.fail:
        raise PlanError(
            f"{where}: found warn = {made.warn:g} above fail = {made.fail:g}, expected it below; "
            "warn = false switches it off"
        )
    return made


def _limit(where: str, value: object) -> float | None:
    if value is None or value is False:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise PlanError(f"{where}: found {value!r}, expected a number, 0 or more, or false")
    return value


def _bounds(where: str, limits: object) -> Bounds:
    if not isinstance(limits, dict):
        raise PlanError(f"{where}: found {limits!r}, expected least and most, from 0 to 1")
    _known(where, limits, ["least", "most"])
    for key, value in limits.items():
        wrong = isinstance(value, bool) or not isinstance(value, int | float)
        if wrong or not 0 <= value <= 1:
            raise PlanError(f"{where}: found {key} = {value!r}, expected a share from 0 to 1")
    made = Bounds(**limits)
    if made.least > made.most:
        raise PlanError(f"{where}: found least = {made.least:g} above most = {made.most:g}")
    return made


def _known(where: str, entry: Mapping[str, Any], allowed: list[str]) -> None:
    for key in entry:
        if key not in allowed:
            raise PlanError(f"{where}: found {key!r}, expected {', '.join(allowed)}")


def _near(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]}?" if close else f"; the rules are {', '.join(known)}"
