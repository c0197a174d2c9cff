"""Statistics on a runner of Beam: as a program, and as a transform for other pipelines.

python -m dsbuild.pipelines.statistics PATH --runner FnApiRunner ...
"""

import importlib
import json
import sys
from collections.abc import Iterable

import apache_beam as beam
from apache_beam.pvalue import PCollection

from dsbuild.inspect import statistics
from dsbuild.inspect.chunks import Chunk, divide, of_chunk
from dsbuild.inspect.counts import Accumulated, Names, total
from dsbuild.pipelines import engine, options
from dsbuild.pipelines.processes import at, settle, token


class Total(beam.CombineFn):
    """The sum of what records amount to."""

    def create_accumulator(self) -> Accumulated:
        """Return the sum of nothing."""
        return Accumulated()

    def add_input(self, accumulator: Accumulated, found: Accumulated) -> Accumulated:
        """Return a sum and one more."""
        return accumulator + found

    def merge_accumulators(self, accumulators: Iterable[Accumulated]) -> Accumulated:
        """Return the sum of sums."""
        return total(accumulators)

    def extract_output(self, accumulator: Accumulated) -> Accumulated:
        """Return the sum."""
        return accumulator


class Statistics(beam.PTransform[PCollection[str], PCollection[Accumulated]]):
    """Paths of TFRecord files -> one `Accumulated` of all their records.

    `names` are names of features by role, as `catalog.names_of` returns them.
    """

    def __init__(self, names: Names):
        super().__init__()
        self._names = names

    def expand(self, paths: PCollection[str]) -> PCollection[Accumulated]:
        """Divide the files, spread the chunks over the workers, add up."""
        counted: PCollection[Accumulated] = (
            paths
            | "Chunks" >> beam.FlatMap(divide)
            | "Spread" >> beam.Reshuffle()
            | "Count" >> beam.Map(_count, self._names, token())
            | "Total" >> beam.CombineGlobally(Total())
        )
        return counted


def _count(chunk: Chunk, names: Names, driver: str) -> Accumulated:
    settle(driver)
    with at(chunk.path):
        return of_chunk(chunk, engine.advance, names=names)


def main() -> None:
    """Count as a program, and print JSON; exit with 1 if a record cannot be read."""
    parser = options.parser(__doc__)
    parser.add_argument("path")
    with options.program(parser) as (asked, flags):
        made = statistics.statistics(asked.path, engine.Beam(flags))
        statistics.keep(made)
        json.dump(made, sys.stdout, indent=2)
        parser.exit(1 if made["unreadable"] else 0)


if __name__ == "__main__":
    # By its name, since workers look the functions up by it.
    importlib.import_module("dsbuild.pipelines.statistics").main()
