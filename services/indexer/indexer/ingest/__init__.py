"""Bulk ingest: from an archive, a folder or addresses to class tables and a ledger."""
