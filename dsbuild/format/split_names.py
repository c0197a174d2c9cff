"""Names of splits: those common in folders and lists, and those that every reader accepts."""

import re

# What a split is for -> what it is called, the most common name first.
_CALLED = {
    "train": ("train", "training", "trn", "tr", "training set"),
    "val": ("val", "valid", "validation", "dev", "devel", "development", "eval", "evaluation"),
    "test": ("test", "testing", "tst", "tests"),
    "trainval": ("trainval", "train val", "trainvaltest", "train val test"),
    "extra": ("extra", "extras", "trainextra", "train extra", "unlabeled", "unlabelled"),
    "holdout": ("holdout", "hold out", "heldout", "held out"),
    "minival": ("minival", "mini val", "minitrain", "mini train", "minitest", "mini test"),
}
# What may follow: a year or a number, and words for a part or a form of the split.
_FURTHER = (
    "set data dataset split list file files image images img imgs label labels mask masks aug "
    "augmented noisy clean full small mini part fold labeled labelled unlabeled unlabelled dev std "
    "challenge public private hidden seen unseen fine coarse"
).split()
_WORDS = {re.sub(" ", "", name): role for role, names in _CALLED.items() for name in names}
_SPACED = {name.replace(" ", "[-_. ]?") for names in _CALLED.values() for name in names}
_NAME = re.compile(
    rf"(?P<word>{'|'.join(sorted(_SPACED, key=len, reverse=True))})"
    rf"(?P<year>(?:[-_. ]?\d+)*)(?:[-_. ]?(?:{'|'.join(_FURTHER)}|\d+))*",
    re.IGNORECASE,
)
# What TFDS accepts as a split in `split="train[:10%]+val"`: core/splits.py, _SUB_SPEC_RE.
_READ = re.compile(r"[\w-]+", re.ASCII)


def role(name: str) -> str | None:
    """Return what a split of this name is for, such as `train`; None for other names.

    >>> role("Training"), role("val2017"), role("test-dev"), role("train_station")
    ('train', 'val', 'test', None)
    """
    match = _NAME.fullmatch(name)
    return _WORDS[re.sub("[-_. ]", "", match["word"]).lower()] if match else None


def called(name: str) -> str:
    """Return the name of the split that a folder of this name holds.

    >>> called("Validation"), called("night 1")
    ('val', 'night_1')
    """
    return role(name) or re.sub(r"[^\w-]", "_", name, flags=re.ASCII)


def same(name: str, other: str) -> bool:
    """Tell whether two names mean the same split, such as `val` and `validation2017`.

    `train_aug` and `train` are different splits.
    """
    found = [_NAME.fullmatch(one) for one in (name, other)]
    plain = all(match and match.end("year") == match.end() for match in found)
    return plain and role(name) == role(other)


def refusal(name: str) -> str | None:
    """Return why a split cannot have this name, as `found ..., expected ...`; None if it can.

    Shards are named after it, and TFDS has to find it: ASCII letters, digits, `_` and `-`, with
    at least one letter or digit, and not `all`, which means every split in TFDS.
    """
    if _READ.fullmatch(name) and name.strip("-_") and name != "all":
        return None
    return (
        f"found a split named {name!a}, expected letters, digits, - and _ in plain ASCII, and not "
        "`all`, since shards are named after it and TFDS reads no other names"
    )


def clash(names: tuple[str, ...]) -> tuple[str, str] | None:
    """Return two names whose shards would be taken for each other's, or None.

    Readers glob `<split>-*`, which for `train` also matches the shards of `train-extra`; and names
    that differ only in case are the same file on macOS and Windows.

    >>> clash(("train", "val", "train-extra"))
    ('train', 'train-extra')
    """
    for name in names:
        for other in names:
            begins = other.casefold().startswith(f"{name.casefold()}-")
            if name != other and (begins or name.casefold() == other.casefold()):
                return name, other
    return None
