"""A property that is computed once per object, without a lock.

Until Python 3.12, `functools.cached_property` holds one lock per class while it computes: threads
that decode would wait for each other, and a process that is forked meanwhile would wait forever.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

V = TypeVar("V")


class once(Generic[V]):  # noqa: N801 - it is used as a decorator, like `property`
    """A property whose value is kept in its object's `__dict__`, where it is found from then on.

    Two threads may both compute it; they must get equal values.
    """

    def __init__(self, function: Callable[[Any], V]) -> None:
        self._function = function
        self._name = function.__name__
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "once[V]": ...

    @overload
    def __get__(self, instance: object, owner: type) -> V: ...

    def __get__(self, instance: object | None, owner: type) -> "once[V] | V":
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._function(instance)
        return value
