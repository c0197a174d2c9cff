"""Schemas of the records: `tensorflow.metadata.v0.Schema` in protobuf's JSON form.

They define all names on disk. Each feature has a tag `role:<name>`, by which the code
recognises it.
"""
