"""The only place that speaks SQL. Its face: the store, the ledger, and readers and writers by topic."""

from modelwatch.storage.compaction import fold, seal_writers
from modelwatch.storage.engine import Store
from modelwatch.storage.layouts import (
    LATENCY,
    PREDICTION,
    SCORE,
    Layout,
    ModelLayouts,
    Subject,
    read_layouts,
    subject_values,
)
from modelwatch.storage.leases import acquire, release
from modelwatch.storage.ledger import Committed, Increment, Ledger
from modelwatch.storage.profiles import (
    Stream,
    count_streams,
    days_with_data,
    generation_of,
    generations,
    last_window_end,
    streams,
    sum_windows,
)
from modelwatch.storage.rebinning import carry_over, stale_days
from modelwatch.storage.references import (
    StoredReference,
    all_references,
    in_force,
    models_without_full_reference,
    oldest_reference_in_force,
    overview,
    set_provisional_references,
    set_references,
)
from modelwatch.storage.rows import first_events
from modelwatch.storage.slots import Slot, SlotKey, window_start
from modelwatch.storage.verdicts import StoredVerdict, latest_verdicts, save_verdict

__all__ = [
    "LATENCY",
    "PREDICTION",
    "SCORE",
    "Committed",
    "Increment",
    "Layout",
    "Ledger",
    "ModelLayouts",
    "Slot",
    "SlotKey",
    "Store",
    "StoredReference",
    "StoredVerdict",
    "Stream",
    "Subject",
    "acquire",
    "all_references",
    "carry_over",
    "count_streams",
    "days_with_data",
    "first_events",
    "fold",
    "generation_of",
    "generations",
    "in_force",
    "last_window_end",
    "latest_verdicts",
    "models_without_full_reference",
    "oldest_reference_in_force",
    "overview",
    "read_layouts",
    "release",
    "save_verdict",
    "seal_writers",
    "set_provisional_references",
    "set_references",
    "stale_days",
    "streams",
    "subject_values",
    "sum_windows",
    "window_start",
]
