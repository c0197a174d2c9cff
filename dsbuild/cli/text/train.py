"""What training, evaluation and prediction print."""

import os
from collections.abc import Mapping
from typing import Any

from dsbuild import storage
from dsbuild.cli.text.class_table import chosen, folded
from dsbuild.cli.text.table import table
from dsbuild.cli.text.view import View
from dsbuild.inspect.tables import count
from dsbuild.storage import safe_text
from dsbuild.train.fit.progress import NAMES

_ALL = View()
_MEANS = {
    "mean_iou": "mIoU",
    "pixel_accuracy": "pixel accuracy",
    "accuracy": "accuracy",
    "top_5_accuracy": "top-5 accuracy",
    "mean_accuracy": "mean accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "boundary_f1": "boundary F1",
}
_COLUMNS = {
    "iou": "IoU",
    "accuracy": "accuracy",
    "precision": "precision",
    "boundary_f1": "boundary F1",
}
_ERRORS = {
    "sad": "SAD / 1000",
    "mse": "MSE",
    "gradient": "gradient / 1000",
    "connectivity": "connectivity / 1000",
}
_REGIONS = {"matting": "whole images", "matting_unknown": "unknown region of the trimap"}


def fit_text(run: str, found: Mapping[str, Any]) -> str:
    """Return one line on the steps of a run, its best score, and what may be wrong with it."""
    best = found.get("best", {})
    score = next((name for name in NAMES if f"val_{name}" in best), None)
    words = ""
    if score is not None:
        words = f"; best val {NAMES[score]} {best[f'val_{score}']:.4f} at step {best['step']:,}"
    note = f"; {found['note']}" if "note" in found else ""
    return f"{run}: {count(found['steps'], 'step')}{words}{note}"


def evaluation_text(found: Mapping[str, Any], view: View = _ALL) -> str:
    """Return what `evaluate` measured as text: means, and one row per class.

    If there are too many classes for the view, those with most labels are shown.
    """
    what = "images" if found["task"] == "classification" else "pixels"
    data = storage.relative(found["data"], os.getcwd()) or found["data"]  # run.json's is absolute
    head = (
        f"{found['run']}, step {found['step']:,}, on {found['split']} of {data}: "
        f"{count(found['samples'], 'sample')}, {found[what]:,} labelled {what}"
    )
    columns = {key: name for key, name in _COLUMNS.items() if key in found["classes"][0]}
    means = [[name, _share(found[key])] for key, name in _MEANS.items() if key in found]
    for key, where in _REGIONS.items():
        for error, name in _ERRORS.items() if key in found else ():
            value = found[key][error]
            means.append([f"{name}, {where}", "-" if value is None else f"{value:.4g}"])
    rows = [["", "class", f"labelled {what}", *columns.values()]]
    parts = {i: one[f"label_{what}"] for i, one in enumerate(found["classes"])}
    shown = chosen(list(parts), parts, view)
    for one in (found["classes"][i] for i in shown):
        scores = [_share(one[key]) for key in columns]
        rows.append([str(one["index"]), one["name"], f"{one[f'label_{what}']:,}", *scores])
    lines = [safe_text.text(head), "", *table(means, "<>", view.columns, "~0"), ""]
    lines += table(rows, "><>" + ">" * len(columns), view.columns, "0~2" + "1" * len(columns))
    lines += folded(len(parts) - len(shown), where="the report lists them")
    if "matting" in found and "matting_unknown" not in found:
        lines += ["", "errors of mattes are of whole images: the records have no trimap"]
    return "\n".join([*lines, "", f"report: {found['out']}"])


def _share(value: float | None) -> str:
    """Return a score for people; `-` where nothing was counted."""
    return "-" if value is None else f"{100 * value:.2f} %"


def prediction_lines(found: dict[str, Any]) -> list[str]:
    """Return one line per image or video that was written."""
    return [_prediction(one) for one in found["made"]]


def _prediction(one: dict[str, Any]) -> str:
    several = f"  (the first of {one['pictures']:,} pictures)" if "pictures" in one else ""
    if "class" in one:
        return f"{one['path']}: {one['class']} {100 * one['probability']:.1f} %{several}"
    if "video" in one:
        return f"{one['video']}: {one['frames']:,} frames"
    few = list(one["shares"].items())[:4]
    more = ", ..." if len(one["shares"]) > len(few) else ""
    return (
        f"{one['classes']}: {', '.join(f'{name} {100 * share:.1f} %' for name, share in few)}{more}"
        f"{several}"
    )
