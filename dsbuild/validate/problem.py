"""What a validation may find: problems, and the kinds that they are counted by."""

from dataclasses import dataclass

# Kind -> what it is, in the order in which they are shown.
KINDS = {
    "unfinished": "a build that was not finished",
    "holder": "manifests that are not of the last builder that had the lock",
    "missing": "files that the manifest lists and that are not there",
    "extra": "files that readers would take for shards",
    "changed": "files that are not as they were written",
    "manifest": "numbers of the manifest that are not those of the records",
    "index": "indexes that do not fit their shards",
    "presence": "lists of label values that do not fit their shards",
    "frame": "frames that are damaged or cut",
    "example": "records that are no tf.train.Example",
    "feature": "features that do not fit the schema",
    "partial": "features that only some records have",
    "order": "records that are not where the plan has them",
    "count": "shards with another number of records",
    "duplicate-key": "keys that occur twice",
    "image": "images that do not decode",
    "header": "features that contradict their image",
    "label": "labels that do not decode, or of another size",
    "values": "label values that are no class",
    "extra-feature": "extra features that differ from a new computation",
    "source": "records that differ from their sources",
}


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with an output folder or a TFRecord file.

    Attributes:
      kind: a key of `KINDS`.
      file: path of the file.
      text: what was found, what was expected, what to do.
      record, offset: number of the record in its file and its frame's first byte, or None.
      key: of the sample, empty where it is not known.
    """

    kind: str
    file: str
    text: str
    record: int | None = None
    offset: int | None = None
    key: str = ""

    def __str__(self) -> str:
        where = self.file
        if self.record is not None:
            where += f": record {self.record} at byte {self.offset}"
        if self.key:
            where += f" ({self.key})"
        return f"{where}: {self.text}"
