"""Zip and tar archives from strangers, read file by file: for ingest and for evaluation."""

from kinsight.archives.members import Labels, Member, Source
from kinsight.archives.reading import open_archive

__all__ = ["Labels", "Member", "Source", "open_archive"]
