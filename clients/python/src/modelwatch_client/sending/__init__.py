"""Sending in the background: queues in memory and on disk, the thread that empties them, requests, and counts."""
