"""Statistics on a runner of Beam: as a program, and as a transform for other pipelines.

python -m dsbuild.pipelines.statistics PATH --runner FnApiRunner ...
"""

import importlib
import json
import sys
from collections.abc import Iterable

import apache_beam as beam
from apache_beam.pvalue import PCollection

from dsbuild.inspect import kept, statistics
from dsbuild.inspect.chunks import Chunk, divide, of_chunk
from dsbuild.inspect.counts import Accumulated, Names, total
from dsbuild.pipelines import engine, options
from dsbuild.pipelines.processes import at, settle, token


class Total(beam.CombineFn):
    """The sum of the counts of records."""

    def create_accumulator(self) -> Accumulated:
        """Return an empty sum."""
        return Accumulated()

    def add_input(self, accumulator: Accumulated, counts: Accumulated) -> Accumulated:
        """Return a sum plus further counts."""
        return accumulator + counts

    def merge_accumulators(self, accumulators: Iterable[Accumulated]) -> Accumulated:
        """Return the sum of sums."""
        return total(accumulators)

    def extract_output(self, accumulator: Accumulated) -> Accumulated:
        """Return the sum."""
        return accumulator


class Statistics(beam.PTransform[PCollection[str], PCollection[Accumulated]]):
    """Turn paths of TFRecord files into one `Accumulated` of all their records.

    `names` are feature names by role, as in `Folder.names`.
    """

    def __init__(self, names: Names) -> None:
        super().__init__()
        self._names = names

    def expand(self, paths: PCollection[str]) -> PCollection[Accumulated]:
        """Divide the files, spread the chunks over the workers, add up the counts."""
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
    """Count records and print JSON; exit with 1 if a record cannot be read."""
    parser = options.parser(__doc__)
    parser.add_argument("path")
    with options.program(parser) as (given, flags):
        counts = statistics.statistics(given.path, engine.Beam(flags))
        kept.keep(counts)
        json.dump(counts, sys.stdout, indent=2)
        parser.exit(1 if counts["unreadable"] else 0)


if __name__ == "__main__":
    # Imported by name, since workers look the functions up by it.
    importlib.import_module("dsbuild.pipelines.statistics").main()
