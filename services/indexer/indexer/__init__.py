"""The indexer: libraries, images, class tables, search, ingest and re-indexing."""
