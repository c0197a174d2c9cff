"""What contradicts itself in a JSON file of LabelMe: a picture other than the image."""

import base64

from dsbuild.errors import ImageError


def refuse_other(stored: object, size: tuple[int, int]) -> None:
    """Raise ImageError if the picture in a JSON file is not of this size, (h, w).

    Shapes were drawn on that picture, which viewers turn by its EXIF orientation.
    """
    if not stored or not isinstance(stored, str):
        return
    from dsbuild import images

    try:
        head = images.header(base64.b64decode(stored))
    except (ImageError, ValueError):
        return  # in a format that is never stored as it is: nothing to compare
    own = (head.height, head.width)
    if size not in (own, own[::-1] if head.orientation >= 5 else own):
        raise ImageError(
            f"its imageData is a picture of {own[1]} x {own[0]} pixels, not of {size[1]} x "
            f"{size[0]}, so the image was replaced after its shapes were drawn; fetch the one that "
            "was labelled, or label it again",
            kind="size",
        )
