"""Oxford-IIIT Pet: cats and dogs of 37 breeds, and trimaps of them.

    images/<Breed_7>.jpg
    annotations/trimaps/<Breed_7>.png             1 pet, 2 background, 3 not classified
    annotations/{trainval,test}.txt               `Breed_7 class species breed`

Names of cats begin with a capital letter, those of dogs do not. The border of a pet, which is not
classified, is ignored unless it is to be a class, or part of the pet.

Source: Parkhi et al., Cats and Dogs, CVPR 2012; the README of the annotations.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dsbuild import storage
from dsbuild.errors import ImageError, LayoutError
from dsbuild.fields import field
from dsbuild.format.split_names import role
from dsbuild.layouts.base import RGB, Layout
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import by_key, leftovers, lists, require, stem
from dsbuild.layouts.recognition import PUBLISHED, Recognised, listed
from dsbuild.layouts.sample import Sample
from dsbuild.layouts.texts import numbered

if TYPE_CHECKING:
    from dsbuild.images.labels import Label

IMAGES, LABELS, LISTS = "images", "annotations/trimaps", "annotations"
_FOLDERS = ("oxford-iiit-pet", "Oxford-IIIT_Pets")
PET, BACKGROUND, BORDER = 1, 2, 3
BREEDS = tuple(
    """Abyssinian american_bulldog american_pit_bull_terrier basset_hound beagle Bengal Birman
    Bombay boxer British_Shorthair chihuahua Egyptian_Mau english_cocker_spaniel english_setter
    german_shorthaired great_pyrenees havanese japanese_chin keeshond leonberger Maine_Coon
    miniature_pinscher newfoundland Persian pomeranian pug Ragdoll Russian_Blue saint_bernard
    samoyed scottish_terrier shiba_inu Siamese Sphynx staffordshire_bull_terrier wheaten_terrier
    yorkshire_terrier""".split()
)
_ANIMALS = {"pet": ("pet",), "species": ("cat", "dog"), "breeds": BREEDS}


@dataclass(frozen=True, kw_only=True)
class OxfordPets(Layout):
    """Oxford-IIIT Pet."""

    name: ClassVar[str] = "oxford-pets"
    title: ClassVar[str] = "Oxford-IIIT Pet"
    source: ClassVar[str] = "the folder that holds images and annotations"

    animals: str = field(
        "pet",
        "The classes beside the background: one for all pets, cat and dog, or the 37 breeds.",
        choices=tuple(_ANIMALS),
    )
    border: str = field(
        "ignore",
        "What the border of a pet is, which is not classified: ignored, a class, or the pet.",
        choices=("ignore", "class", "pet"),
    )

    @property
    def classes(self) -> tuple[str, ...]:
        """Background, the animals, and the border if it is a class."""
        border = ("border",) if self.border == "class" else ()
        return ("background", *_ANIMALS[self.animals], *border)

    def find(self, source: str | None) -> str:
        """Return the folder that holds images and annotations/trimaps."""
        for start in [source] if source is not None else [".", "data"]:
            for folder in (start, *(storage.join(start, name) for name in _FOLDERS)):
                if _is_here(folder):
                    return storage.normal(folder)
        require(source)
        raise LayoutError(
            f"{source or '. and ./data'}: found no {IMAGES} with {LABELS}; name {self.source}: "
            "dsbuild oxford-pets SOURCE"
        )

    @classmethod
    def recognise(cls, path: str, _given: Mapping[str, str], /) -> Recognised:
        """Recognise images, trimaps and the lists of the splits."""
        for root in (path, *(storage.join(path, name) for name in _FOLDERS)):
            names = [one for one in lists(storage.join(root, LISTS)) if role(one)]
            if _is_here(root) and names:
                return cls.seen(PUBLISHED, f"{cls.title}: trimaps, lists {listed(names)}")
        return cls.seen(0, f"no {IMAGES} with {LABELS} and lists in {LISTS}")

    def splits(self, root: str) -> tuple[str, ...]:
        """Return the names of the lists of splits: trainval, test, and others."""
        names = [one for one in lists(storage.join(root, LISTS)) if role(one)]
        if not names:
            raise LayoutError(
                f"{storage.join(root, LISTS)}: found no list; expected trainval.txt and test.txt"
            )
        order = ("train", "val", "trainval", "test")
        return tuple(sorted(names, key=lambda n: (order.index(n) if n in order else 9, n)))

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the samples of a list in its order; raise LayoutError for a name listed twice."""
        path, there = storage.join(root, LISTS, f"{split}.txt"), by_key(root, IMAGES)
        seen: dict[str, int] = {}
        for number, line in numbered(path):
            if line.startswith("#"):
                continue
            key = line.split()[0]
            if "/" in key or key.startswith("."):
                raise LayoutError(f"{path}, line {number}: found {line!r}; expected a name first")
            if seen.setdefault(key, number) != number:
                raise LayoutError(
                    f"{path}, line {number}: found {key!r} again, which line {seen[key]} already "
                    "lists; remove one of them"
                )
            yield Sample(key, there.get(key, f"{IMAGES}/{key}.jpg"), f"{LABELS}/{key}.png")

    def published(self, root: str) -> Mapping[str, int]:
        """Return the published number of images, if the folder has a usual name."""
        return {"trainval": 3680, "test": 3669} if storage.name(root) in _FOLDERS else {}

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find trimaps without an image, with the first split.

        The published folders also hold a few MATLAB files and files of macOS, which are no trimaps.
        """
        if split != self.splits(root)[0]:
            return []
        found = leftovers(root, split, IMAGES, LABELS, stem)
        return [one for one in found if one.kind != "stray" or one.fatal]

    def indexed(self, path: str) -> bool:
        """Return False: stored values count from 1."""
        return False

    def known(self, path: str) -> Mapping[int, RGB]:
        """Return nothing: the labels are grey."""
        return {}

    def mistake(self, values: Collection[int]) -> tuple[str, str] | None:
        """Return no mistake: `read` names the values that no trimap has."""
        return None

    def read(self, data: bytes, path: str) -> "Label":
        """Return the class indices of a trimap: background, the animal of its name, the border."""
        import numpy as np

        label = super().read(data, path)
        wrong = sorted(label.counts.keys() - {PET, BACKGROUND, BORDER})
        if wrong:
            low = "; 1 may have been taken from each value already" if 0 in wrong else ""
            raise ImageError(
                f"found the value {wrong[0]}, expected 1 pet, 2 background and 3 not classified, "
                f"as the trimaps are published{low}",
                kind="values",
            )
        table = np.zeros(256, np.uint8)
        table[PET] = animal = self._animal(path)
        table[BORDER] = {"ignore": 255, "class": len(self.classes) - 1, "pet": animal}[self.border]
        return label.through(table)

    def _animal(self, path: str) -> int:
        """Return the class of the animal that a file is named after."""
        name = path.rpartition("/")[2]
        if self.animals == "pet":
            return 1
        if self.animals == "species":
            return 1 if name[:1].isupper() else 2
        breed = name.rpartition("_")[0]
        if breed not in BREEDS:
            raise ImageError(
                f"found the breed {breed!r} in the name, expected one of the 37, as in pug_7.png",
                kind="names",
            )
        return 1 + BREEDS.index(breed)


def _is_here(root: str) -> bool:
    return all(storage.is_folder(storage.join(root, one)) for one in (IMAGES, LABELS))
