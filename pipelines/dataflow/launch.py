"""The main file of the Flex template: its parameters, as named options, start a build."""

import runpy

# A command stands above the pipelines that it runs, so it is not imported from here.
runpy.run_module("dsbuild.cli.pipeline", run_name="__main__")
