"""Headings in the help of commands, common options first.

An option that is named nowhere comes under the heading that names none.
"""

from collections.abc import Mapping

from dsbuild.layouts import LAYOUTS, TITLES

Headings = Mapping[str, tuple[str, ...]]

# Commands under their headings, and the first sentence of each one's help.
COMMANDS: Mapping[str, Mapping[str, str]] = {
    "Build TFRecords": {
        "build": "Recognise a data set, and build TFRecords from it.",
        **{name: f"Build TFRecords from {title}." for name, title in TITLES.items()},
        "merge": "Merge finished builds into one with one list of classes.",
    },
    "Look at TFRecords": {
        "inspect": "Show what TFRecords hold, as text, page or pictures.",
        "statistics": "Count classes, sizes, colours and duplicates.",
        "diff": "Compare two builds.",
    },
    "Check and fix them": {
        "validate": "Check TFRecords without changing them.",
        "repair": "Restore missing and damaged files of a build.",
        "check": "Judge TFRecords by rules: pass, warn or fail.",
        "audit": "Find label errors by what trained models see.",
    },
    "Use them elsewhere": {
        "export": "Write TFRecords, or a trained model, for another tool.",
        "convert": "Convert a data set to the form of another tool.",
        "interop": "Write what lets other tools open a finished folder.",
    },
    "Train on them": {
        "train": "Train DeepLabV3+ on a folder that dsbuild wrote.",
        "evaluate": "Measure a trained model: mIoU, accuracies, boundary F1.",
        "predict": "Predict images and videos with a trained model.",
    },
    "Others": {"demo": "Draw a small data set to try dsbuild on."},
}

_ENGINE = ("--runner", "--scheduler", "--workers", "--store-seconds")
_MESSAGES = ("--all", "--quiet", "--json", "--help")
_SHORT: Headings = {"Options": (), "Where it runs": _ENGINE, "Messages": _MESSAGES}

_BUILD: Headings = {
    "Common options": (
        "--layout",
        "--split",
        "--out",
        "--shards",
        "--extra",
        "--plane",
        "--on-error",
        "--overwrite",
        "--dry-run",
        "--workers",
    ),
    "Data set options": (),
    "Shards and their order": ("--shard-size", "--order", "--seed", "--limit"),
    "Images": (
        "--exif",
        "--unreadable",
        "--max-side",
        "--tile",
        "--tile-overlap",
        "--depth",
        "--scale",
        "--jpeg-quality",
        "--verify",
    ),
    "Checks": ("--check-duplicates", "--strict", "--accept", "--rehash"),
    "Where it runs": ("--runner", "--scheduler", "--store-seconds"),
    "Array jobs": ("--plan-only", "--task", "--finish"),
    "Messages": _MESSAGES,
}

_INSPECT: Headings = {
    "Options": (),
    "One record": ("--record", "--key", "--draw", "--save"),
    "HTML page": (
        "--html",
        "--samples",
        "--seed",
        "--class",
        "--most",
        "--least",
        "--rare",
        "--problems",
        "--suspects",
    ),
    "Where it runs": _ENGINE,
    "Messages": _MESSAGES,
}

_EXPORT: Headings = {
    "Options": (),
    "Annotations": ("--objects", "--shapes", "--max-loss"),
    "Models": (
        "--size",
        "--calibrate",
        "--data",
        "--eval-size",
        "--output-stride",
        "--last",
        "--check",
        "--overwrite",
    ),
    "Where it runs": _ENGINE,
    "Messages": _MESSAGES,
}

_CONVERT: Headings = {
    "Common options": ("--from", "--to", "--split", "--out", "--on-error", "--workers"),
    "Annotations": ("--objects", "--shapes", "--max-loss"),
    "Data set options": (),
    "Images": ("--exif", "--unreadable", "--max-side", "--jpeg-quality"),
    "Checks": ("--accept", "--limit"),
    "Where it runs": ("--runner", "--scheduler", "--store-seconds"),
    "Messages": _MESSAGES,
}

_LOOKING = ("--scales", "--flip", "--window", "--eval-size", "--output-stride", "--last")
_MODEL: Headings = {
    "Options": (),
    "How the model is applied": (*_LOOKING, "--resize"),
    "Camera": ("--camera", "--frames"),
    "Where it runs": ("--store-seconds",),
    "Messages": _MESSAGES,
}

_AUDIT: Headings = {
    "Options": (),
    "Trainings": (
        "--backbone",
        "--weights",
        "--crop",
        "--rates",
        "--batch",
        "--epochs",
        "--rate",
        "--image-range",
        "--from-run",
    ),
    "Where it runs": ("--store-seconds",),
    "Messages": _MESSAGES,
}

_TRAIN: Headings = {
    "Common options": (
        "--run",
        "--split",
        "--val",
        "--backbone",
        "--weights",
        "--crop",
        "--batch",
        "--epochs",
        "--steps",
        "--optimiser",
        "--rate",
        "--loss",
        "--class-weights",
        "--from-run",
    ),
    "Model": (
        "--output-stride",
        "--dilate-first",
        "--pixels",
        "--width",
        "--width-multiple",
        "--rates",
        "--depth",
        "--separable",
        "--decoder",
        "--aspp-window",
        "--gradient",
        "--pyramid",
        "--merge",
        "--align-corners",
        "--auxiliary",
        "--multi-grid",
        "--dropout",
        "--batch-norm-momentum",
        "--sigmoid",
    ),
    "Initial weights": ("--initialize", "--freeze", "--freeze-batch-norm"),
    "Augmentation": (
        "--scales",
        "--scale-step",
        "--flip",
        "--resize",
        "--image-range",
        "--brightness",
        "--contrast",
        "--saturation",
        "--hue",
        "--rotation",
        "--blur",
        "--cat-max-ratio",
        "--copy-paste",
    ),
    "Loss": ("--focal-gamma", "--tversky", "--smoothing", "--hard-share", "--hard-steps"),
    "Optimisation": (
        "--schedule",
        "--last-rate",
        "--last-layers",
        "--backbone-rate",
        "--accumulate",
        "--power",
        "--warmup",
        "--sgd-momentum",
        "--decay",
        "--clip",
        "--ema",
    ),
    "Scores and checkpoints": (
        "--every",
        "--patience",
        "--plateau",
        "--tensorboard",
        "--histograms",
    ),
    "Where it runs": ("--devices", "--mixed", "--synchronized", "--seed", "--store-seconds"),
    "Other options": (),
    "Messages": _MESSAGES,
}

_OF = {
    "audit": _AUDIT,
    "inspect": _INSPECT,
    "export": _EXPORT,
    "convert": _CONVERT,
    "evaluate": _MODEL,
    "predict": _MODEL,
    "train": _TRAIN,
    "build": _BUILD,
}


def headings(command: str) -> Headings:
    """Return the headings of a command, and the options under each."""
    return _OF.get(command) or (_BUILD if command in LAYOUTS else _SHORT)
