"""The layouts that dsbuild reads, by name: one published layout per file."""

from dsbuild.layouts.ade20k import Ade20k
from dsbuild.layouts.ade20k_full import Ade20kFull
from dsbuild.layouts.base import Layout, Sample
from dsbuild.layouts.bdd100k import Bdd100k
from dsbuild.layouts.cityscapes import Cityscapes
from dsbuild.layouts.classes import Classes
from dsbuild.layouts.coco import Coco
from dsbuild.layouts.cvat import Cvat
from dsbuild.layouts.labelme import LabelMe
from dsbuild.layouts.mapillary import Mapillary
from dsbuild.layouts.matting import Matting
from dsbuild.layouts.merged import Merged, MergedClasses
from dsbuild.layouts.oxford_pets import OxfordPets
from dsbuild.layouts.pairs import Pairs
from dsbuild.layouts.pascal_context import PascalContext
from dsbuild.layouts.supervisely import Supervisely
from dsbuild.layouts.voc import Voc
from dsbuild.layouts.yolo import Yolo

__all__ = ["LAYOUTS", "RECORDED", "Layout", "Merged", "MergedClasses", "Sample"]

LAYOUTS: dict[str, type[Layout]] = {
    Voc.name: Voc,
    Cityscapes.name: Cityscapes,
    Coco.name: Coco,
    Ade20k.name: Ade20k,
    Ade20kFull.name: Ade20kFull,
    PascalContext.name: PascalContext,
    Mapillary.name: Mapillary,
    Bdd100k.name: Bdd100k,
    OxfordPets.name: OxfordPets,
    LabelMe.name: LabelMe,
    Yolo.name: Yolo,
    Cvat.name: Cvat,
    Supervisely.name: Supervisely,
    Matting.name: Matting,
    Pairs.name: Pairs,
    Classes.name: Classes,
}

# Layouts by the names that manifests may have; the last ones are of no data set.
RECORDED: dict[str, type[Layout]] = {
    **LAYOUTS,
    Merged.name: Merged,
    MergedClasses.name: MergedClasses,
}
