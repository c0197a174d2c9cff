"""The annotated targets, by name."""

from dsbuild.interop.annotations.base import Target
from dsbuild.interop.annotations.cityscapes import City
from dsbuild.interop.annotations.masks import HuggingFace, Mmseg, Png, Semantic
from dsbuild.interop.annotations.voc import VocTree

TARGETS: dict[str, type[Target]] = {
    one.name: one for one in (Png, Mmseg, VocTree, City, HuggingFace, Semantic)
}
