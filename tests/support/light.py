"""The light tier, as a pytest plugin: `pytest -p tests.support.light`.

It leaves out tests that are marked `slow` or `heavy`, and refuses to import a heavy library in the
processes that run the tests, so that a test without the mark fails.
"""

import importlib.abc
import sys

HEAVY = ("apache_beam", "keras", "tensorflow", "torch")


class Refused(Exception):
    """A test of the light tier imports a heavy library."""


class Refusal(importlib.abc.MetaPathFinder):
    """A finder that comes first and refuses heavy libraries."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in HEAVY:
            raise Refused(f"the light tier imports {fullname}: mark this test `heavy`")
        return


def pytest_configure(config):
    sys.meta_path.insert(0, Refusal())


def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if any(map(item.get_closest_marker, ("slow", "heavy")))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
