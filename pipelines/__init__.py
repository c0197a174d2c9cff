"""Apache Beam pipelines, installed as `dsbuild.pipelines`: the room for engines on Beam."""

import logging

from dsbuild.errors import DsbuildError

# Beam is imported here first, before any module of the room: one place says that it lacks,
# and what it logs meanwhile, of optional parts that it does without, is not for users.
_before = logging.root.manager.disable
logging.disable(logging.WARNING)
try:
    import apache_beam  # noqa: F401
except ModuleNotFoundError as error:
    raise DsbuildError(
        f"found no Apache Beam ({error}); install it: pip install 'dsbuild[beam]'"
    ) from error
finally:
    logging.disable(_before)
