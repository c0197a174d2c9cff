"""Schemas of the records: `tensorflow.metadata.v0.Schema` in protobuf's JSON form.

They are the single source of the names on disk. Each feature carries a tag
`role:<name>`, by which the code knows it.
"""
