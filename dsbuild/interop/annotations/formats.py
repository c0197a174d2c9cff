"""The annotated targets, by name."""

from dsbuild.interop.annotations.base import Target
from dsbuild.interop.annotations.cityscapes import City
from dsbuild.interop.annotations.coco import CocoTree
from dsbuild.interop.annotations.coco_panoptic import Panoptic
from dsbuild.interop.annotations.cvat import CvatTree
from dsbuild.interop.annotations.labelme import LabelMeTree
from dsbuild.interop.annotations.masks import HuggingFace, Mmseg, Png, Semantic
from dsbuild.interop.annotations.voc import VocTree
from dsbuild.interop.annotations.yolo import YoloTree

TARGETS: dict[str, type[Target]] = {
    CocoTree.name: CocoTree,
    Panoptic.name: Panoptic,
    YoloTree.name: YoloTree,
    Semantic.name: Semantic,
    Mmseg.name: Mmseg,
    VocTree.name: VocTree,
    City.name: City,
    HuggingFace.name: HuggingFace,
    LabelMeTree.name: LabelMeTree,
    CvatTree.name: CvatTree,
    Png.name: Png,
}
