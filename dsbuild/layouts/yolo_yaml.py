"""Read the data.yaml of a YOLO data set: plain keys, lists and maps, one or two levels deep.

names: [cat, dog]      names:            names:
nc: 2                    0: cat            - cat
"""

import re
from collections.abc import Iterator, Mapping

from dsbuild import storage
from dsbuild.errors import LayoutError, PlanError
from dsbuild.format.split_names import role
from dsbuild.layouts.folders import composed
from dsbuild.layouts.texts import text

_KEY = re.compile(r"(?P<key>[^:#]+?)\s*:(?:\s+(?P<value>.*)|\s*)$")
Value = str | dict[str, str]


def read(path: str) -> dict[str, Value]:
    """Return the keys of the file; a list is a map of its indices. Raises LayoutError."""
    found: dict[str, Value] = {}
    inner: dict[str, str] = {}
    for number, line in enumerate(text(path).splitlines(), 1):
        bare = _bare(line)
        if not bare.strip() or bare.strip() in ("---", "..."):
            continue
        match, item = _KEY.match(bare.strip()), bare.strip()
        if item.startswith("- ") and found:
            inner[str(len(inner))] = _plain(item[2:])
        elif match is None:
            raise LayoutError(f"{path}, line {number}: found {item!r}; expected `key: value`")
        elif bare[0] in " \t" and found:
            inner[_plain(match["key"])] = _plain(match["value"] or "")
        else:
            inner = {}
            value = match["value"] or ""
            found[_plain(match["key"])] = _flow(value) if value else inner
    return found


def classes(path: str) -> tuple[str, ...]:
    """Return the names of the classes by index; raise PlanError if the file has none."""
    try:
        known = read(path)
    except LayoutError as error:
        raise PlanError(str(error)) from error
    names, count = known.get("names"), known.get("nc")
    if not isinstance(names, dict) or not names:
        raise PlanError(f"{path}: found no names; expected the names of the classes by index")
    if sorted(names) != sorted(map(str, range(len(names)))):
        raise PlanError(f"{path}: names have the indices {', '.join(names)}; expected 0, 1, 2, ...")
    listed = tuple(composed(names[str(i)]) for i in range(len(names)))
    if len({*listed}) < len(listed):
        raise PlanError(f"{path}: found a name twice; expected names that differ")
    if count not in (None, "", str(len(listed))) and isinstance(count, str):
        raise PlanError(f"{path}: nc is {count}, but there are {len(listed)} names; correct one")
    return listed


def mapping(path: str) -> tuple[tuple[int, int], ...]:
    """Return value -> class, 255 for `ignore_label`, of label_mapping; () if there is none.

    Raises PlanError for anything but whole numbers.
    """
    try:
        found = read(path).get("label_mapping") or {}
    except LayoutError as error:
        raise PlanError(str(error)) from error
    rows = [*found.items()] if isinstance(found, dict) else [("", found)]
    made = []
    for old, new in rows:
        to = "255" if new == "ignore_label" else new
        if not (old.isdecimal() and to.isdecimal() and int(old) < 256):
            raise PlanError(
                f"{path}: label_mapping: found {old}: {new}; expected values 0 to 255, each with "
                "a class or ignore_label"
            )
        made.append((int(old), int(to)))
    return tuple(sorted(made))


def masks(root: str) -> str:
    """Return the folder of masks that the YAML file of a folder names, or `masks`."""
    path = file(root)
    try:
        named = read(path).get("masks_dir") if path else None
    except LayoutError:  # named when the classes are read
        named = None
    if not isinstance(named, str) or not named:
        return "masks"
    plain = named.replace("\\", "/").strip("/").removeprefix("./")
    if ".." in plain.split("/") or named.startswith("/"):
        raise LayoutError(
            f"{path}: masks_dir is {named}; expected the name of a folder beside images"
        )
    return plain


def contrary(path: str, images: Mapping[str, str]) -> Iterator[str]:
    """Yield where the file divides images otherwise than folders do: split -> folder of images."""
    known = read(path)
    for key in ("train", "val", "test"):
        value = known.get(key) or ""
        for named in [value] if isinstance(value, str) else value.values():
            place = f"/{named}".replace("\\", "/").rstrip("/")
            if place.endswith(".txt"):
                yield f"{path}: {key} is the list {named}, which is not read; folders divide"
            for split, folder in images.items():
                if split and place.endswith(f"/{folder}") and role(split) != key:
                    yield f"{path}: {key} is {named}, which is the split {split} by its folder"


def file(root: str) -> str | None:
    """Return the path of the YAML file of a folder that names classes; None if there is none."""
    names = [name for name, inner in storage.entries(root) if not inner]
    names = [name for name in names if name.endswith((".yaml", ".yml")) and name[0] != "."]
    names.sort(key=lambda name: name not in ("data.yaml", "dataset.yaml"))
    for name in names:
        path = storage.join(root, name)
        if re.search(rb"^names\s*:", storage.read(path)[0], re.MULTILINE):
            return path
    return None


def _bare(line: str) -> str:
    """Return a line without its comment; a # within quotes is none."""
    match = re.match(r"""((?:[^"'#]|"[^"]*"|'[^']*'|(?<=\S)#)*)""", line)
    return (match[1] if match else line).rstrip()


def _plain(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _flow(value: str) -> Value:
    """Return a value, or a list or map that is written on one line."""
    value = value.strip()
    if value[:1] + value[-1:] not in ("[]", "{}"):
        return _plain(value)
    parts = re.findall(r"""\s*((?:"[^"]*"|'[^']*'|[^,"'])+)(?:,|$)""", value[1:-1])
    if value[0] == "[":
        return {str(i): _plain(part) for i, part in enumerate(parts)}
    pairs = [part.partition(":") for part in parts]
    return {_plain(key): _plain(named) for key, _, named in pairs}
