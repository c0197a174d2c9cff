"""Human matting: photos with a soft alpha, of which a threshold makes two classes.

    clip_img/<group>/clip_<8 digits>/<group>-<8 digits>.jpg      aisegment, 600 x 800
    matting/<group>/matting_<8 digits>/<group>-<8 digits>.png    RGBA: alpha is the matte

or lists `<split>.txt` of lines `image@rgba@alpha@mask`, four paths relative to SOURCE; or
two folders whose files pair by stem (`--images`, `--alphas`).

Source: the data set `matting_human_half` of aisegment.com, and the lists of the PyTorch
projects that train on it.
"""

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from dsbuild import storage
from dsbuild.errors import LayoutError, PlanError
from dsbuild.findings import Finding
from dsbuild.layouts.base import RGB, Layout, Sample
from dsbuild.layouts.trees import VAL_HELP, Divided, by_key, leftovers, lists, pictures, stem

if TYPE_CHECKING:
    from dsbuild.images.labels import Label

PHOTOS, MATTES = "clip_img", "matting"


@dataclass(frozen=True, kw_only=True)
class Matting(Divided, Layout):
    """Photos and mattes; the mask is alpha > threshold."""

    name: ClassVar[str] = "matting"
    title: ClassVar[str] = "human matting"
    source: ClassVar[str] = (
        "the folder that holds clip_img and matting, or lists of image@rgba@alpha@mask, or the "
        "folders that --images and --alphas name"
    )
    classes: ClassVar[tuple[str, ...]] = ("background", "human")
    ignore: ClassVar[int | None] = None
    palette: ClassVar[tuple[RGB, ...]] = ((0, 0, 0), (192, 128, 128))
    has_alpha: ClassVar[bool] = True

    alpha_threshold: int = field(
        default=50,
        metadata={"help": "A pixel is human where its alpha is greater than this, 0 to 254."},
    )
    images: str = field(default="", metadata={"help": "Folder of photos, relative to SOURCE."})
    alphas: str = field(
        default="", metadata={"help": "Folder of mattes, whose files have the photos' stems."}
    )
    val_fraction: float = field(default=0.2, metadata=VAL_HELP)
    split_by: str = field(
        default="group",
        metadata={
            "choices": ("group", "sample"),
            "help": "What stays together: all photos of a folder, or each for itself.",
        },
    )
    keep_alpha: bool = field(
        default=False, metadata={"help": "Also store the soft alpha, as --extra alpha does."}
    )
    trimap: int = field(
        default=-1,
        metadata={
            "help": "Also store a trimap, unknown for this many pixels around soft ones, as "
            "--extra trimap:width=W does; -1 for none."
        },
    )

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.alpha_threshold <= 254:
            raise PlanError(
                f"--alpha-threshold {self.alpha_threshold}: expected 0 to 254, since an alpha of 0 "
                "to 255 has to be greater"
            )
        if bool(self.images) != bool(self.alphas):
            raise PlanError("--images and --alphas: found one of them, expected both or none")
        if not -1 <= self.trimap <= 255:
            raise PlanError(f"--trimap {self.trimap}: expected 0 to 255 pixels, or -1 for none")

    @property
    def extras(self) -> tuple[str, ...]:
        """Alpha and trimap, where they were asked for."""
        trimap = (f"trimap:width={self.trimap}",) if self.trimap >= 0 else ()
        return (*(("alpha",) if self.keep_alpha else ()), *trimap)

    @property
    def _folders(self) -> tuple[str, str]:
        return (self.images or PHOTOS, self.alphas or MATTES)

    def find(self, source: str | None) -> str:
        """Return the folder that holds photos and mattes, or lists of them."""
        for start in [source] if source is not None else [".", "data"]:
            for below in ("", "matting_human_half"):
                folder = storage.normal(storage.join(start, below))
                photos = storage.join(folder, self._folders[0])
                if storage.is_folder(photos) or self._lists(folder):
                    return folder
        raise LayoutError(
            f"{source or '. and ./data'}: found neither {self._folders[0]} nor lists; name "
            f"{self.source}: dsbuild matting SOURCE"
        )

    def _lists(self, root: str) -> list[str]:
        """Return the splits of which root has lists."""
        if self.images:
            return []
        paths = {split: storage.join(root, f"{split}.txt") for split in lists(root)}
        firsts = {split: storage.read(path)[0].lstrip()[:4096] for split, path in paths.items()}
        return [split for split, text in firsts.items() if text.split(b"\n")[0].count(b"@") > 1]

    def splits(self, root: str) -> tuple[str, ...]:
        """Return those of the lists, else train and val as far as they have samples."""
        listed = self._lists(root)
        if listed:
            return tuple(listed)
        found = self.division(map(self._unit, self._photos(root)))
        if not found:
            raise LayoutError(
                f"{storage.join(root, self._folders[0])}: found no photo, expected .jpg or .png"
            )
        return found

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the samples of a list in its order, else those of the folders by name."""
        seen: dict[str, str] = {}
        for image, alpha in self._pairs(root, split):
            key = posixpath.splitext(posixpath.basename(image))[0]
            if key in seen:
                raise LayoutError(
                    f"{root}: found {image!r} and {seen[key]!r}, expected photos of different "
                    "names, since records are called after them"
                )
            seen[key] = image
            yield Sample(key, image, alpha)

    def _pairs(self, root: str, split: str) -> Iterator[tuple[str, str]]:
        if split in self._lists(root):
            yield from _listed(storage.join(root, f"{split}.txt"))
            return
        mattes = by_key(root, self._folders[1], _key)
        for path in self._photos(root):
            if self.divide(self._unit(path)) == split:
                expected = posixpath.join(self._folders[1], _key(path, self._folders[0]) + ".png")
                yield path, mattes.get(_key(path, self._folders[0]), expected)

    def _photos(self, root: str) -> list[str]:
        return pictures(root, self._folders[0])

    def _unit(self, photo: str) -> str:
        """Return what stays together with a photo."""
        inner = photo.removeprefix(self._folders[0] + "/")
        return inner.partition("/")[0] if self.split_by == "group" and "/" in inner else inner

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find stray files and mattes without a photo, with the first split."""
        if self._lists(root) or split != self.splits(root)[0]:
            return []
        return leftovers(root, split, *self._folders, _key)

    def indexed(self, path: str) -> bool:
        """Return False: a matte's values are no classes."""
        return False

    def read(self, data: bytes, path: str) -> "Label":
        """Return 1 where alpha is greater than the threshold, else 0; and that alpha."""
        from dsbuild.images import labels, mattes

        alpha = mattes.alpha(data)
        return labels.of((alpha > self.alpha_threshold).astype("uint8"), alpha)


def _key(path: str, folder: str) -> str:
    """Return what a photo and its matte have in common: groups and stem."""
    *groups, name = stem(path, folder).split("/")
    return "/".join([*(g.removeprefix("clip_").removeprefix("matting_") for g in groups), name])


def _listed(path: str) -> Iterator[tuple[str, str]]:
    """Yield (image, alpha) of a list's lines `image@rgba@alpha@mask`."""
    text = storage.read(path)[0].decode("utf-8-sig", "surrogateescape")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        parts = [part.strip().lstrip("/") for part in line.split("@")]
        if len(parts) != 4 or any(".." in part.split("/") or not part for part in parts):
            raise LayoutError(
                f"{path}, line {number}: found {line.strip()!r}, expected image@rgba@alpha@mask, "
                "four paths below SOURCE"
            )
        yield parts[0], parts[2]
