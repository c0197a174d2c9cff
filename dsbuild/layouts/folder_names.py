"""Names of folders that say what is in them: images, labels, or alphas."""

import re

_KINDS = {
    "images": "image images img imgs src source photo photos pic pics picture pictures jpegimages "
    "input inputs original originals rgb frame frames rawimages colorimages fgr blurredimage",
    "labels": "label labels lbl lbls mask masks annotation annotations annot annots ann anns gt "
    "gts groundtruth groundtruths truth seg segs segmentation segmentations segmap segmaps "
    "segmentationclass segmentationclassraw segmentationclassaug segmentationmask "
    "segmentationmasks semantic semanticmask semanticmasks semanticlabel semanticlabels "
    "pixelwisemasks pixellabels labelmap labelmaps labelimages maskimages imagemasks imagelabels "
    "target targets classmasks",
    "alphas": "alpha alphas matte mattes alphamatte alphamattes alphamask alphamasks pha",
}
_WORDS = {word: kind for kind, words in _KINDS.items() for word in words.split()}
# What may stand beside such a word, as in `train_images` or `masks_png`.
_BESIDE = {"train", "training", "val", "valid", "validation", "test", "testing", "trainval"}
_BESIDE |= {"png", "jpg", "jpeg", "dataset", "data", "folder", "dir", "all", "full", "raw"}


def kind(name: str) -> str | None:
    """Return what a folder of this name holds: `images`, `labels` or `alphas`; None if unclear.

    >>> kind("JPEGImages"), kind("train_masks"), kind("ground-truth"), kind("cats")
    ('images', 'labels', 'labels', None)
    """
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    joined = "".join(words)
    rest = "".join(word for word in words if word not in _BESIDE)
    return _WORDS.get(joined) or _WORDS.get(rest)
