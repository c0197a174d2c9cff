"""Which images are in two splits that should share none, such as train and val."""

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from dsbuild.format.split_names import role

Pair = tuple[str, str]
_APART = {"train", "val", "test", "minival", "holdout"}  # roles that are no sum of other splits


def parts(images: Mapping[frozenset[str], int]) -> set[Pair]:
    """Return the pairs (part, whole) of splits that share images on purpose.

    `images` has the number of images that are in exactly these splits. A split that lies in
    another is a part of it if one name holds the other, as train and trainval do; or if several
    splits make up the whole of the other, which is not one for training, validation or test alone.

    >>> sorted(parts(Counter({frozenset(["train", "all"]): 3, frozenset(["val", "all"]): 1})))
    [('train', 'all'), ('val', 'all')]
    >>> parts(Counter({frozenset(["train"]): 3, frozenset(["val", "train"]): 1}))
    set()
    """
    sizes: Counter[str] = Counter()
    both: Counter[Pair] = Counter()
    for splits, number in images.items():
        sizes.update(dict.fromkeys(splits, number))
        both.update(dict.fromkeys(itertools.permutations(splits, 2), number))
    inside = {pair for pair, number in both.items() if number == sizes[pair[0]]}
    lying = Counter(whole for _, whole in inside)
    alone = {  # splits with an image that is in no part of them
        whole
        for splits in images
        for whole in splits
        if not any((part, whole) in inside for part in splits)
    }
    filled = {split for split in sizes.keys() - alone if lying[split] > 1}
    sums = {split for split in filled if role(split) not in _APART}
    return {(part, whole) for part, whole in inside if _named(part, whole) or whole in sums}


def crosses(splits: Iterable[str], known: Collection[Pair]) -> bool:
    """Return whether what is in these splits leaks from one of them into another.

    Two splits may share what a part of both holds, as train_aug and trainval share train.
    """
    names = set(splits)

    def lies(part: str, whole: str) -> bool:
        return part == whole or (part, whole) in known

    return not all(
        any(lies(part, one) and lies(part, other) for part in names)
        for one, other in itertools.combinations(names, 2)
    )


def _named(part: str, whole: str) -> bool:
    short, long = sorted((part.casefold(), whole.casefold()), key=len)
    return short != long and short in long
