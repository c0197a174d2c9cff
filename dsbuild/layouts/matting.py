"""Human matting: photos with a soft alpha, which a threshold turns into two classes.

    clip_img/<group>/clip_<8 digits>/<group>-<8 digits>.jpg      aisegment, 600 x 800
    matting/<group>/matting_<8 digits>/<group>-<8 digits>.png    RGBA: alpha is the matte

Or one folder per clip that holds both (`--images image --alphas alpha`), see `matting_clips`.
Or lists `<split>.txt` with lines `image@rgba@alpha@mask`, four paths relative to SOURCE. Or two
folders whose files pair by stem (`--images`, `--alphas`), undivided, or divided into splits by
folders or lists as in `pairs`.

Source: the data set `matting_human_half` by aisegment.com, and the lists in PyTorch projects
that train on it.
"""

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dsbuild import storage
from dsbuild.errors import LayoutError, PlanError
from dsbuild.fields import field
from dsbuild.format.split_names import role
from dsbuild.layouts import divided, matting_clips, matting_lists, written
from dsbuild.layouts.base import RGB, Layout, Sample
from dsbuild.layouts.division import VAL_HELP, Divided, groups
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import (
    by_key,
    composed,
    leftovers,
    lists,
    pictures,
    require,
    stem,
)
from dsbuild.layouts.pairing import pair
from dsbuild.layouts.recognition import NAMED, PUBLISHED, Glance, Recognised, listed

if TYPE_CHECKING:
    from dsbuild.images.labels import Label

PHOTOS, MATTES = "clip_img", "matting"
BELOW = ("", "matting_human_half")  # folders below SOURCE that may hold both


@dataclass(frozen=True, kw_only=True)
class Matting(Divided, Layout):
    """Photos and mattes; the mask is alpha > threshold."""

    name: ClassVar[str] = "matting"
    title: ClassVar[str] = "human matting"
    source: ClassVar[str] = (
        "the folder that holds clip_img and matting, or lists with image@rgba@alpha@mask, or the "
        "folders that --images and --alphas name"
    )
    classes: ClassVar[tuple[str, ...]] = ("background", "human")
    ignore: ClassVar[int | None] = None
    palette: ClassVar[tuple[RGB, ...]] = ((0, 0, 0), (192, 128, 128))
    has_alpha: ClassVar[bool] = True

    alpha_threshold: int = field(
        50, "A pixel is human if its alpha is above this, 0 to 254.", least=0, most=254
    )
    images: str = field("", "Folder of photos, relative to SOURCE.")
    alphas: str = field("", "Folder of mattes, named after their photos.")
    val_fraction: float = field(0.2, VAL_HELP, least=0, below=1)
    split_by: str = field(
        "group",
        "What stays together in one split: all photos of a folder, or each single photo.",
        choices=("group", "sample"),
    )
    keep_alpha: bool = field(False, "Also store the soft alpha, as --extra alpha does.")
    trimap: int = field(
        -1,
        "Also store a trimap whose unknown region reaches this many pixels around soft ones, as "
        "--extra trimap:width=W does; -1 for none.",
        least=-1,
        most=255,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_division()
        if self.stratify:
            raise PlanError(
                "--stratify: mattes hold no classes that splits could lack; leave it out"
            )
        if bool(self.images) != bool(self.alphas):
            raise PlanError("--images and --alphas: found one of them, expected both or none")

    @property
    def extras(self) -> tuple[str, ...]:
        """Alpha and trimap, if requested."""
        trimap = (f"trimap:width={self.trimap}",) if self.trimap >= 0 else ()
        return (*(("alpha",) if self.keep_alpha else ()), *trimap)

    @property
    def _whole(self) -> divided.Part:
        folders = (self.images or PHOTOS, self.alphas or MATTES)
        return divided.Part(*(folder.strip("/").removeprefix("./") for folder in folders))

    def find(self, source: str | None) -> str:
        """Return the folder that holds photos and mattes, or lists of them."""
        starts = [source] if source is not None else [".", "data"]
        places = [storage.normal(storage.join(start, below)) for start in starts for below in BELOW]
        for folder in places:
            photos = storage.join(folder, self._whole.images)
            if storage.is_folder(photos) or self._lists(folder):
                return folder
        for folder in places:
            if any(map(role, self._tree(folder).parts)) or self._clips(folder):
                return folder
        require(source)
        raise LayoutError(
            f"{source or '. and ./data'}: found neither {self._whole.images} nor lists; name "
            f"{self.source}: dsbuild matting SOURCE"
        )

    @classmethod
    def recognise(cls, path: str, given: Mapping[str, str], /) -> Recognised:
        """Recognise clip_img and matting, lists of four paths, or folders of photos and alphas."""
        glance = Glance()
        for root in (storage.join(path, below) if below else path for below in BELOW):
            inner = [root, *(storage.join(root, name) for name in glance.folders(root))]
            first = inner[:1] + [place for place in inner[1:] if role(storage.name(place))]
            if any(glance.has(p, PHOTOS) and glance.has(p, MATTES) for p in first) and not given:
                return cls.seen(PUBLISHED, f"human matting: {PHOTOS} and {MATTES}")
            named = [name for name in glance.files(root) if name.endswith(".txt")]
            paths = {name: storage.join(root, name) for name in named[:20]}
            used = [name for name, one in paths.items() if matting_lists.is_list(one)]
            if used and "images" not in given:
                return cls.seen(PUBLISHED, f"human matting: lists of four paths in {listed(used)}")
        found = pair(path, "images", "alphas", given)
        if found.fits:
            return cls.seen(
                NAMED, f"photos and mattes: {found.text}", options=found.options, needs=found.needs
            )
        both = None if given.keys() & {"images", "alphas"} else matting_clips.recognised(path)
        if both:
            images, alphas, clip = both
            text = f"photos and mattes of clips: {images} and {alphas} in {clip} and others"
            return cls.seen(NAMED, text, options={"images": images, "alphas": alphas})
        looked = f"no {PHOTOS} with {MATTES}, no list with image@rgba@alpha@mask"
        return cls.seen(0, f"{looked}, and {found.text}")

    def _lists(self, root: str) -> list[str]:
        """Return the splits that have a list in root with four paths per line."""
        if self.images:
            return []
        paths = {split: storage.join(root, f"{split}.txt") for split in lists(root)}
        return [split for split, path in paths.items() if matting_lists.is_list(path)]

    def _clips(self, root: str) -> matting_clips.Clips:
        return {} if self._lists(root) else matting_clips.found(root, *self._whole)

    def _tree(self, root: str) -> divided.Tree:
        """Return how root is divided; lists with four paths per line override everything else."""
        own = {split: storage.join(root, f"{split}.txt") for split in self._lists(root)}
        clips = self._clips(root)
        if not own and not clips:
            return divided.survey(root, self._whole, self._index(root))
        _, refused = written.lists(root, "", lambda _: {})
        parts = {split: self._whole for split in clips if split}
        return divided.Tree(parts, own, {k: v for k, v in refused.items() if k not in own})

    def _index(self, root: str) -> divided.Index:
        """Return the index of the names that lists may use for photos."""

        def index(folder: str) -> dict[str, str]:
            keys = {path: _key(path, folder) for path in pictures(root, folder)}
            names = {stem(path, folder): key for path, key in keys.items()}
            last = {posixpath.basename(name): key for name, key in names.items()}
            return {**last, **names, **{key: key for key in keys.values()}}

        return index

    def splits(self, root: str) -> tuple[str, ...]:
        """Return the splits of folders or lists; else train and val, if they have samples."""
        tree = self._tree(root)
        if tree.parts or tree.lists:
            return tree.splits
        units = self._clip_units(root) or self._units(root, pictures(root, self._whole.images))
        found = self.division(units.values())
        if not found:
            raise LayoutError(
                f"{storage.join(root, self._whole.images)}: found no photo, expected .jpg or .png"
            )
        return tuple(dict.fromkeys((*found, *tree.refused)))

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the samples of a list in its order, or else those of the folders by name."""
        tree = self._tree(root)
        tree.check(split)
        seen: dict[str, str] = {}
        for key, image, alpha in self._pairs(root, split, tree):
            if key in seen:
                raise LayoutError(
                    f"{root}: found {image!r} and {seen[key]!r}, expected photos with different "
                    "names, since records are named after them"
                )
            seen[key] = image
            yield Sample(key, image, alpha)

    def _pairs(self, root: str, split: str, tree: divided.Tree) -> Iterator[tuple[str, str, str]]:
        """Yield the key of a sample, and the paths of photo and matte.

        Keys are the names of photos; in folders that a user names they begin with their own
        folders if photos share names, as the frames of clips do.
        """
        if split in self._lists(root):
            for image, _, alpha, _ in matting_lists.rows(tree.lists[split]):
                yield _name(image), image, alpha
            return
        if clips := self._clips(root):
            units = self._clip_units(root)
            for clip in clips.get(split, clips.get("", [])):
                for key, image, alpha in matting_clips.pairs(root, clip, *self._whole):
                    if not units or self.divide(units[key]) == split:
                        yield key, image, alpha
            return
        images, alphas = tree.parts.get(split, self._whole)
        photos, mattes = by_key(root, images, _key), by_key(root, alphas, _key)
        if split in tree.lists:
            names = self._index(root)(images)
            rows = written.entries(tree.lists[split], names, images, root, alphas)
        else:
            inner = (path.removeprefix(f"{images}/") for path in photos.values())
            divided.check_depth(storage.join(root, images), inner, split)
            alone = split in tree.parts
            units = {} if alone else self._units(root, photos.values())
            rows = (
                (key, None)
                for key, path in photos.items()
                if alone or self.divide(units[path]) == split
            )
        framed = self.images and len({*map(posixpath.basename, photos)}) < len(photos)
        for key, given in rows:
            image = photos.get(key, f"{images}/{key}.jpg")
            alpha = given or mattes.get(key, posixpath.join(alphas, f"{key}.png"))
            yield key if framed else _name(image), image, alpha

    def _clip_units(self, root: str) -> dict[str, str]:
        """Return key -> the unit that stays in one split with it, of clips that are undivided."""
        alone = self._clips(root).get("", [])
        whole = self.split_by == "group"
        return matting_clips.units(root, alone, self._whole.images, self.group, whole)

    def _units(self, root: str, photos: Iterable[str]) -> dict[str, str]:
        """Return path of a photo -> the unit that stays in one split with it."""
        if not self.group:
            return {photo: self._unit(photo) for photo in photos}
        paths = {_key(photo, self._whole.images): photo for photo in photos}
        return {paths[key]: unit for key, unit in groups(root, paths, self.group).items()}

    def _unit(self, photo: str) -> str:
        """Return the unit that stays in one split with a photo."""
        inner = photo.removeprefix(self._whole.images + "/")
        return inner.partition("/")[0] if self.split_by == "group" and "/" in inner else inner

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find stray files and mattes without a photo; reported with the first split concerned."""
        tree = self._tree(root)
        # Only splits other than train need a listing to learn whether there is a train.
        first = split == tree.first(lambda: ("train",) if split == "train" else self.splits(root))
        if split not in tree.parts and not first:
            return []
        if clips := self._clips(root):
            return [*matting_clips.findings(root, split, clips, *self._whole, first=first)]
        if self._lists(root):
            return [*matting_lists.unlisted(root, split, tree.lists.values())]
        part = tree.parts.get(split, self._whole)
        left = leftovers(root, split, *part, _key)
        if first:
            left += divided.unused(root, split, tree, self._whole)
        if tree.lists:
            pictures_of = self._index(root)(part.images)
            return divided.by_lists(root, split, tree, self._whole, pictures_of, left)
        return left

    def indexed(self, path: str) -> bool:
        """Return False: the values of a matte are not classes."""
        return False

    def read(self, data: bytes, path: str) -> "Label":
        """Return 1 where alpha is greater than the threshold, else 0; with that alpha."""
        from dsbuild.images import labels, mattes

        alpha = mattes.alpha(data)
        return labels.of((alpha > self.alpha_threshold).astype("uint8"), alpha)


def _name(photo: str) -> str:
    return composed(posixpath.splitext(posixpath.basename(photo))[0])


def _key(path: str, folder: str) -> str:
    """Return what a photo and its matte have in common: groups and stem."""
    *groups, name = stem(path, folder).split("/")
    return "/".join([*(g.removeprefix("clip_").removeprefix("matting_") for g in groups), name])
