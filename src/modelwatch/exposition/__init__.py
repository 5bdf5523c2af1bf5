"""Metrics for Prometheus: counters of this process, gauges of the store.

Event counters belong to the process and are summed over processes and replicas. State gauges are read from the store
at every scrape, so every replica serves the same ones.
"""

from modelwatch.exposition.counters import EventCounters
from modelwatch.exposition.prometheus import Exposition
from modelwatch.exposition.state import StateCollector

__all__ = ["EventCounters", "Exposition", "StateCollector"]
