"""An engine by name."""

import pytest

from dsbuild.engines import Local, choice
from dsbuild.engines.process import cores
from dsbuild.errors import PlanError
from tests.support.engines import Mapped


def test_a_local_engine_has_all_cores(monkeypatch):
    monkeypatch.setattr(choice, "cores", cores)
    assert choice.chosen() == Local(cores())
    monkeypatch.setattr(choice, "cores", lambda: 5)
    assert choice.chosen() == Local(5)
    assert choice.chosen(workers=3, quiet=False) == Local(3, quiet=False)


def test_an_engine_is_taken_as_it_is():
    engine = Mapped(list)
    assert choice.chosen(engine) is engine


@pytest.mark.parametrize("workers", [0, -1, True, 2.0, "2"])
def test_workers_are_a_whole_number(workers):
    with pytest.raises(PlanError, match="expected a whole number, at least 1, or None"):
        choice.chosen(workers=workers)
