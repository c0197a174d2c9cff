"""All access to files, by local path or URL: list, read, write atomically, lock.

Modules are imported when a name of theirs is first asked for: `dsbuild --help` needs hardly any.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsbuild.storage.asking import at_once
    from dsbuild.storage.atomic import UNSYNCED
    from dsbuild.storage.files import (
        LARGEST,
        Read,
        Stamp,
        Urgent,
        ahead,
        carried,
        entries,
        hold,
        inside,
        is_folder,
        is_remote,
        join,
        lock,
        move,
        name,
        names,
        normal,
        odd,
        ordered_entries,
        placing,
        read,
        read_all,
        read_part,
        reading,
        refuse_links,
        relative,
        remove,
        remove_folder,
        room,
        sha256,
        sharing,
        size,
        stamp,
        stamps,
        sweep,
        tenure,
        unheld,
        write,
        writing,
    )
    from dsbuild.storage.glance import Some, missing, some
    from dsbuild.storage.listings import listed_once
    from dsbuild.storage.several import Group, together, write_all
    from dsbuild.storage.write_behind import behind

__all__ = [
    "LARGEST",
    "UNSYNCED",
    "Group",
    "Read",
    "Some",
    "Stamp",
    "Urgent",
    "ahead",
    "at_once",
    "behind",
    "carried",
    "entries",
    "hold",
    "inside",
    "is_folder",
    "is_remote",
    "join",
    "listed_once",
    "lock",
    "missing",
    "move",
    "name",
    "names",
    "normal",
    "odd",
    "ordered_entries",
    "placing",
    "read",
    "read_all",
    "read_part",
    "reading",
    "refuse_links",
    "relative",
    "remove",
    "remove_folder",
    "room",
    "sha256",
    "sharing",
    "size",
    "some",
    "stamp",
    "stamps",
    "sweep",
    "tenure",
    "together",
    "unheld",
    "write",
    "write_all",
    "writing",
]

# Name -> its module; all others are of `files`.
_OF = {
    "UNSYNCED": "atomic",
    "Group": "several",
    "Some": "glance",
    "at_once": "asking",
    "behind": "write_behind",
    "listed_once": "listings",
    "missing": "glance",
    "some": "glance",
    "together": "several",
    "write_all": "several",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_OF.get(name, 'files')}")
    globals()[name] = value = getattr(module, name)
    return value
