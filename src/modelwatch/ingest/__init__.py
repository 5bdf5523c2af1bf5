"""From validated events to durable ones: group commit behind a bounded queue."""

from modelwatch.ingest.batcher import Batcher, IngestObserver

__all__ = ["Batcher", "IngestObserver"]
