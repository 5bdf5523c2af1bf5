"""Profiles that were counted elsewhere: from a JSON body to counts, checked as far as that needs no reference."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
import numpy as np

from modelwatch.api.decoding.actions import decode_action
from modelwatch.api.decoding.values import Limits, text_problem
from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.events import DEFAULT_ENVIRONMENT, DEFAULT_VERSION, EARLIEST_TIME
from modelwatch.storage.ledger.received_profiles import CountedSubject, GivenProfile, ProfilePart
from modelwatch.storage.references.subjects import Subject
from modelwatch.times import MICROS_PER_SECOND, micros_of

INVALID = "The profile has fields that are not valid."
# Sums of so many still fit.
MOST_PREDICTIONS = 2**40
Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_PREDICTIONS)]


class ProfileSubject(msgspec.Struct, forbid_unknown_fields=True):
    """A subject and the id of the cells that it was counted in, both as in GET /reference/binnings."""

    kind: Literal["feature", "prediction", "score", "latency"]
    binning_id: str
    name: str = ""


class ProfilePartBody(msgspec.Struct, forbid_unknown_fields=True):
    """Counts of the predictions in one window of 5 minutes, which begins at window_start.

    latest: time of the newest of them. counts: of each subject, in their order, the number of values in each fine cell;
    then those that are missing, and invalid; of numbers also those below, and above, what the reference has, which are
    in the outer cells, too.
    """

    window_start: datetime
    latest: datetime
    predictions: int
    counts: list[list[Count]]


class ProfileBody(msgspec.Struct, forbid_unknown_fields=True):
    """Counts of predictions that stay where they are. profile_id: the same id counts once, however often it is sent."""

    profile_id: str
    model_name: str
    subjects: list[ProfileSubject]
    parts: list[ProfilePartBody]
    model_version: str = DEFAULT_VERSION
    environment: str = DEFAULT_ENVIRONMENT


def decode_profile(body: bytes, limits: Limits, now: int) -> GivenProfile:
    """The profile of a body. now: microseconds. Raises MalformedBody, and InvalidInput that names the fields."""
    found = decode_action(body, ProfileBody)
    problems = [
        FieldError(f"/{name}", wrong, excerpt(text))
        for name in ("profile_id", "model_name", "model_version", "environment")
        if (wrong := text_problem(text := getattr(found, name), limits.max_name_length))
    ]
    subjects = [CountedSubject(Subject(each.kind, each.name), each.binning_id) for each in found.subjects]
    if not subjects:
        problems.append(FieldError("/subjects", "Expected at least one"))
    if len({each.subject for each in subjects}) < len(subjects):
        problems.append(FieldError("/subjects", "Expected each subject once"))
    if not found.parts:
        problems.append(FieldError("/parts", "Expected at least one"))
    if problems:
        raise InvalidInput(INVALID, tuple(problems))
    latest = now + limits.max_clock_skew_seconds * MICROS_PER_SECOND
    parts = [_part(each, place, len(subjects), latest) for place, each in enumerate(found.parts)]
    if len({part.window_start for part in parts}) < len(parts):
        raise InvalidInput(INVALID, (FieldError("/parts", "Expected each window once"),))
    return GivenProfile(
        found.profile_id, found.model_name, found.model_version, found.environment, tuple(subjects), tuple(parts)
    )


def _part(given: ProfilePartBody, place: int, subjects: int, latest_allowed: int) -> ProfilePart:
    pointer = f"/parts/{place}"
    start, latest = micros_of(given.window_start), micros_of(given.latest)
    seconds, rest = divmod(start, MICROS_PER_SECOND)
    problem = None
    if rest or seconds % BASE_WINDOW_SECONDS:
        problem = FieldError(f"{pointer}/window_start", f"Expected a multiple of {BASE_WINDOW_SECONDS} s since 1970")
    elif start < EARLIEST_TIME:
        problem = FieldError(f"{pointer}/window_start", "Expected a time from 1900 on")
    elif not start <= latest < start + BASE_WINDOW_SECONDS * MICROS_PER_SECOND:
        problem = FieldError(f"{pointer}/latest", "Expected a time inside of the window")
    elif latest > latest_allowed:
        problem = FieldError(f"{pointer}/latest", "The time is ahead of the server's clock")
    elif not 0 < given.predictions <= MOST_PREDICTIONS:
        problem = FieldError(f"{pointer}/predictions", "Expected at least 1, at most 2^40", str(given.predictions))
    elif len(given.counts) != subjects:
        message = f"Expected one for each of the {subjects} subjects, got {len(given.counts)}"
        problem = FieldError(f"{pointer}/counts", message)
    if problem is not None:
        raise InvalidInput(INVALID, (problem,))
    counts = [np.array(each, dtype=np.int64) for each in given.counts]
    return ProfilePart(seconds, latest, given.predictions, counts)
