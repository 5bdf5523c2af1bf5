"""Statements of a commit."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from sqlalchemy import bindparam, exists, select, update

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import registration
from modelwatch.storage.engine.prepared import ManyRows, NewRows, Prepared, in_list
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.labels import LabelStatements
from modelwatch.storage.ledger.predictions.blocks import BlockStatements
from modelwatch.storage.ledger.repeats import stored_of_repeats


class ModelRow(NamedTuple):
    """The columns of a model that a commit reads, and holds until its end."""

    name: str
    generation: int
    privacy: str | None
    provisional_done: bool
    sample_rate: float | None
    expired_before: int
    deleting: str | None


class LedgerStatements:
    """The statements of a commit, built once: building them takes longer than running them."""

    _of_dialect: ClassVar[dict[str, LedgerStatements]] = {}

    @classmethod
    def of(cls, store: Store) -> LedgerStatements:
        """Those of the store's dialect: all ledgers of a process may share them, since they hold texts alone."""
        dialect = store.engine.dialect.name
        found = cls._of_dialect.get(dialect)
        return found or cls._of_dialect.setdefault(dialect, cls(store))

    def __init__(self, store: Store) -> None:
        prediction, writer, model = tables.prediction, tables.writer, tables.model
        # Keeps those out that would seal it. A reader of the number of its commits finds what they have written.
        self.claim = Prepared(
            store,
            update(writer)
            .where(
                writer.c.id == bindparam("writer"), writer.c.commits == bindparam("made"), writer.c.sealed.is_(False)
            )
            .values(commits=writer.c.commits + 1),
        )
        self.register_models = registration(store)
        generations = (
            select(*(model.c[name] for name in ModelRow._fields))
            .where(in_list(store, model.c.name, "names"))
            .order_by(model.c.name)
        )
        self.generations = Prepared(store, generations.with_for_update(read=True, of=model))
        self.generations_for_labels = Prepared(store, generations.with_for_update(of=model))
        self.labelled = Prepared(
            store,
            select(model.c.name).where(
                in_list(store, model.c.name, "names"), exists().where(tables.label.c.model == model.c.name)
            ),
        )
        self.insert_predictions = NewRows(
            store,
            prediction,
            ("day", "model", "prediction_id"),
            alike=("day", "model", "version", "environment", "arrived_at", "generation", "block"),
        )
        self.blocks = BlockStatements(store)
        self.repeated = stored_of_repeats(store)
        self.labels = LabelStatements(store)
        self.register_streams = store.insert(tables.stream).on_conflict_do_nothing()
        self.save_slots = ManyRows(store, store.upsert(tables.profile))
        self.save_outcomes = ManyRows(store, store.upsert(tables.outcome))
