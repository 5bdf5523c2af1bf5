"""The skeleton of all checks: from what is read at one point in time to a verdict, and back from its evidence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from sqlalchemy import Connection

from modelwatch.findings import Kind
from modelwatch.monitoring.checks.conditions import Condition, newly_found, with_onsets
from modelwatch.monitoring.checks.drift.evidence import Inputs as DriftInputs
from modelwatch.monitoring.checks.headline import Headline
from modelwatch.monitoring.checks.onsets import Onsets
from modelwatch.monitoring.checks.schedule import Point
from modelwatch.storage.engine.models import StreamKey

# Kept with each verdict. It grows with each release whose rules may make another report of the same evidence, be it in
# its words.
RULES_VERSION = 7

encode_report = msgspec.json.Encoder().encode


Inputs = TypeVar("Inputs")
Evaluation = TypeVar("Evaluation")
Report = TypeVar("Report", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """Content of a verdict. evidence: everything that the report is computed from. brief: the report without its
    longest lists, as JSON; report: makes all of it. conditions: carried to the next evaluation. reach: seconds between
    the start of the data and its end; 0 where the rules alone decide. headline: few numbers of the report."""

    generation: int
    severity: str
    evidence: bytes
    brief: bytes
    report: Callable[[], bytes]
    conditions: list[Condition]
    headline: Headline
    reach: int = 0


@dataclass(frozen=True, slots=True)
class Extent:
    """Size of evidence: numbers of references and counts. late: predictions that came too late for it; None if
    unknown."""

    references: int
    counts: int
    late: int | None = None


class Check(ABC, Generic[Inputs, Evaluation, Report]):
    """One skeleton for all checks of a stream at one point in time.

    Inputs are read (`gather`), evaluated, reported, and what is wrong is carried to the next evaluation (`advance`).
    All but the reading is a pure function of the inputs, which evidence keeps (`encode`), so `recompute` comes to the
    same report from the stored bytes (`restore`).

    name: that of its verdicts. kinds: of what it finds.
    """

    name: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]]

    @abstractmethod
    def gather(
        self, stream: StreamKey, point: Point, previous: Sequence[Condition], drift: Callable[[], DriftInputs]
    ) -> Inputs | None:
        """Reads the inputs of this check; None where the rules of the model leave it out.

        previous: the conditions before this evaluation. drift: reads what drift is judged by at this point, once for
        all checks that ask for it.
        """

    @staticmethod
    @abstractmethod
    def evaluate(inputs: Inputs, /) -> Evaluation:
        """Judges everything that the rules watch."""

    @staticmethod
    @abstractmethod
    def report(evaluation: Evaluation, /) -> Report:
        """Report of an evaluation, as it is shown and kept."""

    @staticmethod
    @abstractmethod
    def brief(evaluation: Evaluation, /) -> Report:
        """Report without its longest lists: as much as a summary and a headline are made of."""

    @staticmethod
    @abstractmethod
    def advance(previous: Sequence[Condition], evaluation: Evaluation, end: int) -> list[Condition]:
        """Conditions after this evaluation. end: of its window, in seconds."""

    @staticmethod
    @abstractmethod
    def encode(inputs: Inputs, /) -> bytes:
        """The evidence: bytes that `restore` makes the same inputs of."""

    @staticmethod
    @abstractmethod
    def restore(connection: Connection, evidence: bytes) -> Inputs:
        """The inputs of evidence. Raises ValueError when it can't be read, UnknownResource when a reference was
        removed."""

    @staticmethod
    @abstractmethod
    def extent(connection: Connection, inputs: Inputs) -> Extent:
        """Numbers of references and counts in the inputs."""

    @staticmethod
    @abstractmethod
    def generation(inputs: Inputs) -> int:
        """The model's generation that they were counted in."""

    @staticmethod
    def reach(inputs: Inputs, end: int) -> int:
        """Seconds between the start of the data and `end`; 0 where the rules alone decide."""
        return 0

    @staticmethod
    @abstractmethod
    def severity(report: Report) -> str:
        """Worst severity in the report."""

    def onsets(self, stream: StreamKey, inputs: Inputs, found: Sequence[Condition], end: int) -> Onsets:
        """Estimated onsets of new findings, in seconds, by kind and name, from the windows before `end`; without those
        where it is unknown."""
        return {}

    @staticmethod
    @abstractmethod
    def headline(evaluation: Evaluation, brief: Report) -> Headline:
        """Few numbers of an evaluation and its brief report, for lists."""

    def conclude(
        self, stream: StreamKey, point: Point, conditions: Sequence[Condition], drift: Callable[[], DriftInputs]
    ) -> Conclusion | None:
        """Evaluates the stream at this point, after an evaluation with these conditions. None when the check is
        disabled."""
        inputs = self.gather(stream, point, conditions, drift)
        if inputs is None:
            return None
        evaluation = self.evaluate(inputs)
        brief = self.brief(evaluation)

        def report() -> bytes:
            return encode_report(brief if self.brief is self.report else self.report(evaluation))

        after = self.advance(conditions, evaluation, point.end)
        found = newly_found(conditions, after)
        if found:
            after = with_onsets(after, self.onsets(stream, inputs, found, point.end))
        return Conclusion(
            generation=self.generation(inputs),
            severity=self.severity(brief),
            evidence=self.encode(inputs),
            brief=encode_report(brief),
            report=report,
            conditions=after,
            headline=self.headline(evaluation, brief),
            reach=self.reach(inputs, point.end),
        )

    @classmethod
    def recompute(cls, connection: Connection, evidence: bytes) -> tuple[bytes, Extent]:
        """Report as JSON, recomputed from kept evidence, and the extent of that evidence. Raises as `restore` does."""
        inputs = cls.restore(connection, evidence)
        return encode_report(cls.report(cls.evaluate(inputs))), cls.extent(connection, inputs)


AnyCheck = Check[Any, Any, Any]
