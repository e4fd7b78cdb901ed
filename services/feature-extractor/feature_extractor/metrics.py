"""What the extractor counts."""

from prometheus_client import Counter, Gauge, Histogram

IMAGES_EMBEDDED = Counter(
    "kinsight_images_embedded_total", "Images that went through a network.", ["lane"]
)
IMAGES_REJECTED = Counter(
    "kinsight_images_rejected_total", "Images that could not be used.", ["reason"]
)
BATCH_SIZE = Histogram(
    "kinsight_batch_size",
    "Network inputs per batch.",
    ["lane"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
QUEUE_DEPTH = Gauge(
    "kinsight_extractor_queue_depth", "Images waiting for a decode worker or the device.", ["lane"]
)
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 10)
DECODE_SECONDS = Histogram(
    "kinsight_decode_seconds", "Decoding and preprocessing of one image.", buckets=_SECONDS
)
EMBED_SECONDS = Histogram(
    "kinsight_embed_seconds", "One batch through the network.", ["lane"], buckets=_SECONDS
)
WORKERS_LOST = Counter(
    "kinsight_decode_workers_lost_total", "Decode workers that a picture took down."
)
INFERENCE_THREADS = Gauge(
    "kinsight_inference_threads", "Batches that can go through a network at once."
)
DEVICE_INFO = Gauge(
    "kinsight_device_info", "1 for the device the networks run on.", ["device", "name"]
)
