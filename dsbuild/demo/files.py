"""Write the files of drawn data sets, and the folders that they need."""

import os

from PIL import Image


def save(image: Image.Image, *path: str) -> None:
    """Save a picture; the quality is that of JPEGs."""
    image.save(place(*path), quality=90)


def write(text: str, *path: str) -> None:
    """Write lines of text."""
    with open(place(*path), "w", encoding="utf-8") as file:
        file.write(text + "\n")


def place(*path: str) -> str:
    """Return a path, whose folder then exists."""
    found = os.path.join(*path)
    os.makedirs(os.path.dirname(found), exist_ok=True)
    return found
