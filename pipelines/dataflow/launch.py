"""The main file of the Flex template: its parameters, as named options, start a build."""

import runpy

# Commands are above pipelines, so this one is run by name, not imported.
runpy.run_module("dsbuild.cli.pipeline", run_name="__main__")
