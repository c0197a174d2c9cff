"""JSON documents that are read back, held against a form before anything relies on them."""

from typing import Any

Form = Any  # a type, a union of types, or forms in a list, a tuple or a dictionary


def fits(document: Any, form: Form) -> bool:
    """Tell whether a parsed JSON document has a form.

    A type, or a union of types, stands for a value of it (True is no number); `[form]` for
    a list of any length, a tuple of forms for a list of that length; a dictionary for one
    with these keys and maybe others; a key that ends in `?` may lack.

    >>> fits({"name": "a", "sizes": [1, 2]}, {"name": str, "sizes": [int], "label?": str})
    True
    """
    if isinstance(form, dict):
        return isinstance(document, dict) and all(
            fits(document[key.rstrip("?")], inner) if key.rstrip("?") in document else "?" in key
            for key, inner in form.items()
        )
    if isinstance(form, list):
        return isinstance(document, list) and all(fits(item, form[0]) for item in document)
    if isinstance(form, tuple):
        return (
            isinstance(document, list)
            and len(document) == len(form)
            and all(map(fits, document, form))
        )
    return isinstance(document, form) and (form is bool or not isinstance(document, bool))


def fits_values(document: Any, form: Form) -> bool:
    """Tell whether a document is a dictionary whose values all have a form."""
    return isinstance(document, dict) and all(fits(value, form) for value in document.values())


_SHARD = {"name": str, "records": int, "bytes": int, "sha256": str, "values?": str}
_SPLIT = {
    "plan": str,
    "records": int,
    "bytes": int,
    "rejects": int,
    "labels": int,
    "heights": [int],
    "widths": [int],
    "classes?": [{"name": str, "images": int, "pixels?": int}],
    "ignore?": dict | None,
    "weights?": {
        "beta": float,
        "median_frequency?": [float],
        "effective_number?": [float],
    },
    "shards": [_SHARD],
}
_MANIFEST = {
    "dsbuild": str,
    "title": str,
    "classes": [str],
    "recipe": {"layout": str},
    "ignore": int | None,
    "versions": dict,
}


def is_manifest(document: Any) -> bool:
    """Tell whether a document has what readers of a manifest rely on."""
    return (
        fits(document, _MANIFEST)
        and fits_values(document.get("palette"), (int, int, int))
        and fits_values(document.get("splits"), _SPLIT)
        and all(
            len(split.get("classes", document["classes"])) == len(document["classes"])
            and (split.get("ignore") is None or fits(split["ignore"], {"images": int}))
            for split in document["splits"].values()
        )
    )
