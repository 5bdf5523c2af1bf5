"""Ingest: validated events become durable, by group commit behind a bounded queue."""

from modelwatch.ingest.batcher import Batcher, IngestObserver
from modelwatch.ingest.queue import Refused

__all__ = ["Batcher", "IngestObserver", "Refused"]
