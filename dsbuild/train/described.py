"""What the folder of a run says about it: settings, facts of its data, and where the data is.

Needs no Keras.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

from dsbuild import storage
from dsbuild.errors import ShardError, TrainError
from dsbuild.format import manifest
from dsbuild.train import dataset
from dsbuild.train.dataset import Facts
from dsbuild.train.settings import Settings
from dsbuild.train.settings import read as read_settings

SETTINGS = "settings.json"
RUN = "run.json"
_DATA = "tfrecord"  # the folder of TFRecords, if none is named


def keep_data(run: str, data: str) -> None:
    """Note the folder that a run is now trained on, if it was moved since, or was never noted."""
    path = storage.join(run, RUN)
    description = _parsed(path)
    if description.get("data") != absolute(data):
        storage.write(path, json_bytes({**description, "data": absolute(data)}))


def data_of(run: str, remedy: str = "dsbuild evaluate RUN DATA") -> str:
    """Return the folder that a run was trained on.

    A run of an older version does not say; then it is `tfrecord`, if there is such a folder.
    Raises TrainError if the folder is not there any more, or not known; `remedy` is the command
    that names it.
    """
    described(run)
    data = _parsed(storage.join(run, RUN)).get("data")
    if data is None and not exists(_DATA, manifest.NAME):
        raise TrainError(
            f"{run}: this run does not say what it was trained on; name the folder: {remedy}"
        )
    if data is not None and not (isinstance(data, str) and exists(data, manifest.NAME)):
        raise TrainError(
            f"{run}: it was trained on {data}, where there is no finished folder of TFRecords now; "
            f"if it was moved, name the folder: {remedy}"
        )
    return data or _DATA


def rebuilt(run: str, path: str) -> bool:
    """Tell whether a folder is the one that a run was trained on, and has other shards now."""
    data = _parsed(storage.join(run, RUN)).get("data")
    own = data is not None and data == absolute(path)
    return own and dataset.of(path).digest != facts_of(run).digest


def absolute(path: str) -> str:
    """Return a path or URL that means the same in every folder."""
    return storage.normal(path if storage.is_remote(path) else os.path.abspath(path))


def facts_of(run: str) -> Facts:
    """Return the facts of the data of a run."""
    return described(run)[1]


def settings_of(run: str) -> Settings:
    """Return the settings of a run."""
    return described(run)[0]


def exists(run: str, name: str) -> bool:
    """Tell whether a folder has a file of this name."""
    return storage.stamp(storage.join(run, name)) is not None


def described(run: str) -> tuple[Settings, Facts]:
    """Return the settings of a run, and the facts of its data."""
    if not exists(run, SETTINGS) or not exists(run, RUN):
        if not storage.is_folder(run):
            raise TrainError(f"{storage.missing(run)}; expected the folder of a run")
        held = "a folder of TFRecords" if exists(run, manifest.NAME) else f"no {SETTINGS} and {RUN}"
        raise TrainError(f"{run}: found {held}, expected the folder of a run of `dsbuild train`")
    settings_path, path = storage.join(run, SETTINGS), storage.join(run, RUN)
    settings, description = _parsed(settings_path), _parsed(path)
    facts = description.get("facts") if isinstance(description, Mapping) else None
    return read_settings(settings, settings_path), dataset.read(facts, path)


def _parsed(path: str) -> Any:
    try:
        return manifest.parse(storage.read(path)[0], path)
    except ShardError as error:
        raise TrainError(f"{path}: found damaged JSON; train again into another folder") from error


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """Return a document as it is written into the folder of a run."""
    return json.dumps(document, indent=2).encode() + b"\n"
