"""Apache Beam pipelines, installed as `dsbuild.pipelines`: the room for engines on Beam."""
