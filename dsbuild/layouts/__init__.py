"""The layouts that dsbuild reads, by name: one published layout per file."""

import importlib
from typing import TYPE_CHECKING, Any

from dsbuild.layouts.late import Late

if TYPE_CHECKING:
    from dsbuild.layouts.base import Layout, Sample
    from dsbuild.layouts.merged import Merged, MergedClasses

__all__ = ["LAYOUTS", "RECORDED", "TITLES", "Layout", "Merged", "MergedClasses", "Sample"]

# Layouts by name, in the order of the help: their module has the same name. Each is imported when
# it is used, so the class, and what people call the data set, are here.
_CLASSES = {
    "voc": ("Voc", "Pascal VOC"),
    "cityscapes": ("Cityscapes", "Cityscapes"),
    "coco": ("Coco", "COCO"),
    "ade20k": ("Ade20k", "ADE20K"),
    "ade20k-full": ("Ade20kFull", "ADE20K, full data set"),
    "pascal-context": ("PascalContext", "Pascal Context"),
    "mapillary": ("Mapillary", "Mapillary Vistas"),
    "bdd100k": ("Bdd100k", "BDD100K"),
    "oxford-pets": ("OxfordPets", "Oxford-IIIT Pet"),
    "labelme": ("LabelMe", "LabelMe"),
    "yolo": ("Yolo", "YOLO segmentation"),
    "cvat": ("Cvat", "CVAT for images 1.1"),
    "supervisely": ("Supervisely", "Supervisely"),
    "matting": ("Matting", "human matting"),
    "pairs": ("Pairs", "folders of images and labels"),
    "classes": ("Classes", "folders of images by class"),
}
TITLES = {name: title for name, (_, title) in _CLASSES.items()}
_MERGED = {"merge": "Merged", "merge-classes": "MergedClasses"}
_ELSEWHERE = {"Layout": "base", "Sample": "base", "Merged": "merged", "MergedClasses": "merged"}


def __getattr__(name: str) -> Any:
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(f"dsbuild.layouts.{_ELSEWHERE[name]}"), name)
    raise AttributeError(f"module 'dsbuild.layouts' has no attribute {name!r}")


def _layout(name: str) -> "type[Layout]":
    module = importlib.import_module(f"dsbuild.layouts.{name.replace('-', '_')}")
    layout: type[Layout] = getattr(module, _CLASSES[name][0])
    return layout


def _recorded(name: str) -> "type[Layout]":
    return LAYOUTS[name] if name in LAYOUTS else __getattr__(_MERGED[name])


LAYOUTS: "Late[type[Layout]]" = Late(_CLASSES, _layout)

# Layouts by the names that manifests may have; the last ones are of no data set.
RECORDED: "Late[type[Layout]]" = Late((*_CLASSES, *_MERGED), _recorded)
