"""What the indexer measures."""

from prometheus_client import Counter, Histogram

ROWS_COMPARED = Counter("kinsight_rows_compared_total", "Rows compared with queries.", ["space"])
TABLES_SCANNED = Histogram(
    "kinsight_tables_scanned",
    "Class tables scanned by one search.",
    ["routing"],
    buckets=(0, 1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128, 256, 1024),
)
SEARCH_SECONDS = Histogram(
    "kinsight_search_seconds",
    "Time of one search inside the indexer.",
    ["space"],
    buckets=(0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1, 2.5),
)
INGESTED = Counter("kinsight_ingested_files_total", "Files of bulk ingests.", ["outcome"])
REINDEXED = Counter("kinsight_reindexed_images_total", "Images filed by re-indexing.")
PROMOTIONS = Counter("kinsight_promotions_total", "Models that were to go live.", ["outcome"])
BLOBS_SWEPT = Counter("kinsight_blobs_swept_total", "Blobs deleted that no image named any more.")
