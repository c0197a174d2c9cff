"""A layout from its name and its options, by the names that the command has for them."""

import os
import warnings
from collections.abc import Mapping
from typing import Any

from dsbuild import fields
from dsbuild.errors import PlanError, nearest
from dsbuild.layouts import LAYOUTS, Layout

AUTO = "auto"  # recognises the layout


def taken(name: str, options: Mapping[str, Any]) -> Layout:
    """Return a layout with its options; raise PlanError for a name or an option that is unknown."""
    if name not in LAYOUTS:
        raise PlanError(
            f"layout: found {name!r}, expected one of {', '.join(LAYOUTS)}, or {AUTO}"
            f"{nearest(name, (*LAYOUTS, AUTO))}"
        )
    known = fields.named(LAYOUTS[name])
    options = _present(name, options)
    strange = sorted(options.keys() - known.keys())
    if strange:
        raise PlanError(
            f"layout {name}: found the option {strange[0]}, expected one of {', '.join(known)}"
            f"{nearest(strange[0], known)}"
        )
    values = {}
    for option, value in options.items():
        field = known[option]
        read = field.metadata.get("read")
        if read and value is None:
            continue
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        elif isinstance(value, list):
            value = tuple(value)  # since layouts are keys of caches
        values[field.name] = read(value) if read and isinstance(value, str) else value
    return LAYOUTS[name](**values)


def _present(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a layout by their present names; warn of those that were renamed."""
    renamed = {old: new for old, new in fields.renamed(LAYOUTS[name]).items() if old in options}
    for old, new in renamed.items():
        if new in options:
            raise PlanError(f"layout {name}: found {old} and {new}, two names of one option")
        warnings.warn(
            f"layout {name}: the option {old} is now called {new}", DeprecationWarning, stacklevel=5
        )
    return {renamed.get(option, option): value for option, value in options.items()}
