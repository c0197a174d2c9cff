"""Apache Beam, installed as `dsbuild.pipelines`: its engine, and builds as one pipeline."""

import logging

from dsbuild.errors import DsbuildError, missing

# Beam is imported here, before any module of the package, so that one place reports that it is
# missing; what it logs meanwhile about optional parts is not for users.
_before = logging.root.manager.disable
logging.disable(logging.WARNING)
try:
    import apache_beam  # noqa: F401
except ModuleNotFoundError as error:
    raise DsbuildError(missing("apache_beam", "--runner beam", error)) from error
finally:
    logging.disable(_before)
