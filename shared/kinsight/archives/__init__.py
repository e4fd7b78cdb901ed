"""Zip and tar archives from strangers, read file by file: for ingest and for evaluation."""

from kinsight.archives.members import Archive, Labels, Member, Source
from kinsight.archives.reading import open_archive

__all__ = ["Archive", "Labels", "Member", "Source", "open_archive"]
