"""Profiles: the counts of a data set in the cells of a reference, window by window, without any of its values."""

from __future__ import annotations

import base64
import binascii
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.library.reading import all_missing, column_counts, in_threads, progress_bar, read_column, seconds_of
from modelwatch.library.reference import ColumnNames, Reference
from modelwatch.library.sources import Source, UnreadableColumn, source_of
from modelwatch.stats.counting.binning import Binning, NumericBinning, decode_binning, encode_binning
from modelwatch.stats.counting.encoded_counts import decode_counts, encode_counts
from modelwatch.stats.counting.kernel import CountsByGroup, Places
from modelwatch.stats.counting.profile import Profile as Counts
from modelwatch.stats.errors import StatsError
from modelwatch.storage.references.subjects import Subject, binnings_id
from modelwatch.times import iso_of_seconds

FORMAT = 1
# Windows and counts of one request: some megabytes at most, whatever a service takes by default.
MOST_WINDOWS, MOST_COUNTS = 100, 2_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """Counts of the rows in one window of 5 minutes.

    latest: time of the newest of them, in seconds. cells: counts of all subjects, one after the other in their sorted
    order, so that parts merge as one sum. places: of each subject in them.
    """

    rows: int
    latest: int
    cells: NDArray[np.int64]
    places: Mapping[Subject, slice]

    @classmethod
    def of(cls, rows: int, latest: int, counts: Mapping[Subject, NDArray[np.int64]]) -> Part:
        """The part of these counts by subject, each of shape (binning.size,)."""
        subjects = sorted(counts)
        ends = np.cumsum([len(counts[subject]) for subject in subjects]).tolist()
        places = dict(zip(subjects, map(slice, [0, *ends], ends), strict=False))
        # Of a data set without a readable column there are none.
        nothing = np.zeros(0, dtype=np.int64)
        return cls(rows, latest, np.concatenate([nothing, *(counts[subject] for subject in subjects)]), places)

    @property
    def counts(self) -> dict[Subject, NDArray[np.int64]]:
        """Counts by subject, each of shape (binning.size,)."""
        return {subject: self.cells[place] for subject, place in self.places.items()}

    def __add__(self, other: Part) -> Part:
        """Both together; they were counted in the same cells."""
        return Part(self.rows + other.rows, max(self.latest, other.latest), self.cells + other.cells, self.places)


@dataclass(frozen=True)
class Profile:
    """The counts of a data set in the cells of a reference. It holds no values: names that the reference does not have
    are counted, and not kept.

    id: of the profile; sent to a service, it counts once. binnings: the cells by subject. parts: by the start of their
    window in seconds; None: of rows without times. left_out: columns that are not counted, and why.
    """

    id: str
    binnings: Mapping[Subject, Binning]
    parts: Mapping[int | None, Part]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of rows that were counted."""
        return sum(part.rows for part in self.parts.values())

    @cached_property
    def binnings_id(self) -> str:
        """Id of the cells, as `GET /api/v1/reference/binnings` has it."""
        return binnings_id(self.binnings)

    @property
    def span(self) -> tuple[int, int] | None:
        """Start of the first and end of the last window, in seconds; None without times."""
        starts = [start for start in self.parts if start is not None]
        return (min(starts), max(starts) + BASE_WINDOW_SECONDS) if starts else None

    def counts(self, subject: Subject) -> Counts:
        """Counts of a subject over all windows."""
        counts = sum(part.cells[part.places[subject]] for part in self.parts.values())
        return Counts(self.binnings[subject], counts)  # type: ignore[arg-type]

    def __add__(self, other: Profile) -> Profile:
        """The profile of both data sets. Raises ValueError when they were counted in different cells, or are one.

        Its id follows from theirs, so merging again gives the same.
        """
        if self.binnings_id != other.binnings_id:
            raise ValueError("profiles of different references can't be merged")
        if self.id == other.id:
            raise ValueError(f"the profile {self.id} can't be merged with itself: it would count twice")
        parts = dict(self.parts)
        for start, part in other.parts.items():
            parts[start] = parts[start] + part if start in parts else part
        together = sha256("\0".join(sorted((self.id, other.id))).encode()).hexdigest()[:32]
        merged = Profile(together, self.binnings, parts, {**other.left_out, **self.left_out})
        # To find it again would take longer than the sum.
        merged.__dict__["binnings_id"] = self.binnings_id
        return merged

    def to_bytes(self) -> bytes:
        """Bytes that `from_bytes` reads."""
        subjects = list(self.binnings)
        document = _Document(
            FORMAT,
            self.id,
            [(each.kind, each.name, encode_binning(self.binnings[each])) for each in subjects],
            [
                _PackedPart(
                    start,
                    part.rows,
                    part.latest,
                    [encode_counts(part.cells[part.places[each]]) for each in subjects],
                )
                for start, part in self.parts.items()
            ],
            dict(self.left_out),
        )
        return msgspec.msgpack.encode(document)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Profile:
        """The profile of `to_bytes`. Raises ValueError for other bytes."""
        try:
            found = msgspec.msgpack.decode(raw, type=_Document)
            if found.format != FORMAT:
                raise ValueError(f"it has the format {found.format}, which this release can't read")
            binnings = {
                Subject(kind, name): decode_binning(binning)  # type: ignore[arg-type]
                for kind, name, binning in found.subjects
            }
            parts: dict[int | None, Part] = {}
            for each in found.parts:
                vectors = dict(zip(binnings, map(decode_counts, each.counts), strict=True))
                for subject, counts in vectors.items():
                    Counts(binnings[subject], counts)
                parts[each.start] = Part.of(each.rows, each.latest, vectors)
        except (msgspec.DecodeError, StatsError, ValueError) as error:
            raise ValueError(f"these bytes are no profile: {error}") from error
        return cls(found.id, binnings, parts, found.left_out)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it to a file. Raises OSError."""
        Path(path).write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Profile:
        """Reads what `save` wrote. Raises OSError, and ValueError for another file."""
        try:
            return cls.from_bytes(Path(path).read_bytes())
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)} is no saved profile: {error}") from error

    def requests(self, timestamp: datetime | None = None) -> Iterator[dict[str, Any]]:
        """Bodies of `POST /api/v1/profiles`, without the names of model and environment; each counts once.

        timestamp: time of rows without one; now if None.
        """
        starts = sorted(start for start in self.parts if start is not None)
        # By what the profile is alone, so that the requests are the same each time.
        size = max(1, min(MOST_WINDOWS, MOST_COUNTS // sum(each.size for each in self.binnings.values())))
        for number, place in enumerate(range(0, len(starts), size)):
            some = starts[place : place + size]
            name = self.id if len(starts) <= size else f"{self.id}-{number}"
            yield self._request(name, [self._body(start, self.parts[start]) for start in some])
        untimed = self.parts.get(None)
        if untimed is not None:
            moment = datetime.now(UTC) if timestamp is None else timestamp
            seconds = int((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp())
            start = seconds // BASE_WINDOW_SECONDS * BASE_WINDOW_SECONDS
            # Apart from the others, so that sent again at another time it is the same request.
            name = f"{self.id}-untimed" if starts else self.id
            yield self._request(name, [self._body(start, replace(untimed, latest=seconds))])

    def _request(self, name: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
        subjects = [
            {"kind": each.kind, "name": each.name, "binning_id": self.binnings[each].id} for each in self.binnings
        ]
        return {"profile_id": name, "subjects": subjects, "parts": parts}

    def _body(self, start: int, part: Part) -> dict[str, Any]:
        counts = part.counts
        return {
            "window_start": iso_of_seconds(start),
            "latest": iso_of_seconds(part.latest),
            "predictions": part.rows,
            "counts": [counts[subject].tolist() for subject in self.binnings],
        }


def profile(data: Any, like: Any, *, id: str | None = None, progress: bool | None = None, **columns: Any) -> Profile:  # noqa: A002
    """The counts of a data set in the cells of a reference.

    data: as for `compare`. like: a `Reference`, or the answer of `GET /api/v1/reference/binnings`. id: of the profile;
    random if None. progress: as for `compare`. columns: as for `compare`, for the answer of a service alone; a
    reference has its own. Rows are counted by windows of 5 minutes of their timestamps; those without one together.

    Raises TypeError and ValueError as `compare`.

    >>> reference = Reference.fit({"x": list(range(1000))})
    >>> found = profile({"x": [1, 5_000]}, like=reference) + profile({"x": [None]}, like=reference)
    >>> found.rows, found.counts(Subject("feature", "x")).above, found.counts(Subject("feature", "x")).missing
    (3, 1, 1)
    """
    if isinstance(like, Reference):
        if columns:
            raise TypeError(f"the reference has names of columns already: {', '.join(columns)} can't be given")
        names = like.columns
        binnings = {subject: each.profile.binning for subject, each in like.subjects.items()}
    else:
        names, binnings = ColumnNames.of(columns), binnings_of(like)
    source = source_of(data)
    if not source.rows:
        raise ValueError("the data set to profile has no row")
    windows = _Windows.of(source, names.timestamp)
    wanted = names.subjects(source.names)

    def work(subject: Subject) -> list[NDArray[np.int64]] | str:
        try:
            return _counted(source, wanted.get(subject), binnings[subject], windows)
        except UnreadableColumn as problem:
            return str(problem)

    with progress_bar(progress, "Counting", len(binnings), source.rows) as done:
        found = dict(zip(binnings, in_threads(work, list(binnings), done), strict=True))
    left_out = {wanted[subject]: each for subject, each in found.items() if isinstance(each, str)}
    left_out |= {name: "the reference does not have it" for subject, name in wanted.items() if subject not in binnings}
    counted = {subject: each for subject, each in found.items() if not isinstance(each, str)}
    parts: dict[int | None, Part] = {
        start: Part.of(rows, latest, {subject: vectors[group] for subject, vectors in counted.items()})
        for group, (start, rows, latest) in enumerate(windows.listed())
    }
    kept = {subject: binnings[subject] for subject in counted}
    return Profile(uuid.uuid4().hex if id is None else id, kept, parts, left_out)


def binnings_of(answer: Any) -> dict[Subject, Binning]:
    """The cells in an answer of `GET /api/v1/reference/binnings`; those of hashed names are left out.

    Raises TypeError for what is no such answer, ValueError for cells that can't be read.
    """
    if not isinstance(answer, Mapping) or "subjects" not in answer:
        raise TypeError(f"a {type(answer).__name__} has no cells: expected a Reference, or the binnings of a service")
    try:
        return {
            Subject(each["kind"], each["name"]): decode_binning(base64.b64decode(each["binning"], validate=True))
            for each in answer["subjects"]
            if not each["hashed"]
        }
    except (KeyError, TypeError, binascii.Error, StatsError) as error:
        raise ValueError(f"the binnings can't be read: {error}") from error


@dataclass(frozen=True, slots=True)
class _Windows:
    """The windows that rows count in. groups: of each row the place of its window; None: all are in one.

    starts: in seconds, None of rows without a time. latest: of the newest row of each.
    """

    rows: int
    groups: Places | None
    starts: tuple[int | None, ...]
    latest: tuple[int, ...]

    @classmethod
    def of(cls, source: Source, timestamp: str) -> _Windows:
        seconds = seconds_of(source, timestamp)
        if seconds is None or not seconds.known.any():
            return cls(source.rows, None, (None,), (0,))
        starts = seconds.values - seconds.values % BASE_WINDOW_SECONDS
        known, groups = np.unique(starts[seconds.known], return_inverse=True)
        latest = np.zeros(len(known), dtype=np.int64)
        latest[:] = known
        np.maximum.at(latest, groups, seconds.of_known)
        named: tuple[int | None, ...] = tuple(known.tolist())
        if seconds.all_known:
            one = len(known) == 1
            return cls(source.rows, None if one else groups.astype(np.intp), named, tuple(latest.tolist()))
        placed = np.full(source.rows, len(known), dtype=np.intp)
        placed[seconds.known] = groups
        return cls(source.rows, placed, (*named, None), (*latest.tolist(), 0))

    def listed(self) -> Iterator[tuple[int | None, int, int]]:
        """Start, number of rows and newest time of each window."""
        rows = [self.rows] if self.groups is None else np.bincount(self.groups, minlength=len(self.starts)).tolist()
        return zip(self.starts, rows, self.latest, strict=True)


def _counted(source: Source, name: str | None, binning: Binning, windows: _Windows) -> list[NDArray[np.int64]]:
    """The counts of a column by window; of one that there is not, all are missing. Raises UnreadableColumn."""
    if name is None:
        return [all_missing(binning, rows).counts for _, rows, _ in windows.listed()]
    if windows.groups is None:
        return [column_counts(source, name, Counts.empty(binning)).counts.copy()]
    column = read_column(source, name, numbers=isinstance(binning, NumericBinning))
    counts = CountsByGroup(windows.groups, len(windows.starts), binning.size)
    counts.add(0, binning.cells(column))
    return counts.totals()


class _PackedPart(msgspec.Struct):
    start: int | None
    rows: int
    latest: int
    counts: list[bytes]


class _Document(msgspec.Struct):
    format: int
    id: str
    subjects: list[tuple[str, str, bytes]]
    parts: list[_PackedPart]
    left_out: dict[str, str]
