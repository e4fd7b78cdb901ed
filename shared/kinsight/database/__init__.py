"""Postgres: connections and the schema."""

from kinsight.database.pool import Connection, Pool, Record, open_pool

__all__ = ["Connection", "Pool", "Record", "open_pool"]
