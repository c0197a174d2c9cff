"""A problem that a validation may find, and the kinds by which problems are counted."""

from dataclasses import dataclass

# Kind -> what it is, in the order in which they are shown.
KINDS = {
    "unfinished": "a build that was not finished",
    "holder": "manifests not written by the last builder that held the lock",
    "missing": "files that are missing or cannot be read",
    "extra": "files that readers would take for shards",
    "changed": "files that differ from what was written",
    "manifest": "numbers in the manifest that differ from the records",
    "index": "indexes that do not match their shards",
    "presence": "lists of label values that do not match their shards",
    "frame": "damaged or truncated frames",
    "example": "records that are not a tf.train.Example",
    "feature": "features that do not match the schema",
    "partial": "features that only some records have",
    "order": "records that are not where the plan puts them",
    "count": "shards with the wrong number of records",
    "duplicate-key": "keys that occur twice",
    "image": "images that do not decode",
    "header": "features that contradict their image",
    "label": "labels that do not decode, or whose size is not that of the image",
    "values": "label values that are not a class",
    "extra-feature": "extra features that differ when computed again",
    "source": "records that differ from their sources",
}


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with an output folder or a TFRecord file.

    Attributes:
      kind: a key of `KINDS`.
      file: path of the file.
      text: what was found, what was expected, what to do.
      record, offset: number of the record in its file, and where its frame begins in bytes; None
        if the problem is not in one record.
      key: of the sample; empty if not known.
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
