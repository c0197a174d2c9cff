"""How many bits the label planes of a build have: 8, or 16 with more classes than 8 can count."""

WIDEST = 1 << 16  # values that a plane of a label may have


def bits(classes: int, ignore: int | None) -> int:
    """Return the bits of label planes with so many classes, and this ignore value if there is one.

    >>> bits(256, 255), bits(257, None), bits(60, 65535)
    (8, 16, 16)
    """
    return 16 if classes > 256 or (ignore is not None and ignore > 255) else 8


def unnamed(bits: int) -> int:
    """Return the value that stands for no class unless another one is chosen: the largest.

    >>> unnamed(8), unnamed(16)
    (255, 65535)
    """
    return (1 << bits) - 1
