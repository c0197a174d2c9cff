"""A mapping whose values are imported when they are first asked for, so that names cost nothing."""

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Generic, TypeVar

V = TypeVar("V")


class Late(MutableMapping[str, V], Generic[V]):
    """Values by name, in the order of their names; each is made once, by `load(name)`."""

    def __init__(self, names: Iterable[str], load: Callable[[str], V]) -> None:
        self._names: dict[str, None] = dict.fromkeys(names)
        self._load = load
        self._made: dict[str, V] = {}

    def __getitem__(self, name: str) -> V:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = self._load(name)
        return self._made[name]

    def __setitem__(self, name: str, value: V) -> None:
        self._names[name], self._made[name] = None, value

    def __delitem__(self, name: str) -> None:
        del self._names[name]
        self._made.pop(name, None)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
